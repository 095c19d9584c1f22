//! An HTTP server for tests: answers as it is told, and counts.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A request, as it came.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// Head and body.
    pub text: String,
    /// How many requests came over its connection before it.
    pub before: usize,
}

impl HttpRequest {
    /// What follows the head.
    #[must_use]
    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.text.split_once("\r\n\r\n").map_or("", |(head, _)| head);
        let mut headers = head.lines().filter_map(|line| line.split_once(':'));
        headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum HttpAnswer {
    /// It is answered with a status and a body, and the connection kept.
    Keep(u16, String),
    /// The same, and the connection closed.
    Close(u16, String),
    /// The connection is closed without an answer.
    HangUp,
    /// Nothing: the connection stays, and no answer comes.
    Ignore,
}

/// A running server on loopback.
pub struct HttpFake {
    /// Where it listens.
    pub address: SocketAddr,
    /// A URL there, with the path `/endpoint`.
    pub url: url::Url,
    /// The requests so far, heads and bodies.
    pub seen: Arc<Mutex<Vec<String>>>,
    answered: Arc<AtomicUsize>,
    answer: Arc<Mutex<(u16, String)>>,
    task: JoinHandle<()>,
}

impl Drop for HttpFake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HttpFake {
    /// Answers every request with `body`, until told otherwise by [`HttpFake::answer_with`], and closes the connection.
    pub async fn start(body: &Value) -> Self {
        let answer = Arc::new(Mutex::new((200, body.to_string())));
        let current = answer.clone();
        let answers = move |_: &HttpRequest| {
            let (status, body) = current.lock().unwrap().clone();
            HttpAnswer::Close(status, body)
        };
        let mut fake = Self::answering(answers).await;
        fake.answer = answer;
        fake
    }

    /// One that keeps connections, and closes each when a second request comes: as those are that died unnoticed.
    pub async fn start_forgetful(body: &Value) -> Self {
        let body = body.to_string();
        Self::answering(move |request| match request.before {
            0 => HttpAnswer::Keep(200, body.clone()),
            _ => HttpAnswer::HangUp,
        })
        .await
    }

    /// Asks `answers` about every request, one at a time.
    pub async fn answering(answers: impl FnMut(&HttpRequest) -> HttpAnswer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}/endpoint").parse().unwrap();
        let (seen, answered) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let (log, count, answers) = (seen.clone(), answered.clone(), Arc::new(Mutex::new(answers)));
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (log, count, answers) = (log.clone(), count.clone(), answers.clone());
                tokio::spawn(serve(tcp, move |request| {
                    log.lock().unwrap().push(request.text.clone());
                    let answer = (*answers.lock().unwrap())(request);
                    if !matches!(answer, HttpAnswer::HangUp | HttpAnswer::Ignore) {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                    answer
                }));
            }
        });
        Self { address, url, seen, answered, answer: Arc::default(), task }
    }

    /// How many requests were answered.
    #[must_use]
    pub fn count(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// What one from [`HttpFake::start`] answers from now on.
    pub fn answer_with(&self, status: u16, body: &Value) {
        *self.answer.lock().unwrap() = (status, body.to_string());
    }
}

async fn serve(mut tcp: TcpStream, mut answer: impl FnMut(&HttpRequest) -> HttpAnswer) {
    for before in 0.. {
        let Some(text) = read_request(&mut tcp).await else { return };
        let (status, body, keeps) = match answer(&HttpRequest { text, before }) {
            HttpAnswer::Keep(status, body) => (status, body, true),
            HttpAnswer::Close(status, body) => (status, body, false),
            HttpAnswer::HangUp => return,
            HttpAnswer::Ignore => return std::future::pending().await,
        };
        let (connection, length) = (if keeps { "keep-alive" } else { "close" }, body.len());
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: {connection}\r\n");
        let answer = format!("{head}Content-Length: {length}\r\n\r\n{body}");
        if tcp.write_all(answer.as_bytes()).await.is_err() || !keeps {
            return;
        }
    }
}

/// The next request; `None` once there are no more.
async fn read_request(tcp: &mut TcpStream) -> Option<String> {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length: Option<usize> = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:").map(|length| length.trim().parse().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        match tcp.read(&mut part).await {
            Ok(0) | Err(_) => return None,
            Ok(amount) => bytes.extend_from_slice(&part[..amount]),
        }
    }
}
