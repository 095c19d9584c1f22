//! Batches on the ledger in memory, a room server that does what it is told, and a queue that records what becomes of messages.

use std::{sync::Mutex, time::Duration};

use aws_lambda_events::sqs::SqsMessage;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{
    batch::Worker,
    queue::{MAX_BATCH, Queue, QueueError},
};
use crate::{
    address::{Tenancy, UserJid},
    events::{EventType, Poison, StampedEvent, Version},
    ledger::{DomainRegister, Ledger, MemoryLedger, Ordinal},
    rooms::Reconciler,
    testing::{FakeHosts, FakeRooms},
};

#[derive(Debug, Default)]
struct RecordingQueue {
    dead: Mutex<Vec<(String, String)>>,
    waits: Mutex<Vec<(String, Duration)>>,
    refuses: bool,
    /// How long it takes to dead-letter a message.
    takes: Option<Duration>,
}

impl Queue for &RecordingQueue {
    async fn dead_letter(&self, message: &SqsMessage, poison: &Poison) -> Result<(), QueueError> {
        if self.refuses {
            return Err(QueueError("injected".to_owned()));
        }
        if let Some(pause) = self.takes {
            tokio::time::sleep(pause).await;
        }
        self.dead.lock().unwrap().push((message.message_id.clone().unwrap(), poison.reason()));
        Ok(())
    }

    async fn postpone(&self, messages: &[(&SqsMessage, Duration)]) -> Vec<QueueError> {
        assert!((1..=MAX_BATCH).contains(&messages.len()), "what SQS takes at a time");
        let waits = messages.iter().map(|(message, wait)| (message.message_id.clone().unwrap(), *wait));
        self.waits.lock().unwrap().extend(waits);
        if self.refuses { vec![QueueError("injected".to_owned()); messages.len()] } else { Vec::new() }
    }
}

#[derive(Default)]
struct World {
    rooms: FakeRooms,
    hosts: FakeHosts,
    queue: RecordingQueue,
}

impl World {
    fn worker(&self) -> Worker<MemoryLedger, &FakeRooms, &FakeHosts, &RecordingQueue> {
        Worker {
            reconciler: Reconciler::new(MemoryLedger::default(), &self.rooms),
            hosts: &self.hosts,
            queue: &self.queue,
            tenancy: Tenancy::new(UserJid::canonical("sippo@sippo-admin.internal").unwrap()),
            longest_wait: Duration::from_secs(20),
        }
    }

    async fn handle(&self, messages: Vec<SqsMessage>) -> Vec<String> {
        let mut failed = self.worker().handle(messages, Instant::now() + Duration::from_secs(5)).await;
        failed.sort();
        failed
    }

    fn waits(&self) -> Vec<(String, u64)> {
        let mut waits: Vec<_> =
            self.queue.waits.lock().unwrap().iter().map(|(id, wait)| (id.clone(), wait.as_secs())).collect();
        waits.sort();
        waits
    }
}

fn raw(id: &str, body: &str) -> SqsMessage {
    serde_json::from_value(json!({
        "messageId": id, "receiptHandle": "r", "body": body, "attributes": {"ApproximateReceiveCount": "3"},
    }))
    .unwrap()
}

fn stamped(counter: u64, at: OffsetDateTime, event_type: EventType, payload: &Value) -> SqsMessage {
    let (version, id) = (Version { epoch: 1, counter }, format!("m-{counter}"));
    let key = event_type.routing_key();
    let stamped = StampedEvent::new(version, at, key, Some(&id), payload.to_string().as_bytes());
    raw(&counter.to_string(), stamped.text())
}

fn message(counter: u64, event_type: EventType, payload: &Value) -> SqsMessage {
    stamped(counter, OffsetDateTime::now_utc(), event_type, payload)
}

fn group(counter: u64, id: &str, participants: &[&str]) -> SqsMessage {
    let payload = json!({"id": id, "domain": "example.test", "participants": participants});
    message(counter, EventType::UsersGroupCreated, &payload)
}

fn joined(counter: u64, id: &str, participants: &[&str]) -> SqsMessage {
    let payload = json!({"id": id, "domain": "example.test", "participants": participants});
    message(counter, EventType::UsersGroupParticipantsJoined, &payload)
}

#[tokio::test(start_paused = true)]
async fn one_bad_room_fails_alone_and_what_is_late_is_told() {
    let world = World::default();
    let batch = vec![
        group(1, "good", &["alice"]),
        group(2, "broken", &["alice"]),
        group(3, "stuck", &["alice"]),
        joined(4, "good", &["bob"]),
        joined(5, "broken", &["bob"]),
    ];
    assert_eq!(world.handle(batch).await, ["2", "3", "5"]);
    assert_eq!(world.rooms.members("good").unwrap(), ["alice", "bob"]);
    // Third delivery: 1 s, 2 s, 4 s; but what was not answered may take effect for another five.
    assert_eq!(world.waits(), [("2", 4), ("3", 6), ("5", 4)].map(|(id, wait)| (id.to_owned(), wait)));
}

#[tokio::test]
async fn a_batch_is_one_pass_per_room() {
    let world = World::default();
    let mut batch = vec![group(1, "team", &["alice"])];
    batch.extend((2..50).map(|counter| joined(counter, "team", &[&format!("u{counter}")])));
    assert!(world.handle(batch).await.is_empty());
    assert_eq!(world.rooms.members("team").unwrap().len(), 49);
    assert_eq!(world.rooms.requests(), ["ensure", "grant", "invite"]);
}

#[tokio::test]
async fn a_member_who_is_refused_or_bounces_fails_their_own_events_only() {
    let world = World::default();
    assert!(world.handle(vec![group(1, "team", &[])]).await.is_empty());
    let worker = world.worker();
    let deadline = Instant::now() + Duration::from_secs(5);
    let batch = vec![
        group(1, "team", &[]),
        joined(2, "team", &["alice"]),
        joined(3, "team", &["refused"]),
        joined(4, "team", &["bounced"]),
    ];
    let mut failed = worker.handle(batch, deadline).await;
    failed.sort();
    // The creation looks at the whole room, so it waits for all of it.
    assert_eq!(failed, ["1", "3", "4"]);
    assert_eq!(worker.handle(vec![joined(5, "team", &["carol"])], deadline).await, Vec::<String>::new());
    assert_eq!(world.rooms.members("team").unwrap(), ["alice", "bounced", "carol"]);
}

#[tokio::test]
async fn poison_goes_to_the_dead_letters_with_its_reason() {
    let world = World::default();
    let old = OffsetDateTime::now_utc() - time::Duration::days(22);
    let payload = json!({"id": "team", "domain": "example.test"});
    let batch = vec![
        raw("a", "no stamp"),
        stamped(2, old, EventType::UsersGroupCreated, &payload),
        message(3, EventType::UsersGroupCreated, &json!({"id": "adhoc-1", "domain": "example.test"})),
        message(4, EventType::UsersGroupCreated, &json!([])),
        group(5, "team", &["alice"]),
    ];
    assert!(world.handle(batch).await.is_empty(), "what is in the dead letters is done with");
    let dead = world.queue.dead.lock().unwrap().clone();
    let codes: Vec<_> = dead.iter().map(|(id, why)| (id.as_str(), why.split(':').next().unwrap())).collect();
    assert_eq!(codes, [("a", "unstamped"), ("2", "expired"), ("3", "bad-address"), ("4", "ill-typed")]);
    assert_eq!(world.rooms.members("team").unwrap(), ["alice"]);
}

#[tokio::test(start_paused = true)]
async fn poison_does_not_wait_for_rooms_that_hang() {
    let queue = RecordingQueue { takes: Some(Duration::from_millis(1)), ..RecordingQueue::default() };
    let world = World { queue, ..World::default() };
    let mut batch: Vec<_> = (1..=40).map(|counter| group(counter, &format!("stuck-{counter}"), &[])).collect();
    batch.push(raw("a", "no stamp"));
    assert_eq!(world.handle(batch).await.len(), 40);
    assert_eq!(world.queue.dead.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_dead_lettered_comes_again() {
    let world = World { queue: RecordingQueue { refuses: true, ..RecordingQueue::default() }, ..World::default() };
    assert_eq!(world.handle(vec![raw("a", "{}"), group(1, "team", &[])]).await, ["a"]);
}

#[tokio::test]
async fn nothing_is_done_for_users_without_chat() {
    let world = World::default();
    let frank = json!({"username": "frank", "capabilities": ["voice"]});
    let payload = json!({"id": "talk", "domain": "example.test", "participant": frank});
    let batch = vec![message(1, EventType::ConferenceParticipantJoined, &payload)];
    assert!(world.handle(batch).await.is_empty());
    assert!(world.rooms.requests().is_empty());
}

#[tokio::test]
async fn a_join_waits_for_its_room() {
    let world = World::default();
    let worker = world.worker();
    let deadline = Instant::now() + Duration::from_secs(5);
    assert!(worker.handle(vec![joined(1, "team", &["alice"])], deadline).await.is_empty(), "it is on record");
    assert!(world.rooms.members("team").is_none());
    assert!(worker.handle(vec![group(2, "team", &["bob"])], deadline).await.is_empty());
    assert_eq!(world.rooms.members("team").unwrap(), ["alice", "bob"]);
    world.rooms.wipe();
    assert_eq!(worker.handle(vec![joined(3, "team", &["carol"])], deadline).await, ["3"], "the server lost the room");
}

#[tokio::test]
async fn domains_come_and_go_in_broker_order() {
    let world = World::default();
    let worker = world.worker();
    let deadline = Instant::now() + Duration::from_secs(5);
    let domain = json!({"domain": "new.test"});
    let (created, deleted) = (EventType::DomainCreated, EventType::DomainDeleted);
    let exists = || world.hosts.has("new.test");
    for (counter, event_type, expected) in
        [(2, deleted, false), (1, created, false), (4, created, true), (3, deleted, true), (5, deleted, false)]
    {
        assert!(worker.handle(vec![message(counter, event_type, &domain)], deadline).await.is_empty());
        assert_eq!(exists(), expected, "after {counter}");
    }
}

/// What purges a domain's earlier life takes its rooms of the present one along: they come back, whichever event purges.
#[tokio::test]
async fn rooms_made_since_a_late_deletion_are_restored() {
    for purging in [EventType::DomainDeleted, EventType::DomainCreated] {
        let world = World::default();
        let worker = world.worker();
        let deadline = Instant::now() + Duration::from_secs(5);
        let (domain, room) = (json!({"domain": "new.test"}), json!({"id": "team", "domain": "new.test"}));
        let team = message(11, EventType::UsersGroupCreated, &room);
        if purging == EventType::DomainDeleted {
            assert!(worker.handle(vec![message(10, EventType::DomainCreated, &domain)], deadline).await.is_empty());
        } else {
            let at = Ordinal::new(Version { epoch: 1, counter: 5 }, "m-5");
            let register = DomainRegister::Deleted;
            worker.reconciler.ledger().raise_domain("new.test", register, &at).await.unwrap();
        }
        assert!(worker.handle(vec![team], deadline).await.is_empty());
        world.rooms.wipe();
        let counter = if purging == EventType::DomainDeleted { 5 } else { 10 };
        assert!(worker.handle(vec![message(counter, purging, &domain)], deadline).await.is_empty());
        assert!(world.rooms.members("team@").is_some(), "{purging:?}");
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_batch_without_time() {
    let world = World::default();
    let failed = world.worker().handle(vec![group(1, "team", &[]), raw("a", "{}")], Instant::now()).await;
    assert_eq!(failed, ["1"]);
}
