//! Lists that are too long for the time of one handler: each attempt does a part of them.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use sippo_xmpp_core::{
    address::{RoomJid, UserJid},
    events::Version,
    ledger::{ClaimTarget, Ledger, LedgerError, Ordinal, RoomChange, RoomEvent, RoomKind, Scope},
    rooms::{CLAIM, ReconcileError, Reconciler},
    testing::FakeRooms,
};
use tokio::time::{Instant, sleep};

use crate::scripted::{Access, LedgerScript, Scripted};

/// A claim or a mark takes as long as on a busy table.
#[derive(Default)]
struct Slow;

const WRITE: Duration = Duration::from_millis(100);

impl LedgerScript for Slow {
    async fn before(&self, access: Access) -> Result<(), LedgerError> {
        sleep(match access {
            Access::Join(count) => WRITE * u32::try_from(count).unwrap() / 30,
            Access::Claim | Access::Release | Access::MarkInvited | Access::MarkAnnounced => WRITE,
            _ => Duration::ZERO,
        })
        .await;
        Ok(())
    }
}

const MANY: usize = 3_000;

/// A room that was created, and many who join it by one event.
struct Hall<'a> {
    reconciler: Reconciler<Scripted<Slow>, &'a FakeRooms>,
    room: RoomJid,
    joined: RoomEvent,
}

impl<'a> Hall<'a> {
    async fn new(server: &'a FakeRooms) -> Self {
        let event = |counter, change| {
            let at = Ordinal::new(Version { epoch: 1, counter }, "e");
            RoomEvent { at, kind: RoomKind::UsersGroup, change }
        };
        let joined = event(2, RoomChange::Joined(everybody().collect()));
        let reconciler = Reconciler::new(Scripted::<Slow>::default(), server);
        let hall = Self { reconciler, room: RoomJid::of_id("large", "example.test").unwrap(), joined };
        let created = RoomChange::Created { name: None, owner: None, participants: BTreeSet::new() };
        assert!(hall.apply(&event(1, created)).await.is_ok());
        hall
    }

    async fn apply(&self, event: &RoomEvent) -> Result<(), ReconcileError> {
        let deadline = Instant::now() + Duration::from_secs(10);
        self.reconciler.apply(&self.room, std::slice::from_ref(event), deadline).await.swap_remove(0)
    }

    /// How many are due an invitation.
    async fn due(&self) -> usize {
        let state = self.reconciler.ledger().read(&self.room, &Scope::Whole).await.unwrap();
        state.invitations_due(&Scope::Whole).len()
    }
}

fn everybody() -> impl Iterator<Item = UserJid> {
    (0..MANY).map(|number| UserJid::of_username(&format!("user-{number}"), "example.test").unwrap())
}

#[tokio::test(start_paused = true)]
async fn each_attempt_at_a_long_list_invites_a_part_of_it() {
    let server = FakeRooms::default();
    let hall = Hall::new(&server).await;
    let mut left = MANY;
    while left > 0 {
        let outcome = hall.apply(&hall.joined).await;
        let before = std::mem::replace(&mut left, hall.due().await);
        assert!(left < before, "an attempt that invites nobody new: {outcome:?}, {left} left");
        assert_eq!(outcome.is_ok(), left == 0, "{outcome:?}");
    }
}

/// A handler that died between two rounds had claimed the next ones; until its claims end, others have their turn.
#[tokio::test(start_paused = true)]
async fn whom_a_dead_handler_has_claimed_keep_nobody_waiting() {
    const CLAIMED: usize = 250;
    let server = FakeRooms::default();
    let hall = Hall::new(&server).await;
    let (now, first) = (SystemTime::now(), everybody().collect::<BTreeSet<_>>().into_iter().take(CLAIMED));
    for user in first {
        let (ledger, user) = (&hall.reconciler.ledger().inner, ClaimTarget::Member(user));
        assert!(ledger.claim(&hall.room, &user, None, now, now + CLAIM * 1_000).await.unwrap());
    }
    let mut left = MANY;
    while left > CLAIMED {
        let outcome = hall.apply(&hall.joined).await;
        let before = std::mem::replace(&mut left, hall.due().await);
        assert!(left < before, "an attempt that invites nobody new: {outcome:?}, {left} left");
        assert!(outcome.is_err(), "some are still claimed");
    }
    assert_eq!(left, CLAIMED);
}
