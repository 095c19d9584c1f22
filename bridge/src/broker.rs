//! The port to the broker: what a session asks of it, and how it fails.

use std::time::Duration;

use crate::{prefix::Ack, route::DeadLetter};

/// Deliveries that may be unacknowledged. Their bodies are held in memory meanwhile.
pub const PREFETCH: u16 = 300;

/// AMQP 0-9-1's reply codes (section 1.2), as far as they are told apart.
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

/// What the broker, or the way to it, said; retry helps once the cause is mended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// lapin's error.
    #[error("{0}")]
    Amqp(lapin::Error),
    /// No answer in time.
    #[error("the broker does not answer")]
    Silent,
    /// The user may not do what the bridge needs.
    #[error(
        "the broker's user has no right to {right} {resource} ({said}); grant what the bridge needs (this replaces the user's other rights): {grant}"
    )]
    Denied {
        /// `configure`, `write` or `read`.
        right: &'static str,
        /// The kind of the resource, and its name.
        resource: String,
        /// The broker's own words.
        said: String,
        /// The command that grants all rights that the bridge needs.
        grant: String,
    },
    /// The broker gave up on deliveries that were not acknowledged for too long.
    #[error(
        "deliveries were not acknowledged within the broker's consumer_timeout ({0}); see that SQS and the ledger's table take what the bridge sends, all comes again"
    )]
    AcknowledgedTooLate(String),
    /// A dead letter was not taken.
    #[error("the queue of dead letters does not take a message: {0}; see that it is there and has room")]
    NotConfirmed(&'static str),
    /// The broker's URL cannot be used.
    #[error("[broker] url is not the URL of an AMQP broker; write amqp:// or amqps:// with user, password and host")]
    Url,
    /// A name is too long.
    #[error(
        "{0} has a name that AMQP cannot hold; choose one of at most 255 bytes, or 250 for the queue, whose dead letters' ends in .dead"
    )]
    Name(&'static str),
}

impl From<lapin::Error> for BrokerError {
    fn from(error: lapin::Error) -> Self {
        match reply(&error) {
            // What RabbitMQ says is the same code as for a queue that was declared otherwise.
            Some((PRECONDITION_FAILED, said)) if said.contains("acknowledgement") && said.contains("timed out") => {
                Self::AcknowledgedTooLate(said.to_owned())
            }
            _ => Self::Amqp(error),
        }
    }
}

impl BrokerError {
    /// The broker's words, if it refused access to something, or to itself.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.reply().filter(|(code, _)| [ACCESS_REFUSED, NOT_ALLOWED].contains(code)).map(|(_, said)| said)
    }

    /// Whether what was asked for is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        self.reply().is_some_and(|(code, _)| code == NOT_FOUND)
    }

    fn reply(&self) -> Option<(u16, &str)> {
        if let Self::Amqp(error) = self { reply(error) } else { None }
    }
}

/// The broker's code and words, if the error is its.
fn reply(error: &lapin::Error) -> Option<(u16, &str)> {
    let lapin::ErrorKind::ProtocolError(error) = error.kind() else { return None };
    Some((error.get_id(), error.get_message().as_str()))
}

/// What a session needs of the broker beside deliveries.
pub trait Broker: Sync {
    /// Acknowledges deliveries.
    ///
    /// # Errors
    /// [`BrokerError`]: the session is over.
    fn acknowledge(&self, acks: &[Ack]) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Puts a dead letter into its queue; done when the broker has confirmed it, however long that takes.
    fn dead_letter(&self, letter: &DeadLetter) -> impl Future<Output = ()> + Send;

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

#[cfg(test)]
mod tests {
    use lapin::{
        ErrorKind,
        protocol::{AMQPError, AMQPSoftError},
    };

    use super::*;

    fn said(code: AMQPSoftError, words: &str) -> BrokerError {
        let error = AMQPError::new(code.into(), words.into());
        BrokerError::from(lapin::Error::from(ErrorKind::ProtocolError(error)))
    }

    #[test]
    fn a_late_acknowledgement_is_no_wrong_declaration() {
        let words =
            "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms";
        let error = said(AMQPSoftError::PRECONDITIONFAILED, words);
        assert!(matches!(error, BrokerError::AcknowledgedTooLate(_)), "{error}");
        let words = "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/'";
        let error = said(AMQPSoftError::PRECONDITIONFAILED, words);
        assert!(matches!(error, BrokerError::Amqp(_)) && error.refusal().is_none(), "{error}");
    }

    #[test]
    fn refusals_are_told_from_what_is_not_there() {
        let error = said(AMQPSoftError::ACCESSREFUSED, "ACCESS_REFUSED - access to exchange 'e' in vhost '/' refused");
        assert!(error.refusal().is_some_and(|said| said.contains("exchange 'e'")) && !error.is_not_found());
        assert!(said(AMQPSoftError::NOTFOUND, "NOT_FOUND - no exchange 'e' in vhost '/'").is_not_found());
        assert!(BrokerError::Silent.refusal().is_none() && !BrokerError::Silent.is_not_found());
    }
}
