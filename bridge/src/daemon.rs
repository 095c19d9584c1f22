//! Session after session, until the process is told to stop.

use std::time::Duration;

use sippo_xmpp_core::ledger::EpochRegister;
use tokio::{sync::watch, time::Instant};

use crate::{
    backoff,
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
}

impl<Q: Queues, R: EpochRegister + Sync> Daemon<'_, Q, R> {
    /// Runs until `stop` turns true. What is in flight then is finished first, within a limit; whatever
    /// is not stays at the broker.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        let mut failures = 0_u32;
        while !*stop.borrow() {
            let began = Instant::now();
            let Err(end) = self.session(&mut stop, failures).await else { return };
            self.health.enter(State::Connecting);
            if began.elapsed() > STEADY {
                failures = 0;
            }
            failures = failures.saturating_add(1);
            log(&end, failures);
            let wait = backoff::wait(failures, FIRST_WAIT, LONGEST_WAIT);
            let _ = tokio::time::timeout(wait, stop.wait_for(|stop| *stop)).await;
        }
    }

    async fn session(&self, stop: &mut watch::Receiver<bool>, failures: u32) -> Result<(), SessionEnd> {
        tracing::trace!("Connecting to message-broker");
        let mut stopped = stop.clone();
        let broker = tokio::select! {
            broker = RabbitMq::connect(self.broker) => broker?,
            _ = stopped.wait_for(|stop| *stop) => return Ok(()),
        };
        let end = self.consume(&broker, stop, failures).await;
        broker.close().await;
        end
    }

    async fn consume(
        &self,
        broker: &RabbitMq,
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
        let context = SessionContext { queues: self.queues, register: self.register, health: self.health };
        Session::new(context, broker, seen).run(deliveries, stop).await
    }
}

fn log(end: &SessionEnd, failures: u32) {
    match end {
        SessionEnd::Unfinished(_) => tracing::warn!(cause = %end, "Stopping with work undone"),
        _ if end.is_takeover() => tracing::info!(cause = %end, "Session over; connecting anew"),
        _ if failures == 1 => tracing::warn!(
            cause = %end,
            "The session with the message broker broke; connecting again and again; see that the broker runs, that user, password and permissions in [broker] url are right, and that the queue was declared by this service"
        ),
        _ => tracing::debug!(cause = %end, failures, "No session with the message broker yet"),
    }
}
