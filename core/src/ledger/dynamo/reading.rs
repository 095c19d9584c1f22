//! Items as they come from the table, made into what is recorded of a room.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use super::{
    super::{
        model::{Creation, MemberRecord, RoomKind},
        ordinal::Ordinal,
        retention::{RecordKey, TimestampedRoom},
    },
    layout::{CREATION, END, MEMBER, REGISTERS, chunk_of, long, of_nanoseconds, of_seconds, read_ordinal, set_bits},
};
use crate::{
    address::{RoomJid, UserJid},
    table::{Item, Key, TableError},
};

/// A room, item by item.
pub(super) struct Reading<'a> {
    room: &'a RoomJid,
    recorded: TimestampedRoom,
    chunks: BTreeMap<Ordinal, BTreeMap<usize, Item>>,
}

/// All that was read.
pub(super) struct Read {
    /// What is recorded.
    pub(super) recorded: TimestampedRoom,
    /// The chunks of the creations, chunk 0 first, with the time of their writing.
    pub(super) chunks: BTreeMap<Ordinal, Vec<(Key, u64)>>,
}

impl<'a> Reading<'a> {
    pub(super) fn of(room: &'a RoomJid) -> Self {
        Self { room, recorded: TimestampedRoom::default(), chunks: BTreeMap::new() }
    }

    /// Takes an item of the room, or its domain's registers.
    pub(super) fn take(&mut self, item: Item) -> Result<(), TableError> {
        let sk = item.key()?.sk;
        let written = written(&item)?;
        if let Some(rest) = sk.strip_prefix(CREATION) {
            let (at, chunk) = chunk_of(rest).ok_or_else(|| item.fault("its key names no chunk"))?;
            self.chunks.entry(at).or_default().insert(chunk, item);
        } else if let Some(user) = sk.strip_prefix(MEMBER) {
            let user = long(user, self.room).ok_or_else(|| item.fault("its key names no user"))?;
            self.recorded.state.members.insert(user.clone(), member(&item)?);
            self.recorded.written.insert(RecordKey::Member(user), of_seconds(written));
        } else if sk == END {
            self.recorded.state.destroyed = ordinal(&item, "destroyed")?;
            self.recorded.found_alone = item.number("swept")?.map(of_seconds);
            self.recorded.written.insert(RecordKey::End, of_seconds(written));
        } else if sk == REGISTERS {
            self.recorded.state.domain_deleted = ordinal(&item, "deleted")?;
            self.recorded.domain_written = Some(of_seconds(written));
        } else {
            return Err(item.fault("its key is none of the ledger's"));
        }
        Ok(())
    }

    /// Puts the chunks together. A creation of which some are missing is not there.
    pub(super) fn end(mut self) -> Result<Read, TableError> {
        let mut all = BTreeMap::new();
        for (at, items) in self.chunks {
            let keys = items.values().map(|item| Ok((item.key()?, written(item)?)));
            let keys = keys.collect::<Result<Vec<_>, TableError>>()?;
            if let Some(creation) = creation(self.room, &items)? {
                let newest = keys.iter().map(|(_, written)| *written).max().unwrap_or_default();
                self.recorded.written.insert(RecordKey::Creation(at.clone()), of_seconds(newest));
                self.recorded.state.creations.insert(at.clone(), creation);
            }
            all.insert(at, keys);
        }
        Ok(Read { recorded: self.recorded, chunks: all })
    }
}

pub(super) fn written(item: &Item) -> Result<u64, TableError> {
    item.number("written")?.ok_or_else(|| item.fault("written is missing"))
}

pub(super) fn ordinal(item: &Item, name: &str) -> Result<Option<Ordinal>, TableError> {
    let text = item.text(name)?;
    let fault = || item.fault(&format!("{name} is no ordinal"));
    text.map(|text| read_ordinal(text).ok_or_else(fault)).transpose()
}

fn claimed(item: &Item) -> Result<Option<SystemTime>, TableError> {
    Ok(item.number("claimed")?.map(of_nanoseconds))
}

pub(super) fn member(item: &Item) -> Result<MemberRecord, TableError> {
    Ok(MemberRecord {
        joined: ordinal(item, "joined")?,
        left: ordinal(item, "parted")?,
        invited: ordinal(item, "invited")?,
        claimed: claimed(item)?,
    })
}

fn creation(room: &RoomJid, items: &BTreeMap<usize, Item>) -> Result<Option<Creation>, TableError> {
    let Some(first) = items.get(&0) else { return Ok(None) };
    let count: usize = first.number("chunks")?.ok_or_else(|| first.fault("chunks is missing"))?;
    let mut participants = BTreeSet::new();
    for chunk in 0..count {
        let Some(item) = items.get(&chunk) else { return Ok(None) };
        for user in item.texts("participants")? {
            participants.insert(user_of(user, room, item)?);
        }
    }
    let kind = match first.text("kind")? {
        Some(kind) if kind == RoomKind::UsersGroup.reason() => RoomKind::UsersGroup,
        Some(kind) if kind == RoomKind::Conference.reason() => RoomKind::Conference,
        _ => return Err(first.fault("kind is none of the two")),
    };
    Ok(Some(Creation {
        kind,
        name: first.text("name")?.map(ToOwned::to_owned),
        owner: first.text("owner")?.map(|user| user_of(user, room, first)).transpose()?,
        announced: first.bytes("announced")?.map(|bits| set_bits(&participants, bits)),
        announced_for: ordinal(first, "announced_for")?,
        participants,
        claimed: claimed(first)?,
    }))
}

fn user_of(text: &str, room: &RoomJid, item: &Item) -> Result<UserJid, TableError> {
    long(text, room).ok_or_else(|| item.fault("it lists what is no user"))
}
