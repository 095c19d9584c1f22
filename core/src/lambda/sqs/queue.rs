//! The port to the function's queue: what can be done about a message beside deleting it, which is its
//! event source mapping's part.

use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use aws_sdk_sqs::{
    Client,
    config::Builder,
    types::{ChangeMessageVisibilityBatchRequestEntry, MessageAttributeValue},
};

use crate::{
    aws::{retries_of_its_own, sdk_config},
    cause::root_cause,
    config::Queues,
    events::{EventType, Poison},
};

/// For one call, with the SDK's own retries; within what the function keeps in reserve.
const TIMEOUT: Duration = Duration::from_millis(1_200);

/// Why the queue did not do it; a retry helps.
#[derive(Debug, Clone, thiserror::Error)]
#[error("SQS did not do it ({0}); see that the queue exists and that the function may use it")]
pub(super) struct QueueError(pub(super) String);

/// A function's queue.
pub(super) trait Queue {
    /// Puts `message` into the queue of dead letters, with the reason.
    ///
    /// # Errors
    /// [`QueueError`]; it may be there all the same.
    fn dead_letter(&self, message: &SqsMessage, poison: &Poison)
    -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Has messages, [`MAX_BATCH`] at most, which will be reported as failed, come again after their waits and not only when
    /// their visibility timeouts end. Returns an error for each of which that failed: it comes when its timeout ends.
    fn postpone(&self, messages: &[(&SqsMessage, Duration)]) -> impl Future<Output = Vec<QueueError>> + Send;
}

/// Most messages of one call: SQS's limit.
pub(super) const MAX_BATCH: usize = 10;

/// A queue of Amazon SQS.
#[derive(Debug)]
pub(super) struct SqsQueue {
    client: Client,
    url: String,
    dead_letters_url: String,
}

impl SqsQueue {
    /// The queue of an event type; connects when first used.
    pub(super) async fn new(queues: &Queues, event_type: EventType) -> Self {
        let config = Builder::from(&sdk_config(TIMEOUT).await).retry_partition(retries_of_its_own());
        Self {
            client: Client::from_conf(config.build()),
            url: queues.url(event_type.function()),
            dead_letters_url: queues.dead_letters_url(event_type.function()),
        }
    }
}

fn text(value: &str) -> Option<MessageAttributeValue> {
    MessageAttributeValue::builder().data_type("String").string_value(value).build().ok()
}

impl Queue for SqsQueue {
    async fn dead_letter(&self, message: &SqsMessage, poison: &Poison) -> Result<(), QueueError> {
        let reason = poison.reason();
        // What travelled with it stays with it.
        let old = message.message_attributes.iter();
        let old = old.filter_map(|(name, value)| Some((name.as_str(), value.string_value.as_deref()?)));
        let new = [("reason", reason.as_str()), ("code", poison.code())];
        let attributes = old.chain(new).filter_map(|(name, value)| Some((name.to_owned(), text(value)?))).collect();
        let request = self.client.send_message().queue_url(&self.dead_letters_url);
        let request = request.message_body(message.body.as_deref().unwrap_or_default());
        let sent = request.set_message_attributes(Some(attributes)).send().await;
        sent.map_err(|error| QueueError(root_cause(&error)))?;
        Ok(())
    }

    async fn postpone(&self, messages: &[(&SqsMessage, Duration)]) -> Vec<QueueError> {
        let entries = messages.iter().enumerate().filter_map(|(id, (message, wait))| {
            let seconds = i32::try_from(wait.as_secs()).unwrap_or(i32::MAX);
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id.to_string());
            let receipt_handle = message.receipt_handle.as_deref().unwrap_or_default();
            entry.receipt_handle(receipt_handle).visibility_timeout(seconds).build().ok()
        });
        let request = self.client.change_message_visibility_batch().queue_url(&self.url);
        match request.set_entries(Some(entries.collect())).send().await {
            Ok(answer) => {
                answer.failed.into_iter().map(|failed| QueueError(failed.message.unwrap_or(failed.code))).collect()
            }
            Err(error) => vec![QueueError(root_cause(&error)); messages.len()],
        }
    }
}
