//! Joining with the invitation claimed in the same write, and the record read with it.

use std::time::SystemTime;

use super::{
    super::{model::MemberRecord, ordinal::Ordinal, port::Joining},
    DynamoLedger, FREE, Register,
    layout::{member_key, nanoseconds, written_ordinal},
    reading::member,
};
use crate::{
    address::{RoomJid, UserJid},
    table::{Key, TableError, Update, number, text},
};

impl DynamoLedger {
    pub(super) async fn join_one(
        &self,
        room: &RoomJid,
        user: &UserJid,
        at: &Ordinal,
        now: SystemTime,
        until: SystemTime,
    ) -> Result<Joining, TableError> {
        let key = member_key(room, user);
        let claiming = Update {
            key: key.clone(),
            change: "SET joined = :at, claimed = :until, written = :now",
            condition: format!("(attribute_not_exists(joined) OR joined < :at) AND {FREE}").into(),
            values: vec![
                (":at", text(written_ordinal(at))),
                (":now", self.now()),
                (":from", number(nanoseconds(now))),
                (":until", number(nanoseconds(until))),
            ],
        };
        let (claimed, record) = self.changed(&claiming).await?;
        match record {
            Some(record) if claimed || record.joined.as_ref() >= Some(at) => Ok(Joining { record, claimed }),
            // Another handler has the invitation.
            _ => Ok(Joining { record: self.note_joined(key, at).await?, claimed: false }),
        }
    }

    async fn note_joined(&self, key: Key, at: &Ordinal) -> Result<MemberRecord, TableError> {
        let noting = self.raise(key, Register::Joined, at);
        if let (_, Some(record)) = self.changed(&noting).await? {
            return Ok(record);
        }
        let item = self.table.get(&noting.key).await?;
        item.as_ref().map_or_else(|| Ok(MemberRecord::default()), member)
    }

    /// Makes a change if its condition holds; whether it did, and the record as it is then, if that was told.
    async fn changed(&self, update: &Update) -> Result<(bool, Option<MemberRecord>), TableError> {
        let (changed, item) = self.table.update_returning(update).await?;
        Ok((changed, item.as_ref().map(member).transpose()?))
    }
}
