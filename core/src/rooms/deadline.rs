//! Accesses to the ledger, as long as there is time.

use tokio::time::Instant;

use super::error::ReconcileError;
use crate::ledger::LedgerError;

/// The outcome of an access to the ledger, as long as there is time for it. One that is given up may have had
/// its effect, which does no harm: what is recorded only grows.
pub(super) async fn within<T>(
    deadline: Instant,
    access: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, ReconcileError> {
    in_time(deadline)?;
    Ok(tokio::time::timeout_at(deadline, access).await.map_err(|_| ReconcileError::OutOfTime)??)
}

pub(super) fn in_time(deadline: Instant) -> Result<(), ReconcileError> {
    if Instant::now() < deadline { Ok(()) } else { Err(ReconcileError::OutOfTime) }
}
