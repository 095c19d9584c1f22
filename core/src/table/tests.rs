//! What a table does that is asked too much at once: the stand-in of the other tests never says so.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use aws_sdk_dynamodb::config::{Credentials, Region, retry::RetryConfig};
use serde_json::{Map, Value, json};
use sippo_xmpp_doubles::{HttpAnswer, HttpFake};

use super::*;

/// Items by sort key. Of a batch only the first is done, the first two tries of an update are throttled.
#[derive(Debug, Default)]
struct Throttled {
    items: BTreeMap<String, Value>,
    updates: BTreeMap<String, u32>,
    calls: u32,
    /// Whether nothing is done at all.
    gives_up: bool,
}

fn sort_key(key: &Value) -> String {
    key["sk"]["S"].as_str().unwrap().to_owned()
}

/// What is left of a list of requests, as DynamoDB tells it.
fn rest(requests: &[Value]) -> Value {
    if requests.is_empty() { json!({}) } else { json!({"table": requests}) }
}

impl Throttled {
    fn answer(&mut self, operation: &str, body: &Value) -> (u16, Value) {
        self.calls += 1;
        let done = usize::from(!self.gives_up);
        match operation {
            "UpdateItem" => {
                let key = sort_key(&body["Key"]);
                let tries = self.updates.entry(key.clone()).or_default();
                *tries += 1;
                if *tries <= 2 || self.gives_up {
                    let error = "com.amazonaws.dynamodb.v20120810#ThrottlingException";
                    return (400, json!({"__type": error, "message": "Throughput exceeds the current capacity"}));
                }
                self.items.insert(key, body["Key"].clone());
                (200, json!({}))
            }
            "BatchWriteItem" => {
                let requests = body["RequestItems"]["table"].as_array().unwrap();
                for request in &requests[..done] {
                    let item = &request["PutRequest"]["Item"];
                    self.items.insert(sort_key(item), item.clone());
                }
                (200, json!({"UnprocessedItems": rest(&requests[done..])}))
            }
            "BatchGetItem" => {
                let keys = body["RequestItems"]["table"]["Keys"].as_array().unwrap();
                let found: Vec<_> = keys[..done].iter().filter_map(|key| self.items.get(&sort_key(key))).collect();
                let mut left = Map::new();
                if keys.len() > done {
                    left.insert("table".to_owned(), json!({"Keys": keys[done..]}));
                }
                (200, json!({"Responses": {"table": found}, "UnprocessedKeys": left}))
            }
            other => panic!("{other}"),
        }
    }
}

/// A table that is throttled, reached by a client that repeats nothing itself.
async fn throttled(gives_up: bool) -> (Table, Arc<Mutex<Throttled>>, HttpFake) {
    let state = Arc::new(Mutex::new(Throttled { gives_up, ..Throttled::default() }));
    let served = state.clone();
    let fake = HttpFake::answering(move |request| {
        let operation = request.header("x-amz-target").unwrap().rsplit('.').next().unwrap();
        let (status, answer) = served.lock().unwrap().answer(operation, &serde_json::from_str(request.body()).unwrap());
        HttpAnswer::Keep(status, answer.to_string())
    })
    .await;
    let config = crate::aws::sdk_config(Duration::from_secs(20)).await.into_builder();
    let config = config.endpoint_url(format!("http://{}", fake.address)).region(Region::from_static("eu-west-1"));
    let config = config.retry_config(RetryConfig::disabled());
    let credentials = Credentials::new("id", "key", None, None, "test");
    let config = config.credentials_provider(aws_sdk_dynamodb::config::SharedCredentialsProvider::new(credentials));
    (Table::new(&config.build(), "table"), state, fake)
}

fn keys(count: usize) -> Vec<Key> {
    (0..count).map(|number| Key::new("room#a", format!("member#{number:03}"))).collect()
}

fn update(key: Key) -> Update {
    Update { key, change: "SET joined = :at", condition: "joined < :at".into(), values: vec![(":at", text("1"))] }
}

#[tokio::test]
async fn what_is_throttled_is_asked_for_again_until_all_is_done() {
    let (table, state, _fake) = throttled(false).await;
    table.update_all(keys(70).into_iter().map(update).collect()).await.unwrap();
    assert!(state.lock().unwrap().updates.values().all(|tries| *tries == 3));
    assert_eq!(table.get_many(&keys(70)).await.unwrap().len(), 70);

    // Each try writes one more.
    let others = (0..6).map(|number| Key::new("room#b", format!("member#{number}")).attributes());
    table.put_many(others.collect()).await.unwrap();
    assert_eq!(state.lock().unwrap().items.len(), 76);
}

#[tokio::test]
async fn a_table_that_stays_throttled_is_named_as_that() {
    let (table, state, _fake) = throttled(true).await;
    let key = keys(1).remove(0);
    let updated = table.update_all(vec![update(key.clone())]);
    let put = table.put_many(vec![key.attributes()]);
    let got = async { table.get_many(std::slice::from_ref(&key)).await.map(drop) };
    let (updated, put, got) = tokio::join!(updated, put, got);
    for outcome in [updated, put, got] {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("table table") && error.contains("raise"), "{error}");
    }
    assert_eq!(state.lock().unwrap().calls, 3 * TRIES);
}
