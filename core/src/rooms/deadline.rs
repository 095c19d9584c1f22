//! Accesses to the ledger, as long as there is time.

use tokio::time::Instant;

use super::error::ReconcileError;
use crate::ledger::LedgerError;

/// The outcome of an access to the ledger, as long as there is time for it. One that is given up may have had
/// its effect, which does no harm: what is recorded only grows.
pub(super) async fn with_deadline<T>(
    deadline: Instant,
    access: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, ReconcileError> {
    ensure_time_left(deadline)?;
    Ok(tokio::time::timeout_at(deadline, access).await.map_err(|_| ReconcileError::OutOfTime)??)
}

pub(super) fn ensure_time_left(deadline: Instant) -> Result<(), ReconcileError> {
    if Instant::now() < deadline { Ok(()) } else { Err(ReconcileError::OutOfTime) }
}
