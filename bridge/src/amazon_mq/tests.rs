use std::{sync::Mutex, time::Duration};

use sippo_xmpp_core::{config::UnknownKeys, events::StampedEvent};
use tokio::time::Instant;

use super::*;
use crate::memory::{DeadLetters, Register, Sent};

fn sample() -> AmazonMqEvent {
    serde_json::from_str(include_str!("../../../events/bridge-amazon-mq.json")).unwrap()
}

/// So long, on the tests' own clock, that what fails by chance cannot fail every time.
const TIME: Duration = Duration::from_mins(10);

async fn invoke(
    event: AmazonMqEvent,
    sent: &Sent,
    register: &Register,
    dead_letters: &DeadLetters,
) -> Result<usize, InvocationError> {
    handle(event, sent, register, dead_letters, UnknownKeys::DeadLetter, &Mutex::default(), Instant::now() + TIME).await
}

#[tokio::test(start_paused = true)]
async fn the_sample_is_routed_and_stamped_in_order() {
    let (sent, register, dead_letters) = (Sent::new(1, 0), Register::default(), DeadLetters::default());
    *register.0.lock().unwrap() = 6;
    assert_eq!(invoke(sample(), &sent, &register, &dead_letters).await.unwrap(), 4);
    let mut found: Vec<_> = sent.accepted().into_iter().map(|(_, text)| StampedEvent::parse(&text).unwrap()).collect();
    found.sort_by_key(StampedEvent::version);
    let stamped: Vec<_> = found.iter().map(|one| (one.version().to_string(), one.routing_key())).collect();
    let wanted = ["domain.created", "usersGroup.created", "usersGroup.participants.joined"];
    assert_eq!(stamped, [("7.1".into(), wanted[0]), ("7.2".into(), wanted[1]), ("7.3".into(), wanted[2])]);
    assert_eq!(found[1].message_id(), Some("5f0c8a52-4f0e-4f57-9f0e-0d6f6a1e7c11"));
    let batches = sent.batches.lock().unwrap();
    let traced: Vec<_> = batches.iter().flat_map(|batch| &batch.entries).filter(|e| e.traceparent.is_some()).collect();
    assert_eq!((traced.len(), traced[0].tag), (1, 2));
    let dead = dead_letters.0.lock().unwrap();
    assert_eq!((dead.len(), dead[0].version.counter, dead[0].poison.code()), (1, 4, "unknown-routing-key"));
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_and_nothing_is_lost() {
    for seed in 0..200 {
        fastrand::seed(seed);
        let (sent, register, dead_letters) = (Sent::new(seed, 3), Register::default(), DeadLetters::default());
        invoke(sample(), &sent, &register, &dead_letters).await.unwrap();
        let mut tags: Vec<u64> = sent.accepted().into_iter().map(|(tag, _)| tag).collect();
        tags.sort_unstable();
        assert_eq!(tags, [1, 2, 3], "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_in_time_fails_the_invocation() {
    let (sent, register, dead_letters) = (Sent::new(1, 8), Register::default(), DeadLetters::default());
    let error = invoke(sample(), &sent, &register, &dead_letters).await.unwrap_err();
    assert!(matches!(error, InvocationError::Unsent { open: 3, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn each_invocation_has_an_epoch_of_its_own() {
    let (sent, register, dead_letters) = (Sent::new(1, 0), Register::default(), DeadLetters::default());
    for epoch in 1..=3 {
        invoke(sample(), &sent, &register, &dead_letters).await.unwrap();
        assert_eq!(*register.0.lock().unwrap(), epoch);
    }
    let empty = serde_json::from_str(r#"{"rmqMessagesByQueue":{"q::/":[]}}"#).unwrap();
    assert_eq!(invoke(empty, &sent, &register, &dead_letters).await.unwrap(), 0);
    assert_eq!(*register.0.lock().unwrap(), 3, "nothing to stamp");
}

#[tokio::test(start_paused = true)]
async fn others_events_are_ignored_but_not_those_that_say_no_type() {
    let (sent, register, dead_letters) = (Sent::new(1, 0), Register::default(), DeadLetters::default());
    let event = r#"{"rmqMessagesByQueue":{"a::/":[
        {"data":"e30=","basicProperties":{"type":"user.created"}},
        {"data":"e30=","basicProperties":{"type":"domain.created"}},
        {"data":"e30="}]}}"#;
    let event = serde_json::from_str(event).unwrap();
    let (deadline, ignored) = (Instant::now() + TIME, Mutex::default());
    let handled = handle(event, &sent, &register, &dead_letters, UnknownKeys::Ignore, &ignored, deadline).await;
    assert_eq!(handled.unwrap(), 3);
    assert_eq!(ignored.lock().unwrap().logged("user.created"), 1);
    let dead = dead_letters.0.lock().unwrap();
    assert_eq!((sent.accepted().len(), dead.len(), dead[0].tag), (1, 1, 3));
}

#[tokio::test(start_paused = true)]
async fn binary_mode_and_packed_bodies_are_read() {
    let (sent, register, dead_letters) = (Sent::new(1, 0), Register::default(), DeadLetters::default());
    let header = |text: &str| serde_json::json!({"bytes": text.as_bytes()});
    let event = serde_json::json!({"rmqMessagesByQueue": {"a::/": [{"data": "77u/e30=", "basicProperties": {
        "contentType": "application/json",
        "headers": {"cloudEvents:specversion": header("1.0"), "cloudEvents:type": header("domain.created")}}}]}});
    invoke(serde_json::from_value(event).unwrap(), &sent, &register, &dead_letters).await.unwrap();
    let accepted = sent.accepted();
    let body = r#"{"specversion":"1.0","type":"domain.created","datacontenttype":"application/json","data":{}}"#;
    assert_eq!(StampedEvent::parse(&accepted[0].1).unwrap().body(), body.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn several_queues_have_no_order() {
    let (sent, register, dead_letters) = (Sent::new(1, 0), Register::default(), DeadLetters::default());
    let event = r#"{"rmqMessagesByQueue":{"a::/":[{"data":"e30="}],"b::/":[{"data":"e30="}]}}"#;
    let error = invoke(serde_json::from_str(event).unwrap(), &sent, &register, &dead_letters).await.unwrap_err();
    assert!(matches!(error, InvocationError::Queues(2)), "{error}");
    assert!(sent.accepted().is_empty());
}
