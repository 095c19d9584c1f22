//! What every ledger has to do, as one function to run against each implementation.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use super::{Change, DomainRegister, Ledger, MemberRecord, Ordinal, RoomEvent, RoomKind, RoomState, Scope, Ticket};
use crate::{
    address::{RoomJid, UserJid},
    events::Version,
};

fn at(counter: u64) -> Ordinal {
    Ordinal::new(Version { epoch: 1, counter }, "event")
}

fn user(name: &str) -> UserJid {
    UserJid::of_username(name, "conformance.test").expect("a plain name")
}

fn users(names: &[&str]) -> BTreeSet<UserJid> {
    names.iter().map(|name| user(name)).collect()
}

fn room(id: &str) -> RoomJid {
    RoomJid::of_id(id, "conformance.test").expect("a plain id")
}

fn event(counter: u64, change: Change) -> RoomEvent {
    RoomEvent { at: at(counter), kind: RoomKind::Conference, change }
}

fn created(participants: &[&str]) -> Change {
    Change::Created { name: Some("Name".to_owned()), owner: Some(user("owner")), participants: users(participants) }
}

/// Runs the suite against `ledger`, which must know nothing yet of the domain `conformance.test`.
///
/// # Panics
/// Where `ledger` does not conform.
pub async fn run(ledger: &impl Ledger) {
    newer_wins(ledger).await;
    the_id_breaks_ties(ledger).await;
    scopes(ledger).await;
    large_lists(ledger).await;
    domains(ledger).await;
    claims_of_members(ledger).await;
    claims_of_creations(ledger).await;
}

async fn read(ledger: &impl Ledger, room: &RoomJid) -> RoomState {
    ledger.read(room, &Scope::Whole).await.expect("the ledger answers")
}

async fn record(ledger: &impl Ledger, room: &RoomJid, events: &[RoomEvent]) {
    ledger.record(room, events).await.expect("the ledger answers");
}

async fn newer_wins(ledger: &impl Ledger) {
    let room = room("newer");
    assert_eq!(read(ledger, &room).await, RoomState::default(), "nothing is known of a new room");
    // 9 and 10: as text they would sort the other way round.
    for counter in [9, 10, 9] {
        record(ledger, &room, &[event(counter, Change::Destroyed)]).await;
        record(ledger, &room, &[event(counter, Change::Joined(users(&["a"])))]).await;
        record(ledger, &room, &[event(counter + 100, Change::Left(users(&["a", "b"])))]).await;
    }
    record(ledger, &room, &[event(2, created(&["a"])), event(1, created(&["b"])), event(2, created(&["a"]))]).await;
    let state = read(ledger, &room).await;
    assert_eq!(state.destroyed, Some(at(10)));
    assert_eq!(
        (state.members[&user("a")].joined.clone(), state.members[&user("a")].left.clone()),
        (Some(at(10)), Some(at(110)))
    );
    assert_eq!(
        (state.members[&user("b")].joined.clone(), state.members[&user("b")].left.clone()),
        (None, Some(at(110)))
    );
    let listed: Vec<_> = state.creations.iter().map(|(at, one)| (at.clone(), one.participants.clone())).collect();
    assert_eq!(listed, [(at(1), users(&["b"])), (at(2), users(&["a"]))]);
    let creation = &state.creations[&at(2)];
    assert_eq!((creation.kind, creation.name.as_deref()), (RoomKind::Conference, Some("Name")));
    assert_eq!((creation.owner.clone(), creation.announced.clone()), (Some(user("owner")), None));
}

async fn the_id_breaks_ties(ledger: &impl Ledger) {
    let room = room("ties");
    let with_id = |id: &str| {
        let at = Ordinal::new(Version { epoch: 1, counter: 1 }, id);
        RoomEvent { at, kind: RoomKind::UsersGroup, change: Change::Destroyed }
    };
    record(ledger, &room, &[with_id("b")]).await;
    record(ledger, &room, &[with_id("a")]).await;
    assert_eq!(read(ledger, &room).await.destroyed, Some(with_id("b").at));
}

async fn scopes(ledger: &impl Ledger) {
    let room = room("scopes");
    record(ledger, &room, &[event(1, created(&["a"])), event(2, Change::Joined(users(&["b", "c"])))]).await;
    let state = ledger.read(&room, &Scope::Members(users(&["a", "b"]))).await.expect("the ledger answers");
    assert_eq!(state.creations.len(), 1, "creations belong to every scope");
    assert_eq!(state.members.keys().cloned().collect::<BTreeSet<_>>(), users(&["b"]));
    assert_eq!(read(ledger, &self::room("another")).await, RoomState::default(), "rooms are apart");
}

async fn large_lists(ledger: &impl Ledger) {
    let room = room("large");
    // More than one item of a table can hold.
    let names: Vec<String> = (0..4_000).map(|i| format!("{}-{i}", "x".repeat(150))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    record(ledger, &room, &[event(1, created(&names))]).await;
    assert_eq!(read(ledger, &room).await.creations[&at(1)].participants, users(&names));
    ledger.mark_announced(&room, &at(1), &users(&names)).await.expect("the ledger answers");
    assert_eq!(read(ledger, &room).await.creations[&at(1)].announced, Some(users(&names)));
}

async fn domains(ledger: &impl Ledger) {
    let room = room("domains");
    for (register, counter) in [
        (DomainRegister::Created, 3),
        (DomainRegister::Deleted, 9),
        (DomainRegister::Deleted, 10),
        (DomainRegister::Deleted, 9),
    ] {
        ledger.raise_domain("conformance.test", register, &at(counter)).await.expect("the ledger answers");
    }
    let created = ledger.domain("conformance.test", DomainRegister::Created).await;
    assert_eq!(created.expect("the ledger answers"), Some(at(3)));
    assert_eq!(read(ledger, &room).await.domain_deleted, Some(at(10)));
    let other = ledger.domain("other.test", DomainRegister::Deleted).await;
    assert_eq!(other.expect("the ledger answers"), None);
}

async fn claims_of_members(ledger: &impl Ledger) {
    let room = room("member-claims");
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let (minute, ticket) = (Duration::from_mins(1), Ticket::Member(user("a")));
    let claim = async |interrupted: Option<u64>, now: SystemTime| {
        let interrupted = interrupted.map(at);
        ledger.claim(&room, &ticket, interrupted.as_ref(), now, now + minute).await.expect("the ledger answers")
    };
    assert!(claim(None, start).await, "a member without a record can be claimed");
    assert!(!claim(None, start).await, "a claim holds");
    assert!(claim(None, start + minute).await, "and expires");
    ledger.release(&room, &ticket, start + minute).await.expect("the ledger answers");
    assert!(!claim(None, start + minute).await, "nobody gives back a claim that is no longer hers");
    ledger.release(&room, &ticket, start + minute * 2).await.expect("the ledger answers");
    assert!(claim(None, start + minute).await, "what was given back can be claimed");
    ledger.mark_invited(&room, &user("a"), &at(10)).await.expect("the ledger answers");
    ledger.mark_invited(&room, &user("a"), &at(9)).await.expect("the ledger answers");
    let expected = MemberRecord { invited: Some(at(10)), ..MemberRecord::default() };
    assert_eq!(read(ledger, &room).await.members[&user("a")], expected, "a mark ends the claim");
    assert!(!claim(None, start + minute * 9).await, "once invited, no claim");
    assert!(!claim(Some(9), start + minute * 9).await, "nor after an older interruption");
    assert!(claim(Some(10), start + minute * 9).await, "but in the next spell");
}

async fn claims_of_creations(ledger: &impl Ledger) {
    let room = room("creation-claims");
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let (minute, ticket) = (Duration::from_mins(1), Ticket::Creation(at(1)));
    let claim = async |now: SystemTime| {
        ledger.claim(&room, &ticket, None, now, now + minute).await.expect("the ledger answers")
    };
    assert!(!claim(start).await, "what was not created cannot be claimed");
    record(ledger, &room, &[event(1, created(&["a", "b"]))]).await;
    assert!(claim(start).await);
    assert!(!claim(start).await, "a claim holds");
    record(ledger, &room, &[event(1, created(&["a", "b"]))]).await;
    assert!(!claim(start).await, "also when the creation is noted again");
    assert!(claim(start + minute).await, "and expires");
    ledger.mark_announced(&room, &at(1), &users(&["b"])).await.expect("the ledger answers");
    ledger.mark_announced(&room, &at(1), &users(&[])).await.expect("the ledger answers");
    let creation = read(ledger, &room).await.creations[&at(1)].clone();
    assert_eq!((creation.announced, creation.claimed), (Some(users(&["b"])), None), "the first mark stays");
    assert!(!claim(start + minute * 9).await, "once announced, no claim");
}
