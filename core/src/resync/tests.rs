//! On the ledger in memory.

use std::time::Duration;

use sippo_xmpp_doubles::LogLines;
use tracing::Level;

use super::*;
use crate::{
    address::UserJid,
    domains::DomainEvent,
    events::Version,
    ledger::{MemoryLedger, Ordinal, RoomChange, RoomEvent, RoomKind},
    testing::{FakeHosts, FakeRooms},
};

fn at(counter: u64) -> Ordinal {
    Ordinal::new(Version { epoch: 1, counter }, "event")
}

fn user(name: &str) -> UserJid {
    UserJid::of_username(name, "example.test").unwrap()
}

fn room(id: &str) -> RoomJid {
    RoomJid::of_id(id, "example.test").unwrap()
}

fn created(counter: u64, participants: &[&str]) -> RoomEvent {
    let participants = participants.iter().map(|name| user(name)).collect();
    RoomEvent {
        at: at(counter),
        kind: RoomKind::UsersGroup,
        change: RoomChange::Created { name: None, owner: None, participants },
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

#[tokio::test]
async fn what_the_server_lost_is_back_and_what_people_made_stays() {
    let (rooms, hosts) = (FakeRooms::default(), FakeHosts::default());
    let reconciler = Reconciler::new(MemoryLedger::default(), &rooms);
    let domain = jid::DomainPart::new("example.test").unwrap().into_owned();
    let events = [DomainEvent { at: at(1), created: true }];
    Domains::new(&reconciler, &&hosts).apply(&domain, &events, soon()).await.unwrap();
    for counter in 2..300 {
        let id = format!("team-{counter}");
        assert!(reconciler.apply(&room(&id), &[created(counter, &["alice", "bob"])], soon()).await[0].is_ok());
    }
    let left = RoomEvent { at: at(500), kind: RoomKind::UsersGroup, change: RoomChange::Left([user("bob")].into()) };
    assert!(reconciler.apply(&room("team-2"), &[left], soon()).await[0].is_ok());

    rooms.wipe();
    hosts.wipe();
    rooms.add(&room("team-2"), user("bob"));
    rooms.add(&room("team-2"), user("by-hand"));
    rooms.add(&room("by-hand"), user("carol"));
    let report = Resync::new(&reconciler, &&hosts).run(soon()).await.unwrap();
    assert_eq!(report, Report { domains: 1, rooms: 298, complete: true, advanced: true, ..Report::default() });
    assert!(hosts.has("example.test"));
    assert_eq!(rooms.members("team-2@").unwrap(), ["alice", "by-hand"]);
    assert_eq!(rooms.members("team-299@").unwrap(), ["alice", "bob"]);
    assert_eq!(rooms.members("by-hand@").unwrap(), ["carol"]);
}

#[tokio::test]
async fn one_room_that_fails_keeps_none_from_being_repaired() {
    let rooms = FakeRooms::default();
    let reconciler = Reconciler::new(MemoryLedger::default(), &rooms);
    for id in ["broken", "team"] {
        drop(reconciler.apply(&room(id), &[created(1, &["alice"])], soon()).await);
    }
    rooms.wipe();
    let report = Resync::new(&reconciler, &&FakeHosts::default()).run(soon()).await.unwrap();
    assert_eq!((report.rooms, report.failed, report.complete), (2, 1, true));
    assert_eq!(rooms.members("team@").unwrap(), ["alice"]);
}

#[tokio::test(start_paused = true)]
async fn a_walk_without_time_goes_on_at_the_next_call() {
    let rooms = FakeRooms::default();
    let reconciler = Reconciler::new(MemoryLedger::default(), &rooms);
    for counter in 1..=300 {
        drop(reconciler.apply(&room(&format!("team-{counter:03}")), &[created(counter, &["alice"])], soon()).await);
    }
    drop(reconciler.apply(&room("stuck"), &[created(400, &[])], soon()).await);
    rooms.wipe();
    let hosts = FakeHosts::default();
    // The room that hangs is in the first page, and takes all the time there is for more.
    let time = LIMIT + EXPIRY_GRACE + LIMIT + RESERVE / 2 + SECOND_LOOK;
    let first = Resync::new(&reconciler, &&hosts).run(Instant::now() + time).await.unwrap();
    assert_eq!((first.rooms, first.failed, first.complete, first.advanced), (PAGE, 1, false, true));
    assert!(Resync::new(&reconciler, &&hosts).is_under_way().await.unwrap());
    assert!(rooms.members("team-300@").is_none());
    let second = Resync::new(&reconciler, &&hosts).run(soon()).await.unwrap();
    assert!(second.advanced && !Resync::new(&reconciler, &&hosts).is_under_way().await.unwrap());
    assert_eq!((second.rooms, second.failed, second.complete), (301 - PAGE, 0, true));
    assert_eq!(rooms.members("team-300@").unwrap(), ["alice"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_answered_is_looked_at_again_when_it_has_expired() {
    let rooms = FakeRooms::default();
    let reconciler = Reconciler::new(MemoryLedger::default(), &rooms);
    reconciler.ledger().record(&room("late"), &[created(1, &["alice"])]).await.unwrap();
    let begun = Instant::now();
    let report = Resync::new(&reconciler, &&FakeHosts::default()).run(begun + LIMIT * 3).await.unwrap();
    assert_eq!((report.rooms, report.failed, report.complete), (1, 0, true));
    assert_eq!(rooms.members("late@").unwrap(), ["alice"]);
    assert!(begun.elapsed() >= LIMIT + EXPIRY_GRACE, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_short_time_is_used_as_well() {
    let rooms = FakeRooms::default();
    let reconciler = Reconciler::new(MemoryLedger::default(), &rooms);
    reconciler.ledger().record(&room("team"), &[created(1, &["alice"])]).await.unwrap();
    let time = RESERVE + RESERVE;
    let report = Resync::new(&reconciler, &&FakeHosts::default()).run(Instant::now() + time).await.unwrap();
    assert_eq!((report.rooms, report.failed, report.complete), (1, 0, true));
    assert_eq!(rooms.members("team@").unwrap(), ["alice"]);
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_does_not_get_on_says_so() {
    let rooms = FakeRooms::default();
    let reconciler = Reconciler::new(MemoryLedger::default(), &rooms);
    reconciler.ledger().record(&room("stuck"), &[created(1, &["alice"])]).await.unwrap();
    let report = Resync::new(&reconciler, &&FakeHosts::default()).run(Instant::now() + RESERVE * 2).await.unwrap();
    assert_eq!((report.rooms, report.failed, report.complete, report.advanced), (1, 1, false, false));
}

#[tokio::test]
async fn tenants_of_a_cell_that_is_away_are_left_out_and_told_once() {
    let (rooms, hosts) = (FakeRooms::default(), FakeHosts::default());
    let reconciler = Reconciler::new(MemoryLedger::default(), &rooms);
    for tenant in ["example.test", "near.test", "away.test", "also-away.test"] {
        let domain = jid::DomainPart::new(tenant).unwrap().into_owned();
        let events = [DomainEvent { at: at(1), created: true }];
        Domains::new(&reconciler, &&hosts).apply(&domain, &events, soon()).await.unwrap();
        for id in ["one", "two"] {
            let room = RoomJid::of_id(id, tenant).unwrap();
            let change = RoomChange::Created { name: None, owner: None, participants: [].into() };
            let event = RoomEvent { at: at(2), kind: RoomKind::UsersGroup, change };
            assert!(reconciler.apply(&room, &[event], soon()).await[0].is_ok());
        }
    }
    rooms.wipe();
    hosts.wipe();
    hosts.leave("away.test");
    hosts.leave("also-away.test");
    let asked = rooms.requests().len();
    let told = LogLines::of_level(Level::WARN);
    let report = Resync::new(&reconciler, &&hosts).run(soon()).await.unwrap();
    // Two domains and their four rooms.
    assert_eq!(report, Report { domains: 2, rooms: 4, failed: 6, complete: true, advanced: true, ..Report::default() });
    assert_eq!(
        told.messages(),
        ["Cell does not answer, and resync leaves its tenants out; once it does, invoke resync again"]
    );
    assert!(hosts.has("near.test") && !hosts.has("away.test") && !hosts.has("also-away.test"));
    assert!(rooms.requests().len() > asked);
}
