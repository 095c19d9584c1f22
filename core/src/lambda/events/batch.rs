//! A batch of a queue's messages: read, grouped by room, applied, each message's outcome told.

use std::{collections::HashMap, time::Duration};

use aws_lambda_events::sqs::SqsMessage;
use futures::{StreamExt, future::LocalBoxFuture, stream};
use jid::DomainPart;
use time::OffsetDateTime;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::queue::{Queue, QueueError};
use crate::{
    address::{RoomJid, Tenancy},
    domains::{DomainEvent, Domains, HostServer},
    events::{Event, EventType, Payload, Poison, Stamped, Version},
    rooms::{Change, EXPIRY_GRACE, Ledger, Ordinal, Reconciler, RoomEvent, RoomServer, Upkeep},
};

/// Rooms that are worked on at a time.
const GROUPS_AT_A_TIME: usize = 32;

/// Failed messages whose next try is put off at a time: a whole batch, for little time is left then.
const POSTPONED_AT_A_TIME: usize = 100;

/// The wait before the second try; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// What a function needs to handle its queue's messages.
#[derive(Debug)]
pub(super) struct Worker<L, S, H, Q> {
    pub(super) reconciler: Reconciler<L, S>,
    pub(super) hosts: H,
    pub(super) queue: Q,
    pub(super) tenancy: Tenancy,
    pub(super) longest_wait: Duration,
}

/// A message, by its place in the batch, that has to come again, and not sooner than after this.
type Failure = (usize, Duration);

/// Messages that are handled together; each is given by its place in the batch.
#[derive(Debug, Default)]
struct Groups {
    rooms: HashMap<RoomJid, Vec<(usize, RoomEvent)>>,
    domains: HashMap<DomainPart, Vec<(usize, DomainEvent)>>,
}

impl<L, S, H, Q> Worker<L, S, H, Q>
where
    L: Ledger + Upkeep + Send + Sync,
    S: RoomServer + Send + Sync,
    H: HostServer + Send + Sync,
    Q: Queue + Send + Sync,
{
    /// Handles `messages`; returns the ids of those that have to come again. What is not done by `deadline` is among them.
    pub(super) async fn handle(&self, messages: Vec<SqsMessage>, deadline: Instant) -> Vec<String> {
        let (mut groups, mut poisonous) = (Groups::default(), Vec::new());
        for (index, message) in messages.iter().enumerate() {
            match self.read(message) {
                Ok((event, version)) => groups.add(index, event, version),
                Err(poison) => poisonous.push((index, poison)),
            }
        }
        let burials = poisonous.into_iter().map(|(index, poison)| self.bury(index, &messages[index], poison, deadline));
        let rooms = groups.rooms.into_iter().map(|(room, events)| self.room(room, events, deadline));
        let domains = groups.domains.into_iter().map(|(domain, events)| self.domain(domain, events, deadline));
        let work: Vec<LocalBoxFuture<'_, Vec<Failure>>> = rooms.chain(domains).chain(burials).collect();
        let outcomes: Vec<_> = stream::iter(work).buffer_unordered(GROUPS_AT_A_TIME).collect().await;
        let failed: Vec<Failure> = outcomes.into_iter().flatten().collect();
        self.postpone(&messages, &failed).await;
        failed.iter().filter_map(|(index, _)| messages[*index].message_id.clone()).collect()
    }

    /// The event of a message and its version.
    fn read(&self, message: &SqsMessage) -> Result<(Event, Version), Poison> {
        let stamped = Stamped::parse(message.body.as_deref().unwrap_or_default())?;
        if stamped.is_expired(OffsetDateTime::now_utc()) {
            return Err(Poison::Expired(stamped.stamped_at()));
        }
        let event = stamped.event(&self.tenancy)?;
        tell_receipt(&event, &stamped)?;
        Ok((event, stamped.version()))
    }

    fn bury<'a>(
        &'a self,
        index: usize,
        message: &'a SqsMessage,
        poison: Poison,
        deadline: Instant,
    ) -> LocalBoxFuture<'a, Vec<Failure>> {
        Box::pin(async move {
            let outcome = tokio::time::timeout_at(deadline, self.queue.bury(message, &poison)).await;
            let outcome = outcome.unwrap_or_else(|_| Err(QueueError("there was no time left".to_owned())));
            tell_burial(message, &poison, outcome.as_ref().err());
            outcome.err().map(|_| (index, Duration::ZERO)).into_iter().collect()
        })
    }

    fn room(
        &self,
        room: RoomJid,
        events: Vec<(usize, RoomEvent)>,
        deadline: Instant,
    ) -> LocalBoxFuture<'_, Vec<Failure>> {
        let span = tracing::error_span!("room", %room);
        let work = async move {
            let (indices, events): (Vec<_>, Vec<_>) = events.into_iter().unzip();
            let outcomes = self.reconciler.apply(&room, &events, deadline).await;
            let mut failed = Vec::new();
            for ((index, event), outcome) in indices.into_iter().zip(&events).zip(outcomes) {
                if let Err(error) = outcome {
                    tell_failure(&event.at, &error);
                    failed.push((index, rest(error.is_unanswered(), deadline)));
                }
            }
            failed
        };
        Box::pin(work.instrument(span))
    }

    fn domain(
        &self,
        domain: DomainPart,
        events: Vec<(usize, DomainEvent)>,
        deadline: Instant,
    ) -> LocalBoxFuture<'_, Vec<Failure>> {
        let span = tracing::error_span!("domain", domain = domain.as_str());
        let work = async move {
            let (indices, events): (Vec<_>, Vec<_>) = events.into_iter().unzip();
            let Err(error) = Domains::new(&self.reconciler, &self.hosts).apply(&domain, &events, deadline).await else {
                return Vec::new();
            };
            for event in &events {
                tell_failure(&event.at, &error);
            }
            let rest = rest(error.is_unanswered(), deadline);
            indices.into_iter().map(|index| (index, rest)).collect()
        };
        Box::pin(work.instrument(span))
    }

    /// Has the failed messages come again soon at first, and ever more seldom. They need not stay invisible until the
    /// visibility timeout ends: no request of theirs is left, or its rest is known.
    async fn postpone(&self, messages: &[SqsMessage], failed: &[Failure]) {
        let postpone = |(index, rest): &Failure| {
            let message = &messages[*index];
            let wait = wait_of(message).min(self.longest_wait).max(*rest);
            async move {
                if let Err(error) = self.queue.postpone(message, wait).await {
                    tracing::debug!(error = %error, "A failed message comes again when its visibility timeout ends");
                }
            }
        };
        stream::iter(failed.iter().map(postpone)).buffer_unordered(POSTPONED_AT_A_TIME).collect::<()>().await;
    }
}

impl Groups {
    fn add(&mut self, index: usize, event: Event, version: Version) {
        let at = Ordinal::new(version, &event.id);
        match &event.payload {
            Payload::DomainCreated { domain } | Payload::DomainDeleted { domain } => {
                let created = event.event_type == EventType::DomainCreated;
                self.domains.entry(domain.clone()).or_default().push((index, DomainEvent { at, created }));
            }
            _ => {
                if let Some((room, event)) = RoomEvent::of(event, version)
                    && !is_empty(&event.change)
                {
                    self.rooms.entry(room).or_default().push((index, event));
                }
            }
        }
    }
}

/// Whether nobody is left of those who joined: they have no chat, so there is nothing to do.
fn is_empty(change: &Change) -> bool {
    matches!(change, Change::Joined(users) | Change::Left(users) if users.is_empty())
}

/// How long to wait before a message that failed is tried again; before the limit that is configured.
fn wait_of(message: &SqsMessage) -> Duration {
    let received = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse::<u32>().ok());
    FIRST_WAIT * 2_u32.saturating_pow(received.unwrap_or(1).saturating_sub(1).min(16))
}

/// How long an event must not come again: until a request that is left of it has expired. Queues count whole seconds.
fn rest(unanswered: bool, deadline: Instant) -> Duration {
    if unanswered {
        deadline.saturating_duration_since(Instant::now()) + EXPIRY_GRACE + Duration::from_secs(1)
    } else {
        Duration::ZERO
    }
}

/// Logs that the event has come.
fn tell_receipt(event: &Event, stamped: &Stamped) -> Result<(), Poison> {
    let (id, version) = (event.id.as_str(), stamped.version());
    let room = event.payload.room().map(tracing::field::display);
    tracing::debug!(event.id = id, %version, room, "{}", event.event_type.received_message());
    if event.event_type == EventType::ConferenceCreated && tracing::enabled!(tracing::Level::TRACE) {
        tracing::trace!(event.id = id, "ConferenceCreated payload {}", stamped.payload_json()?);
    }
    Ok(())
}

fn tell_failure(at: &Ordinal, error: &dyn std::fmt::Display) {
    let (event, version) = (&*at.event, at.version);
    tracing::warn!(event.id = event, %version, %error, "Event is not handled yet and comes again");
}

fn tell_burial(message: &SqsMessage, poison: &Poison, error: Option<&QueueError>) {
    let id = message.message_id.as_deref().unwrap_or_default();
    match error {
        None => {
            tracing::warn!(message_id = id, code = poison.code(), reason = %poison, "Message goes to the dead-letter queue");
        }
        Some(error) => {
            tracing::error!(message_id = id, %error, reason = %poison, "Message could not be put into the dead-letter queue and comes again");
        }
    }
}
