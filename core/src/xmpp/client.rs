//! The service's own client: a session when one is needed, and another when it was lost.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use secrecy::SecretString;
use tokio::{task::AbortHandle, time::Instant};
use tokio_xmpp::minidom::Element;
use tracing::Instrument as _;
use xmpp_parsers::message::Message;

use super::{
    error::{ConnectError, RequestError},
    login::{Account, LoginMode},
    request::{Answer, Bounce, Exchange, Request},
    session::Session,
    transport::WsConnector,
};
use crate::{
    breaker::{Admission, Breaker, PROBE_PATIENCE, Sign},
    clock::FreezeSafeInstant,
    telemetry::Metric,
};

/// The time limits of an [`XmppClient`].
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For connecting and logging in, both manners together.
    pub connect: Duration,
    /// A session is trusted without proof when the server was heard of within this time.
    pub trusted_idle: Duration,
    /// How long a session may take to prove itself after a pause.
    pub alive_check: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            trusted_idle: Duration::from_secs(3),
            alive_check: Duration::from_millis(750),
        }
    }
}

/// One of several servers that has said nothing for so long, while somebody waited for it, hangs: whoever waits for it holds up
/// what is in the same batch, and a function that others' events could have. Servers that are well are silent for a second at
/// most, whatever a user or a deletion has them do (`scripts/bench stalls`).
const SILENCE: Duration = Duration::from_millis(1_500);

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
    timeouts: Timeouts,
    slot: Mutex<Slot>,
    attempts: AtomicU64,
    breaker: Option<Arc<Breaker>>,
    /// Set when the server objected to the pipelined login but took the stepwise one.
    stepwise: AtomicBool,
}

#[derive(Debug)]
enum Slot {
    Empty,
    Connecting(Attempt),
    Open(Session),
}

/// An attempt to connect.
#[derive(Debug, Clone)]
struct Attempt {
    number: u64,
    began: FreezeSafeInstant,
    /// Whether its failure has been logged.
    reported: Arc<AtomicBool>,
    task: AbortHandle,
    outcome: Shared<BoxFuture<'static, Result<Session, ConnectError>>>,
}

impl XmppClient {
    /// A client that has not connected yet.
    #[must_use]
    pub fn new(connector: WsConnector, account: Account, timeouts: Timeouts) -> Self {
        Self(Arc::new(Inner::new(connector, account, timeouts)))
    }

    /// One like this that has not connected yet, and leaves the server alone for a while whenever that does not answer.
    #[must_use]
    pub(crate) fn with_breaker(&self, breaker: Arc<Breaker>) -> Self {
        let Inner { connector, account, timeouts, .. } = &*self.0;
        let mut inner = Inner::new(connector.clone(), account.clone(), *timeouts);
        inner.breaker = Some(breaker);
        Self(Arc::new(inner))
    }

    /// Sends `request`, which has to be idempotent, and waits for its result until `deadline`.
    ///
    /// A session that turns out lost costs one reconnect and the request is sent again, unless it has been sent and is
    /// [`Request::no_resend`]. When `deadline` passes, the session is closed before this returns: nothing more of the request is
    /// sent.
    ///
    /// # Errors
    /// [`RequestError::Connect`] if nothing was sent; after any other but [`RequestError::Stanza`] the request may have had its
    /// effect.
    pub async fn request(&self, request: &Request, deadline: Instant) -> Result<Option<Element>, RequestError> {
        Ok(self.exchange(request.clone().into(), deadline).await?.payload)
    }

    /// Sends `messages` and waits until the server has handled them all: a ping follows them on the stream, which the
    /// server handles in order. Returns what bounced. Each message needs an id of its own and a bare JID to go to.
    ///
    /// After a lost session all are sent again, so whoever gets one twice has to tell by its id.
    ///
    /// # Errors
    /// [`RequestError`]; some may have been delivered.
    pub async fn deliver(&self, messages: Vec<Message>, deadline: Instant) -> Result<Vec<Bounce>, RequestError> {
        let exchange = Exchange { ahead: messages.into(), request: Request::ping() };
        Ok(self.exchange(exchange, deadline).await?.bounces)
    }

    /// Unless the server is left alone just now.
    async fn exchange(&self, exchange: Exchange, deadline: Instant) -> Result<Answer, RequestError> {
        let Some(breaker) = &self.0.breaker else { return self.exchange_now(exchange, deadline).await };
        let deadline = match breaker.admits() {
            Admission::Yes => deadline,
            Admission::Probe => deadline.min(Instant::now() + PROBE_PATIENCE),
            Admission::No => return Err(ConnectError::Away(breaker.name().into()).into()),
        };
        let begun = Instant::now();
        let outcome = self.exchange_now(exchange, deadline).await;
        if let Some(sign) = sign_of(&outcome, begun) {
            breaker.note(sign);
        }
        outcome
    }

    /// Waits until the server, one of several, gives no sign of life. For whoever asks it for something by another way, of which
    /// nothing is heard before all is done. A server that is alone is never given up.
    pub(crate) async fn falls_silent(&self) {
        let Some(breaker) = &self.0.breaker else { return std::future::pending().await };
        loop {
            tokio::time::sleep(PROBE_PATIENCE).await;
            let begun = Instant::now();
            let outcome = self.exchange_now(Request::ping().into(), begun + SILENCE).await;
            let Some(sign) = sign_of(&outcome, begun) else { continue };
            breaker.note(sign);
            if sign != Sign::Answer {
                return;
            }
        }
    }

    async fn exchange_now(&self, exchange: Exchange, deadline: Instant) -> Result<Answer, RequestError> {
        let Timeouts { trusted_idle, alive_check, .. } = self.0.timeouts;
        let mut session = self.session(deadline).await?;
        if session.idle_time() > trusted_idle {
            match session.check_alive(deadline, alive_check).await {
                // Nothing of the exchange has been sent.
                Err(lost) if lost.is_session_loss() => {
                    tracing::debug!(error = %lost, "XMPP session lost, reconnecting");
                    self.0.retire(&session);
                    session = self.session(deadline).await?;
                }
                proven => proven?,
            }
        }
        match session.perform(exchange.clone(), deadline).await {
            Err(lost) if lost.is_session_loss() && exchange.request.may_be_repeated() => {
                tracing::debug!(error = %lost, "XMPP session lost, reconnecting");
                // Were this one's error to stand for the first, the caller would take the request for one that was never sent.
                let Ok(session) = self.session(deadline).await else { return Err(lost) };
                session.perform(exchange, deadline).await
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
                // One of before the process was frozen tells nothing about now: it would just time out.
                Slot::Connecting(attempt) if attempt.began.elapsed() < self.0.timeouts.connect => attempt.clone(),
                other => {
                    if let Slot::Connecting(stale) = other {
                        stale.task.abort();
                    }
                    let attempt = self.attempt();
                    *slot = Slot::Connecting(attempt.clone());
                    attempt
                }
            }
        };
        let Ok(outcome) = tokio::time::timeout_at(deadline, attempt.outcome).await else {
            // The caller is told now, and the attempt may end long after, or in another invocation.
            let error = ConnectError::TimedOut(attempt.began.elapsed());
            self.0.report(&error, &attempt.reported);
            return Err(error.into());
        };
        Ok(outcome?)
    }

    /// Starts to connect. The attempt runs on its own: whoever waits may give up without ending it.
    fn attempt(&self) -> Attempt {
        let (inner, began) = (self.0.clone(), FreezeSafeInstant::now());
        let number = inner.attempts.fetch_add(1, Ordering::Relaxed);
        let reported = Arc::new(AtomicBool::new(false));
        let limit = inner.timeouts.connect;
        let task = {
            let reported = reported.clone();
            let connecting = async move {
                let outcome = inner.connect(began, &reported).await;
                let mut slot = inner.slot();
                if matches!(&*slot, Slot::Connecting(current) if current.number == number) {
                    *slot = outcome.as_ref().map_or(Slot::Empty, |session| Slot::Open(session.clone()));
                }
                outcome
            };
            tokio::spawn(connecting.in_current_span())
        };
        let abort = task.abort_handle();
        let outcome = async move { task.await.unwrap_or(Err(ConnectError::TimedOut(limit))) };
        Attempt { number, began, reported, task: abort, outcome: outcome.boxed().shared() }
    }
}

impl Inner {
    fn new(connector: WsConnector, account: Account, timeouts: Timeouts) -> Self {
        Self {
            connector,
            account,
            timeouts,
            slot: Mutex::new(Slot::Empty),
            attempts: AtomicU64::new(0),
            breaker: None,
            stepwise: AtomicBool::new(false),
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `session` be used for nothing new. It ends with those who still wait for answers on it.
    fn retire(&self, session: &Session) {
        let mut slot = self.slot();
        if matches!(&*slot, Slot::Open(current) if current.is(session)) {
            *slot = Slot::Empty;
        }
    }

    /// Connects and logs in within the time limit.
    async fn connect(&self, began: FreezeSafeInstant, reported: &AtomicBool) -> Result<Session, ConnectError> {
        let limit = self.timeouts.connect;
        let outcome = tokio::time::timeout(limit, self.log_in()).await.unwrap_or(Err(ConnectError::TimedOut(limit)));
        match &outcome {
            Ok(_) => self.count(Metric::XmppConnects),
            Err(error) if began.elapsed() > limit * 2 => {
                tracing::debug!(error = %error, "Connecting was interrupted: the process was frozen meanwhile");
            }
            Err(error) => self.report(error, reported),
        }
        outcome
    }

    /// For all XMPP servers, and for this one where there are several.
    fn count(&self, metric: Metric) {
        metric.add(1);
        if let Some(breaker) = &self.breaker {
            metric.add_of_cell(breaker.name(), 1);
        }
    }

    /// Logs the failure of an attempt: once, however many wait for it.
    fn report(&self, error: &ConnectError, reported: &AtomicBool) {
        if !reported.swap(true, Ordering::Relaxed) {
            self.count(Metric::XmppConnectFailures);
            tracing::error!(
                error = %error,
                admin = %self.account.jid,
                url = %self.connector.url(),
                "Failed to obtain [admin] XMPP client"
            );
        }
    }

    /// Logs in; with a password that is refused, once more if it turns out to have changed.
    async fn log_in(&self) -> Result<Session, ConnectError> {
        let is_refusal = |outcome: &Result<_, _>| matches!(outcome, Err(ConnectError::Unauthorized(_)));
        self.account.password.attempt(|password| self.log_in_with(password), is_refusal).await
    }

    async fn log_in_with(&self, password: SecretString) -> Result<Session, ConnectError> {
        let silence = self.breaker.as_ref().map(|_| SILENCE);
        let open = async |mode| {
            let session = Session::open_with(&self.connector, &self.account.jid, &password, mode).await?;
            Ok(session.with_silence(silence))
        };
        if self.stepwise.load(Ordering::Relaxed) {
            return open(LoginMode::Stepwise).await;
        }
        let first = open(LoginMode::Pipelined).await;
        let Err(objection @ (ConnectError::Negotiation(_) | ConnectError::Broken(_))) = first else { return first };
        tracing::debug!(error = %objection, "The pipelined login failed, trying it stepwise");
        let session = open(LoginMode::Stepwise).await?;
        // A connection that breaks may be a server that restarts as well as one that objects.
        if matches!(objection, ConnectError::Negotiation(_)) {
            self.stepwise.store(true, Ordering::Relaxed);
        }
        Ok(session)
    }
}

/// What the outcome of an exchange tells about the server; nothing, if there was no time to find out.
fn sign_of(outcome: &Result<Answer, RequestError>, begun: Instant) -> Option<Sign> {
    match outcome {
        Ok(_) | Err(RequestError::Stanza(_) | RequestError::Protocol(_)) => Some(Sign::Answer),
        Err(RequestError::TimedOut) => (begun.elapsed() >= PROBE_PATIENCE).then_some(Sign::Silence),
        Err(RequestError::Connect(ConnectError::TimedOut(after))) if *after >= PROBE_PATIENCE => Some(Sign::Silence),
        Err(RequestError::Connect(_) | RequestError::SessionLost(_)) => Some(Sign::Failure),
    }
}
