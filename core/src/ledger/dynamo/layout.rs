//! How what is recorded is written down: keys, ordinals, lists. The inverse is in `reading.rs`.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::super::{model::LedgerKey, ordinal::Ordinal};
use crate::{
    address::{RoomJid, UserJid},
    events::Version,
    table::Key,
};

pub(super) const END: &str = "end";
pub(super) const REGISTERS: &str = "registers";
pub(super) const CREATION: &str = "creation#";
pub(super) const MEMBER: &str = "member#";
const ROOM: &str = "room#";
const DOMAIN: &str = "domain#";

/// Most bytes of names in one chunk of a list; with name, owner and `announced` it stays under an item's 400 KB.
pub(super) const CHUNK: usize = 256 * 1024;

/// Digits of the largest number in a version, 2^64 - 1: with leading zeros up to that, text sorts as numbers do.
const DIGITS: usize = 20;

pub(super) fn room_pk(room: &RoomJid) -> String {
    format!("{ROOM}{room}")
}

pub(super) fn domain_key(domain: &str) -> Key {
    Key::new(format!("{DOMAIN}{domain}"), REGISTERS)
}

pub(super) fn member_key(room: &RoomJid, user: &UserJid) -> Key {
    Key::new(room_pk(room), format!("{MEMBER}{}", short(user, room)))
}

pub(super) fn end_key(room: &RoomJid) -> Key {
    Key::new(room_pk(room), END)
}

pub(super) fn chunk_key(room: &RoomJid, at: &Ordinal, chunk: usize) -> Key {
    Key::new(room_pk(room), format!("{CREATION}{}#{chunk:04}", written_ordinal(at)))
}

/// Ordinal and number of the chunk whose sort key goes on with `rest`.
pub(super) fn chunk_of(rest: &str) -> Option<(Ordinal, usize)> {
    let (at, chunk) = rest.rsplit_once('#')?;
    Some((read_ordinal(at)?, chunk.parse().ok()?))
}

/// Behind every item of what was met.
pub(super) fn behind(met: &LedgerKey) -> Key {
    let pk = match met {
        LedgerKey::Room(room) => room_pk(room),
        LedgerKey::Domain(domain) => domain_key(domain).pk,
    };
    // No sort key begins with a tilde, and all sort before it.
    Key::new(pk, "~")
}

/// Where a walk that was interrupted goes on.
pub(super) fn cursor_key() -> Key {
    Key::new("resync", "bookmark")
}

/// What has its items in the partition `pk`; `Err` if nothing could, `None` if it is not the ledger's.
pub(super) fn met(pk: &str) -> Result<Option<LedgerKey>, String> {
    if let Some(room) = pk.strip_prefix(ROOM) {
        return RoomJid::canonical(room).map(LedgerKey::Room).map(Some).map_err(|error| error.to_string());
    }
    Ok(pk.strip_prefix(DOMAIN).map(|domain| LedgerKey::Domain(domain.to_owned())))
}

/// So that it sorts as it compares.
pub(super) fn written_ordinal(at: &Ordinal) -> String {
    let Version { epoch, counter } = at.version;
    format!("{epoch:0DIGITS$}.{counter:0DIGITS$}/{}", at.event)
}

pub(super) fn read_ordinal(text: &str) -> Option<Ordinal> {
    let (version, event) = text.split_once('/')?;
    let (epoch, counter) = version.split_once('.')?;
    let number = |digits: &str| if digits.len() == DIGITS { digits.parse().ok() } else { None };
    Some(Ordinal::new(Version { epoch: number(epoch)?, counter: number(counter)? }, event))
}

/// A user, without their domain if that is the room's. No localpart has an `@`.
pub(super) fn short(user: &UserJid, room: &RoomJid) -> String {
    if user.domain().as_str() == room.tenant() { user.localpart().to_owned() } else { user.to_string() }
}

pub(super) fn long(text: &str, room: &RoomJid) -> Option<UserJid> {
    if text.contains('@') {
        return UserJid::canonical(text).ok();
    }
    UserJid::canonical(&format!("{text}@{}", room.tenant())).ok()
}

/// `users` in chunks, at least one.
pub(super) fn chunks(users: &BTreeSet<UserJid>, room: &RoomJid) -> Vec<Vec<String>> {
    let (mut chunks, mut size) = (vec![Vec::new()], 0);
    for user in users {
        let user = short(user, room);
        if size + user.len() > CHUNK {
            chunks.push(Vec::new());
            size = 0;
        }
        size += user.len();
        chunks.last_mut().expect("there is one").push(user);
    }
    chunks
}

/// A bit for each of `participants`, in the order of their JIDs: set for those in `except`.
pub(super) fn bits(participants: &BTreeSet<UserJid>, except: &BTreeSet<UserJid>) -> Vec<u8> {
    let mut bits = vec![0; participants.len().div_ceil(8)];
    for (i, user) in in_order(participants).into_iter().enumerate() {
        bits[i / 8] |= u8::from(except.contains(user)) << (i % 8);
    }
    bits
}

/// The inverse: those whose bit is set. Bits that are not there are not set.
pub(super) fn set_bits(participants: &BTreeSet<UserJid>, bits: &[u8]) -> BTreeSet<UserJid> {
    let is_set = |i: usize| bits.get(i / 8).is_some_and(|byte| byte >> (i % 8) & 1 == 1);
    let all = in_order(participants).into_iter().enumerate();
    all.filter(|(i, _)| is_set(*i)).map(|(_, user)| user.clone()).collect()
}

/// By their text: how JIDs compare otherwise is not ours to fix.
fn in_order(users: &BTreeSet<UserJid>) -> Vec<&UserJid> {
    let mut users: Vec<&UserJid> = users.iter().collect();
    users.sort_unstable_by_key(|user| user.as_str());
    users
}

/// Seconds since 1970; 0 for what was before.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A later time than [`LAST`] is that one: an item that says so has been damaged, and costs nobody else anything.
pub(super) fn of_seconds(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.min(LAST))
}

/// The end of the year 9999, in seconds since 1970: clocks cannot say every number.
const LAST: u64 = 253_402_300_799;

/// Nanoseconds since 1970: exact, since a claim is given back by its very end.
pub(super) fn nanoseconds(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

pub(super) fn of_nanoseconds(nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, counter: u64, event: &str) -> Ordinal {
        Ordinal::new(Version { epoch, counter }, event)
    }

    #[test]
    fn ordinals_sort_as_they_compare() {
        let sorted = [
            at(0, 0, "e"),
            at(1, 9, ""),
            at(1, 9, "/"),
            at(1, 9, "a"),
            at(1, 9, "a#0000"),
            at(1, 9, "a/b"),
            at(1, 9, "é\u{0}\u{10ffff}"),
            at(1, 10, "a"),
            at(1, u64::MAX, "a"),
            at(2, 0, "a"),
            at(u64::MAX, u64::MAX, "a"),
        ];
        assert!(sorted.is_sorted() && sorted.iter().map(written_ordinal).is_sorted());
        let room = RoomJid::of_id("r", "example.test").unwrap();
        for one in sorted {
            assert_eq!(read_ordinal(&written_ordinal(&one)), Some(one.clone()));
            let key = chunk_key(&room, &one, 7);
            assert_eq!(chunk_of(key.sk.strip_prefix(CREATION).unwrap()), Some((one, 7)));
        }
        for text in ["", "1.2/a", "creation", "00000000000000000001.00000000000000000001"] {
            assert_eq!(read_ordinal(text), None, "{text}");
        }
    }

    #[test]
    fn the_longest_names_fit_into_keys() {
        let domain = format!("{0}.{0}.{0}.{1}", "d".repeat(63), "d".repeat(61));
        let room = RoomJid::of_id(&"r".repeat(200), &domain[11..]).unwrap();
        let user = UserJid::of_username(&"@".repeat(66), &domain).unwrap();
        assert!(room_pk(&room).len() <= 2048);
        assert!(member_key(&room, &user).sk.len() <= 1024);
        let at = at(u64::MAX, u64::MAX, &"é".repeat(128));
        let key = chunk_key(&room, &at, 9999);
        assert!(key.sk.len() <= 1024);
        assert_eq!(chunk_of(key.sk.strip_prefix(CREATION).unwrap()), Some((at, 9999)));
    }

    #[test]
    fn any_number_of_an_item_is_a_time() {
        assert_eq!(seconds(of_seconds(1_000_000_000)), 1_000_000_000);
        assert_eq!(seconds(of_seconds(u64::MAX)), LAST);
        assert_eq!(nanoseconds(of_nanoseconds(u64::MAX)), u128::from(u64::MAX));
    }

    #[test]
    fn bits_are_of_participants_only() {
        let user = |name: String| UserJid::of_username(&name, "example.test").unwrap();
        let users: BTreeSet<_> = (0..20).map(|i| user(format!("u{i}"))).collect();
        let except: BTreeSet<_> = [3, 8, 19, 40].map(|i| user(format!("u{i}"))).into();
        let expected = except.intersection(&users).cloned().collect();
        assert_eq!(set_bits(&users, &bits(&users, &except)), expected);
        assert_eq!(set_bits(&users, &[]), BTreeSet::new());
    }
}
