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
    ping::Ping,
};

use super::{
    ConnectError, RequestError,
    driver::{Driver, Outgoing},
    login::{Account, Manner, log_in},
    transport::WsConnector,
};
use crate::clock::Stamp;

/// An IQ request (RFC 6120, section 8.2.3), to be sent as often as it takes.
#[derive(Debug, Clone)]
pub struct Request {
    to: Option<Jid>,
    verb: Verb,
    payload: Element,
}

#[derive(Debug, Clone, Copy)]
enum Verb {
    Get,
    Set,
}

impl Request {
    /// A request of type `get`.
    pub fn get(to: impl Into<Jid>, payload: impl IqGetPayload) -> Self {
        Self { to: Some(to.into()), verb: Verb::Get, payload: payload.into() }
    }

    /// A request of type `set`. It may be repeated after a lost session, so it has to be idempotent.
    pub fn set(to: impl Into<Jid>, payload: impl IqSetPayload) -> Self {
        Self { to: Some(to.into()), verb: Verb::Set, payload: payload.into() }
    }

    /// XEP-0199 to the server that holds the session.
    pub(super) fn ping() -> Self {
        Self { to: None, verb: Verb::Get, payload: Ping.into() }
    }

    /// Whom it is for; nobody in particular means the server that holds the session.
    pub(super) fn to(&self) -> Option<&Jid> {
        self.to.as_ref()
    }

    pub(super) fn into_iq(self, id: String) -> Iq {
        let Self { to, verb, payload } = self;
        match verb {
            Verb::Get => Iq::Get { from: None, to, id, payload },
            Verb::Set => Iq::Set { from: None, to, id, payload },
        }
    }
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

    /// Sends `request` and waits for its result: the payload, if there is one.
    ///
    /// When `deadline` passes first, the session is closed before this returns: nothing more of the
    /// request is sent. What the server has received by then may still take effect.
    ///
    /// # Errors
    /// [`RequestError`], but never `Connect`.
    pub async fn exchange(&self, request: Request, deadline: Instant) -> Result<Option<Element>, RequestError> {
        let sent = Stamp::now();
        let reply = self.send(request);
        self.wait(reply, sent, deadline).await
    }

    /// As [`Session::exchange`], but the server has to prove within `proof` that it is still there.
    ///
    /// For a session after a pause: the socket may have died without notice, and waiting for the
    /// deadline to find out would cost the caller all its time.
    ///
    /// # Errors
    /// As [`Session::exchange`]; `SessionLost` when the proof fails.
    pub async fn exchange_after_pause(
        &self,
        request: Request,
        deadline: Instant,
        proof: Duration,
    ) -> Result<Option<Element>, RequestError> {
        let sent = Stamp::now();
        let (ping, reply) = (self.send(Request::ping()), self.send(request));
        match tokio::time::timeout(proof, ping).await {
            Ok(Ok(_)) => self.wait(reply, sent, deadline).await,
            Ok(Err(_)) => Err(ended()),
            Err(_) => {
                self.close().await;
                Err(RequestError::SessionLost("no sign of life after a pause".into()))
            }
        }
    }

    /// Closes the stream at once; what is still unanswered ends with `SessionLost`.
    pub async fn close(&self) {
        self.driver.abort();
        self.requests.closed().await;
    }

    fn send(&self, request: Request) -> oneshot::Receiver<Result<Option<Element>, RequestError>> {
        let (reply, receiver) = oneshot::channel();
        // When the driver is gone, the sender is dropped here and the receiver says so.
        let _ = self.requests.send(Outgoing { request, reply });
        receiver
    }

    async fn wait(
        &self,
        reply: oneshot::Receiver<Result<Option<Element>, RequestError>>,
        sent: Stamp,
        deadline: Instant,
    ) -> Result<Option<Element>, RequestError> {
        match tokio::time::timeout_at(deadline, reply).await {
            Ok(Ok(result)) => {
                *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = sent;
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
