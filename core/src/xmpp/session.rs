//! A session: one logged-in stream, shared by any number of concurrent requests.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jid::Jid;
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::Instant,
};
use tokio_xmpp::minidom::Element;
use xmpp_parsers::{
    iq::{Iq, IqGetPayload, IqSetPayload},
    message::Message,
    ping::Ping,
    stanza_error::StanzaError,
};

use super::{
    ConnectError, RequestError,
    driver::{Driver, Outgoing},
    login::{Account, Manner, log_in},
    transport::WsConnector,
};
use crate::{clock::Stamp, telemetry::trace};

/// An IQ request (RFC 6120, section 8.2.3), to be sent as often as it takes unless it says otherwise.
#[derive(Debug, Clone)]
pub struct Request {
    to: Option<Jid>,
    verb: Verb,
    payload: Element,
    once: bool,
}

#[derive(Debug, Clone, Copy)]
enum Verb {
    Get,
    Set,
}

impl Request {
    /// A request of type `get`.
    pub fn get(to: impl Into<Jid>, payload: impl IqGetPayload) -> Self {
        Self { to: Some(to.into()), verb: Verb::Get, payload: payload.into(), once: false }
    }

    /// A request of type `set`. It may be repeated after a lost session, so it has to be idempotent; or else see
    /// [`Request::once`].
    pub fn set(to: impl Into<Jid>, payload: impl IqSetPayload) -> Self {
        Self { to: Some(to.into()), verb: Verb::Set, payload: payload.into(), once: false }
    }

    /// The same, not to be sent twice: if its session is lost, it is lost with it.
    ///
    /// For what another request may undo: of two copies the first may arrive after that, and would undo it in turn.
    #[must_use]
    pub fn once(self) -> Self {
        Self { once: true, ..self }
    }

    /// Whether it may be sent again after it may have been received.
    pub(super) fn may_be_repeated(&self) -> bool {
        !self.once
    }

    /// XEP-0199 to the server that holds the session.
    pub(super) fn ping() -> Self {
        Self { to: None, verb: Verb::Get, payload: Ping.into(), once: false }
    }

    /// Whom it is for; nobody in particular means the server that holds the session.
    pub(super) fn to(&self) -> Option<&Jid> {
        self.to.as_ref()
    }

    pub(super) fn into_iq(self, id: String) -> Iq {
        let Self { to, verb, payload, .. } = self;
        match verb {
            Verb::Get => Iq::Get { from: None, to, id, payload },
            Verb::Set => Iq::Set { from: None, to, id, payload },
        }
    }
}

/// Messages, and a request behind them whose answer shows that the server has handled them all.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    /// Sent first, in this order, without waiting for anything.
    pub(super) ahead: Arc<[Message]>,
    /// Sent last.
    pub(super) request: Request,
}

impl From<Request> for Exchange {
    fn from(request: Request) -> Self {
        Self { ahead: Arc::default(), request }
    }
}

/// What came of an exchange.
#[derive(Debug)]
pub(super) struct Answer {
    /// The payload of the request's result.
    pub(super) payload: Option<Element>,
    /// What bounced of the messages.
    pub(super) bounces: Vec<Bounce>,
}

/// A message that came back as an error (RFC 6120, section 8.3).
#[derive(Debug, Clone)]
pub struct Bounce {
    /// Which of the messages, counted from 0.
    pub message: usize,
    /// Why.
    pub error: Arc<StanzaError>,
}

/// A logged-in stream. Clones share it; it closes when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Session {
    requests: mpsc::UnboundedSender<Outgoing>,
    driver: AbortHandle,
    /// When the last request was sent that has been answered: then at the latest the server was there.
    alive: Arc<Mutex<Stamp>>,
}

impl Session {
    /// Connects and logs in, pipelined or stepwise. No deadline is kept for the whole: the caller does.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn open(connector: &WsConnector, account: &Account, manner: Manner) -> Result<Self, ConnectError> {
        let begun = Stamp::now();
        let (_, stream) = log_in(connector, account, super::driver::TIMEOUTS, manner).await?;
        let (requests, queue) = mpsc::unbounded_channel();
        let driver = tokio::spawn(Driver::new(stream, queue)).abort_handle();
        Ok(Self { requests, driver, alive: Arc::new(Mutex::new(begun)) })
    }

    /// False once the stream has ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }

    /// How long ago the server was certainly there: since the last request that it answered was sent.
    /// What arrives meanwhile proves nothing, for it may have lain in a buffer while we were frozen.
    #[must_use]
    pub fn silence(&self) -> Duration {
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
        let sent = Stamp::now();
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
    pub(super) async fn prove(&self, deadline: Instant, proof: Duration) -> Result<(), RequestError> {
        let (sent, until) = (Stamp::now(), Instant::now() + proof);
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

    fn heard_of(&self, sent: Stamp) {
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = sent;
    }

    fn send(&self, Exchange { ahead, request }: Exchange) -> oneshot::Receiver<Result<Answer, RequestError>> {
        let (reply, receiver) = oneshot::channel();
        // When the driver is gone, the sender is dropped here and the receiver says so.
        let _ = self.requests.send(Outgoing { ahead, request, reply, trace: trace::current() });
        receiver
    }

    async fn wait(
        &self,
        reply: oneshot::Receiver<Result<Answer, RequestError>>,
        sent: Stamp,
        deadline: Instant,
    ) -> Result<Answer, RequestError> {
        match tokio::time::timeout_at(deadline, reply).await {
            Ok(Ok(result)) => {
                self.heard_of(sent);
                result
            }
            Ok(Err(_)) => Err(ended()),
            Err(_) => {
                self.close().await;
                Err(RequestError::TimedOut)
            }
        }
    }
}

fn ended() -> RequestError {
    RequestError::SessionLost("the connection closed".into())
}
