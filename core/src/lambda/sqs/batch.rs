//! A batch of a queue's messages: read, grouped by room, applied, each message's outcome logged and measured.

use std::{collections::HashMap, time::Duration};

use aws_lambda_events::sqs::SqsMessage;
use futures::{
    StreamExt,
    future::{LocalBoxFuture, join_all},
    stream,
};
use jid::DomainPart;
use time::OffsetDateTime;
use tokio::time::Instant;
use tracing::{Instrument as _, Span, field::Empty};

use super::queue::{MAX_BATCH, Queue, QueueError};
use crate::{
    address::{RoomJid, Tenancy, UserJid},
    domains::{DomainEvent, Domains, HostServer},
    events::{Event, EventType, Outline, Payload, Poison, StampedEvent},
    ledger::{Ledger, LedgerMaintenance, Ordinal, RoomChange, RoomEvent},
    rooms::{EXPIRY_GRACE, ReconcileError, Reconciler, RoomServer, expired_by},
    telemetry::{
        self, Metric,
        trace::{TRACEPARENT, TraceContext},
    },
};

/// Rooms that are worked on at a time: one that hangs keeps few from their turn, and one session carries the requests of all.
const GROUPS_AT_A_TIME: usize = 32;

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

/// A message that has to come again.
#[derive(Debug, Clone, Copy)]
struct Retry {
    /// Its place in the batch.
    index: usize,
    /// Not sooner than after this.
    delay: Duration,
}

/// What is known of a message beside its event.
#[derive(Debug, Clone)]
struct MessageMeta {
    /// Its place in the batch.
    index: usize,
    at: Ordinal,
    stamped_at: OffsetDateTime,
    trace: Option<TraceContext>,
}

/// Messages that are handled together.
#[derive(Debug, Default)]
struct Groups {
    rooms: HashMap<RoomJid, Vec<(MessageMeta, RoomEvent)>>,
    domains: HashMap<DomainPart, Vec<(MessageMeta, DomainEvent)>>,
}

/// Why an event is not done yet.
struct HandlingError {
    cause: String,
    /// When no request that is left of it can take effect any more.
    expired: Option<Instant>,
}

impl<L, S, H, Q> Worker<L, S, H, Q>
where
    L: Ledger + LedgerMaintenance + Send + Sync,
    S: RoomServer + Send + Sync,
    H: HostServer + Send + Sync,
    Q: Queue + Send + Sync,
{
    /// Handles `messages`; returns the ids of those that have to come again. What is not done by `deadline` is among them.
    pub(super) async fn handle(&self, messages: Vec<SqsMessage>, deadline: Instant) -> Vec<String> {
        Metric::BatchSize.observe(u32::try_from(messages.len()).unwrap_or(u32::MAX).into());
        let (mut groups, mut poisonous) = (Groups::default(), Vec::new());
        for (index, message) in messages.iter().enumerate() {
            if let Err(poison) = self.read(index, message, &mut groups) {
                poisonous.push((index, poison));
            }
        }
        let dead_letters =
            poisonous.into_iter().map(|(index, poison)| self.dead_letter(index, &messages[index], poison, deadline));
        let rooms = groups.rooms.into_iter().map(|(room, events)| self.room(room, events, deadline));
        let domains = groups.domains.into_iter().map(|(domain, events)| self.domain(domain, events, deadline));
        // Dead letters first: they are short, and poison does not wait for rooms that hang.
        let work: Vec<LocalBoxFuture<'_, Vec<Retry>>> = dead_letters.chain(rooms).chain(domains).collect();
        let outcomes: Vec<_> = stream::iter(work).buffer_unordered(GROUPS_AT_A_TIME).collect().await;
        let failed: Vec<Retry> = outcomes.into_iter().flatten().collect();
        Metric::EventsFailed.add(failed.len());
        self.postpone(&messages, &failed).await;
        failed.iter().filter_map(|retry| messages[retry.index].message_id.clone()).collect()
    }

    /// Reads a message into its group.
    fn read(&self, index: usize, message: &SqsMessage, groups: &mut Groups) -> Result<(), Poison> {
        let stamped = StampedEvent::parse(message.body.as_deref().unwrap_or_default())?;
        if stamped.is_expired(OffsetDateTime::now_utc()) {
            return Err(Poison::Expired(stamped.stamped_at()));
        }
        let event = stamped.event(&self.tenancy)?;
        let at = Ordinal::new(stamped.version(), &event.id);
        let meta = MessageMeta { index, at, stamped_at: stamped.stamped_at(), trace: trace_of(message) };
        log_receipt(&event, &stamped, &meta)?;
        log_left_out(&event, &meta);
        groups.add(meta, event);
        Ok(())
    }

    fn dead_letter<'a>(
        &'a self,
        index: usize,
        message: &'a SqsMessage,
        poison: Poison,
        deadline: Instant,
    ) -> LocalBoxFuture<'a, Vec<Retry>> {
        Box::pin(async move {
            let outcome = tokio::time::timeout_at(deadline, self.queue.dead_letter(message, &poison)).await;
            let outcome = outcome.unwrap_or_else(|_| Err(QueueError("there was no time left".to_owned())));
            Metric::EventsDead.add(usize::from(outcome.is_ok()));
            log_dead_letter(message, &poison, outcome.as_ref().err());
            outcome.err().map(|_| Retry { index, delay: Duration::ZERO }).into_iter().collect()
        })
    }

    fn room(
        &self,
        room: RoomJid,
        events: Vec<(MessageMeta, RoomEvent)>,
        deadline: Instant,
    ) -> LocalBoxFuture<'_, Vec<Retry>> {
        let span = tracing::error_span!("room", %room, event.id = Empty, version = Empty, failed = Empty);
        let (metas, events): (Vec<_>, Vec<_>) = events.into_iter().unzip();
        let work = async move {
            let outcomes = self.reconciler.apply(&room, &events, deadline).await;
            let expired = expired_by(deadline);
            let handling_error = |error: ReconcileError| HandlingError {
                cause: error.to_string(),
                expired: error.is_unanswered().then_some(expired),
            };
            outcomes.into_iter().map(|outcome| outcome.map_err(handling_error)).collect()
        };
        Box::pin(handle_group(span, metas, work))
    }

    fn domain(
        &self,
        domain: DomainPart,
        events: Vec<(MessageMeta, DomainEvent)>,
        deadline: Instant,
    ) -> LocalBoxFuture<'_, Vec<Retry>> {
        let name = domain.as_str();
        let span = tracing::error_span!("domain", domain = name, event.id = Empty, version = Empty, failed = Empty);
        let (metas, events): (Vec<_>, Vec<_>) = events.into_iter().unzip();
        let work = async move {
            let outcome = Domains::new(&self.reconciler, &self.hosts).apply(&domain, &events, deadline).await;
            let outcome = |_| match &outcome {
                Ok(()) => Ok(()),
                // The hosts API's requests do not expire; they are done, or given up, by then.
                Err(error) => Err(HandlingError {
                    cause: error.to_string(),
                    expired: error.is_unanswered().then(|| deadline + EXPIRY_GRACE),
                }),
            };
            events.iter().map(outcome).collect()
        };
        Box::pin(handle_group(span, metas, work))
    }

    /// Has the failed messages come again soon at first, and ever more seldom. They need not stay invisible until the
    /// visibility timeout ends: no request of theirs is left, or how long to hold off is known.
    async fn postpone(&self, messages: &[SqsMessage], failed: &[Retry]) {
        let waits = failed.iter().map(|retry| {
            let message = &messages[retry.index];
            (message, retry_delay(message).min(self.longest_wait).max(retry.delay))
        });
        let waits: Vec<_> = waits.collect();
        // All at a time, for little time is left then.
        for errors in join_all(waits.chunks(MAX_BATCH).map(|chunk| self.queue.postpone(chunk))).await {
            for error in errors {
                tracing::debug!(%error, "A failed message comes again when its visibility timeout ends");
            }
        }
    }
}

impl Groups {
    fn add(&mut self, meta: MessageMeta, event: Event) {
        match &event.payload {
            Payload::DomainCreated { domain } | Payload::DomainDeleted { domain } => {
                let created = event.event_type == EventType::DomainCreated;
                let of_domain = DomainEvent { at: meta.at.clone(), created };
                self.domains.entry(domain.clone()).or_default().push((meta, of_domain));
            }
            _ => {
                if let Some((room, event)) = RoomEvent::of(event, meta.at.version)
                    && !is_empty(&event.change)
                {
                    self.rooms.entry(room).or_default().push((meta, event));
                } else {
                    Metric::EventsHandled.add(1);
                }
            }
        }
    }
}

/// Does the work on one group, in `span`, which joins the trace of the last of its messages; logs and measures what came of each.
async fn handle_group(
    span: Span,
    metas: Vec<MessageMeta>,
    work: impl Future<Output = Vec<Result<(), HandlingError>>>,
) -> Vec<Retry> {
    telemetry::join(&span, metas.iter().rev().find_map(|meta| meta.trace));
    if let [only] = &metas[..] {
        span.record("event.id", &*only.at.event).record("version", tracing::field::display(only.at.version));
    }
    async {
        let (outcomes, now) = (work.await, OffsetDateTime::now_utc());
        let (mut failed, mut lag) = (Vec::new(), None);
        for (meta, outcome) in metas.iter().zip(outcomes) {
            if let Err(error) = outcome {
                log_failure(meta, &error);
                failed.push(Retry { index: meta.index, delay: hold_off(error.expired) });
            } else {
                lag = lag.max(Some(now - meta.stamped_at));
            }
        }
        Metric::EventsHandled.add(metas.len() - failed.len());
        if let Some(lag) = lag {
            Metric::EventLag.observe(lag.as_seconds_f64() * 1_000.0);
        }
        if !failed.is_empty() {
            Span::current().record("failed", failed.len());
        }
        failed
    }
    .instrument(span)
    .await
}

/// Whether nobody is left of those who joined: they have no chat, so there is nothing to do.
fn is_empty(change: &RoomChange) -> bool {
    matches!(change, RoomChange::Joined(users) | RoomChange::Left(users) if users.is_empty())
}

/// How long to wait before a message that failed is tried again; before the limit that is configured.
fn retry_delay(message: &SqsMessage) -> Duration {
    let received = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse::<u32>().ok());
    FIRST_WAIT * 2_u32.saturating_pow(received.unwrap_or(1).saturating_sub(1).min(16))
}

/// How long an event must not come again: until a request that is left of it has expired. Queues count whole seconds.
fn hold_off(expired: Option<Instant>) -> Duration {
    expired.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()) + Duration::from_secs(1))
}

/// The trace that the platform's event belongs to, as the bridge handed it on.
fn trace_of(message: &SqsMessage) -> Option<TraceContext> {
    message.message_attributes.get(TRACEPARENT)?.string_value.as_deref()?.parse().ok()
}

/// Logs that the event has come.
fn log_receipt(event: &Event, stamped: &StampedEvent, meta: &MessageMeta) -> Result<(), Poison> {
    let (id, version) = (event.id.as_str(), meta.at.version);
    let room = event.payload.room().map(tracing::field::display);
    let trace_id = meta.trace.map(TraceContext::trace_id);
    tracing::debug!(event.id = id, %version, room, trace_id, "{}", event.event_type.received_message());
    if event.event_type == EventType::ConferenceCreated && tracing::enabled!(tracing::Level::TRACE) {
        tracing::trace!(event.id = id, trace_id, "ConferenceCreated payload {}", stamped.payload_json()?);
    }
    Ok(())
}

/// Most parts of one event that are logged one by one.
const MAX_LEFT_OUT_LINES: usize = 10;

/// Most users without chat that the line of an event names.
const MAX_WITHOUT_CHAT: usize = 10;

/// Logs who and what of the event is left out, and why.
fn log_left_out(event: &Event, meta: &MessageMeta) {
    let (id, version, trace_id) = (event.id.as_str(), meta.at.version, meta.trace.map(TraceContext::trace_id));
    let room = event.payload.room().map(tracing::field::display);
    Metric::EventPartsLeftOut.add(event.left_out.len());
    let unlogged = event.left_out.len().saturating_sub(MAX_LEFT_OUT_LINES);
    for fault in event.left_out.iter().take(MAX_LEFT_OUT_LINES) {
        tracing::warn!(event.id = id, %version, room, trace_id, code = fault.code(), reason = %fault, unlogged, "A part of an event is left out");
    }
    if !event.without_chat.is_empty() {
        let named: Vec<_> = event.without_chat.iter().take(MAX_WITHOUT_CHAT).map(UserJid::as_str).collect();
        let (users, unlogged) = (named.join(", "), event.without_chat.len() - named.len());
        tracing::info!(event.id = id, %version, room, trace_id, users, unlogged, "Users who lack chat are left out of an event");
    }
}

fn log_failure(meta: &MessageMeta, failure: &HandlingError) {
    let (event, version, error) = (&*meta.at.event, meta.at.version, &failure.cause);
    let trace_id = meta.trace.map(TraceContext::trace_id);
    tracing::warn!(event.id = event, %version, %error, trace_id, "Event is not handled yet and comes again");
}

fn log_dead_letter(message: &SqsMessage, poison: &Poison, error: Option<&QueueError>) {
    let text = message.body.as_deref().unwrap_or_default();
    let stamped = StampedEvent::parse(text).ok();
    let outline = stamped.as_ref().map_or_else(|| Outline::of_unstamped(text), Outline::of_stamped);
    let room = outline.room.as_ref().map(tracing::field::display);
    let version = stamped.as_ref().map(|stamped| tracing::field::display(stamped.version()));
    let age = stamped.as_ref().map(|stamped| (OffsetDateTime::now_utc() - stamped.stamped_at()).whole_seconds().max(0));
    let (id, event_type) = (outline.id, stamped.as_ref().map(StampedEvent::routing_key));
    let (body, domain, reason) = (outline.excerpt, outline.domain, poison.reason());
    let (code, message_id) = (poison.code(), message.message_id.as_deref());
    let trace_id = trace_of(message).map(TraceContext::trace_id);
    match error {
        None => {
            tracing::warn!(
                event.id = id,
                "event.type" = event_type,
                version,
                room,
                domain,
                age_seconds = age,
                body,
                code,
                reason,
                message_id,
                trace_id,
                "Message goes to the dead-letter queue"
            );
        }
        Some(error) => {
            tracing::error!(event.id = id, "event.type" = event_type, version, room, domain, age_seconds = age, body, code, reason, message_id, trace_id, %error, "Message could not be put into the dead-letter queue and comes again");
        }
    }
}
