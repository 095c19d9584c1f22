//! Lists that are too long for the time of one handler: each attempt does a part of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use sippo_xmpp_core::{
    address::{RoomJid, UserJid},
    events::Version,
    ledger::{
        ClaimTarget, Creation, DomainRegister, DomainState, Heir, Joining, Ledger, LedgerError, MemoryLedger, Ordinal,
        RoomChange, RoomEvent, RoomKind, RoomState, Scope,
    },
    rooms::Reconciler,
    testing::FakeRooms,
};
use tokio::time::{Instant, sleep};

/// The ledger in memory, where a claim or a mark takes as long as on a busy table.
#[derive(Default)]
struct SlowLedger(MemoryLedger);

const WRITE: Duration = Duration::from_millis(100);

impl Ledger for SlowLedger {
    async fn record(&self, room: &RoomJid, events: &[RoomEvent]) -> Result<(), LedgerError> {
        self.0.record(room, events).await
    }

    async fn join(
        &self,
        room: &RoomJid,
        joined: &BTreeMap<UserJid, Ordinal>,
        now: SystemTime,
        until: SystemTime,
    ) -> Result<BTreeMap<UserJid, Joining>, LedgerError> {
        sleep(WRITE * u32::try_from(joined.len()).unwrap() / 30).await;
        self.0.join(room, joined, now, until).await
    }

    async fn read(&self, room: &RoomJid, scope: &Scope) -> Result<RoomState, LedgerError> {
        self.0.read(room, scope).await
    }

    async fn raise_domain(&self, domain: &str, register: DomainRegister, at: &Ordinal) -> Result<(), LedgerError> {
        self.0.raise_domain(domain, register, at).await
    }

    async fn domain(&self, domain: &str) -> Result<DomainState, LedgerError> {
        self.0.domain(domain).await
    }

    async fn claim(
        &self,
        room: &RoomJid,
        target: &ClaimTarget,
        ended_at: Option<&Ordinal>,
        now: SystemTime,
        until: SystemTime,
    ) -> Result<bool, LedgerError> {
        sleep(WRITE).await;
        self.0.claim(room, target, ended_at, now, until).await
    }

    async fn release(&self, room: &RoomJid, target: &ClaimTarget, until: SystemTime) -> Result<(), LedgerError> {
        sleep(WRITE).await;
        self.0.release(room, target, until).await
    }

    async fn mark_invited(&self, room: &RoomJid, user: &UserJid, since: &Ordinal) -> Result<(), LedgerError> {
        sleep(WRITE).await;
        self.0.mark_invited(room, user, since).await
    }

    async fn mark_announced(
        &self,
        room: &RoomJid,
        creation: &Ordinal,
        except: &BTreeSet<UserJid>,
    ) -> Result<(), LedgerError> {
        sleep(WRITE).await;
        self.0.mark_announced(room, creation, except).await
    }

    async fn note_invited(
        &self,
        room: &RoomJid,
        users: &BTreeSet<UserJid>,
        since: &Ordinal,
    ) -> Result<(), LedgerError> {
        self.0.note_invited(room, users, since).await
    }

    async fn take_over_announcement(
        &self,
        room: &RoomJid,
        heir: Heir<'_>,
        since: &Ordinal,
        now: SystemTime,
    ) -> Result<bool, LedgerError> {
        self.0.take_over_announcement(room, heir, since, now).await
    }

    async fn forget_creation(
        &self,
        room: &RoomJid,
        at: &Ordinal,
        read: &Creation,
        now: SystemTime,
    ) -> Result<bool, LedgerError> {
        self.0.forget_creation(room, at, read, now).await
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_at_a_long_list_invites_a_part_of_it() {
    let server = FakeRooms::default();
    let reconciler = Reconciler::new(SlowLedger::default(), &server);
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
