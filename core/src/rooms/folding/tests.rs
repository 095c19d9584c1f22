use std::{cell::Cell, time::Duration};

use super::*;
use crate::{
    events::Version,
    ledger::{MemoryLedger, RoomChange, RoomEvent, RoomKind, Scope},
};

const USERS: [&str; 4] = ["a", "b", "c", "d"];

fn at(counter: u64) -> Ordinal {
    Ordinal::new(Version { epoch: 1, counter }, "e")
}

fn user(name: &str) -> UserJid {
    UserJid::of_username(name, "example.test").unwrap()
}

fn users(names: &str) -> BTreeSet<UserJid> {
    names.split_whitespace().map(user).collect()
}

fn room() -> RoomJid {
    RoomJid::of_id("r", "example.test").unwrap()
}

fn event(counter: u64, change: RoomChange) -> RoomEvent {
    RoomEvent { at: at(counter), kind: RoomKind::UsersGroup, change }
}

fn create(counter: u64, name: &str, owner: &str, participants: &str) -> RoomEvent {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (name, owner) = (given(name), given(owner).map(|owner| user(&owner)));
    event(counter, RoomChange::Created { name, owner, participants: users(participants) })
}

fn leave(counter: u64, name: &str) -> RoomEvent {
    event(counter, RoomChange::Left(users(name)))
}

fn state(events: &[RoomEvent]) -> RoomState {
    let mut state = RoomState::default();
    for event in events {
        state.apply_event(event);
    }
    state
}

#[test]
fn what_says_the_same_or_less_is_covered_by_a_newer_creation_only() {
    let covered = |old: RoomEvent, new: RoomEvent, others: &[RoomEvent]| {
        let (older, newer) = (old.at.clone(), new.at.clone());
        state(&[&[old, new], others].concat()).is_covered(&older, &newer)
    };
    let list = |counter| create(counter, "Team", "a", "b c");
    assert!(covered(list(1), list(2), &[]));
    assert!(!covered(list(2), list(1), &[]), "by the older one");
    assert!(!covered(list(1), list(1), &[]), "by itself");
    assert!(covered(list(1), create(2, "Other", "a", "b c d"), &[]), "more, and another name");
    assert!(!covered(list(1), create(2, "", "a", "b c"), &[]), "the name would be lost");
    assert!(covered(create(1, "", "", ""), create(2, "", "a", ""), &[]));
    assert!(!covered(list(1), create(2, "Team", "", "a b c"), &[]), "the owner would be lost");
    assert!(
        !covered(list(1), create(2, "Team", "b", "a b c"), &[]),
        "a new owner does not end the old one's ownership"
    );
    assert!(!covered(list(1), create(2, "Team", "a", "b"), &[]), "a list without c does not take c out");
    assert!(covered(list(1), create(3, "Team", "a", "b"), &[leave(2, "c")]), "but their leaving does");
    assert!(!covered(list(2), create(3, "Team", "a", "b"), &[leave(1, "c")]), "if it is newer than the list");
    assert!(!covered(list(1), create(3, "Team", "", "b c"), &[leave(2, "a")]), "who was an owner is not forgotten");
    let of_conference = RoomEvent { kind: RoomKind::Conference, ..list(2) };
    assert!(!covered(list(1), of_conference, &[]));
}

thread_local! {
    static NOW: Cell<SystemTime> = const { Cell::new(SystemTime::UNIX_EPOCH) };
}

fn now() -> SystemTime {
    NOW.get()
}

async fn read(ledger: &MemoryLedger) -> RoomState {
    ledger.read(&room(), &Scope::Whole).await.unwrap()
}

/// Folds all there is to fold; how many creations that were.
async fn fold_all(ledger: &MemoryLedger) -> usize {
    let before = read(ledger).await;
    let deadline = Instant::now() + Duration::from_mins(1);
    fold(ledger, &room(), &before.folds(now()), now(), deadline).await.unwrap();
    before.creations.len() - read(ledger).await.creations.len()
}

#[tokio::test]
async fn an_announcement_outlasts_its_creation() {
    let ledger = MemoryLedger::with_clock(now);
    ledger.record(&room(), &[create(1, "", "", "a b c")]).await.unwrap();
    ledger.mark_announced(&room(), &at(1), &users("c")).await.unwrap();
    ledger.record(&room(), &[create(3, "", "", "a b c d")]).await.unwrap();
    assert_eq!(fold_all(&ledger).await, 1);
    let kept = read(&ledger).await;
    assert_eq!(kept.creations.keys().cloned().collect::<Vec<_>>(), [at(3)]);
    let due = |state: &RoomState, name: &str| state.invitation_due(&user(name)).cloned();
    assert_eq!(["a", "b", "c", "d"].map(|name| due(&kept, name)), [None, None, Some(at(3)), Some(at(3))]);
    // Their invitation was for a spell of membership that ended before the newer list: that is another spell.
    ledger.record(&room(), &[leave(2, "a")]).await.unwrap();
    let left = read(&ledger).await;
    assert_eq!(["a", "b"].map(|name| due(&left, name)), [Some(at(3)), None]);
}

#[tokio::test]
async fn the_invitations_of_few_go_to_their_records() {
    let ledger = MemoryLedger::with_clock(now);
    ledger.record(&room(), &[create(1, "", "", "a b c"), create(2, "", "", "a b c")]).await.unwrap();
    ledger.mark_announced(&room(), &at(1), &users("b c")).await.unwrap();
    let until = now() + Duration::from_mins(2);
    let target = crate::ledger::ClaimTarget::Member(user("a"));
    assert!(ledger.claim(&room(), &target, None, now(), until).await.unwrap());
    assert_eq!(fold_all(&ledger).await, 1);
    let state = read(&ledger).await;
    assert_eq!(state.members[&user("a")].invited, Some(at(1)));
    assert_eq!(state.members[&user("a")].claimed, Some(until), "nobody's claim ends by that");
    assert_eq!(state.creations[&at(2)].announced, None);
}

#[tokio::test]
async fn of_two_that_know_of_the_same_invitation_one_hands_it_on() {
    let ledger = MemoryLedger::with_clock(now);
    ledger.record(&room(), &[create(1, "", "", "a b"), create(2, "", "", "a b")]).await.unwrap();
    ledger.mark_announced(&room(), &at(1), &users("")).await.unwrap();
    assert_eq!(fold_all(&ledger).await, 1);
    // The first comes again, and is announced by a handler that has not seen the second.
    ledger.record(&room(), &[create(1, "", "", "a b"), create(3, "", "", "a b")]).await.unwrap();
    ledger.mark_announced(&room(), &at(1), &users("")).await.unwrap();
    assert_eq!(fold_all(&ledger).await, 2);
    let state = read(&ledger).await;
    assert_eq!(["a", "b"].map(|name| state.invitation_due(&user(name))), [None, None]);
    assert_eq!(state.creations[&at(3)].announced_for, Some(at(1)));
}

#[tokio::test]
async fn invitations_to_spells_that_are_over_go_with_their_creation() {
    let ledger = MemoryLedger::with_clock(now);
    let events = [create(1, "", "", "a b"), leave(2, "a"), leave(2, "b"), create(3, "", "", "a b")];
    ledger.record(&room(), &events).await.unwrap();
    ledger.mark_announced(&room(), &at(1), &users("")).await.unwrap();
    assert_eq!(fold_all(&ledger).await, 1);
    let state = read(&ledger).await;
    assert_eq!(state.creations[&at(3)].announced, None, "all of it can be announced at once");
    assert_eq!(["a", "b"].map(|name| state.members[&user(name)].invited.clone()), [None, None]);
}

#[tokio::test]
async fn what_someone_has_claimed_waits() {
    let ledger = MemoryLedger::with_clock(now);
    ledger.record(&room(), &[create(1, "", "", "a"), create(2, "", "", "a")]).await.unwrap();
    let target = crate::ledger::ClaimTarget::Creation(at(1));
    let until = now() + Duration::from_mins(2);
    let planned = read(&ledger).await.folds(now());
    assert!(ledger.claim(&room(), &target, None, now(), until).await.unwrap());
    assert_eq!(fold_all(&ledger).await, 0);
    let deadline = Instant::now() + Duration::from_mins(1);
    fold(&ledger, &room(), &planned, now(), deadline).await.unwrap();
    assert_eq!(read(&ledger).await.creations.len(), 2, "also if it was claimed after the read");
    ledger.mark_announced(&room(), &at(1), &users("")).await.unwrap();
    fold(&ledger, &room(), &planned, now(), deadline).await.unwrap();
    assert_eq!(read(&ledger).await.creations.len(), 2, "and if it was announced after that");
    assert_eq!(fold_all(&ledger).await, 1);
}

#[tokio::test]
async fn of_lists_that_grow_few_are_left() {
    let ledger = MemoryLedger::with_clock(now);
    for night in 1..=200_u64 {
        let listed = (1..=night).map(|number| format!("u{number}")).collect::<Vec<_>>().join(" ");
        ledger.record(&room(), &[create(night, "Team", "a", &listed)]).await.unwrap();
        // As a handler plans it before it sends, and does it afterwards.
        let planned = read(&ledger).await.folds(now());
        let old: BTreeSet<UserJid> =
            users(&listed).into_iter().filter(|one| *one != user(&format!("u{night}"))).collect();
        ledger.mark_announced(&room(), &at(night), &old).await.unwrap();
        fold(&ledger, &room(), &planned, now(), Instant::now() + Duration::from_mins(1)).await.unwrap();
        let state = read(&ledger).await;
        assert!(state.creations.len() <= 2, "night {night}: {} lists", state.creations.len());
        assert_eq!(state.invitations_due(&Scope::Whole), []);
    }
}

fn random_event(rng: &mut fastrand::Rng, counter: u64, earlier: &[RoomEvent]) -> RoomEvent {
    let some: BTreeSet<UserJid> = USERS.iter().filter(|_| rng.bool()).map(|name| user(name)).collect();
    let repeated = earlier.iter().rfind(|one| matches!(one.change, RoomChange::Created { .. }));
    let change = match (rng.u8(..12), repeated) {
        (0..=3, Some(one)) => one.change.clone(),
        (0..=5, _) => RoomChange::Created {
            name: rng.bool().then(|| counter.to_string()),
            owner: rng.bool().then(|| user(USERS[rng.usize(..2)])),
            participants: some,
        },
        (6, _) => RoomChange::Destroyed,
        (7..=8, _) => RoomChange::Joined(some),
        _ => RoomChange::Left(some),
    };
    event(counter, change)
}

/// All that a handler concludes, except the life, which may become a newer one's of the same room.
fn outcome(state: &RoomState, history: &[RoomEvent]) -> impl PartialEq + std::fmt::Debug + use<> {
    let room = state.room().map(|spec| (spec.kind, spec.name));
    let of = |name: &str| (state.membership(&user(name)), state.invitation_due(&user(name)).cloned());
    let recorded: Vec<UserJid> = state.recorded().into_iter().cloned().collect();
    let overtaken: Vec<bool> = history.iter().map(|event| state.has_overtaken(event)).collect();
    (room, USERS.map(of), recorded, overtaken)
}

/// A history in any order, some of it twice; once with folding and once without.
async fn check(seed: u64) -> usize {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (kept, folded) = (MemoryLedger::with_clock(now), MemoryLedger::with_clock(now));
    let mut history = Vec::new();
    for counter in 1..=rng.u64(3..=12) {
        let event = random_event(&mut rng, counter, &history);
        history.push(event);
    }
    let mut deliveries: Vec<&RoomEvent> = history.iter().filter(|_| rng.u8(..4) == 0).collect();
    deliveries.extend(&history);
    if rng.bool() {
        rng.shuffle(&mut deliveries);
    }
    let (mut gone, mut delivered) = (0, Vec::new());
    for event in deliveries {
        delivered.push(event.clone());
        for ledger in [&kept, &folded] {
            ledger.record(&room(), std::slice::from_ref(event)).await.unwrap();
        }
        let (before, full) = (read(&folded).await, read(&kept).await);
        for name in USERS {
            if let Some(since) = before.invitation_due(&user(name)).filter(|_| rng.u8(..4) == 0) {
                for ledger in [&kept, &folded] {
                    ledger.mark_invited(&room(), &user(name), since).await.unwrap();
                }
            }
        }
        for (at, _) in before
            .creations
            .iter()
            .filter(|(at, one)| one.announced.is_none() && full.creations[*at].announced.is_none())
        {
            if rng.u8(..3) == 0 {
                let except: BTreeSet<UserJid> =
                    USERS.iter().filter(|_| rng.u8(..3) == 0).map(|name| user(name)).collect();
                for ledger in [&kept, &folded] {
                    ledger.mark_announced(&room(), at, &except).await.unwrap();
                }
            }
        }
        if rng.bool() {
            gone += fold_all(&folded).await;
        }
        let (kept, folded) = (outcome(&read(&kept).await, &delivered), outcome(&read(&folded).await, &delivered));
        assert_eq!(kept, folded, "seed {seed}, {} of {history:#?}", delivered.len());
    }
    gone
}

#[tokio::test]
async fn nobody_can_tell_what_was_folded() {
    let mut gone = 0;
    for seed in 0..4_000 {
        gone += check(seed).await;
    }
    assert!(gone > 1_500, "only {gone} were folded: the histories repeat too little to tell");
}
