//! SQS and DynamoDB that take everything, keep nothing, and answer at once: what a function's first answer costs
//! is then its own.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::http::{Connection, Request};

/// The endpoint of all services.
pub(crate) struct Aws {
    address: String,
    calls: Arc<AtomicUsize>,
}

impl Aws {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let calls = Arc::<AtomicUsize>::default();
        let counter = calls.clone();
        tokio::spawn(async move {
            loop {
                let mut connection = Connection::accept(&listener).await;
                let counter = counter.clone();
                tokio::spawn(async move {
                    while let Some(request) = connection.request().await {
                        counter.fetch_add(1, Ordering::Relaxed);
                        serve(&mut connection, &request).await;
                    }
                });
            }
        });
        Self { address, calls }
    }

    /// The value of `AWS_ENDPOINT_URL`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many it has had.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

async fn serve(connection: &mut Connection, request: &Request) {
    let body: Value = serde_json::from_str(&request.body).expect("AWS's protocols are JSON");
    let answer = match request.target.as_str() {
        "AmazonSQS.SendMessage" => json!({"MessageId": "m", "MD5OfMessageBody": "0"}),
        "AmazonSQS.SendMessageBatch" => {
            let accepted = |entry: &Value| json!({"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "0"});
            let entries = body["Entries"].as_array().expect("a batch has entries");
            json!({"Successful": entries.iter().map(accepted).collect::<Vec<_>>(), "Failed": []})
        }
        "DynamoDB_20120810.Scan" => json!({"Items": [], "Count": 0, "ScannedCount": 0}),
        "DynamoDB_20120810.GetItem" | "DynamoDB_20120810.PutItem" | "DynamoDB_20120810.UpdateItem" => json!({}),
        other => panic!("{other} has no answer here; add it to aws.rs"),
    };
    // The function may have been ended.
    let _ = connection.respond("200 OK", "Content-Type: application/x-amz-json-1.0\r\n", &answer.to_string()).await;
}
