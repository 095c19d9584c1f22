//! An HTTP server for tests: answers as it is told, and counts.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Answers every request with the status and body of the moment, and counts.
pub(crate) struct HttpFake {
    pub url: url::Url,
    pub requests: Arc<AtomicUsize>,
    pub answer: Arc<Mutex<(u16, String)>>,
    pub seen: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for HttpFake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HttpFake {
    pub(crate) async fn start(body: &Value) -> Self {
        Self::serving(body, false).await
    }

    /// One that keeps connections, and closes each when a second request comes: as those are that died unnoticed.
    pub(crate) async fn start_forgetful(body: &Value) -> Self {
        Self::serving(body, true).await
    }

    async fn serving(body: &Value, keeps: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/endpoint", listener.local_addr().unwrap()).parse().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(Mutex::new((200, body.to_string())));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (count, current, log) = (requests.clone(), answer.clone(), seen.clone());
        let task = tokio::spawn(async move {
            loop {
                let Ok((mut tcp, _)) = listener.accept().await else { return };
                count.fetch_add(1, Ordering::SeqCst);
                let (status, body) = current.lock().unwrap().clone();
                let log = log.clone();
                tokio::spawn(async move {
                    let request = read_request(&mut tcp).await;
                    log.lock().unwrap().push(request);
                    let connection = if keeps { "keep-alive" } else { "close" };
                    let head = format!(
                        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: {connection}\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    let _ = tcp.write_all((head + &body).as_bytes()).await;
                    if keeps {
                        let request = read_request(&mut tcp).await;
                        log.lock().unwrap().push(request);
                    }
                });
            }
        });
        Self { url, requests, answer, seen, task }
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn answer_with(&self, status: u16, body: &Value) {
        *self.answer.lock().unwrap() = (status, body.to_string());
    }
}

async fn read_request(tcp: &mut tokio::net::TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let amount = tcp.read(&mut buffer).await.unwrap_or(0);
        text.push_str(&String::from_utf8_lossy(&buffer[..amount]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if amount == 0 {
                return text;
            }
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse().unwrap())
            })
            .unwrap_or(0);
        if body.len() >= length || amount == 0 {
            return text;
        }
    }
}
