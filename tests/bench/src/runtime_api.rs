//! The Lambda Runtime API for one function: hands out events, takes answers, keeps time.

use std::time::Instant;

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// One function's connection to the API, over which its invocations go one by one.
pub(crate) struct RuntimeApi {
    listener: TcpListener,
    connection: Option<BufReader<TcpStream>>,
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
        let (path, _) = self.request().await;
        assert!(path.ends_with("/invocation/next"), "{path}");
        let begin = Instant::now();
        let headers = "Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
             Lambda-Runtime-Deadline-Ms: 9999999999999\r\nLambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:x\r\n";
        self.respond("200 OK", headers, &event.to_string()).await;
        let (path, body) = self.request().await;
        let taken = begin.elapsed().as_secs_f64();
        self.respond("202 Accepted", "", "").await;
        assert!(path.ends_with("/response"), "{path}: {body}");
        (serde_json::from_str(&body).expect("the answer is JSON"), taken)
    }

    async fn respond(&mut self, status: &str, headers: &str, body: &str) {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        let connection = self.connection.as_mut().expect("a request came first");
        connection.write_all((head + body).as_bytes()).await.expect("the function is there");
    }

    /// The next request: path and body.
    async fn request(&mut self) -> (String, String) {
        loop {
            if self.connection.is_none() {
                let (tcp, _) = self.listener.accept().await.expect("the function connects");
                tcp.set_nodelay(true).expect("a TCP socket");
                self.connection = Some(BufReader::new(tcp));
            }
            match read_request(self.connection.as_mut().expect("just made")).await {
                Some(request) => return request,
                None => self.connection = None,
            }
        }
    }
}

async fn read_request(connection: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut line = String::new();
    connection.read_line(&mut line).await.ok().filter(|amount| *amount > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        connection.read_line(&mut line).await.ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.ok()?;
    Some((path, String::from_utf8(body).ok()?))
}
