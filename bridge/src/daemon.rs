//! Session after session, until the process is told to stop.

use std::time::Duration;

use sippo_xmpp_core::{config::UnknownKeys, ledger::EpochRegister};
use tokio::{sync::watch, time::Instant};

use crate::{
    backoff,
    broker::BrokerError,
    broker_config::BrokerConfig,
    health::{Health, State},
    interruption::Interruption,
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
        let mut interruption = Interruption::new();
        while !*stop.borrow() {
            let began = Instant::now();
            let end = self.session(&mut stop, interruption.failures()).await;
            if *stop.borrow() && end.is_ok() {
                return;
            }
            // To wait long for an answer is to fail as well.
            if self.health.state().is_connected() && began.elapsed() > STEADY {
                interruption.over();
            }
            self.health.enter(State::Connecting);
            let Err(end) = end else {
                tracing::info!("The broker's URL has changed; connecting anew");
                continue;
            };
            interruption.failed();
            log(&end, &mut interruption);
            let wait = backoff::wait(interruption.failures(), FIRST_WAIT, LONGEST_WAIT);
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

fn log(end: &SessionEnd, interruption: &mut Interruption) {
    if matches!(end, SessionEnd::Unfinished(_)) {
        return tracing::warn!(cause = %end, "Stopping with work undone");
    }
    if end.is_takeover() {
        return tracing::info!(cause = %end, "Session over; connecting anew");
    }
    let failures = interruption.failures();
    let Some(unlogged) = interruption.change(&end.to_string()) else {
        return tracing::debug!(cause = %end, failures, "No session with the message broker yet");
    };
    match end {
        SessionEnd::Broker(BrokerError::Denied { .. }) => {
            tracing::warn!(cause = %end, unlogged, "The message broker denies the bridge a right; connecting again and again");
        }
        SessionEnd::Broker(BrokerError::AcknowledgedTooLate(_)) => {
            tracing::warn!(cause = %end, unlogged, "The message broker took deliveries back, for it waited too long; connecting anew");
        }
        _ => tracing::warn!(
            cause = %end,
            unlogged,
            "The session with the message broker broke; connecting again and again; see that the broker runs, that user, password and permissions in [broker] url are right, and that the queue was declared by this service"
        ),
    }
}
