//! What every ledger has to do about creations that are folded, beside readers; to run against each implementation like
//! [`super::conformance`], of whose domains these rooms are.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use futures::future::join;

use super::{
    conformance::{at, created, event, read, record, room, user, users},
    model::{ClaimTarget, RoomChange, RoomState, Scope},
    ordinal::Ordinal,
    port::{Heir, Ledger},
};
use crate::address::{RoomJid, UserJid};

/// Runs the suite against `ledger`, which must know nothing yet of the rooms `fold…` of the domain `conformance.test`.
///
/// # Panics
/// Where `ledger` does not conform.
pub async fn run(ledger: &impl Ledger) {
    forgets_what_is_as_it_was_read(ledger).await;
    forgets_nothing_that_is_claimed(ledger).await;
    hands_announcements_over(ledger).await;
    notes_invitations_beside_claims(ledger).await;
    large_lists_go_whole(ledger).await;
    readers_always_meet_a_list(ledger).await;
}

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
}

/// Forgets the creation at `old` as it is in `state`.
async fn forget(ledger: &impl Ledger, room: &RoomJid, state: &RoomState, old: u64) -> bool {
    let read = &state.creations[&at(old)];
    ledger.forget_creation(room, &at(old), read, start()).await.expect("the ledger answers")
}

fn listed(state: &RoomState) -> Vec<Ordinal> {
    state.creations.keys().cloned().collect()
}

async fn forgets_what_is_as_it_was_read(ledger: &impl Ledger) {
    let room = room("fold-as-read");
    record(ledger, &room, &[event(1, created(&["a", "b"])), event(2, created(&["a", "b"]))]).await;
    let unannounced = read(ledger, &room).await;
    ledger.mark_announced(&room, &at(1), &users(&["b"])).await.expect("the ledger answers");
    assert!(!forget(ledger, &room, &unannounced, 1).await, "it was announced meanwhile");
    let announced = read(ledger, &room).await;
    assert_eq!(listed(&announced), [at(1), at(2)]);
    assert!(forget(ledger, &room, &announced, 1).await);
    assert!(!forget(ledger, &room, &announced, 1).await, "it is gone");
    assert_eq!(listed(&read(ledger, &room).await), [at(2)]);
    record(ledger, &room, &[event(1, created(&["a", "b"]))]).await;
    let again = read(ledger, &room).await;
    assert_eq!(
        (listed(&again), again.creations[&at(1)].announced.clone()),
        (vec![at(1), at(2)], None),
        "delivered again"
    );
    assert!(!forget(ledger, &room, &announced, 1).await, "it is not announced as it was");
    ledger.mark_announced(&room, &at(1), &users(&[])).await.expect("the ledger answers");
    assert!(!forget(ledger, &room, &announced, 1).await, "nor now");
    assert!(forget(ledger, &room, &read(ledger, &room).await, 1).await, "nobody was excepted");
    assert!(forget(ledger, &room, &again, 2).await);
    assert_eq!(
        read(ledger, &room).await,
        RoomState { domain_deleted: again.domain_deleted.clone(), ..RoomState::default() }
    );
    assert!(!forget(ledger, &self::room("fold-nothing"), &again, 2).await, "nothing is known of that room");
}

async fn forgets_nothing_that_is_claimed(ledger: &impl Ledger) {
    let (room, minute, target) = (room("fold-claimed"), Duration::from_mins(1), ClaimTarget::Creation(at(1)));
    record(ledger, &room, &[event(1, created(&["a"])), event(2, created(&["a"]))]).await;
    let unclaimed = read(ledger, &room).await;
    let claim = ledger.claim(&room, &target, None, start() - minute * 2, start() + minute).await;
    assert!(claim.expect("the ledger answers"));
    assert!(!forget(ledger, &room, &unclaimed, 1).await);
    ledger.release(&room, &target, start() + minute).await.expect("the ledger answers");
    let claim = ledger.claim(&room, &target, None, start() - minute * 2, start() - minute).await;
    assert!(claim.expect("the ledger answers"));
    assert!(forget(ledger, &room, &unclaimed, 1).await, "a claim expires");
    let claim = ledger.claim(&room, &target, None, start(), start() + minute).await;
    assert!(!claim.expect("the ledger answers"), "what is gone cannot be claimed");
    ledger.release(&room, &target, start() - minute).await.expect("the ledger answers");
    ledger.mark_announced(&room, &at(1), &users(&[])).await.expect("the ledger answers");
    ledger.mark_announced(&room, &at(1), &users(&["a"])).await.expect("the ledger answers");
    assert_eq!(listed(&read(ledger, &room).await), [at(2)], "and comes back by no mark");
}

async fn hands_announcements_over(ledger: &impl Ledger) {
    let (room, minute) = (room("fold-heir"), Duration::from_mins(1));
    record(ledger, &room, &[event(2, created(&["a", "b", "c"])), event(3, created(&["a", "b"]))]).await;
    let take_over = async |heir: u64, except: &[&str], since: u64| {
        let (participants, except) = (users(if heir == 2 { &["a", "b", "c"] } else { &["a", "b"] }), users(except));
        let heir = Heir { at: &at(heir), participants: &participants, except: &except };
        ledger.take_over_announcement(&room, heir, &at(since), start()).await.expect("the ledger answers")
    };
    assert!(!take_over(4, &[], 1).await, "there is no such creation");
    let target = ClaimTarget::Creation(at(2));
    let claim = ledger.claim(&room, &target, None, start() - minute, start() + minute).await;
    assert!(claim.expect("the ledger answers"));
    assert!(!take_over(2, &["c"], 1).await, "someone is about to announce it");
    ledger.release(&room, &target, start() + minute).await.expect("the ledger answers");
    assert!(take_over(2, &["c", "nobody"], 1).await);
    assert!(!take_over(2, &[], 1).await, "once");
    assert!(take_over(3, &[], 1).await);
    let state = read(ledger, &room).await;
    let announced = |counter: u64| {
        let one = &state.creations[&at(counter)];
        (one.announced.clone(), one.announced_for.clone(), one.claimed)
    };
    assert_eq!(announced(2), (Some(users(&["c"])), Some(at(1)), None));
    assert_eq!(announced(3), (Some(users(&[])), Some(at(1)), None));
    ledger.mark_announced(&room, &at(2), &users(&[])).await.expect("the ledger answers");
    assert_eq!(read(ledger, &room).await.creations, state.creations, "an announcement stays");
    let claim = ledger.claim(&room, &target, None, start(), start() + minute).await;
    assert!(!claim.expect("the ledger answers"), "once announced, no claim");
    assert!(forget(ledger, &room, &state, 2).await && forget(ledger, &room, &state, 3).await);
    assert_eq!(listed(&read(ledger, &room).await), [], "and such creations are folded like others");
}

async fn notes_invitations_beside_claims(ledger: &impl Ledger) {
    let (room, minute, target) = (room("fold-members"), Duration::from_mins(1), ClaimTarget::Member(user("a")));
    let claim = ledger.claim(&room, &target, None, start(), start() + minute).await;
    assert!(claim.expect("the ledger answers"));
    for counter in [2, 1] {
        ledger.note_invited(&room, &users(&["a", "b"]), &at(counter)).await.expect("the ledger answers");
    }
    ledger.note_invited(&room, &users(&[]), &at(9)).await.expect("the ledger answers");
    let members = read(ledger, &room).await.members;
    let noted = |name: &str| (members[&user(name)].invited.clone(), members[&user(name)].claimed);
    assert_eq!((noted("a"), noted("b")), ((Some(at(2)), Some(start() + minute)), (Some(at(2)), None)));
    assert_eq!(members.len(), 2);
}

fn many() -> BTreeSet<UserJid> {
    // More than one item of a table can hold.
    (0..4_000).map(|i| user(&format!("{}-{i}", "x".repeat(150)))).collect()
}

async fn large_lists_go_whole(ledger: &impl Ledger) {
    let room = room("fold-large");
    let large = || RoomChange::Created { name: None, owner: None, participants: many() };
    record(ledger, &room, &[event(1, large()), event(2, large())]).await;
    let state = read(ledger, &room).await;
    assert!(forget(ledger, &room, &state, 1).await);
    assert_eq!(listed(&read(ledger, &room).await), [at(2)]);
    // Nothing of it is left that would make a list of fewer chunks longer, or whole.
    record(ledger, &room, &[event(1, created(&["a"]))]).await;
    assert_eq!(read(ledger, &room).await.creations[&at(1)].participants, users(&["a"]));
}

/// Night after night a new list is noted, and the one before it goes, some large; a reader never finds the room without a
/// list, or with a part of one.
async fn readers_always_meet_a_list(ledger: &impl Ledger) {
    const NIGHTS: u64 = 30;
    let room = room("fold-readers");
    let everyone = |night: u64| if night.is_multiple_of(5) { many() } else { users(&["a", "b"]) };
    let list = |night: u64| RoomChange::Created { name: None, owner: None, participants: everyone(night) };
    record(ledger, &room, &[event(1, list(1))]).await;
    let nights = async {
        for night in 2..=NIGHTS {
            record(ledger, &room, &[event(night, list(night))]).await;
            let state = read(ledger, &room).await;
            for old in 1..night {
                if state.creations.contains_key(&at(old)) {
                    assert!(forget(ledger, &room, &state, old).await);
                }
            }
        }
    };
    let is_over = |state: &RoomState| state.creations.keys().eq([&at(NIGHTS)]);
    let reader = async |scope: Scope| {
        let mut reads = 0_u32;
        loop {
            let state = ledger.read(&room, &scope).await.expect("the ledger answers");
            assert!(!state.creations.is_empty(), "after {reads} reads there was no list");
            for (found, creation) in &state.creations {
                assert!(creation.participants == everyone(found.version.counter), "a part of the list {found}");
            }
            if is_over(&state) {
                return;
            }
            reads += 1;
            // Who answers at once must not keep the others from their turn.
            tokio::task::yield_now().await;
        }
    };
    join(nights, join(reader(Scope::Whole), reader(Scope::Members(users(&["a"]))))).await;
}
