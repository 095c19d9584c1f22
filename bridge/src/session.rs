//! One session with the broker: from the first delivery to the end of the connection.
//!
//! One task does it all: it takes deliveries, sends batches (many in flight), and acknowledges. The
//! fence: before each acknowledgement a consistent read must still show the session's epoch. A bridge
//! that was paused and deposed finds that out there, and has done no harm but duplicates of older
//! versions.

mod end;
#[cfg(test)]
mod tests;

use std::{future, pin::Pin, time::Duration};

use futures::{
    FutureExt as _, Stream, StreamExt as _,
    future::BoxFuture,
    stream::{FuturesUnordered, ReadyChunks},
};
use lapin::message::Delivery;
use sippo_xmpp_core::{
    events::Version,
    ledger::{EpochError, EpochRegister},
    telemetry::Metric,
};
use time::OffsetDateTime;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, sleep_until},
};

pub use self::end::SessionEnd;
use crate::{
    backoff,
    batches::{Batch, Batches},
    complaints::Complaints,
    health::{Health, State},
    link::{Link, LinkError, PREFETCH, Waiting},
    prefix::AckPrefix,
    queues::Queues,
    route::{DeadLetter, Published, Route, route},
    sending::{self, Settled, Try},
};

/// How long an event waits for others of its type while something is in flight.
const LINGER: Duration = Duration::from_millis(5);
/// Acknowledgements are put together for so long, unless many are due: each asks the register.
const ACK_PAUSE: Duration = Duration::from_millis(50);
const MANY_ACKS: u64 = PREFETCH as u64 / 2;
/// How often the broker has to show that it is there, and how long it may take.
const PROBE_EVERY: Duration = Duration::from_secs(5);
const PROBE_LIMIT: Duration = Duration::from_secs(10);
/// What is in flight when the bridge is told to stop has this long.
const STOP_LIMIT: Duration = Duration::from_secs(20);
const DELIVERIES_AT_ONCE: usize = 64;

/// What sessions share.
#[derive(Debug)]
pub struct Surroundings<'a, Q, R> {
    /// Where events go.
    pub queues: &'a Q,
    /// Where epochs come from.
    pub register: &'a R,
    /// What is told outside.
    pub health: &'a Health,
}

/// A session with its state.
pub struct Session<'a, Q, R, L> {
    queues: &'a Q,
    register: &'a R,
    health: &'a Health,
    link: &'a L,
    /// The register, as it was before consuming.
    seen: u64,
    /// The newest version given.
    version: Option<Version>,
    fresh_seen: bool,
    prefix: AckPrefix,
    batches: Batches,
    linger_until: Option<Instant>,
    ack_due: Option<Instant>,
    work: FuturesUnordered<BoxFuture<'a, Done>>,
    fence: Option<BoxFuture<'a, Fence>>,
    fence_failures: u32,
    probe: Option<BoxFuture<'a, Result<Waiting, LinkError>>>,
    /// Deliveries at the last probe that found messages waiting while nothing was in hand.
    idle_at: Option<u64>,
    deliveries: u64,
    complaints: Complaints,
    stop_until: Option<Instant>,
}

enum Done {
    Sent(Settled),
    Buried(DeadLetter, Result<(), LinkError>),
}

/// A read of the register for acknowledging up to a tag.
struct Fence {
    up_to: u64,
    newest: Result<u64, EpochError>,
}

impl<'a, Q: Queues, R: EpochRegister + Sync, L: Link> Session<'a, Q, R, L> {
    /// A session over `link` whose register showed `seen` before it began to consume.
    #[must_use]
    pub fn new(surroundings: &Surroundings<'a, Q, R>, link: &'a L, seen: u64) -> Self {
        Self {
            queues: surroundings.queues,
            register: surroundings.register,
            health: surroundings.health,
            link,
            seen,
            version: None,
            fresh_seen: false,
            prefix: AckPrefix::default(),
            batches: Batches::default(),
            linger_until: None,
            ack_due: None,
            work: FuturesUnordered::new(),
            fence: None,
            fence_failures: 0,
            probe: None,
            idle_at: None,
            deliveries: 0,
            complaints: Complaints::default(),
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
        let mut probes = tokio::time::interval_at(Instant::now() + PROBE_EVERY, PROBE_EVERY);
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.stop_until.is_some() && self.prefix.open() == 0 {
                return Ok(());
            }
            let stopping = self.stop_until.is_some();
            tokio::select! {
                biased;
                Some(done) = self.work.next(), if !self.work.is_empty() => self.settle(done)?,
                fence = due(&mut self.fence) => self.acknowledge(fence).await?,
                () = at(self.ack_due) => self.raise_fence(),
                chunk = deliveries.next(), if !stopping => self.take(chunk).await?,
                () = at(self.linger_until) => self.flush(),
                Ok(_) = stop.wait_for(|stop| *stop), if !stopping => self.stop(),
                answer = due(&mut self.probe) => self.judge(answer)?,
                _ = probes.tick(), if self.probe.is_none() => self.ask(),
                () = at(self.stop_until) => return Err(SessionEnd::Unfinished(self.prefix.open())),
            }
        }
    }

    async fn take(&mut self, chunk: Option<Vec<lapin::Result<Delivery>>>) -> Result<(), SessionEnd> {
        let chunk = chunk.ok_or(SessionEnd::Cancelled)?;
        let now = OffsetDateTime::now_utc();
        for delivery in chunk {
            let delivery = delivery.map_err(LinkError::from)?;
            // What came back belongs before what is fresh: a new session gets it in order again.
            if delivery.redelivered && self.fresh_seen {
                return Err(SessionEnd::Disorder);
            }
            self.fresh_seen |= !delivery.redelivered;
            self.prefix.arrived(delivery.delivery_tag)?;
            let version = self.next_version().await?;
            self.deliveries += 1;
            self.health.received(1);
            Metric::BridgeIn.add(1);
            match route(version, now, &published(&delivery)) {
                Route::Dead(letter) => self.bury(letter),
                Route::Queue(event_type, entry) => {
                    if let Some(batch) = self.batches.push(event_type, entry) {
                        self.send(batch.into());
                    }
                }
            }
        }
        if self.work.is_empty() {
            self.flush();
        } else if self.linger_until.is_none() && !self.batches.is_empty() {
            self.linger_until = Some(Instant::now() + LINGER);
        }
        Ok(())
    }

    /// The first delivery proves that this is the active consumer: it takes the epoch then, if nobody has
    /// taken one since this session began to consume.
    async fn next_version(&mut self) -> Result<Version, SessionEnd> {
        let version = if let Some(Version { epoch, counter }) = self.version {
            Version { epoch, counter: counter + 1 }
        } else {
            if !self.register.advance(self.seen).await? {
                return Err(SessionEnd::EpochTaken);
            }
            let epoch = self.seen + 1;
            self.health.active(epoch);
            tracing::info!(epoch, "Active consumer");
            Version { epoch, counter: 1 }
        };
        self.version = Some(version);
        Ok(version)
    }

    fn flush(&mut self) {
        self.linger_until = None;
        let batches: Vec<Batch> = self.batches.flush().collect();
        for batch in batches {
            self.send(batch.into());
        }
    }

    fn send(&mut self, attempt: Try) {
        let queues = self.queues;
        self.work.push(async move { Done::Sent(sending::send(queues, attempt).await) }.boxed());
    }

    fn bury(&mut self, letter: DeadLetter) {
        let link = self.link;
        self.work.push(
            async move {
                let outcome = link.bury(&letter).await;
                Done::Buried(letter, outcome)
            }
            .boxed(),
        );
    }

    fn settle(&mut self, done: Done) -> Result<(), SessionEnd> {
        match done {
            Done::Sent(settled) => {
                self.health.sent(settled.accepted.len() as u64);
                for tag in settled.accepted {
                    self.prefix.accepted(tag);
                }
                if let Some(cause) = settled.cause {
                    self.complain(&cause);
                }
                for attempt in settled.again {
                    self.send(attempt);
                }
                for letter in settled.dead {
                    self.bury(letter);
                }
            }
            Done::Buried(letter, outcome) => {
                outcome?;
                self.health.dead();
                letter.tell_burial();
                self.prefix.accepted(letter.tag);
            }
        }
        self.schedule_ack();
        Ok(())
    }

    fn complain(&mut self, cause: &str) {
        self.health.failed();
        if let Some(times) = self.complaints.due() {
            tracing::warn!(
                cause,
                times,
                "SQS did not take events, which are tried again; see that the queues are there, that this process may send to them, and that AWS is reachable"
            );
        }
    }

    fn schedule_ack(&mut self) {
        let Some(ready) = self.prefix.ready() else { return };
        if self.fence.is_some() {
            return;
        }
        let waiting = ready - self.prefix.acknowledged_up_to();
        if waiting >= MANY_ACKS || self.stop_until.is_some() {
            self.raise_fence();
        } else if self.ack_due.is_none() {
            self.ack_due = Some(Instant::now() + ACK_PAUSE);
        }
    }

    /// Asks the register. What is acknowledged by the answer is fixed here: all of it was delivered before
    /// the read, so the read tells whether a newer epoch was there when it was.
    fn raise_fence(&mut self) {
        self.ack_due = None;
        let Some(up_to) = self.prefix.ready().filter(|_| self.fence.is_none()) else { return };
        let (register, failures) = (self.register, self.fence_failures);
        self.fence = Some(
            async move {
                if failures > 0 {
                    let (first, longest) = (Duration::from_millis(50), Duration::from_secs(2));
                    tokio::time::sleep(backoff::wait(failures, first, longest)).await;
                }
                Fence { up_to, newest: register.current().await }
            }
            .boxed(),
        );
    }

    async fn acknowledge(&mut self, fence: Fence) -> Result<(), SessionEnd> {
        self.fence = None;
        let own = self.version.map_or(0, |version| version.epoch);
        match fence.newest {
            Ok(newest) if newest == own => {
                self.fence_failures = 0;
                let before = self.prefix.acknowledged_up_to();
                self.link.acknowledge(fence.up_to).await?;
                self.prefix.acknowledged(fence.up_to);
                self.health.acknowledged(fence.up_to - before);
                self.schedule_ack();
            }
            Ok(newest) => return Err(SessionEnd::Deposed { own, newest }),
            Err(error) => {
                self.fence_failures += 1;
                self.complain(&error.to_string());
                self.raise_fence();
            }
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.stop_until = Some(Instant::now() + STOP_LIMIT);
        self.health.enter(State::Stopping);
        tracing::debug!(open = self.prefix.open(), "Stopping when what is in flight is done");
        self.flush();
        self.raise_fence();
    }

    fn ask(&mut self) {
        let link = self.link;
        self.probe = Some(
            async move { tokio::time::timeout(PROBE_LIMIT, link.waiting()).await.unwrap_or(Err(LinkError::Silent)) }
                .boxed(),
        );
    }

    /// An active consumer that has nothing in hand and gets nothing, though messages wait, has stalled. So has one that
    /// nobody is active beside.
    fn judge(&mut self, answer: Result<Waiting, LinkError>) -> Result<(), SessionEnd> {
        self.probe = None;
        let Waiting { messages, active } = answer?;
        let should_get = messages > 0 && (self.version.is_some() || active == 0);
        let idle = should_get && self.prefix.open() == 0 && self.stop_until.is_none();
        if idle && self.idle_at == Some(self.deliveries) {
            return Err(SessionEnd::Stalled);
        }
        self.idle_at = idle.then_some(self.deliveries);
        Ok(())
    }
}

fn published(delivery: &Delivery) -> Published<'_> {
    use lapin::types::AMQPValue::{LongString, ShortString};
    let properties = &delivery.properties;
    let traceparent = properties.headers().as_ref().and_then(|headers| headers.inner().get("traceparent"));
    Published {
        tag: delivery.delivery_tag,
        routing_key: delivery.routing_key.as_str(),
        message_id: properties.message_id().as_ref().map(lapin::types::ShortString::as_str),
        traceparent: match traceparent {
            Some(LongString(text)) => Some(text.as_bytes()),
            Some(ShortString(text)) => Some(text.as_str().as_bytes()),
            _ => None,
        },
        body: &delivery.data,
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
