//! The bridge as a function on Amazon MQ's event source for RabbitMQ.
//!
//! The event source takes messages off the queue in order and acknowledges them when the invocation
//! succeeds; one that fails is invoked again with all of them. An epoch is taken for each invocation. So
//! the versions are sound only while one invocation runs at a time: leave the event source at its default
//! concurrency of one, map one queue, and never run the daemon on that queue.
//!
//! **The event type.** The event source hands on properties, headers and body, but not the routing key.
//! It is taken from, in this order: the header `x-sippo-routing-key`, the `type` of a `CloudEvent` in
//! structured mode, the property `type`. So publishers either send `CloudEvents` or set one of the others.
//! One queue for each type instead would give up the order between types, which versions need.

mod function;

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use futures::{StreamExt as _, stream::FuturesUnordered};
use serde::Deserialize;
use sippo_xmpp_core::{
    events::Version,
    ledger::{EpochError, EpochRegister},
    telemetry::Metric,
};
use time::OffsetDateTime;

pub use self::function::run;
use crate::{
    batches::Batches,
    link::{Graveyard, LinkError},
    queues::Queues,
    route::{DeadLetter, Published, Route, route},
    sending::{self, Try},
};

/// An invocation's event.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AmazonMqEvent {
    rmq_messages_by_queue: BTreeMap<String, Vec<Message>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    #[serde(default)]
    basic_properties: Properties,
    data: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    headers: Option<BTreeMap<String, serde_json::Value>>,
    message_id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Properties {
    /// A header that is text: `{"bytes": […]}` for AMQP's long string, or a JSON string.
    fn header(&self, name: &str) -> Option<Vec<u8>> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Text {
            Bytes { bytes: Vec<i16> },
            Plain(String),
        }
        match serde_json::from_value(self.headers.as_ref()?.get(name)?.clone()).ok()? {
            // Java's bytes have a sign.
            Text::Bytes { bytes } => bytes.into_iter().map(|byte| byte.to_le_bytes()[0]).map(Some).collect(),
            Text::Plain(text) => Some(text.into_bytes()),
        }
    }
}

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
    DeadLetters(#[from] LinkError),
}

/// Handles one invocation: all is accepted by SQS, or by the dead letters, when it returns without error.
/// `deadline` is when it gives up.
///
/// # Errors
/// [`InvocationError`]: some may be accepted all the same; they come again with newer versions.
pub async fn handle(
    event: AmazonMqEvent,
    queues: &impl Queues,
    register: &(impl EpochRegister + Sync),
    graveyard: &impl Graveyard,
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
            routing_key: &routing_key(&properties, &body),
            message_id: properties.message_id.as_deref(),
            traceparent: traceparent.as_deref(),
            body: &body,
        };
        match route(version, now, &published) {
            Route::Queue(event_type, entry) => work.extend(batches.push(event_type, entry)),
            Route::Dead(letter) => dead.push(letter),
        }
    }
    work.extend(batches.flush());
    dead.extend(send_all(queues, work.into_iter().map(Try::from).collect(), deadline).await?);
    if !dead.is_empty() {
        let buried = tokio::time::timeout_at(deadline, graveyard.bury_all(&dead)).await;
        buried.unwrap_or(Err(LinkError::Silent))?;
        dead.iter().for_each(DeadLetter::tell_burial);
    }
    Ok(count)
}

/// Sends until all is accepted; gives what SQS will never take.
async fn send_all(
    queues: &impl Queues,
    tries: Vec<Try>,
    deadline: tokio::time::Instant,
) -> Result<Vec<DeadLetter>, InvocationError> {
    let mut open: usize = tries.iter().map(|attempt| attempt.batch.entries.len()).sum();
    let mut work: FuturesUnordered<_> = tries.into_iter().map(|attempt| sending::send(queues, attempt)).collect();
    let (mut dead, mut cause) = (Vec::new(), "no answer".to_owned());
    loop {
        match tokio::time::timeout_at(deadline, work.next()).await {
            Ok(None) => return Ok(dead),
            Err(_) => return Err(InvocationError::Unsent { open, cause }),
            Ok(Some(settled)) => {
                open -= settled.accepted.len() + settled.dead.len();
                dead.extend(settled.dead);
                cause = settled.cause.unwrap_or(cause);
                work.extend(settled.again.into_iter().map(|attempt| sending::send(queues, attempt)));
            }
        }
    }
}

/// See the head of this module.
fn routing_key(properties: &Properties, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct CloudEvent {
        #[serde(rename = "specversion")]
        _version: serde::de::IgnoredAny,
        #[serde(rename = "type")]
        kind: String,
    }
    if let Some(key) = properties.header("x-sippo-routing-key").and_then(|key| String::from_utf8(key).ok()) {
        return key;
    }
    if let Ok(CloudEvent { kind, .. }) = serde_json::from_slice(body) {
        return kind;
    }
    properties.kind.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests;
