//! Walking over the table, and forgetting.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    super::{
        model::{LedgerKey, Scope},
        port::{LedgerError, LedgerMaintenance},
        retention::{Pruning, RecordKey, is_old, may_end},
    },
    DynamoLedger,
    layout::{behind, cursor_key, domain_key, end_key, member_key, met, of_seconds, seconds},
    reading::{Read, ordinal, written},
};
use crate::{
    address::RoomJid,
    table::{CONCURRENCY, Key, TableError, Update, number},
};

/// A cursor that nobody has used for so long is forgotten, by the table's time to live. Resync is scheduled daily or
/// so; where it was switched off for a week, it begins anew.
const CURSOR_LIFE: Duration = Duration::from_hours(7 * 24);

impl LedgerMaintenance for DynamoLedger {
    async fn walk(&self, after: Option<&LedgerKey>, limit: usize) -> Result<Vec<LedgerKey>, LedgerError> {
        let (mut found, mut next) = (Vec::new(), after.map(behind));
        loop {
            let (partitions, more) = self.table.partitions(next.as_ref()).await?;
            for pk in partitions {
                match met(&pk) {
                    // A partition may begin on one page and go on on the next.
                    Ok(Some(one)) if found.last() != Some(&one) => found.push(one),
                    Ok(_) => {}
                    Err(fault) => tracing::error!(
                        partition = pk,
                        "The ledger has a partition that cannot be read ({fault}); delete it, or mend its key"
                    ),
                }
            }
            next = more;
            if next.is_none() || found.len() >= limit {
                return Ok(found);
            }
        }
    }

    async fn cursor(&self) -> Result<Option<LedgerKey>, LedgerError> {
        let Some(item) = self.table.get(&cursor_key()).await? else { return Ok(None) };
        // One that cannot be read costs a walk from the beginning.
        Ok(item.text("met")?.and_then(|pk| met(pk).ok().flatten()))
    }

    async fn set_cursor(&self, after: Option<&LedgerKey>) -> Result<(), LedgerError> {
        let expires = seconds(SystemTime::now() + CURSOR_LIFE);
        let after = after.map(|one| behind(one).attributes().remove("pk")).unwrap_or_default();
        let (change, values) = match after {
            Some(pk) => ("SET met = :met, expires = :expires", vec![(":met", pk), (":expires", number(expires))]),
            None => ("SET expires = :expires REMOVE met", vec![(":expires", number(expires))]),
        };
        // Whoever writes last is right: two walks at a time do no harm.
        let condition = "attribute_not_exists(pk) OR attribute_exists(pk)".into();
        self.table.update(&Update { key: cursor_key(), change, condition, values }).await?;
        Ok(())
    }

    async fn prune(&self, room: &RoomJid, now: SystemTime) -> Result<usize, LedgerError> {
        let read = self.read_all(room, &Scope::Whole).await?;
        let end = read.recorded.written.get(&RecordKey::End).copied().map(seconds);
        let parts = match (read.recorded.prune(now), end) {
            (Pruning::Forget(parts), _) => parts,
            (Pruning::Mark, Some(written)) => {
                self.mark_end_alone(end_key(room), written, now).await?;
                return Ok(0);
            }
            (Pruning::End, Some(written)) => {
                return Ok(self.table.delete_unchanged(&end_key(room), written).await?.into());
            }
            (Pruning::Mark | Pruning::End, None) => return Ok(0),
        };
        let orphans = read
            .orphans()
            .into_iter()
            .filter(|chunks| chunks.iter().all(|(_, written)| is_old(of_seconds(*written), now)));
        let whole = parts.iter().filter_map(|part| read.items(room, part));
        let all: Vec<Vec<(Key, u64)>> = whole.chain(orphans).collect();
        let forget = |items: Vec<(Key, u64)>| async move { self.forget(&items).await };
        let gone: Vec<bool> = stream::iter(all).map(forget).buffer_unordered(CONCURRENCY).try_collect().await?;
        Ok(gone.into_iter().filter(|gone| *gone).count())
    }

    async fn prune_domain(&self, domain: &str, now: SystemTime) -> Result<usize, LedgerError> {
        let key = domain_key(domain);
        let Some(item) = self.table.get(&key).await? else { return Ok(0) };
        let written = written(&item)?;
        if ordinal(&item, "created")? >= ordinal(&item, "deleted")? || !is_old(of_seconds(written), now) {
            return Ok(0);
        }
        match item.number("swept")?.map(of_seconds) {
            Some(found_alone) if may_end(found_alone, now) => {
                Ok(self.table.delete_unchanged(&key, written).await?.into())
            }
            Some(_) => Ok(0),
            None => {
                self.mark_end_alone(key, written, now).await?;
                Ok(0)
            }
        }
    }
}

impl DynamoLedger {
    /// Deletes the items of one part, in order, as long as they are unchanged; whether the first was.
    async fn forget(&self, items: &[(Key, u64)]) -> Result<bool, TableError> {
        for (i, (key, written)) in items.iter().enumerate() {
            // Without its chunk 0 a creation is not there, so the others may follow at any time.
            if !self.table.delete_unchanged(key, *written).await? && i == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn mark_end_alone(&self, key: Key, written: u64, now: SystemTime) -> Result<(), TableError> {
        let values = vec![(":swept", number(seconds(now))), (":written", number(written))];
        let condition = "written = :written AND attribute_not_exists(swept)".into();
        self.table.update(&Update { key, change: "SET swept = :swept", condition, values }).await.map(drop)
    }
}

impl Read {
    /// The items of `part`, each with the time of its writing.
    fn items(&self, room: &RoomJid, part: &RecordKey) -> Option<Vec<(Key, u64)>> {
        let written = self.recorded.written.get(part).copied().map(seconds)?;
        match part {
            RecordKey::Creation(at) => self.chunks.get(at).cloned(),
            RecordKey::Member(user) => Some(vec![(member_key(room, user), written)]),
            RecordKey::End => Some(vec![(end_key(room), written)]),
        }
    }

    /// The chunks of creations that never became whole, or are half forgotten.
    fn orphans(&self) -> Vec<Vec<(Key, u64)>> {
        let whole: BTreeSet<_> = self.recorded.state.creations.keys().collect();
        let orphaned = self.chunks.iter().filter(|(at, _)| !whole.contains(at));
        orphaned.map(|(_, chunks)| chunks.clone()).collect()
    }
}
