//! What the bridge is doing: counters, and a small HTTP server that tells them.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What the bridge is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// The service is disabled: it consumes nothing.
    Disabled,
    /// It has no session with the broker.
    Connecting,
    /// It consumes, but another one is the active consumer, or nothing has come yet.
    Standby,
    /// It is the active consumer, with an epoch.
    Active,
    /// It finishes what is in flight.
    Stopping,
}

impl State {
    const ALL: [(Self, &str); 5] = [
        (Self::Disabled, "disabled"),
        (Self::Connecting, "connecting"),
        (Self::Standby, "standby"),
        (Self::Active, "active"),
        (Self::Stopping, "stopping"),
    ];

    /// Whether there is a session with the broker.
    #[must_use]
    pub fn is_connected(self) -> bool {
        matches!(self, Self::Standby | Self::Active | Self::Stopping)
    }
}

/// Counters since the start of the process, and the state of the moment.
#[derive(Debug)]
pub struct Health {
    state: AtomicU8,
    epoch: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    dead: AtomicU64,
    failed: AtomicU64,
    acknowledged: AtomicU64,
    ignored: AtomicU64,
    /// The broker has publishers wait.
    blocked: AtomicBool,
    /// Milliseconds since 1970; 0 before the first.
    last_acknowledgement: AtomicI64,
}

impl Health {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(state: State) -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU8::new(state as u8),
            epoch: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            dead: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            ignored: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            last_acknowledgement: AtomicI64::new(0),
        })
    }

    /// The state changed.
    pub fn enter(&self, state: State) {
        self.state.store(state as u8, Relaxed);
        if matches!(state, State::Connecting | State::Standby) {
            self.epoch.store(0, Relaxed);
            self.blocked.store(false, Relaxed);
        }
    }

    /// The session has taken an epoch.
    pub fn active(&self, epoch: u64) {
        self.epoch.store(epoch, Relaxed);
        self.enter(State::Active);
    }

    pub(crate) fn received(&self, count: u64) {
        self.received.fetch_add(count, Relaxed);
    }

    pub(crate) fn sent(&self, count: u64) {
        self.sent.fetch_add(count, Relaxed);
    }

    pub(crate) fn dead(&self) {
        self.dead.fetch_add(1, Relaxed);
    }

    pub(crate) fn ignored(&self) {
        self.ignored.fetch_add(1, Relaxed);
    }

    /// The broker has publishers wait, or does not any more. Gives what was the case before.
    pub(crate) fn blocked(&self, is_blocked: bool) -> bool {
        self.blocked.swap(is_blocked, Relaxed)
    }

    /// Whether the broker has publishers wait: dead letters wait then.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }

    pub(crate) fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    pub(crate) fn acknowledged(&self, count: u64) {
        self.acknowledged.fetch_add(count, Relaxed);
        let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        self.last_acknowledgement.store(i64::try_from(now).unwrap_or_default(), Relaxed);
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> State {
        let state = self.state.load(Relaxed);
        State::ALL.into_iter().find(|(one, _)| *one as u8 == state).map_or(State::Connecting, |(one, _)| one)
    }

    fn report(&self) -> (bool, String) {
        let state = self.state();
        let name = State::ALL.into_iter().find(|(one, _)| *one == state).map_or("", |(_, name)| name);
        let (connected, blocked) = (state.is_connected(), self.is_blocked());
        // It works all the same, but for dead letters: a new start would help nobody.
        let name = if connected && blocked && state != State::Stopping { "blocked" } else { name };
        let epoch = Some(self.epoch.load(Relaxed)).filter(|epoch| *epoch > 0);
        let last = self.last_acknowledgement.load(Relaxed);
        let last = (last > 0).then(|| {
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(last) * 1_000_000).ok()?.format(&Rfc3339).ok()
        });
        let body = json!({
            "state": name,
            "connected": connected,
            "blocked": blocked,
            "active": epoch.is_some(),
            "epoch": epoch,
            "in": self.received.load(Relaxed),
            "out": self.sent.load(Relaxed),
            "dead": self.dead.load(Relaxed),
            "ignored": self.ignored.load(Relaxed),
            "failed": self.failed.load(Relaxed),
            "acknowledged": self.acknowledged.load(Relaxed),
            "lastAcknowledgement": last,
        });
        (connected || state == State::Disabled, body.to_string())
    }

    /// The counters in Prometheus's text format.
    fn metrics(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for (name, kind, value) in [
            ("connected", "gauge", u64::from(self.state().is_connected())),
            ("blocked", "gauge", u64::from(self.is_blocked())),
            ("epoch", "gauge", self.epoch.load(Relaxed)),
            ("received_total", "counter", self.received.load(Relaxed)),
            ("sent_total", "counter", self.sent.load(Relaxed)),
            ("dead_letters_total", "counter", self.dead.load(Relaxed)),
            ("ignored_total", "counter", self.ignored.load(Relaxed)),
            ("failed_sends_total", "counter", self.failed.load(Relaxed)),
            ("acknowledged_total", "counter", self.acknowledged.load(Relaxed)),
        ] {
            let _ = writeln!(text, "# TYPE sippo_xmpp_bridge_{name} {kind}\nsippo_xmpp_bridge_{name} {value}");
        }
        text
    }
}

/// Serves `GET /health` (200, or 503 without a session with the broker) and `GET /metrics` until dropped.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(listen: SocketAddr, health: Arc<Health>) -> io::Result<impl Future<Output = ()>> {
    let listener = TcpListener::bind(listen).await?;
    Ok(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let health = health.clone();
                    tokio::spawn(async move {
                        let _ = tokio::time::timeout(Duration::from_secs(5), answer(stream, &health)).await;
                    });
                }
                // Out of file descriptors: wait until some are free.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    })
}

async fn answer(mut stream: TcpStream, health: &Health) -> io::Result<()> {
    let mut head = Vec::with_capacity(1024);
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if head.len() > 8192 || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, kind, body) = match (method, path) {
        (b"GET", b"/health") => {
            let (healthy, body) = health.report();
            (if healthy { "200 OK" } else { "503 Service Unavailable" }, "application/json", body)
        }
        (b"GET", b"/metrics") => ("200 OK", "text/plain; version=0.0.4", health.metrics()),
        (_, b"/health" | b"/metrics") => ("405 Method Not Allowed", "text/plain", "use GET\n".to_owned()),
        _ => ("404 Not Found", "text/plain", "there are /health and /metrics\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}
