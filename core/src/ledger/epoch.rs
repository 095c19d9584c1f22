//! The register of the bridge's sessions: the number of the newest one.
//!
//! A session of the bridge owns its epoch, the first half of every version it gives. It reads the
//! register before it consumes, advances it when its first event comes, and looks again before it
//! acknowledges: whoever finds another number there has been replaced.

use std::fmt;

use crate::table::{Key, Table, TableError, Update, number};

/// Why the register did not answer. Retry helps, but a session that may have advanced it must read it again.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the epoch register cannot be used: {0}")]
pub struct EpochError(pub String);

/// The port to where the epoch is kept.
pub trait EpochRegister {
    /// The newest epoch; 0 when there was none yet. Sees every advance that was answered before.
    ///
    /// # Errors
    /// [`EpochError`]; retry helps.
    fn current(&self) -> impl Future<Output = Result<u64, EpochError>> + Send;

    /// Raises the epoch from `seen` to `seen + 1`, one compare-and-set. `false` when it is no longer
    /// `seen`. That may be one's own doing, if an answer was lost: either way a new session starts.
    ///
    /// # Errors
    /// [`EpochError`]; it may have been raised.
    fn advance(&self, seen: u64) -> impl Future<Output = Result<bool, EpochError>> + Send;
}

/// The register as one item of the ledger's table, `bridge` / `epoch`.
#[derive(Clone)]
pub struct DynamoEpochs(Table);

impl DynamoEpochs {
    /// In `table`.
    #[must_use]
    pub fn new(table: Table) -> Self {
        Self(table)
    }
}

impl fmt::Debug for DynamoEpochs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DynamoEpochs")
    }
}

fn key() -> Key {
    Key::new("bridge", "epoch")
}

impl EpochRegister for DynamoEpochs {
    async fn current(&self) -> Result<u64, EpochError> {
        let failed = |error: TableError| EpochError(error.to_string());
        let Some(item) = self.0.get(&key()).await.map_err(failed)? else { return Ok(0) };
        // Starting from 0 again would give versions twice.
        item.number("epoch").map_err(failed)?.ok_or_else(|| failed(item.fault("epoch is missing")))
    }

    async fn advance(&self, seen: u64) -> Result<bool, EpochError> {
        let next = seen
            .checked_add(1)
            .ok_or_else(|| EpochError("the last epoch is used up; move the service to a new table".to_owned()))?;
        let condition = if seen == 0 { "attribute_not_exists(pk) OR epoch = :seen" } else { "epoch = :seen" };
        let values = vec![(":next", number(next)), (":seen", number(seen))];
        let update = Update { key: key(), change: "SET epoch = :next", condition: condition.into(), values };
        self.0.update(&update).await.map_err(|error| EpochError(error.to_string()))
    }
}
