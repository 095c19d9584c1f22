//! Session after session, until the process is told to stop.

use std::{mem, time::Duration};

use sippo_xmpp_core::{config::UnknownKeys, ledger::EpochRegister};
use tokio::{sync::watch, time::Instant};

use crate::{
    backoff,
    broker::BrokerError,
    broker_config::BrokerConfig,
    health::{Health, State},
    queues::Queues,
    rabbitmq::RabbitMq,
    session::{Session, SessionContext, SessionEnd},
};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A session that lived so long was no failure to connect.
const STEADY: Duration = Duration::from_secs(10);

/// A bridge.
#[derive(Debug)]
pub struct Daemon<'a, Q, R> {
    /// The broker.
    pub broker: &'a BrokerConfig,
    /// Where events go.
    pub queues: &'a Q,
    /// Where epochs come from.
    pub register: &'a R,
    /// What is reported outside.
    pub health: &'a Health,
    /// What becomes of events of other routing keys than ours.
    pub unknown_keys: UnknownKeys,
}

impl<Q: Queues, R: EpochRegister + Sync> Daemon<'_, Q, R> {
    /// Runs until `stop` turns true. What is in flight then is finished first, within a limit; whatever
    /// is not stays at the broker.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        let (mut failures, mut logged) = (0_u32, None);
        while !*stop.borrow() {
            let began = Instant::now();
            let end = self.session(&mut stop, failures).await;
            if *stop.borrow() && end.is_ok() {
                return;
            }
            self.health.enter(State::Connecting);
            if began.elapsed() > STEADY {
                (failures, logged) = (0, None);
            }
            let Err(end) = end else {
                tracing::info!("The broker's URL has changed; connecting anew");
                continue;
            };
            failures = failures.saturating_add(1);
            log(&end, failures, &mut logged);
            let wait = backoff::wait(failures, FIRST_WAIT, LONGEST_WAIT);
            let _ = tokio::time::timeout(wait, stop.wait_for(|stop| *stop)).await;
        }
    }

    async fn session(&self, stop: &mut watch::Receiver<bool>, failures: u32) -> Result<(), SessionEnd> {
        tracing::trace!("Connecting to message-broker");
        let mut stopped = stop.clone();
        let broker = tokio::select! {
            broker = RabbitMq::connect(self.broker, self.health) => broker?,
            _ = stopped.wait_for(|stop| *stop) => return Ok(()),
        };
        let end = self.consume(&broker, stop, failures).await;
        broker.close().await;
        end
    }

    /// Until `stop` turns true, or the broker's URL changes.
    async fn consume(
        &self,
        broker: &RabbitMq<'_>,
        stop: &mut watch::Receiver<bool>,
        failures: u32,
    ) -> Result<(), SessionEnd> {
        // Before consuming: whoever takes an epoch later may have been made the active consumer later.
        let seen = self.register.current().await?;
        let deliveries = broker.consume().await?;
        self.health.enter(State::Standby);
        if failures > 0 {
            tracing::info!(failures, "Connected to the message broker again");
        } else {
            tracing::info!("Connected to the message broker");
        }
        let context = SessionContext {
            queues: self.queues,
            register: self.register,
            health: self.health,
            unknown_keys: self.unknown_keys,
        };
        let (sender, mut finish) = watch::channel(false);
        let watching = async {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                () = self.broker.url.changed() => {}
            }
            let _ = sender.send(true);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            end = Session::new(context, broker, seen).run(deliveries, &mut finish) => end,
            () = watching => Ok(()),
        }
    }
}

/// `logged` is the kind of failure that was logged last: one that goes on is logged once.
fn log(end: &SessionEnd, failures: u32, logged: &mut Option<mem::Discriminant<BrokerError>>) {
    let kind = if let SessionEnd::Broker(error) = end { Some(mem::discriminant(error)) } else { None };
    let is_new = failures == 1 || kind.is_some() && kind != *logged;
    match end {
        SessionEnd::Unfinished(_) => tracing::warn!(cause = %end, "Stopping with work undone"),
        _ if end.is_takeover() => tracing::info!(cause = %end, "Session over; connecting anew"),
        _ if !is_new => tracing::debug!(cause = %end, failures, "No session with the message broker yet"),
        SessionEnd::Broker(BrokerError::Denied { .. }) => {
            tracing::warn!(cause = %end, "The message broker denies the bridge a right; connecting again and again");
        }
        SessionEnd::Broker(BrokerError::AcknowledgedTooLate(_)) => {
            tracing::warn!(cause = %end, "The message broker took deliveries back, for it waited too long; connecting anew");
        }
        _ => tracing::warn!(
            cause = %end,
            "The session with the message broker broke; connecting again and again; see that the broker runs, that user, password and permissions in [broker] url are right, and that the queue was declared by this service"
        ),
    }
    *logged = kind;
}
