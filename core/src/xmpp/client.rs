//! The service's own client: a session when one is needed, and another when it was lost.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::{task::AbortHandle, time::Instant};
use tokio_xmpp::minidom::Element;

use super::{
    ConnectError, RequestError,
    login::{Account, Manner},
    session::{Request, Session},
    transport::WsConnector,
};

/// The time limits of an [`XmppClient`].
#[derive(Debug, Clone, Copy)]
pub struct Timings {
    /// For connecting and logging in, both manners together.
    pub connect: Duration,
    /// A session is trusted without proof when the server was heard of within this time.
    pub quiet: Duration,
    /// How long a session may take to prove itself after a pause.
    pub proof: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self { connect: Duration::from_secs(2), quiet: Duration::from_secs(3), proof: Duration::from_millis(750) }
    }
}

/// Sends requests to the XMPP server as the service's admin account.
///
/// Cheap to clone; clones share one session. Connects lazily, one attempt at a time: all who need a
/// session meanwhile share its outcome, and its failure is logged once.
#[derive(Debug, Clone)]
pub struct XmppClient(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connector: WsConnector,
    account: Account,
    timings: Timings,
    slot: Mutex<Slot>,
    /// Set when the server objected to the pipelined login but took the stepwise one.
    stepwise: AtomicBool,
}

#[derive(Debug)]
enum Slot {
    Empty,
    Connecting(Attempt),
    Open(Session),
}

/// An attempt to connect, and when it began.
#[derive(Debug, Clone)]
struct Attempt {
    outcome: Shared<BoxFuture<'static, Result<Session, ConnectError>>>,
    task: AbortHandle,
    monotonic: Instant,
    wall: SystemTime,
}

impl Attempt {
    /// An attempt of before the process was frozen tells nothing about now.
    fn is_stale(&self, limit: Duration) -> bool {
        let wall = self.wall.elapsed().unwrap_or_default();
        self.monotonic.elapsed().max(wall) > limit + Duration::from_millis(500)
    }
}

impl XmppClient {
    /// A client that has not connected yet.
    #[must_use]
    pub fn new(connector: WsConnector, account: Account, timings: Timings) -> Self {
        Self(Arc::new(Inner {
            connector,
            account,
            timings,
            slot: Mutex::new(Slot::Empty),
            stepwise: AtomicBool::new(false),
        }))
    }

    /// Sends `request`, which has to be idempotent, and waits for its result until `deadline`.
    ///
    /// A session that turns out lost costs one reconnect and the request is sent again.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(&self, request: &Request, deadline: Instant) -> Result<Option<Element>, RequestError> {
        let Timings { quiet, proof, .. } = self.0.timings;
        let session = self.session(deadline).await?;
        let first = if session.silence() > quiet {
            session.exchange_after_pause(request.clone(), deadline, proof).await
        } else {
            session.exchange(request.clone(), deadline).await
        };
        match first {
            Err(lost) if lost.is_session_loss() => {
                tracing::debug!(error = %lost, "XMPP session lost, reconnecting");
                self.session(deadline).await?.exchange(request.clone(), deadline).await
            }
            result => result,
        }
    }

    /// The open session, or a new one.
    async fn session(&self, deadline: Instant) -> Result<Session, RequestError> {
        let attempt = {
            let mut slot = self.0.slot();
            match &*slot {
                Slot::Open(session) if session.is_open() => return Ok(session.clone()),
                Slot::Connecting(attempt) if !attempt.is_stale(self.0.timings.connect) => attempt.clone(),
                stale => {
                    if let Slot::Connecting(attempt) = stale {
                        attempt.task.abort();
                    }
                    let attempt = self.attempt();
                    *slot = Slot::Connecting(attempt.clone());
                    attempt
                }
            }
        };
        match tokio::time::timeout_at(deadline, attempt.outcome).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(ConnectError::TimedOut(self.0.timings.connect).into()),
        }
    }

    /// Starts to connect. The attempt runs on its own: whoever waits may give up without ending it.
    fn attempt(&self) -> Attempt {
        let inner = self.0.clone();
        let task = tokio::spawn(async move {
            let outcome = inner.connect().await;
            *inner.slot() = match &outcome {
                Ok(session) => Slot::Open(session.clone()),
                Err(_) => Slot::Empty,
            };
            outcome
        });
        let abort = task.abort_handle();
        let outcome =
            async { task.await.unwrap_or_else(|error| Err(ConnectError::Negotiation(error.to_string().into()))) };
        Attempt { outcome: outcome.boxed().shared(), task: abort, monotonic: Instant::now(), wall: SystemTime::now() }
    }
}

impl Inner {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects and logs in, and logs a failure: here, where it happens once however many wait for it.
    async fn connect(&self) -> Result<Session, ConnectError> {
        let limit = self.timings.connect;
        let outcome = tokio::time::timeout(limit, self.log_in()).await.unwrap_or(Err(ConnectError::TimedOut(limit)));
        if let Err(error) = &outcome {
            tracing::error!(
                error = %error,
                user = %self.account.jid,
                url = %self.connector.url(),
                "Failed to obtain [admin] XMPP client"
            );
        }
        outcome
    }

    async fn log_in(&self) -> Result<Session, ConnectError> {
        if self.stepwise.load(Ordering::Relaxed) {
            return Session::open(&self.connector, &self.account, Manner::Stepwise).await;
        }
        match Session::open(&self.connector, &self.account, Manner::Pipelined).await {
            Err(ConnectError::Negotiation(reason)) => {
                tracing::debug!(reason = &*reason, "XMPP server objects to a pipelined login, trying it stepwise");
                let session = Session::open(&self.connector, &self.account, Manner::Stepwise).await?;
                self.stepwise.store(true, Ordering::Relaxed);
                Ok(session)
            }
            outcome => outcome,
        }
    }
}
