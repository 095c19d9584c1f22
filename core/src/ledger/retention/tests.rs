//! Whatever comes after a prune, the room is as it would have been without.

use super::*;
use crate::{
    address::RoomJid,
    events::Version,
    ledger::{Creation, Ledger, LedgerMaintenance, MemoryLedger, RoomChange, RoomEvent, RoomKind, Scope},
    rooms::Membership,
};

const USERS: [&str; 4] = ["a", "b", "c", "d"];

fn user(name: &str) -> UserJid {
    UserJid::of_username(name, "example.test").unwrap()
}

fn random_event(rng: &mut fastrand::Rng, counter: u64) -> RoomEvent {
    let some: BTreeSet<UserJid> = USERS.iter().filter(|_| rng.bool()).map(|name| user(name)).collect();
    let change = match rng.u8(..8) {
        0..=2 => RoomChange::Created { name: None, owner: rng.bool().then(|| user("a")), participants: some },
        3 => RoomChange::Destroyed,
        4..=5 => RoomChange::Joined(some),
        _ => RoomChange::Left(some),
    };
    let at = Ordinal::new(Version { epoch: 1, counter }, "e");
    RoomEvent { at, kind: RoomKind::UsersGroup, change }
}

/// What is made of it: the room, who is in it, who is due an invitation.
fn outcome(state: &RoomState) -> impl PartialEq + std::fmt::Debug + use<> {
    let room = state.room();
    let of = |name: &str| {
        let user = user(name);
        // Whether an owner of an earlier life was that no longer matters: that life's room is gone.
        let is_owner = state.living().any(|(_, one): (_, &Creation)| one.owner.as_ref() == Some(&user));
        let is_in = room.is_some() && state.membership(&user) != Membership::Out;
        (is_in, is_owner && is_in, state.invitation_due(&user).cloned())
    };
    (room.clone(), USERS.map(of))
}

thread_local! {
    static NOW: std::cell::Cell<SystemTime> = const { std::cell::Cell::new(SystemTime::UNIX_EPOCH) };
}

fn now() -> SystemTime {
    NOW.get()
}

async fn check(seed: u64) -> usize {
    let mut rng = fastrand::Rng::with_seed(seed);
    let room = RoomJid::of_id("r", "example.test").unwrap();
    let (kept, pruned) = (MemoryLedger::with_clock(now), MemoryLedger::with_clock(now));
    let mut forgotten = 0;
    for counter in 1..=rng.u64(4..=14) {
        let event = random_event(&mut rng, counter);
        for ledger in [&kept, &pruned] {
            ledger.record(&room, std::slice::from_ref(&event)).await.unwrap();
        }
        let state = pruned.read(&room, &Scope::Whole).await.unwrap();
        if rng.bool() {
            // As the invitations of what is due are noted, in one of the two ways.
            let due = USERS.map(user).into_iter().filter_map(|user| Some((state.invitation_due(&user)?.clone(), user)));
            for (since, user) in due {
                for ledger in [&kept, &pruned] {
                    ledger.mark_invited(&room, &user, &since).await.unwrap();
                }
            }
        }
        let age = [Duration::ZERO, END_GRACE * 2, Duration::from_hours(24 * 20), RETENTION * 2][rng.usize(..4)];
        NOW.set(now() + age);
        for _ in 0..rng.u8(..3) {
            forgotten += pruned.prune(&room, now()).await.unwrap();
        }
        let (kept, pruned) =
            (kept.read(&room, &Scope::Whole).await.unwrap(), pruned.read(&room, &Scope::Whole).await.unwrap());
        assert_eq!(outcome(&kept), outcome(&pruned), "seed {seed}, {counter}: {kept:?}\n{pruned:?}");
    }
    forgotten
}

#[tokio::test]
async fn nobody_can_tell_what_was_forgotten() {
    let mut forgotten = 0;
    for seed in 0..5_000 {
        forgotten += check(seed).await;
    }
    assert!(forgotten > 5_000, "only {forgotten} were forgotten: the histories are too short to tell");
}
