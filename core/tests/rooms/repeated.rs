//! What a creation costs that is repeated every night, in reads of the ledger, items and bytes.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use sippo_xmpp_core::{
    address::{RoomJid, UserJid},
    events::Version,
    ledger::{Ledger, LedgerError, MemoryLedger, Ordinal, RoomChange, RoomEvent, RoomKind, RoomState, Scope},
    rooms::Reconciler,
    testing::FakeRooms,
};
use tokio::time::Instant;

use crate::scripted::{Access, LedgerScript, Scripted};

const MEMBERS: usize = 500;

/// What one event cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cost {
    reads: usize,
    /// Creations and records of members that these reads returned, and the bytes of the names in them.
    items: usize,
    bytes: usize,
    writes: usize,
}

/// What the ledger was asked for.
#[derive(Default)]
struct Counter(Mutex<Cost>);

impl LedgerScript for Counter {
    async fn before(&self, access: Access) -> Result<(), LedgerError> {
        self.0.lock().unwrap().writes += if let Access::Join(count) = access { count } else { 1 };
        Ok(())
    }

    async fn read(&self, inner: &MemoryLedger, room: &RoomJid, scope: &Scope) -> Result<RoomState, LedgerError> {
        let state = inner.read(room, scope).await?;
        let mut cost = self.0.lock().unwrap();
        cost.reads += 1;
        cost.items += state.creations.len() + state.members.len();
        let listed = state.creations.values().flat_map(|creation| creation.owner.iter().chain(&creation.participants));
        cost.bytes += listed.chain(state.members.keys()).map(|user| user.as_str().len()).sum::<usize>();
        drop(cost);
        Ok(state)
    }
}

fn user(number: usize) -> UserJid {
    UserJid::of_username(&format!("user-{number:04}"), "example.test").unwrap()
}

/// A group's room, and events about it, each the next in broker order.
struct Group<'a> {
    reconciler: Reconciler<Scripted<Counter>, &'a FakeRooms>,
    room: RoomJid,
    counter: u64,
}

impl<'a> Group<'a> {
    fn new(server: &'a FakeRooms) -> Self {
        let room = RoomJid::of_id("nightly", "example.test").unwrap();
        Self { reconciler: Reconciler::new(Scripted::default(), server), room, counter: 0 }
    }

    /// Has the event handled; what that cost.
    async fn handle(&mut self, change: RoomChange) -> Cost {
        self.counter += 1;
        let at = Ordinal::new(Version { epoch: 1, counter: self.counter }, "e");
        let event = RoomEvent { at, kind: RoomKind::UsersGroup, change };
        let deadline = Instant::now() + Duration::from_mins(1);
        let outcome = self.reconciler.apply(&self.room, &[event], deadline).await;
        assert!(outcome.iter().all(Result::is_ok), "{outcome:?}");
        std::mem::take(&mut *self.reconciler.ledger().script.0.lock().unwrap())
    }

    async fn create(&mut self, participants: BTreeSet<UserJid>) -> Cost {
        self.handle(RoomChange::Created { name: Some("Team".to_owned()), owner: Some(user(0)), participants }).await
    }

    async fn lists(&self) -> usize {
        let state = self.reconciler.ledger().inner.read(&self.room, &Scope::Whole).await.unwrap();
        state.creations.len()
    }
}

#[tokio::test]
async fn the_hundredth_repetition_costs_what_the_second_did() {
    let server = FakeRooms::default();
    let mut group = Group::new(&server);
    let everyone: BTreeSet<UserJid> = (0..MEMBERS).map(user).collect();
    let mut costs = Vec::new();
    for _ in 0..=100 {
        costs.push(group.create(everyone.clone()).await);
    }
    assert!(costs[1].items > 0 && costs[1].bytes > 0 && costs[1].reads > 0);
    assert_eq!(costs[3], costs[2]);
    assert_eq!(costs[100], costs[2]);
    assert_eq!(costs[100], costs[1], "not even the first repetition costs less");
    assert_eq!(group.lists().await, 1);
    let join = group.handle(RoomChange::Joined(BTreeSet::from([user(MEMBERS)]))).await;
    let mut fresh = Group::new(&server);
    fresh.create(everyone).await;
    assert_eq!(join, fresh.handle(RoomChange::Joined(BTreeSet::from([user(MEMBERS)]))).await);
}

/// Each night someone has left, as an event told, and someone has come, as only the list tells.
#[tokio::test]
async fn lists_that_change_every_night_do_not_pile_up() {
    let server = FakeRooms::default();
    let mut group = Group::new(&server);
    group.create((0..MEMBERS).map(user).collect()).await;
    for night in 1..=60 {
        group.handle(RoomChange::Left(BTreeSet::from([user(night)]))).await;
        group.create((night + 1..MEMBERS + night).map(user).collect()).await;
        let lists = group.lists().await;
        assert!(lists <= 2, "{lists} lists in night {night}");
    }
    let members = server.members("nightly").unwrap();
    let expected: Vec<String> =
        std::iter::once(0).chain(61..MEMBERS + 60).map(|number| user(number).localpart().to_owned()).collect();
    assert_eq!(members, expected);
}
