//! The Lambda Runtime API for one function: hands out events, takes answers, keeps time.

use std::time::Instant;

use serde_json::Value;
use tokio::net::TcpListener;

use crate::http::{Connection, Request};

/// One function's connection to the API, over which its invocations go one by one.
pub(crate) struct RuntimeApi {
    listener: TcpListener,
    connection: Option<Connection>,
}

impl RuntimeApi {
    pub(crate) async fn bind() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("a free port"), connection: None }
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn address(&self) -> String {
        self.listener.local_addr().expect("it is bound").to_string()
    }

    /// Has the function handle `event`; its answer, and the seconds from handing out to taking in.
    pub(crate) async fn invoke(&mut self, event: &Value) -> (Value, f64) {
        let next = self.request().await;
        assert!(next.path.ends_with("/invocation/next"), "{next:?}");
        let begin = Instant::now();
        let headers = "Content-Type: application/json\r\n\
             Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
             Lambda-Runtime-Deadline-Ms: 9999999999999\r\nLambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:x\r\n";
        self.respond("200 OK", headers, &event.to_string()).await;
        let answer = self.request().await;
        let taken = begin.elapsed().as_secs_f64();
        self.respond("202 Accepted", "Content-Type: application/json\r\n", "").await;
        assert!(answer.path.ends_with("/response"), "{answer:?}");
        (serde_json::from_str(&answer.body).expect("the answer is JSON"), taken)
    }

    async fn respond(&mut self, status: &str, headers: &str, body: &str) {
        let connection = self.connection.as_mut().expect("a request came first");
        connection.respond(status, headers, body).await.expect("the function is there");
    }

    async fn request(&mut self) -> Request {
        loop {
            let connection = match &mut self.connection {
                Some(connection) => connection,
                None => self.connection.insert(Connection::accept(&self.listener).await),
            };
            match connection.request().await {
                Some(request) => return request,
                None => self.connection = None,
            }
        }
    }
}
