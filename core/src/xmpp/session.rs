//! A session: one logged-in stream, shared by any number of concurrent requests.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use secrecy::SecretString;
use tokio::{
    sync::{
        mpsc,
        oneshot::{self, error::RecvError as Canceled},
    },
    task::AbortHandle,
    time::{Instant, error::Elapsed},
};
use tokio_xmpp::minidom::Element;

use super::{
    driver::{Driver, Heard, Outgoing, TIMEOUTS},
    error::{ConnectError, RequestError},
    login::{Account, LoginMode, log_in},
    request::{Answer, Exchange, Request},
    transport::WsConnector,
};
use crate::{address::UserJid, clock::FreezeSafeInstant, telemetry::trace};

/// A logged-in stream. Clones share it; it closes when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Session {
    requests: mpsc::UnboundedSender<Outgoing>,
    driver: AbortHandle,
    /// When the last request was sent that has been answered: then at the latest the server was there.
    alive: Arc<Mutex<FreezeSafeInstant>>,
    heard: Heard,
    /// How long the server may say nothing while somebody waits for it, if less than their deadline.
    silence: Option<Duration>,
    /// Whether it was closed because the server said nothing.
    hangs: Arc<AtomicBool>,
}

impl Session {
    /// Connects and logs in, pipelined or stepwise. No deadline is kept for the whole: the caller does.
    ///
    /// # Errors
    /// [`ConnectError`], for whatever keeps the session from being there; no retry is made here.
    pub async fn open(connector: &WsConnector, account: &Account, mode: LoginMode) -> Result<Self, ConnectError> {
        Self::open_with(connector, &account.jid, &account.password.current().await, mode).await
    }

    /// As [`Session::open`], with a password that is the account's or was.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub(super) async fn open_with(
        connector: &WsConnector,
        jid: &UserJid,
        password: &SecretString,
        mode: LoginMode,
    ) -> Result<Self, ConnectError> {
        let begun = FreezeSafeInstant::now();
        let (_, stream) = log_in(connector, jid, password, TIMEOUTS, mode).await?;
        let (requests, queue) = mpsc::unbounded_channel();
        let heard = Heard::default();
        let driver = tokio::spawn(Driver::new(stream, queue, heard.clone())).abort_handle();
        Ok(Self { requests, driver, alive: Arc::new(Mutex::new(begun)), heard, silence: None, hangs: Arc::default() })
    }

    /// The same, given up by whoever waits when the server has said nothing for so long.
    pub(super) fn with_silence(self, silence: Option<Duration>) -> Self {
        Self { silence, ..self }
    }

    /// False once the stream has ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }

    /// How long ago the server was certainly there: since the last request that it answered was sent.
    /// What arrives meanwhile proves nothing, for it may have lain in a buffer while we were frozen.
    #[must_use]
    pub fn idle_time(&self) -> Duration {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Sends `request` and waits for its result: the payload, if there is one. Deadline as for all requests: see
    /// [`crate::xmpp::XmppClient::request`].
    ///
    /// # Errors
    /// [`RequestError`], but never `Connect`.
    pub async fn exchange(&self, request: Request, deadline: Instant) -> Result<Option<Element>, RequestError> {
        Ok(self.perform(request.into(), deadline).await?.payload)
    }

    /// Sends `exchange` and waits for the result of its request.
    ///
    /// When `deadline` passes first, the session is closed before this returns: nothing more of the
    /// exchange is sent. What the server has received by then may still take effect.
    ///
    /// # Errors
    /// [`RequestError`], but never `Connect`.
    pub(super) async fn perform(&self, exchange: Exchange, deadline: Instant) -> Result<Answer, RequestError> {
        let sent = FreezeSafeInstant::now();
        let reply = self.send(exchange);
        self.wait(reply, sent, deadline).await
    }

    /// Has the server prove within `proof` that it is still there.
    ///
    /// For a session after a pause: the socket may have died without notice, and waiting for the deadline to find out
    /// would cost the caller all its time. The ping goes alone: what is sent to a dead socket may arrive all the same, when
    /// the kernel repeats it, and a request would by then have been sent over another session. A server that is only slow
    /// may still answer others, so the session is left to them.
    ///
    /// # Errors
    /// [`RequestError::SessionLost`] when the proof fails, [`RequestError::TimedOut`] when `deadline` passes first.
    pub(super) async fn check_alive(&self, deadline: Instant, alive_check: Duration) -> Result<(), RequestError> {
        let (sent, until) = (FreezeSafeInstant::now(), Instant::now() + alive_check);
        match tokio::time::timeout_at(until.min(deadline), self.send(Request::ping().into())).await {
            // An error is an answer too.
            Ok(Ok(_)) => {
                self.heard_of(sent);
                Ok(())
            }
            Ok(Err(_)) => Err(ended()),
            Err(_) if until < deadline => Err(RequestError::SessionLost("no sign of life after a pause".into())),
            Err(_) => Err(RequestError::TimedOut),
        }
    }

    /// Whether this is `other`, or a clone of it.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.requests.same_channel(&other.requests)
    }

    /// Closes the stream at once; what is still unanswered ends with `SessionLost`.
    pub async fn close(&self) {
        self.driver.abort();
        self.requests.closed().await;
    }

    fn heard_of(&self, sent: FreezeSafeInstant) {
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = sent;
    }

    fn send(&self, Exchange { ahead, request }: Exchange) -> oneshot::Receiver<Result<Answer, RequestError>> {
        let (reply, receiver) = oneshot::channel();
        // When the driver is gone, the sender is dropped here and the receiver says so.
        let _ = self.requests.send(Outgoing { ahead, request, reply, trace: trace::current() });
        receiver
    }

    /// What comes of `reply` before the deadline, and before the server has been silent for too long.
    async fn answer<T>(
        &self,
        mut reply: oneshot::Receiver<T>,
        deadline: Instant,
    ) -> Result<Result<T, Canceled>, Elapsed> {
        let Some(silence) = self.silence else { return tokio::time::timeout_at(deadline, reply).await };
        loop {
            let (heard, until) = (self.heard.count(), deadline.min(Instant::now() + silence));
            match tokio::time::timeout_at(until, &mut reply).await {
                Err(_) if until < deadline && self.heard.count() != heard => {}
                outcome => return outcome,
            }
        }
    }

    async fn wait(
        &self,
        reply: oneshot::Receiver<Result<Answer, RequestError>>,
        sent: FreezeSafeInstant,
        deadline: Instant,
    ) -> Result<Answer, RequestError> {
        match self.answer(reply, deadline).await {
            Ok(Ok(result)) => {
                self.heard_of(sent);
                result
            }
            // Another session would be waited for in vain.
            Ok(Err(_)) if self.hangs.load(Ordering::Relaxed) => Err(RequestError::TimedOut),
            Ok(Err(_)) => Err(ended()),
            Err(_) => {
                self.hangs.store(Instant::now() < deadline, Ordering::Relaxed);
                self.close().await;
                Err(RequestError::TimedOut)
            }
        }
    }
}

fn ended() -> RequestError {
    RequestError::SessionLost("the connection closed".into())
}
