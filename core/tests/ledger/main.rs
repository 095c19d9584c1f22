//! The ledger and the epoch register on DynamoDB. Run by `tests/ledger/test_ledger.py`, which starts the stand-in.

mod twins;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use sippo_xmpp_core::{
    address::{RoomJid, UserJid},
    aws,
    events::Version,
    ledger::{
        DynamoEpochs, DynamoLedger, EpochRegister, Ledger, LedgerKey, LedgerMaintenance, Ordinal, RoomChange,
        RoomEvent, RoomKind, RoomState, Scope, conformance, folding_conformance,
    },
    table::Table,
};

pub(crate) async fn table() -> Table {
    Table::new(&aws::sdk_config(Duration::from_secs(20)).await, &name())
}

fn name() -> String {
    std::env::var("SIPPO_LEDGER__TABLE").unwrap()
}

async fn client() -> Client {
    Client::new(&aws::sdk_config(Duration::from_secs(20)).await)
}

fn room(id: &str) -> RoomJid {
    RoomJid::of_id(id, "ledger.test").unwrap()
}

fn users(count: usize) -> BTreeSet<UserJid> {
    (0..count).map(|i| UserJid::of_username(&format!("user-{i}"), "ledger.test").unwrap()).collect()
}

fn event(counter: u64, change: RoomChange) -> RoomEvent {
    let at = Ordinal::new(Version { epoch: 1, counter }, "e");
    RoomEvent { at, kind: RoomKind::Conference, change }
}

fn created(participants: BTreeSet<UserJid>) -> RoomChange {
    RoomChange::Created { name: None, owner: None, participants }
}

#[tokio::test]
#[ignore = "needs DynamoDB; tests/ledger/test_ledger.py runs it with a stand-in"]
async fn the_ledger_on_dynamodb_conforms() {
    let ledger = DynamoLedger::with_clock(table().await, conformance::clock);
    conformance::run(&ledger).await;
    Box::pin(folding_conformance::run(&ledger)).await;
}

#[tokio::test]
#[ignore = "needs DynamoDB; tests/ledger/test_ledger.py runs it with a stand-in"]
async fn of_two_racers_one_gets_the_epoch() {
    let (one, other) = (DynamoEpochs::new(table().await), DynamoEpochs::new(table().await));
    assert_eq!(one.current().await.unwrap(), 0);
    for seen in 0..20 {
        let (first, second) = tokio::join!(one.advance(seen), other.advance(seen));
        assert!(first.unwrap() != second.unwrap(), "exactly one");
        assert_eq!(other.current().await.unwrap(), seen + 1);
        assert!(!one.advance(seen).await.unwrap(), "nobody goes on from what was");
    }
    assert!(!one.advance(99).await.unwrap());
    assert!(one.advance(u64::MAX).await.is_err());
}

#[tokio::test]
#[ignore = "needs DynamoDB; tests/ledger/test_ledger.py runs it with a stand-in"]
async fn a_creation_that_is_half_written_is_not_there() {
    let (ledger, client, room) = (DynamoLedger::new(table().await), client().await, room("half"));
    let long: BTreeSet<UserJid> =
        (0..4_000).map(|i| UserJid::of_username(&format!("{i}-{}", "x".repeat(150)), "ledger.test").unwrap()).collect();
    ledger.record(&room, &[event(1, created(long.clone()))]).await.unwrap();
    let query = client.query().table_name(name()).key_condition_expression("pk = :pk");
    let items =
        query.expression_attribute_values(":pk", AttributeValue::S(format!("room#{room}"))).send().await.unwrap();
    let items = items.items.unwrap();
    assert!((2..10).contains(&items.len()), "{} chunks", items.len());
    for item in &items {
        let key = [("pk".to_owned(), item["pk"].clone()), ("sk".to_owned(), item["sk"].clone())].into();
        client.delete_item().table_name(name()).set_key(Some(key)).send().await.unwrap();
        assert_eq!(ledger.read(&room, &Scope::Whole).await.unwrap(), RoomState::default(), "{:?}", item["sk"]);
        client.put_item().table_name(name()).set_item(Some(item.clone())).send().await.unwrap();
        assert_eq!(ledger.read(&room, &Scope::Whole).await.unwrap().creations.len(), 1);
    }
    // What a crash leaves behind, and what the event's next attempt makes of it.
    let first = [("pk".to_owned(), items[0]["pk"].clone()), ("sk".to_owned(), items[0]["sk"].clone())].into();
    client.delete_item().table_name(name()).set_key(Some(first)).send().await.unwrap();
    ledger.record(&room, &[event(1, created(long.clone()))]).await.unwrap();
    let state = ledger.read(&room, &Scope::Whole).await.unwrap();
    assert_eq!(state.creations.values().next().unwrap().participants, long);
}

#[tokio::test]
#[ignore = "needs DynamoDB; tests/ledger/test_ledger.py runs it with a stand-in"]
async fn an_item_that_cannot_be_read_fails_its_room_only() {
    let (ledger, client) = (DynamoLedger::new(table().await), client().await);
    for (i, (sk, attribute)) in [
        ("member#user-1", None),
        ("member#@", Some("written")),
        ("creation#1", Some("written")),
        ("nonsense", Some("written")),
    ]
    .into_iter()
    .enumerate()
    {
        let (bad, good) = (room(&format!("bad-{i}")), room("good"));
        for room in [&bad, &good] {
            ledger.record(room, &[event(1, created(users(2)))]).await.unwrap();
        }
        let put = client.put_item().table_name(name()).item("pk", AttributeValue::S(format!("room#{bad}")));
        let mut put = put.item("sk", AttributeValue::S(sk.to_owned()));
        if let Some(attribute) = attribute {
            put = put.item(attribute, AttributeValue::N("1".to_owned()));
        }
        put.send().await.unwrap();
        let error = ledger.read(&bad, &Scope::Whole).await.unwrap_err().to_string();
        assert!(error.contains(&format!("room#{bad} / {sk}")) && error.contains("delete it"), "{error}");
        assert!(ledger.prune(&bad, std::time::SystemTime::now()).await.is_err());
        assert_eq!(ledger.read(&good, &Scope::Whole).await.unwrap().creations.len(), 1);
    }
    let stray = client.put_item().table_name(name()).item("pk", AttributeValue::S("room#Not A Room".to_owned()));
    stray.item("sk", AttributeValue::S("end".to_owned())).send().await.unwrap();
    assert!(ledger.walk(None, 100_000).await.unwrap().contains(&LedgerKey::Room(room("good"))), "the walk goes on");
}

#[tokio::test]
#[ignore = "needs DynamoDB; tests/ledger/test_ledger.py runs it with a stand-in"]
async fn errors_say_what_to_do() {
    let missing = Table::new(&aws::sdk_config(Duration::from_secs(5)).await, "no-such-table");
    let error = DynamoLedger::new(missing).read(&room("r"), &Scope::Whole).await.unwrap_err().to_string();
    assert!(error.contains("no-such-table") && error.contains("create the table"), "{error}");
    let hasty = Table::new(&aws::sdk_config(Duration::from_nanos(1)).await, &name());
    let error = DynamoEpochs::new(hasty).current().await.unwrap_err().to_string();
    assert!(error.contains("did not answer") && error.contains("timeout"), "{error}");
}

#[tokio::test]
#[ignore = "needs AWS_ENDPOINT_URL to be where nobody listens; tests/ledger/test_ledger.py runs it so"]
async fn unreachable() {
    let error = DynamoLedger::new(table().await).walk(None, 1).await.unwrap_err().to_string();
    assert!(error.contains("Connection refused") && error.contains("retry"), "{error}");
}

/// Prints what operations take; asserts no times.
#[tokio::test]
#[ignore = "a measurement; tests/ledger/test_ledger.py -s shows it"]
async fn measure() {
    let (ledger, large) = (DynamoLedger::new(table().await), room("of-4000"));
    ledger.read(&large, &Scope::Whole).await.unwrap(); // connects
    for round in 1..=3 {
        let began = Instant::now();
        ledger.record(&room(&format!("of-1000-{round}")), &[event(1, created(users(1_000)))]).await.unwrap();
        println!("measured: a creation of 1,000: {:.1} ms", milliseconds(began));
    }
    ledger.record(&large, &[event(1, created(users(4_000)))]).await.unwrap();
    for round in 2..=4 {
        let (began, one) = (Instant::now(), users(1));
        ledger.record(&large, &[event(round, RoomChange::Joined(one.clone()))]).await.unwrap();
        println!("measured: one joining: {:.1} ms", milliseconds(began));
        let began = Instant::now();
        ledger.read(&large, &Scope::Members(one)).await.unwrap();
        println!("measured: a read of one member in a room of 4,000: {:.1} ms", milliseconds(began));
    }
    let began = Instant::now();
    ledger.record(&large, &[event(9, RoomChange::Joined(users(1_000)))]).await.unwrap();
    println!("measured: 1,000 joining at once: {:.1} ms", milliseconds(began));
    let began = Instant::now();
    ledger.read(&large, &Scope::Whole).await.unwrap();
    println!("measured: a read of that room and its 1,000 records: {:.1} ms", milliseconds(began));
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
