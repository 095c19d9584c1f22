//! What is measured of each function.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sippo_xmpp_core::events::EventType;

use crate::{
    aws::Aws,
    function::{Function, request},
    variable,
};

pub(crate) const CHAT_LIST: &str = "/sapi/xmpp/individualChatList";

/// A function, or a peer.
pub(crate) struct Case {
    pub(crate) name: String,
    program: Vec<String>,
    folder: PathBuf,
    /// An event that is answered without network, or with as little as there can be.
    pub(crate) first: Value,
    /// What its answer holds.
    expected: Value,
    /// Calls of AWS that this answer takes.
    pub(crate) aws_calls: usize,
    /// What it is in words.
    pub(crate) what: &'static str,
    /// An event that is worked on in earnest.
    pub(crate) work: Option<Value>,
}

impl Case {
    /// The peers first, then the functions that are `wanted`, in an order in which their work succeeds.
    pub(crate) fn wanted(domain: &str, wanted: impl Fn(&str) -> bool) -> Vec<Self> {
        let mut cases = Self::all(domain);
        cases.retain(|case| wanted(&case.name));
        cases
    }

    fn all(domain: &str) -> Vec<Self> {
        let contact = format!("{CHAT_LIST}/bob@{domain}");
        let mut cases = vec![hello("hello-world in Rust", program("hello-world"), Path::new("."))];
        let node = variable("BENCH_NODE_HELLO");
        let client = ["node", "node_modules/aws-lambda-ric/bin/index.mjs", "index.handler"].map(str::to_owned);
        cases.push(hello("hello-world in Node", client.to_vec(), Path::new(&node)));
        cases.extend([
            endpoint("login", "GET", "/sapi/xmpp/login"),
            endpoint("rooms", "GET", "/sapi/xmpp/rooms"),
            endpoint("individual-chat-list-get", "GET", CHAT_LIST),
            endpoint("individual-chat-list-put", "PUT", &contact),
            endpoint("individual-chat-list-delete", "DELETE", &contact),
        ]);
        // Whoever joins and leaves needs the room; the deletion comes last.
        let mut types = EventType::ALL;
        types.sort_by_key(|event_type| {
            let name = event_type.function();
            ["-created", "-joined", "-left"].iter().position(|end| name.ends_with(end)).unwrap_or(3)
        });
        cases.extend(types.map(|event_type| queue_function(event_type.function())));
        cases.push(Self {
            work: Some(json!({})),
            ..Self::new("resync", "an empty ledger", json!({}), json!({"complete": true}), 3)
        });
        // What has no queue would need a broker.
        let mut one = sample("bridge-amazon-mq");
        for messages in one["rmqMessagesByQueue"].as_object_mut().expect("a sample has queues").values_mut() {
            messages.as_array_mut().expect("a queue has messages").truncate(1);
        }
        cases.push(Self {
            work: Some(one.clone()),
            ..Self::new("bridge-amazon-mq", "one event, sent on", one, Value::Null, 3)
        });
        cases
    }

    fn new(name: &str, what: &'static str, first: Value, expected: Value, aws_calls: usize) -> Self {
        let (name, program, folder) = (name.to_owned(), program(name), PathBuf::from("."));
        Self { name, program, folder, first, expected, aws_calls, what, work: None }
    }

    /// Starts it, on this AWS or the local stack's.
    pub(crate) async fn start(&self, aws: Option<&Aws>) -> Function {
        let endpoint = aws.map(|aws| ("AWS_ENDPOINT_URL", aws.url()));
        Function::start(&self.program, &self.folder, endpoint.as_slice()).await
    }

    /// Whether the first answer is the one that is meant.
    pub(crate) fn accepts(&self, answer: &Value) -> bool {
        match &self.expected {
            Value::Object(expected) => expected.iter().all(|(key, value)| answer[key] == *value),
            whole => answer == whole,
        }
    }
}

/// Whether work was done, all of it.
pub(crate) fn is_success(answer: &Value) -> bool {
    let failed = answer["batchItemFailures"].as_array().is_some_and(|failures| !failures.is_empty());
    !failed && answer["statusCode"].as_u64().is_none_or(|status| status < 300)
}

pub(crate) fn program(name: &str) -> Vec<String> {
    let path = Path::new(&variable("BENCH_FUNCTIONS")).join(name);
    vec![path.to_str().expect("a path of ours").to_owned()]
}

fn hello(name: &str, program: Vec<String>, folder: &Path) -> Case {
    let (first, expected) = (json!({}), json!({"statusCode": 200}));
    Case { program, folder: folder.to_owned(), ..Case::new(name, "hello, world", first, expected, 0) }
}

fn endpoint(name: &str, method: &str, path: &str) -> Case {
    let (first, work) = (request(method, path, None), request(method, path, Some(&variable("BENCH_ACCESS_TOKEN"))));
    Case { work: Some(work), ..Case::new(name, "401", first, json!({"statusCode": 401}), 0) }
}

fn queue_function(name: &str) -> Case {
    let message = json!({"messageId": "m", "receiptHandle": "r", "body": "not JSON", "attributes": {},
        "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": "eu-west-1"});
    let poison = json!({"Records": [message]});
    Case { work: Some(sample(name)), ..Case::new(name, "poison", poison, json!({"batchItemFailures": []}), 1) }
}

/// The sample invocation of a function.
fn sample(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../events/{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("a sample is JSON")
}
