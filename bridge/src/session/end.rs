//! Why a session is over.

use sippo_xmpp_core::ledger::EpochError;

use crate::{broker::BrokerError, prefix::TagGap};

/// Why a session is over. A new one helps; what was not acknowledged comes again there.
#[derive(Debug, thiserror::Error)]
pub enum SessionEnd {
    /// The connection broke, or the broker refused something.
    #[error("{0}")]
    Broker(#[from] BrokerError),
    /// The register did not answer when an epoch was due.
    #[error("{0}")]
    Register(#[from] EpochError),
    /// The broker cancelled the consumer: the queue was deleted, or moved.
    #[error("the broker cancelled the consumer")]
    Cancelled,
    /// Another session has taken the epoch since this one began to consume.
    #[error("another session took the epoch first")]
    EpochTaken,
    /// Another session has taken over.
    #[error("another session took over: epoch {newest} after {own}")]
    Deposed {
        /// The epoch of this session.
        own: u64,
        /// The register's.
        newest: u64,
    },
    /// A message came back after fresh ones.
    #[error("a message was delivered again after newer ones")]
    Disorder,
    /// Delivery tags do not count up.
    #[error("{0}")]
    Tags(#[from] TagGap),
    /// Messages wait, and none comes.
    #[error("messages wait at the broker, but none is delivered")]
    Stalled,
    /// The bridge was told to stop, and this many deliveries could not be sent in time.
    #[error("{0} deliveries could not be sent in time before the stop; the broker keeps them")]
    Unfinished(usize),
}

impl SessionEnd {
    /// Whether this is a change of the active consumer, which is nobody's fault.
    #[must_use]
    pub fn is_takeover(&self) -> bool {
        matches!(self, Self::EpochTaken | Self::Deposed { .. } | Self::Disorder)
    }
}
