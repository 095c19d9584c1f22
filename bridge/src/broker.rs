//! The port to the broker: what a session asks of it, and how it fails.

use std::time::Duration;

use crate::route::DeadLetter;

/// Deliveries that may be unacknowledged. Their bodies are held in memory meanwhile.
pub const PREFETCH: u16 = 300;

/// What the broker, or the way to it, said; retry helps once the cause is mended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// lapin's error.
    #[error("{0}")]
    Amqp(#[from] lapin::Error),
    /// No answer in time.
    #[error("the broker does not answer")]
    Silent,
    /// A dead letter was not taken.
    #[error("the queue of dead letters does not take a message: {0}; see that it is there and has room")]
    NotConfirmed(&'static str),
    /// The broker's URL cannot be used.
    #[error("[broker] url is not the URL of an AMQP broker; write amqp:// or amqps:// with user, password and host")]
    Url,
    /// A name is too long.
    #[error("[broker] queue is longer than 250 bytes, with which its dead letters' has no name; choose a shorter one")]
    Name,
}

/// What a session needs of the broker beside deliveries.
pub trait Broker: Sync {
    /// Acknowledges all deliveries up to this tag.
    ///
    /// # Errors
    /// [`BrokerError`]: the session is over.
    fn acknowledge(&self, up_to: u64) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Puts a dead letter into its queue; done when the broker has confirmed it.
    ///
    /// # Errors
    /// [`BrokerError`]: the session is over.
    fn dead_letter(&self, letter: &DeadLetter) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Asks the broker about the queue: a sign of life.
    ///
    /// # Errors
    /// [`BrokerError`]: the session is over.
    fn queue_status(&self) -> impl Future<Output = Result<QueueStatus, BrokerError>> + Send;
}

/// Who waits for whom at the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueStatus {
    /// Messages that wait for a consumer.
    pub messages: u32,
    /// Active consumers: one at most, and the broker does not count those that wait behind it.
    pub active: u32,
}

/// Where a function puts dead letters: it has no connection of its own.
pub trait DeadLetterSink: Sync {
    /// Puts all there; done when the broker has confirmed each.
    ///
    /// # Errors
    /// [`BrokerError`]: some may be there all the same.
    fn dead_letter_all(&self, letters: &[DeadLetter]) -> impl Future<Output = Result<(), BrokerError>> + Send;
}

/// The outcome of `work`, or [`BrokerError::Silent`] when there is none in time.
pub(crate) async fn with_deadline<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, BrokerError>>,
) -> Result<T, BrokerError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(BrokerError::Silent))
}
