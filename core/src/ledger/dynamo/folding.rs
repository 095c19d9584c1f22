//! What folding a creation writes.
//!
//! All of a creation but its claim and its announcement stays as it was first written, and the announcement is written
//! once. So that a creation is as it was read is a condition on these two, and not on the time of its last writing, of
//! which the table keeps whole seconds.

use std::time::SystemTime;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    super::{model::Creation, ordinal::Ordinal, port::Heir},
    DynamoLedger, FREE,
    layout::{bits, chunk_key, nanoseconds, written_ordinal},
};
use crate::{
    address::RoomJid,
    table::{TableError, Update, bytes, number, text},
};

impl DynamoLedger {
    pub(super) fn taking_over(&self, room: &RoomJid, heir: Heir<'_>, since: &Ordinal, now: SystemTime) -> Update {
        let values = vec![
            (":now", self.now()),
            (":from", number(nanoseconds(now))),
            (":bits", bytes(bits(heir.participants, heir.except))),
            (":since", text(written_ordinal(since))),
        ];
        let change = "SET announced = :bits, announced_for = :since, written = :now REMOVE claimed";
        let condition = format!("attribute_exists(pk) AND attribute_not_exists(announced) AND {FREE}").into();
        Update { key: chunk_key(room, heir.at, 0), change, condition, values }
    }

    /// Chunk 0 goes first: without it the creation is not there, so the others may follow at any time.
    pub(super) async fn forget_list(
        &self,
        room: &RoomJid,
        at: &Ordinal,
        read: &Creation,
        now: SystemTime,
    ) -> Result<bool, TableError> {
        let (announced, mut values) = as_read(read);
        values.push((":from", number(nanoseconds(now))));
        let condition = format!("attribute_exists(pk) AND {announced} AND {FREE}");
        let Some(first) = self.table.delete_if(&chunk_key(room, at, 0), &condition, values).await? else {
            return Ok(false);
        };
        for chunk in 1..first.number::<usize>("chunks")?.unwrap_or(1) {
            self.table.delete_if(&chunk_key(room, at, chunk), "attribute_exists(pk)", Vec::new()).await?;
        }
        Ok(true)
    }
}

/// The condition that a creation is announced as it was when it was read.
fn as_read(read: &Creation) -> (&'static str, Vec<(&'static str, AttributeValue)>) {
    let Some(except) = &read.announced else { return ("attribute_not_exists(announced)", Vec::new()) };
    let written = (":bits", bytes(bits(&read.participants, except)));
    if except.is_empty() {
        // Where nobody is excepted the bits may have been left out.
        return ("(announced = :bits OR announced = :none)", vec![written, (":none", bytes(Vec::new()))]);
    }
    ("announced = :bits", vec![written])
}
