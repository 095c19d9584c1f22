use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use serde_json::{Value, json};
use sippo_xmpp_doubles::{HttpAnswer, HttpFake};

use super::*;
use crate::{events::Version, ledger::RoomKind};

/// A table in which those of `known` have joined at version 5; who is updated is noted.
async fn table_of(known: Vec<String>) -> (Table, Arc<Mutex<Vec<String>>>, HttpFake) {
    let updated = Arc::new(Mutex::new(Vec::new()));
    let noted = updated.clone();
    let at = layout::written_ordinal(&at(5));
    let fake = HttpFake::answering(move |request| {
        let body: Value = serde_json::from_str(request.body()).unwrap();
        if request.header("x-amz-target").unwrap().ends_with(".UpdateItem") {
            noted.lock().unwrap().push(body["Key"]["sk"]["S"].as_str().unwrap().to_owned());
            return HttpAnswer::Keep(200, "{}".to_owned());
        }
        let keys = body["RequestItems"]["table"]["Keys"].as_array().unwrap().iter();
        let item = |key: &Value| json!({"pk": key["pk"], "sk": key["sk"], "written": {"N": "1"}, "joined": {"S": at}});
        let is_known = |key: &&Value| known.iter().any(|known| key["sk"]["S"].as_str() == Some(known));
        let items: Vec<Value> = keys.filter(is_known).map(item).collect();
        HttpAnswer::Keep(200, json!({"Responses": {"table": items}, "UnprocessedKeys": {}}).to_string())
    })
    .await;
    let config = crate::aws::sdk_config(Duration::from_secs(20)).await.into_builder();
    let config = config.endpoint_url(format!("http://{}", fake.address)).region(Region::from_static("eu-west-1"));
    let credentials = SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "test"));
    (Table::new(&config.credentials_provider(credentials).build(), "table"), updated, fake)
}

fn at(counter: u64) -> Ordinal {
    Ordinal::new(Version { epoch: 1, counter }, "e")
}

#[tokio::test]
async fn of_a_long_list_only_those_are_noted_who_are_not_yet() {
    let room = RoomJid::of_id("large", "example.test").unwrap();
    let users: Vec<UserJid> =
        (0..=LOOK_UP).map(|number| UserJid::of_username(&format!("{number:03}"), "example.test").unwrap()).collect();
    let sort_key = |user: &UserJid| member_key(&room, user).sk;
    let known: Vec<String> = users[..70].iter().map(sort_key).collect();
    for (count, counter, expected) in [
        (LOOK_UP + 1, 5, LOOK_UP + 1 - 70),
        (LOOK_UP + 1, 4, LOOK_UP + 1 - 70),
        (LOOK_UP + 1, 6, LOOK_UP + 1),
        (LOOK_UP, 5, LOOK_UP),
    ] {
        let (table, updated, _fake) = table_of(known.clone()).await;
        let change = RoomChange::Joined(users[..count].iter().cloned().collect());
        let event = RoomEvent { at: at(counter), kind: RoomKind::UsersGroup, change };
        DynamoLedger::new(table).record(&room, &[event]).await.unwrap();
        let mut updated = std::mem::take(&mut *updated.lock().unwrap());
        updated.sort();
        let all: Vec<String> = users[count - expected..count].iter().map(sort_key).collect();
        assert_eq!(updated, all, "{count} at version {counter}");
    }
}
