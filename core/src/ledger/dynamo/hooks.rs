//! What tests outside of this crate need of how the ledger is written down.

use std::{
    collections::{BTreeSet, HashMap},
    hash::BuildHasher,
};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use super::{
    super::{
        model::{LedgerKey, RoomState},
        ordinal::Ordinal,
    },
    layout,
    reading::Reading,
};
use crate::{
    address::{RoomJid, UserJid},
    table::Item,
};

/// The value of an attribute.
#[derive(Debug, Clone)]
pub enum Attribute {
    /// A string.
    Text(String),
    /// A number, by its digits.
    Number(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A set of strings.
    Texts(Vec<String>),
}

/// An ordinal as attributes and keys have it, and read again.
#[must_use]
pub fn ordinal(at: &Ordinal) -> (String, Option<Ordinal>) {
    let written = layout::written_ordinal(at);
    let read = layout::read_ordinal(&written);
    (written, read)
}

/// Partition and sort key of a chunk of a creation, and what is read from the latter.
#[must_use]
pub fn chunk(room: &RoomJid, at: &Ordinal, chunk: usize) -> ((String, String), Option<(Ordinal, usize)>) {
    let key = layout::chunk_key(room, at, chunk);
    let read = key.sk.strip_prefix(layout::CREATION).and_then(layout::chunk_of);
    ((key.pk, key.sk), read)
}

/// Partition and sort key of a member's record, and who is read from the latter.
#[must_use]
pub fn member(room: &RoomJid, user: &UserJid) -> ((String, String), Option<UserJid>) {
    let key = layout::member_key(room, user);
    let read = key.sk.strip_prefix(layout::MEMBER).and_then(|text| layout::long(text, room));
    ((key.pk, key.sk), read)
}

/// The partition and sort key behind all of the room's.
#[must_use]
pub fn behind(room: &RoomJid) -> (String, String) {
    let key = layout::behind(&LedgerKey::Room(room.clone()));
    (key.pk, key.sk)
}

/// What has the partition `pk`, if anything of the ledger's has.
#[must_use]
pub fn met(pk: &str) -> Option<LedgerKey> {
    layout::met(pk).ok().flatten()
}

/// Those of `participants` that are read again of the bits which are written for `except`.
#[must_use]
pub fn excepted(participants: &BTreeSet<UserJid>, except: &BTreeSet<UserJid>) -> BTreeSet<UserJid> {
    layout::set_bits(participants, &layout::bits(participants, except))
}

/// Who are read again of the lists that `users` are written as.
#[must_use]
pub fn listed(users: &BTreeSet<UserJid>, room: &RoomJid) -> Option<BTreeSet<UserJid>> {
    layout::chunks(users, room).iter().flatten().map(|text| layout::long(text, room)).collect()
}

/// What is read of a room that has these items.
///
/// # Errors
/// The text of the error.
pub fn read<S: BuildHasher>(room: &RoomJid, items: Vec<HashMap<String, Attribute, S>>) -> Result<RoomState, String> {
    let mut reading = Reading::of(room);
    for item in items {
        let attributes = item.into_iter().map(|(name, value)| (name, value.into())).collect();
        reading.take(Item::new(attributes)).map_err(|error| error.to_string())?;
    }
    reading.end().map(|read| read.recorded.state).map_err(|error| error.to_string())
}

impl From<Attribute> for AttributeValue {
    fn from(attribute: Attribute) -> Self {
        match attribute {
            Attribute::Text(text) => Self::S(text),
            Attribute::Number(digits) => Self::N(digits),
            Attribute::Bytes(bytes) => Self::B(Blob::new(bytes)),
            Attribute::Texts(texts) => Self::Ss(texts),
        }
    }
}
