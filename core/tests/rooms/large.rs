//! Lists that are too long for the time of one handler: each attempt does a part of them.

use std::{collections::BTreeSet, time::Duration};

use sippo_xmpp_core::{
    address::{RoomJid, UserJid},
    events::Version,
    ledger::{Ledger, LedgerError, Ordinal, RoomChange, RoomEvent, RoomKind, Scope},
    rooms::Reconciler,
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

#[tokio::test(start_paused = true)]
async fn each_attempt_at_a_long_list_invites_a_part_of_it() {
    let server = FakeRooms::default();
    let reconciler = Reconciler::new(Scripted::<Slow>::default(), &server);
    let room = RoomJid::of_id("large", "example.test").unwrap();
    let event = |counter, change| {
        let at = Ordinal::new(Version { epoch: 1, counter }, "e");
        RoomEvent { at, kind: RoomKind::UsersGroup, change }
    };
    let deadline = || Instant::now() + Duration::from_secs(10);
    let created = RoomChange::Created { name: None, owner: None, participants: BTreeSet::new() };
    assert!(reconciler.apply(&room, &[event(1, created)], deadline()).await[0].is_ok());

    let many = (0..3_000).map(|number| UserJid::of_username(&format!("user-{number}"), "example.test").unwrap());
    let joined = event(2, RoomChange::Joined(many.collect()));
    let due =
        async || reconciler.ledger().read(&room, &Scope::Whole).await.unwrap().invitations_due(&Scope::Whole).len();
    let mut left = 3_000;
    while left > 0 {
        let outcome = reconciler.apply(&room, std::slice::from_ref(&joined), deadline()).await;
        let before = std::mem::replace(&mut left, due().await);
        assert!(left < before, "an attempt that invites nobody new: {outcome:?}, {left} left");
        assert_eq!(outcome[0].is_ok(), left == 0, "{outcome:?}");
    }
}
