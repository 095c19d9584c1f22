//! One invocation: all of its messages are sent, or it fails.

use std::sync::{Mutex, PoisonError};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures::{StreamExt as _, stream::FuturesUnordered};
use sippo_xmpp_core::{
    config::UnknownKeys,
    events::Version,
    ledger::{EpochError, EpochRegister},
    telemetry::Metric,
};
use time::OffsetDateTime;

use super::event::AmazonMqEvent;
use crate::{
    batches::Batches,
    broker::{BrokerError, DeadLetterSink},
    ignored::IgnoredEvents,
    queues::Queues,
    route::{DeadLetter, Published, Route, route},
    sending::{self, Attempt},
};

/// Why an invocation fails: the event source repeats all of it.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    /// The register.
    #[error("{0}")]
    Register(#[from] EpochError),
    /// Another invocation runs.
    #[error("another session took epoch {0} meanwhile; map the queue once, with the default concurrency of one")]
    EpochTaken(u64),
    /// More than one queue.
    #[error("the event has messages of {0} queues; map one queue only, or their order is lost")]
    Queues(usize),
    /// A body is not base64.
    #[error("message {0} of the event is not base64; see that the event source is Amazon MQ for RabbitMQ")]
    NotBase64(usize),
    /// SQS did not take everything in time.
    #[error(
        "SQS did not take {open} of the events in time ({cause}); see that the queues are there and that this function may send to them"
    )]
    Unsent {
        /// How many.
        open: usize,
        /// What it said last.
        cause: String,
    },
    /// Dead letters.
    #[error("{0}")]
    DeadLetters(#[from] BrokerError),
}

/// Handles one invocation: all is accepted by SQS, or by the dead letters, when it returns without error.
/// `deadline` is when it gives up; `ignored` is what earlier invocations have logged of events that are ignored.
///
/// # Errors
/// [`InvocationError`]: some may be accepted all the same; they come again with newer versions.
pub async fn handle(
    event: AmazonMqEvent,
    queues: &impl Queues,
    register: &(impl EpochRegister + Sync),
    dead_letters: &impl DeadLetterSink,
    unknown_keys: UnknownKeys,
    ignored: &Mutex<IgnoredEvents>,
    deadline: tokio::time::Instant,
) -> Result<usize, InvocationError> {
    let mut filled = event.rmq_messages_by_queue.into_values().filter(|messages| !messages.is_empty());
    let Some(messages) = filled.next() else { return Ok(0) };
    match filled.count() {
        0 => {}
        more => return Err(InvocationError::Queues(more + 1)),
    }
    let seen = register.current().await?;
    if !register.advance(seen).await? {
        return Err(InvocationError::EpochTaken(seen + 1));
    }
    let count = messages.len();
    Metric::BridgeIn.add(count);
    let (mut work, mut batches, mut dead, now) =
        (Vec::new(), Batches::default(), Vec::new(), OffsetDateTime::now_utc());
    for (place, message) in messages.into_iter().enumerate() {
        let version = Version { epoch: seen + 1, counter: place as u64 + 1 };
        let body = BASE64_STANDARD.decode(&message.data).map_err(|_| InvocationError::NotBase64(place))?;
        let properties = message.basic_properties;
        let traceparent = properties.header("traceparent");
        let published = Published {
            tag: version.counter,
            routing_key: &properties.routing_key(&body),
            message_id: properties.message_id.as_deref(),
            traceparent: traceparent.as_deref(),
            content_type: properties.content_type.as_deref(),
            content_encoding: properties.content_encoding.as_deref(),
            attributes: properties.attributes(),
            unreadable: None,
            body: &body,
        };
        // The event source hands on no routing key: of one that says no type nobody knows whose it is.
        let unknown_keys = if published.routing_key.is_empty() { UnknownKeys::DeadLetter } else { unknown_keys };
        match route(version, now, &published, unknown_keys) {
            Route::Ignored => {
                Metric::BridgeIgnored.add(1);
                ignored.lock().unwrap_or_else(PoisonError::into_inner).log(version, &published);
            }
            Route::Queue(event_type, entry) => work.extend(batches.push(event_type, entry)),
            Route::Dead(letter) => dead.push(letter),
        }
    }
    work.extend(batches.flush());
    dead.extend(send_all(queues, work.into_iter().map(Attempt::from).collect(), deadline).await?);
    if !dead.is_empty() {
        let outcome = tokio::time::timeout_at(deadline, dead_letters.dead_letter_all(&dead)).await;
        outcome.unwrap_or(Err(BrokerError::Silent))?;
        dead.iter().for_each(DeadLetter::log_dead_lettered);
    }
    Ok(count)
}

/// Sends until all is accepted; gives what SQS will never take.
async fn send_all(
    queues: &impl Queues,
    attempts: Vec<Attempt>,
    deadline: tokio::time::Instant,
) -> Result<Vec<DeadLetter>, InvocationError> {
    let mut open: usize = attempts.iter().map(|attempt| attempt.batch.entries.len()).sum();
    let mut work: FuturesUnordered<_> = attempts.into_iter().map(|attempt| sending::send(queues, attempt)).collect();
    let (mut dead, mut cause) = (Vec::new(), "no answer".to_owned());
    loop {
        match tokio::time::timeout_at(deadline, work.next()).await {
            Ok(None) => return Ok(dead),
            Err(_) => return Err(InvocationError::Unsent { open, cause }),
            Ok(Some(result)) => {
                open -= result.accepted.len() + result.dead.len();
                dead.extend(result.dead);
                cause = result.cause.unwrap_or(cause);
                work.extend(result.again.into_iter().map(|attempt| sending::send(queues, attempt)));
            }
        }
    }
}
