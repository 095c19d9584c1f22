//! One session with the broker: from the first delivery to the end of the connection.
//!
//! One task does it all: it takes deliveries, sends batches (many in flight), and acknowledges. The
//! fence: before each acknowledgement a consistent read must still show the session's epoch. A bridge
//! that was paused and deposed finds that out there, and has done no harm but duplicates of older
//! versions.

mod acks;
mod delivery;
mod end;
mod order;
mod probe;
#[cfg(test)]
mod tests;

use std::{future, pin::Pin, time::Duration};

use futures::{
    FutureExt as _, Stream, StreamExt as _,
    future::BoxFuture,
    stream::{FuturesUnordered, ReadyChunks},
};
use lapin::message::Delivery;
use sippo_xmpp_core::{config::UnknownKeys, events::Version, ledger::EpochRegister, telemetry::Metric};
use time::OffsetDateTime;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, sleep_until},
};

pub use self::end::SessionEnd;
use self::{
    acks::{Acks, Fence},
    order::Order,
    probe::{InHand, Probe},
};
use crate::{
    batches::{Batch, Batches},
    broker::{Broker, BrokerError, QueueStatus},
    health::{Health, State},
    ignored::IgnoredEvents,
    log_throttle::LogThrottle,
    queues::Queues,
    route::{DeadLetter, Published, Route, route},
    sending::{self, Attempt, SendResult},
};

/// How long an event waits for others of its type while something is in flight.
const LINGER: Duration = Duration::from_millis(5);
/// What is in flight when the bridge is told to stop has this long.
const STOP_LIMIT: Duration = Duration::from_secs(20);
const DELIVERIES_AT_ONCE: usize = 64;

/// What sessions share.
#[derive(Debug)]
pub struct SessionContext<'a, Q, R> {
    /// Where events go.
    pub queues: &'a Q,
    /// Where epochs come from.
    pub register: &'a R,
    /// What is reported outside.
    pub health: &'a Health,
    /// What becomes of events of other routing keys than ours.
    pub unknown_keys: UnknownKeys,
}

/// A session with its state.
pub struct Session<'a, Q, R, B> {
    context: SessionContext<'a, Q, R>,
    broker: &'a B,
    order: Order,
    acks: Acks<'a>,
    probe: Probe<'a>,
    batches: Batches,
    linger_until: Option<Instant>,
    work: FuturesUnordered<BoxFuture<'a, Done>>,
    deliveries: u64,
    log_throttle: LogThrottle,
    ignored: IgnoredEvents,
    stop_until: Option<Instant>,
}

enum Done {
    Sent(SendResult),
    DeadLettered(DeadLetter),
}

impl<'a, Q: Queues, R: EpochRegister + Sync, B: Broker> Session<'a, Q, R, B> {
    /// A session over `broker` whose register showed `seen` before it began to consume.
    #[must_use]
    pub fn new(context: SessionContext<'a, Q, R>, broker: &'a B, seen: u64) -> Self {
        Self {
            context,
            broker,
            order: Order::new(seen),
            acks: Acks::default(),
            probe: Probe::default(),
            batches: Batches::default(),
            linger_until: None,
            work: FuturesUnordered::new(),
            deliveries: 0,
            log_throttle: LogThrottle::default(),
            ignored: IgnoredEvents::default(),
            stop_until: None,
        }
    }

    /// Runs until `stop` turns true and all that was taken is sent and acknowledged.
    ///
    /// # Errors
    /// [`SessionEnd`]: the connection has to be dropped; what is not acknowledged comes again in a new session.
    pub async fn run(
        mut self,
        deliveries: impl Stream<Item = lapin::Result<Delivery>> + Unpin,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), SessionEnd> {
        let mut deliveries: ReadyChunks<_> = deliveries.ready_chunks(DELIVERIES_AT_ONCE);
        let mut probes = tokio::time::interval_at(Instant::now() + probe::EVERY, probe::EVERY);
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.stop_until.is_some() && self.acks.prefix.open() == 0 {
                return Ok(());
            }
            let stopping = self.stop_until.is_some();
            tokio::select! {
                biased;
                Some(done) = self.work.next(), if !self.work.is_empty() => self.on_done(done),
                fence = due(&mut self.acks.fence) => self.acknowledge(fence).await?,
                () = at(self.acks.due) => self.acks.raise_fence(self.context.register),
                chunk = deliveries.next(), if !stopping => self.take(chunk).await?,
                () = at(self.linger_until) => self.flush(),
                Ok(_) = stop.wait_for(|stop| *stop), if !stopping => self.stop(),
                answer = due(&mut self.probe.answer) => self.on_probe(answer)?,
                _ = probes.tick(), if self.probe.answer.is_none() => self.probe.start(self.broker),
                () = at(self.stop_until) => return Err(SessionEnd::Unfinished(self.acks.prefix.open())),
            }
        }
    }

    async fn take(&mut self, chunk: Option<Vec<lapin::Result<Delivery>>>) -> Result<(), SessionEnd> {
        let chunk = chunk.ok_or(SessionEnd::Cancelled)?;
        let now = OffsetDateTime::now_utc();
        for delivery in chunk {
            let delivery = delivery.map_err(BrokerError::from)?;
            self.acks.prefix.arrived(delivery.delivery_tag)?;
            let was_active = self.order.epoch().is_some();
            let version = self.order.next(&delivery, self.context.register).await?;
            if !was_active {
                self.context.health.active(version.epoch);
                tracing::info!(epoch = version.epoch, "Active consumer");
            }
            self.deliveries += 1;
            self.context.health.received(1);
            Metric::BridgeIn.add(1);
            let published = delivery::published(&delivery);
            match route(version, now, &published, self.context.unknown_keys) {
                Route::Ignored => self.ignore(version, &published),
                Route::Dead(letter) => {
                    self.acks.prefix.set_aside(letter.tag);
                    self.dead_letter(letter);
                }
                Route::Queue(event_type, entry) => {
                    if let Some(batch) = self.batches.push(event_type, entry) {
                        self.send(batch.into());
                    }
                }
            }
        }
        // What is ignored may be all there is to acknowledge.
        self.acks.schedule(self.context.register, self.stop_until.is_some());
        if self.work.is_empty() {
            self.flush();
        } else if self.linger_until.is_none() && !self.batches.is_empty() {
            self.linger_until = Some(Instant::now() + LINGER);
        }
        Ok(())
    }

    fn ignore(&mut self, version: Version, event: &Published<'_>) {
        self.acks.prefix.accepted(event.tag);
        self.context.health.ignored();
        Metric::BridgeIgnored.add(1);
        self.ignored.log(version, event);
    }

    fn flush(&mut self) {
        self.linger_until = None;
        let batches: Vec<Batch> = self.batches.flush().collect();
        for batch in batches {
            self.send(batch.into());
        }
    }

    fn send(&mut self, attempt: Attempt) {
        let queues = self.context.queues;
        self.work.push(async move { Done::Sent(sending::send(queues, attempt).await) }.boxed());
    }

    fn dead_letter(&mut self, letter: DeadLetter) {
        let broker = self.broker;
        self.work.push(
            async move {
                broker.dead_letter(&letter).await;
                Done::DeadLettered(letter)
            }
            .boxed(),
        );
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Sent(result) => {
                self.context.health.sent(result.accepted.len() as u64);
                for tag in result.accepted {
                    self.acks.prefix.accepted(tag);
                }
                if let Some(cause) = result.cause {
                    self.log_failure(&cause);
                }
                for attempt in result.again {
                    self.send(attempt);
                }
                for letter in result.dead {
                    self.dead_letter(letter);
                }
            }
            Done::DeadLettered(letter) => {
                self.context.health.dead();
                letter.log_dead_lettered();
                self.acks.prefix.accepted(letter.tag);
            }
        }
        self.acks.schedule(self.context.register, self.stop_until.is_some());
    }

    fn log_failure(&mut self, cause: &str) {
        self.context.health.failed();
        if let Some(times) = self.log_throttle.count() {
            tracing::warn!(
                cause,
                times,
                "SQS did not take events, which are tried again; see that the queues are there, that this process may send to them, and that AWS is reachable"
            );
        }
    }

    async fn acknowledge(&mut self, Fence { up_to, newest }: Fence) -> Result<(), SessionEnd> {
        self.acks.fence = None;
        let own = self.order.epoch().unwrap_or_default();
        match newest {
            Ok(newest) if newest == own => {
                self.acks.fence_held();
                let (acks, count) = self.acks.prefix.acknowledge(up_to);
                self.broker.acknowledge(&acks).await?;
                self.context.health.acknowledged(count as u64);
                self.acks.schedule(self.context.register, self.stop_until.is_some());
            }
            Ok(newest) => return Err(SessionEnd::Deposed { own, newest }),
            Err(error) => {
                self.log_failure(&error.to_string());
                self.acks.fence_failed(self.context.register);
            }
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.stop_until = Some(Instant::now() + STOP_LIMIT);
        self.context.health.enter(State::Stopping);
        tracing::debug!(open = self.acks.prefix.open(), "Stopping when what is in flight is done");
        self.flush();
        self.acks.raise_fence(self.context.register);
    }

    fn on_probe(&mut self, answer: Result<QueueStatus, BrokerError>) -> Result<(), SessionEnd> {
        let in_hand = InHand {
            active: self.order.epoch().is_some(),
            idle: self.acks.prefix.open() == 0 && self.stop_until.is_none(),
            deliveries: self.deliveries,
        };
        self.probe.on_answer(answer, in_hand)
    }
}

/// The output of what is in `slot`; never, when nothing is.
async fn due<T>(slot: &mut Option<BoxFuture<'_, T>>) -> T {
    match slot {
        Some(work) => Pin::new(work).await,
        None => future::pending().await,
    }
}

/// Until a time; for ever, when there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => future::pending().await,
    }
}
