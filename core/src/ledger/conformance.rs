//! What every ledger has to do, as one function to run against each implementation.

use std::{
    cell::Cell,
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use futures::future::join_all;

use super::{
    model::{ClaimTarget, DomainRegister, LedgerKey, MemberRecord, RoomChange, RoomEvent, RoomKind, RoomState, Scope},
    ordinal::Ordinal,
    port::{Joining, Ledger, LedgerMaintenance},
    retention::{END_GRACE, RETENTION},
};
use crate::{
    address::{RoomJid, UserJid},
    events::Version,
};

const TENANT: &str = "conformance.test";
const PRUNED: &str = "sweep.test";

thread_local! {
    static AHEAD: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The wall clock that the suite's ledger must go by. The suite moves it on, for its own thread.
#[must_use]
pub fn clock() -> SystemTime {
    SystemTime::now() + AHEAD.get()
}

/// Moves [`clock`] on for this thread.
pub fn age(time: Duration) {
    AHEAD.set(AHEAD.get() + time);
}

pub(super) fn at(counter: u64) -> Ordinal {
    Ordinal::new(Version { epoch: 1, counter }, "event")
}

pub(super) fn user(name: &str) -> UserJid {
    UserJid::of_username(name, "conformance.test").expect("a plain name")
}

pub(super) fn users(names: &[&str]) -> BTreeSet<UserJid> {
    names.iter().map(|name| user(name)).collect()
}

pub(super) fn room(id: &str) -> RoomJid {
    RoomJid::of_id(id, "conformance.test").expect("a plain id")
}

pub(super) fn event(counter: u64, change: RoomChange) -> RoomEvent {
    RoomEvent { at: at(counter), kind: RoomKind::Conference, change }
}

pub(super) fn created(participants: &[&str]) -> RoomChange {
    RoomChange::Created { name: Some("Name".to_owned()), owner: Some(user("owner")), participants: users(participants) }
}

/// Runs the suite against `ledger`, which must go by [`clock`] and know nothing yet of the domains
/// `conformance.test`, `other.test` and `sweep.test`.
///
/// # Panics
/// Where `ledger` does not conform.
pub async fn run(ledger: &(impl Ledger + LedgerMaintenance)) {
    newer_wins(ledger).await;
    the_id_breaks_ties(ledger).await;
    any_id_will_do(ledger).await;
    long_names(ledger).await;
    scopes(ledger).await;
    large_lists(ledger).await;
    many_members(ledger).await;
    domains(ledger).await;
    joinings(ledger).await;
    claims_of_members(ledger).await;
    claims_of_creations(ledger).await;
    races(ledger).await;
    walks(ledger).await;
    nothing_live_is_forgotten(ledger).await;
    dead_rooms_are_forgotten(ledger).await;
    domains_are_forgotten_last(ledger).await;
}

pub(super) async fn read(ledger: &impl Ledger, room: &RoomJid) -> RoomState {
    ledger.read(room, &Scope::Whole).await.expect("the ledger answers")
}

pub(super) async fn record(ledger: &impl Ledger, room: &RoomJid, events: &[RoomEvent]) {
    ledger.record(room, events).await.expect("the ledger answers");
}

async fn newer_wins(ledger: &impl Ledger) {
    let room = room("newer");
    assert_eq!(read(ledger, &room).await, RoomState::default(), "nothing is known of a new room");
    // 9 and 10: as text they would sort the other way round.
    for counter in [9, 10, 9] {
        record(ledger, &room, &[event(counter, RoomChange::Destroyed)]).await;
        record(ledger, &room, &[event(counter, RoomChange::Joined(users(&["a"])))]).await;
        record(ledger, &room, &[event(counter + 100, RoomChange::Left(users(&["a", "b"])))]).await;
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
        RoomEvent { at, kind: RoomKind::UsersGroup, change: RoomChange::Destroyed }
    };
    record(ledger, &room, &[with_id("b")]).await;
    record(ledger, &room, &[with_id("a")]).await;
    assert_eq!(read(ledger, &room).await.destroyed, Some(with_id("b").at));
}

async fn any_id_will_do(ledger: &impl Ledger) {
    let room = room("ids");
    let long = "x".repeat(5_000);
    let ids = ["/", "#", "a", "a#0000", "a#0001", "~", " ", "\u{e9}\u{0}\u{10ffff}", &long, &format!("{long}y")];
    let places = ids.map(|id| Ordinal::new(Version { epoch: 1, counter: 1 }, id));
    for at in &places {
        let event = |change| RoomEvent { at: at.clone(), kind: RoomKind::UsersGroup, change };
        let joined = event(RoomChange::Joined(users(&["a"])));
        record(ledger, &room, &[event(created(&["a"])), joined, event(RoomChange::Destroyed)]).await;
        assert_eq!(read(ledger, &room).await.creations[at].kind, RoomKind::UsersGroup, "{at}");
    }
    let (state, newest) = (read(ledger, &room).await, places.iter().max());
    assert_eq!(state.creations.keys().cloned().collect::<BTreeSet<_>>(), BTreeSet::from(places.clone()));
    assert_eq!((state.destroyed.as_ref(), state.members[&user("a")].joined.as_ref()), (newest, newest));
}

async fn long_names(ledger: &impl Ledger) {
    let domain = format!("{0}.{0}.{0}.{0}", "d".repeat(55));
    let longest = UserJid::of_username(&"@".repeat(66), &domain).expect("198 bytes, escaped");
    let foreign = UserJid::of_username("a", "other.test").expect("a plain name");
    let all = BTreeSet::from([longest.clone(), foreign.clone(), user("a")]);
    let room = RoomJid::of_id(&"/".repeat(66), &domain).expect("198 bytes, escaped");
    let change = RoomChange::Created { name: None, owner: Some(longest), participants: all.clone() };
    record(ledger, &room, &[event(1, change), event(2, RoomChange::Left(all.clone()))]).await;
    let state = read(ledger, &room).await;
    assert_eq!((&state.creations[&at(1)].participants, state.creations[&at(1)].name.as_ref()), (&all, None));
    assert_eq!(state.members.into_keys().collect::<BTreeSet<_>>(), all);
    let one = ledger.read(&room, &Scope::Members(BTreeSet::from([foreign.clone()]))).await.expect("the ledger answers");
    assert_eq!(one.members[&foreign].left, Some(at(2)));
}

async fn many_members(ledger: &impl Ledger) {
    let room = room("many");
    let names: Vec<String> = (0..2_500).map(|i| format!("m{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    record(ledger, &room, &[event(2, RoomChange::Joined(users(&names)))]).await;
    record(
        ledger,
        &room,
        &[event(1, RoomChange::Joined(users(&names[..10]))), event(3, RoomChange::Left(users(&names[..5])))],
    )
    .await;
    let state = read(ledger, &room).await;
    assert_eq!(state.members.keys().cloned().collect::<BTreeSet<_>>(), users(&names));
    assert!(state.members.values().all(|record| record.joined == Some(at(2))));
    assert_eq!(state.members.values().filter(|record| record.left.is_some()).count(), 5);
    let some = users(&names[100..350]);
    let state = ledger.read(&room, &Scope::Members(some.clone())).await.expect("the ledger answers");
    assert_eq!(state.members.into_keys().collect::<BTreeSet<_>>(), some);
}

async fn scopes(ledger: &impl Ledger) {
    let room = room("scopes");
    record(ledger, &room, &[event(1, created(&["a"])), event(2, RoomChange::Joined(users(&["b", "c"])))]).await;
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
    record(ledger, &room, &[event(2, created(&names))]).await;
    let except = users(&[&names[..2], &names[3_000..], &["nobody"]].concat());
    ledger.mark_announced(&room, &at(2), &except).await.expect("the ledger answers");
    let expected = users(&[&names[..2], &names[3_000..]].concat());
    assert_eq!(read(ledger, &room).await.creations[&at(2)].announced, Some(expected), "of participants only");
    record(ledger, &room, &[event(3, created(&[])), event(1, created(&names))]).await;
    let state = read(ledger, &room).await;
    assert_eq!((state.creations.len(), state.creations[&at(3)].participants.len()), (3, 0));
    assert_eq!(state.creations[&at(1)].announced, Some(users(&names)), "a creation noted again stays as it is");
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
    let found = ledger.domain("conformance.test").await.expect("the ledger answers");
    assert_eq!(found.created, Some(at(3)));
    for (counter, newest) in [(9, 9), (8, 9), (10, 10)] {
        let raised = ledger.raise_domain("conformance.test", DomainRegister::Purged, &at(counter)).await;
        raised.expect("the ledger answers");
        let found = ledger.domain("conformance.test").await.expect("the ledger answers");
        assert_eq!(found.purged, Some(at(newest)));
    }
    assert_eq!(read(ledger, &room).await.domain_deleted, Some(at(10)));
    let other = ledger.domain("other.test").await;
    assert_eq!(other.expect("the ledger answers").deleted, None);
}

async fn claims_of_members(ledger: &impl Ledger) {
    let room = room("member-claims");
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let (minute, target) = (Duration::from_mins(1), ClaimTarget::Member(user("a")));
    let claim = async |ended_at: Option<u64>, now: SystemTime| {
        let ended_at = ended_at.map(at);
        ledger.claim(&room, &target, ended_at.as_ref(), now, now + minute).await.expect("the ledger answers")
    };
    assert!(claim(None, start).await, "a member without a record can be claimed");
    assert!(!claim(None, start).await, "a claim holds");
    assert!(claim(None, start + minute).await, "and expires");
    ledger.release(&room, &target, start + minute).await.expect("the ledger answers");
    assert!(!claim(None, start + minute).await, "nobody gives back a claim that is no longer theirs");
    ledger.release(&room, &target, start + minute * 2).await.expect("the ledger answers");
    assert!(claim(None, start + minute).await, "what was given back can be claimed");
    ledger.mark_invited(&room, &user("a"), &at(10)).await.expect("the ledger answers");
    ledger.mark_invited(&room, &user("a"), &at(9)).await.expect("the ledger answers");
    let expected = MemberRecord { invited: Some(at(10)), ..MemberRecord::default() };
    assert_eq!(read(ledger, &room).await.members[&user("a")], expected, "a mark ends the claim");
    assert!(!claim(None, start + minute * 9).await, "once invited, no claim");
    assert!(!claim(Some(9), start + minute * 9).await, "nor after an older interruption");
    assert!(claim(Some(10), start + minute * 9).await, "but in the next spell");
}

async fn joinings(ledger: &impl Ledger) {
    let room = room("joinings");
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let minute = Duration::from_mins(1);
    let join = async |counter: u64, now: SystemTime| {
        let joined = [(user("a"), at(counter))].into();
        let mut joinings = ledger.join(&room, &joined, now, now + minute).await.expect("the ledger answers");
        let Joining { record, claimed } = joinings.remove(&user("a")).expect("it tells of each");
        assert_eq!(read(ledger, &room).await.members[&user("a")], record, "as it is then");
        (record.joined, record.claimed, claimed)
    };
    assert_eq!(join(2, start).await, (Some(at(2)), Some(start + minute), true), "with the claim");
    assert_eq!(join(2, start + minute).await, (Some(at(2)), Some(start + minute), false), "once");
    assert_eq!(join(1, start + minute).await, (Some(at(2)), Some(start + minute), false), "only if it is newer");
    assert_eq!(
        join(3, start).await,
        (Some(at(3)), Some(start + minute), false),
        "and without a claim that another holds"
    );
    assert_eq!(join(4, start + minute).await, (Some(at(4)), Some(start + minute * 2), true), "until it expires");
    let target = ClaimTarget::Member(user("a"));
    ledger.release(&room, &target, start + minute * 2).await.expect("the ledger answers");
    record(ledger, &room, &[event(9, RoomChange::Left(users(&["a"])))]).await;
    ledger.mark_invited(&room, &user("a"), &at(4)).await.expect("the ledger answers");
    let joinings = ledger.join(&room, &[(user("a"), at(5)), (user("b"), at(5))].into(), start, start + minute).await;
    let expected =
        MemberRecord { joined: Some(at(5)), left: Some(at(9)), invited: Some(at(4)), claimed: Some(start + minute) };
    assert_eq!(joinings.expect("the ledger answers")[&user("a")], Joining { record: expected, claimed: true });
    assert_eq!(read(ledger, &room).await.members[&user("b")].joined, Some(at(5)));
}

async fn claims_of_creations(ledger: &impl Ledger) {
    let room = room("creation-claims");
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let (minute, target) = (Duration::from_mins(1), ClaimTarget::Creation(at(1)));
    let claim = async |now: SystemTime| {
        ledger.claim(&room, &target, None, now, now + minute).await.expect("the ledger answers")
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

async fn races(ledger: &impl Ledger) {
    let room = room("races");
    let raise = |counter: u64| {
        let events = [event(counter, RoomChange::Joined(users(&["a"]))), event(counter, RoomChange::Destroyed)];
        let room = &room;
        async move { ledger.record(room, &events).await.expect("the ledger answers") }
    };
    join_all((1..=20).map(|i| raise((i * 7) % 20 + 1))).await;
    let state = read(ledger, &room).await;
    assert_eq!((state.destroyed, state.members[&user("a")].joined.clone()), (Some(at(20)), Some(at(20))));
    join_all((0..5).map(|_| async { record(ledger, &room, &[event(30, created(&["a"]))]).await })).await;
    let (now, until) = (clock(), clock() + Duration::from_mins(2));
    for target in [ClaimTarget::Creation(at(30)), ClaimTarget::Member(user("b")), ClaimTarget::Member(user("a"))] {
        let claim = || ledger.claim(&room, &target, None, now, until);
        let claims = join_all((0..10).map(|_| claim())).await;
        assert_eq!(
            claims.into_iter().filter(|won| *won.as_ref().expect("the ledger answers")).count(),
            1,
            "{target:?}"
        );
    }
}

/// Everything on record of the suite's domains, page by page. Others may write to the table meanwhile.
async fn walk(ledger: &impl LedgerMaintenance, limit: usize) -> Vec<LedgerKey> {
    let mut found = Vec::new();
    loop {
        let page = ledger.walk(found.last(), limit).await.expect("the ledger answers");
        if page.is_empty() {
            found.retain(|one| match one {
                LedgerKey::Room(room) => [TENANT, PRUNED].contains(&room.tenant()),
                LedgerKey::Domain(domain) => [TENANT, PRUNED].contains(&domain.as_str()),
            });
            return found;
        }
        found.extend(page);
    }
}

async fn walks(ledger: &(impl Ledger + LedgerMaintenance)) {
    let rooms: Vec<RoomJid> = (0..30).map(|i| room(&format!("walk-{i}"))).collect();
    for room in &rooms {
        record(ledger, room, &[event(1, RoomChange::Left(users(&["a", "b"]))), event(2, RoomChange::Destroyed)]).await;
    }
    let all = walk(ledger, 1).await;
    assert_eq!(all, walk(ledger, 10_000).await, "whatever the page");
    let expected = rooms.into_iter().map(LedgerKey::Room).chain([LedgerKey::Domain("conformance.test".to_owned())]);
    for one in expected {
        assert_eq!(all.iter().filter(|found| **found == one).count(), 1, "{one:?}");
    }
    assert!(!all.contains(&LedgerKey::Room(room("another"))), "nothing is recorded of it");
    for stop in [Some(&all[3]), Some(&all[4]), None, None] {
        ledger.set_cursor(stop).await.expect("the ledger answers");
        assert_eq!(ledger.cursor().await.expect("the ledger answers").as_ref(), stop);
    }
}

fn pruned_room(id: &str) -> RoomJid {
    RoomJid::of_id(id, PRUNED).expect("a plain id")
}

async fn prune(ledger: &impl LedgerMaintenance, room: &RoomJid) -> usize {
    ledger.prune(room, clock()).await.expect("the ledger answers")
}

fn past_keeping() -> Duration {
    RETENTION + Duration::from_mins(1)
}

async fn nothing_live_is_forgotten(ledger: &(impl Ledger + LedgerMaintenance)) {
    let room = pruned_room("living");
    let first = [event(1, created(&["a", "b"])), event(2, RoomChange::Destroyed), event(3, created(&["b", "c"]))];
    record(ledger, &room, &first).await;
    record(
        ledger,
        &room,
        &[event(4, RoomChange::Left(users(&["b", "d"]))), event(5, RoomChange::Joined(users(&["e"])))],
    )
    .await;
    record(ledger, &room, &[event(6, RoomChange::Left(users(&["f"]))), event(7, RoomChange::Joined(users(&["f"])))])
        .await;
    assert_eq!(prune(ledger, &room).await, 0, "all of it is young");
    age(past_keeping());
    assert_eq!(prune(ledger, &room).await, 2, "the earlier life's list, and the record of d");
    let state = read(ledger, &room).await;
    assert_eq!(state.creations.keys().cloned().collect::<Vec<_>>(), [at(3)]);
    assert_eq!(state.destroyed, Some(at(2)));
    assert_eq!(state.members.keys().cloned().collect::<BTreeSet<_>>(), users(&["b", "e", "f"]));
    record(ledger, &room, &[event(8, RoomChange::Left(users(&["e"])))]).await;
    assert_eq!(prune(ledger, &room).await, 0, "what was written again is young again");
    age(past_keeping());
    assert_eq!(prune(ledger, &room).await, 1);
    record(ledger, &room, &[event(9, RoomChange::Destroyed)]).await;
    assert_eq!(prune(ledger, &room).await, 0, "nothing goes for an end that is young");
    assert_eq!(read(ledger, &room).await.creations.len(), 1);
}

async fn dead_rooms_are_forgotten(ledger: &(impl Ledger + LedgerMaintenance)) {
    let room = pruned_room("dead");
    let all =
        [event(1, created(&["a", "b"])), event(2, RoomChange::Joined(users(&["c"]))), event(4, RoomChange::Destroyed)];
    record(ledger, &room, &all).await;
    record(ledger, &room, &[event(3, RoomChange::Left(users(&["a"]))), event(5, RoomChange::Joined(users(&["d"])))])
        .await;
    age(past_keeping());
    assert_eq!(prune(ledger, &room).await, 3, "the list, the records of a and c");
    let state = read(ledger, &room).await;
    assert_eq!((state.destroyed, state.creations.len()), (Some(at(4)), 0));
    assert_eq!(state.members.into_keys().collect::<BTreeSet<_>>(), users(&["d"]), "that joining may yet count");
    record(ledger, &room, &[event(6, RoomChange::Left(users(&["d"])))]).await;
    age(past_keeping());
    assert_eq!(prune(ledger, &room).await, 1, "the record of d");
    assert_eq!(prune(ledger, &room).await, 0, "the end, which is alone, is only marked");
    assert_eq!(prune(ledger, &room).await, 0);
    assert_eq!(read(ledger, &room).await, RoomState { destroyed: Some(at(4)), ..RoomState::default() });
    record(ledger, &room, &[event(7, RoomChange::Destroyed)]).await;
    age(past_keeping());
    assert_eq!(prune(ledger, &room).await, 0, "a newer end takes the mark away");
    age(END_GRACE + Duration::from_mins(1));
    assert_eq!(prune(ledger, &room).await, 1);
    assert_eq!(read(ledger, &room).await, RoomState::default());
    assert!(!walk(ledger, 10_000).await.contains(&LedgerKey::Room(room)));
}

async fn domains_are_forgotten_last(ledger: &(impl Ledger + LedgerMaintenance)) {
    let room = pruned_room("of-the-domain");
    let prune_domain = async || ledger.prune_domain(PRUNED, clock()).await.expect("the ledger answers");
    let raise = async |register, counter| {
        ledger.raise_domain(PRUNED, register, &at(counter)).await.expect("the ledger answers");
    };
    record(ledger, &room, &[event(21, created(&["a"])), event(22, RoomChange::Joined(users(&["b"])))]).await;
    raise(DomainRegister::Deleted, 23).await;
    raise(DomainRegister::Created, 24).await;
    age(past_keeping());
    assert_eq!(prune_domain().await, 0, "the domain lives");
    raise(DomainRegister::Deleted, 25).await;
    assert_eq!(prune(ledger, &room).await, 0, "nothing goes for a deletion that is young");
    age(past_keeping());
    assert_eq!(prune(ledger, &room).await, 2, "the deletion of the domain is an end");
    assert_eq!(prune_domain().await, 0, "marked");
    assert_eq!(prune_domain().await, 0);
    age(END_GRACE + Duration::from_mins(1));
    assert_eq!(prune_domain().await, 1);
    let left = ledger.domain(PRUNED).await.expect("the ledger answers");
    assert_eq!((left.deleted, prune_domain().await), (None, 0));
}
