//! The port to SQS.

use std::time::Duration;

use aws_sdk_sqs::{
    Client,
    error::ProvideErrorMetadata,
    types::{MessageAttributeValue, SendMessageBatchRequestEntry},
};
use sippo_xmpp_core::{
    aws::single_attempt_config,
    config,
    events::{EventType, Poison},
    telemetry::trace::TRACEPARENT,
};

use crate::batches::{Batch, Entry};

/// One call of `SendMessageBatch` ends within this time; then it is repeated.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// What became of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The queue has it.
    Accepted,
    /// It failed for a passing reason.
    Failed(String),
    /// It will never be taken.
    Refused(Poison),
}

/// A whole call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// For a passing reason: retry helps once the cause is mended.
    #[error("{0}")]
    Failed(String),
    /// For what is in the batch: the same call will fail for ever.
    #[error("SQS refuses a batch with {0}")]
    Refused(String),
}

/// The queues of the event types.
pub trait Queues: Sync {
    /// Sends a batch. One outcome for each entry, in its order.
    ///
    /// # Errors
    /// [`SendError`] when nothing is known of any entry: some may have been accepted all the same.
    fn send(&self, batch: &Batch) -> impl Future<Output = Result<Vec<Outcome>, SendError>> + Send;
}

/// The real ones.
#[derive(Debug, Clone)]
pub struct Sqs {
    client: Client,
    urls: [String; EventType::ALL.len()],
}

impl Sqs {
    /// Queues as configured; calls nobody yet.
    pub async fn new(queues: &config::Queues) -> Self {
        Self {
            // Retries are the session's: it knows how long to wait, and when to stop.
            client: Client::new(&single_attempt_config(CALL_LIMIT).await),
            urls: EventType::ALL.map(|event_type| queues.url(event_type.function())),
        }
    }
}

impl Queues for Sqs {
    async fn send(&self, batch: &Batch) -> Result<Vec<Outcome>, SendError> {
        let mut call = self.client.send_message_batch().queue_url(&self.urls[batch.event_type as usize]);
        for (id, entry) in batch.entries.iter().enumerate() {
            call = call.entries(request(id, entry));
        }
        let answer = call.send().await.map_err(|error| {
            let status = error.raw_response().map(|response| response.status().as_u16());
            let Some(code) = error.code() else { return call_failure(None, status, &causes(&error)) };
            call_failure(Some(code), status, error.message().unwrap_or("no message"))
        })?;
        // Only what is named as accepted is.
        let mut outcomes = vec![Outcome::Failed("SQS does not tell what became of it".to_owned()); batch.entries.len()];
        let mut set = |id: &str, outcome| {
            if let Some(place) = id.parse::<usize>().ok().and_then(|id| outcomes.get_mut(id)) {
                *place = outcome;
            }
        };
        for entry in answer.successful() {
            set(entry.id(), Outcome::Accepted);
        }
        for entry in answer.failed() {
            set(entry.id(), failure(entry.code(), entry.message(), entry.sender_fault()));
        }
        Ok(outcomes)
    }
}

/// An error with all that caused it: the SDK's own text says little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn request(id: usize, entry: &Entry) -> SendMessageBatchRequestEntry {
    let attribute = entry.traceparent.as_ref().map(|value| {
        let attribute = MessageAttributeValue::builder().data_type("String").string_value(value);
        attribute.build().expect("it has a type")
    });
    let mut request = SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body(&entry.text);
    if let Some(attribute) = attribute {
        request = request.message_attributes(TRACEPARENT, attribute);
    }
    request.build().expect("it has id and body")
}

/// What SQS answers to a batch as a whole when something in it is at fault.
const BATCH_FAULTS: [&str; 7] = [
    "InvalidMessageContents",
    "InvalidParameterValue",
    "InvalidAttributeValue",
    "InvalidBatchEntryId",
    "BatchRequestTooLong",
    "MessageTooLong",
    "RequestTooLarge",
];

/// HTTP's status for a call that is too large, whoever on the way says so.
const CONTENT_TOO_LARGE: u16 = 413;

/// A failed call: for what is in it, or for anything else, which may pass. A missing permission, queue or key is mended
/// outside.
fn call_failure(code: Option<&str>, status: Option<u16>, message: &str) -> SendError {
    let is_named = code.is_some_and(|code| BATCH_FAULTS.iter().any(|fault| code.ends_with(fault)));
    match code {
        Some(code) if is_named => SendError::Refused(code.to_owned()),
        _ if status == Some(CONTENT_TOO_LARGE) => SendError::Refused("HTTP status 413".to_owned()),
        Some(code) => SendError::Failed(format!("{code}: {message}")),
        None => SendError::Failed(message.to_owned()),
    }
}

/// Only faults of the message itself make it a dead letter: a missing permission or key is mended outside.
fn failure(code: &str, message: Option<&str>, sender_fault: bool) -> Outcome {
    let about_the_message =
        ["InvalidMessageContents", "InvalidParameterValue", "MessageTooLong"].iter().any(|own| code.ends_with(own));
    if sender_fault && about_the_message {
        return Outcome::Refused(Poison::refused(code));
    }
    Outcome::Failed(message.map_or_else(|| code.to_owned(), |message| format!("{code}: {message}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fault_of_the_batch_is_for_good() {
        for (code, status, refused) in [
            (Some("InvalidMessageContents"), Some(400), true),
            (Some("com.amazonaws.sqs#BatchRequestTooLong"), Some(400), true),
            (Some("AWS.SimpleQueueService.BatchRequestTooLong"), Some(400), true),
            (None, Some(413), true),
            (Some("AccessDenied"), Some(403), false),
            (Some("QueueDoesNotExist"), Some(400), false),
            (Some("KmsAccessDenied"), Some(400), false),
            (Some("RequestThrottled"), Some(403), false),
            (None, Some(503), false),
            (None, None, false),
        ] {
            let error = call_failure(code, status, "words");
            assert_eq!(matches!(error, SendError::Refused(_)), refused, "{code:?}, {status:?}: {error:?}");
        }
    }

    #[test]
    fn only_a_fault_of_the_message_is_for_good() {
        for (code, sender_fault, refused) in [
            ("InvalidMessageContents", true, true),
            ("AWS.SimpleQueueService.InvalidMessageContents", true, true),
            ("InvalidMessageContents", false, false),
            ("AccessDenied", true, false),
            ("KmsDisabled", true, false),
            ("InternalError", false, false),
        ] {
            let outcome = failure(code, None, sender_fault);
            assert_eq!(matches!(outcome, Outcome::Refused(_)), refused, "{code}: {outcome:?}");
        }
    }
}
