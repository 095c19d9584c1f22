//! What can keep an event about a room from being done.

use std::collections::BTreeMap;

use super::server::ServerError;
use crate::{address::UserJid, ledger::LedgerError};

/// Most rounds of one pass. A pass that meets nobody else needs one, and each further one means that another event of the
/// room came meanwhile: a room for which they keep coming must not keep its handler, and the batch, for good.
pub(super) const MAX_ROUNDS: u32 = 16;

/// Why an event is not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReconcileError {
    /// The ledger did not answer; retry helps.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The XMPP server did not do it; see [`ReconcileError::is_retryable`].
    #[error(transparent)]
    Server(#[from] ServerError),
    /// There was no time left; retry helps.
    #[error("there was no time left for it; a retry takes it up again")]
    OutOfTime,
    /// The room's events came faster than it could be made to agree; retry helps.
    #[error("the room kept changing for {MAX_ROUNDS} rounds; a retry takes it up again")]
    Busy,
    /// Another handler has claimed the invitation and may not live to send it; retry helps, at the latest
    /// when the claim has expired.
    #[error("another handler is about to send the invitation of {0}; a retry sees whether it did")]
    InvitationClaimed(UserJid),
}

impl ReconcileError {
    /// Whether the same event may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Server(error) => error.is_retryable(),
            Self::Ledger(_) | Self::OutOfTime | Self::Busy | Self::InvitationClaimed(_) => true,
        }
    }

    /// Whether a request is left that may still take effect until it expires.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        matches!(self, Self::Server(ServerError::Unanswered(_)))
    }
}

/// What is not done, by member.
pub(super) type Failures = BTreeMap<UserJid, ReconcileError>;
