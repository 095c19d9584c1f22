//! What is asked of the XMPP server, and what it answers.

use std::sync::Arc;

use jid::Jid;
use tokio_xmpp::minidom::Element;
use xmpp_parsers::{
    iq::{Iq, IqGetPayload, IqSetPayload},
    message::Message,
    ping::Ping,
    stanza_error::StanzaError,
};

/// An IQ request (RFC 6120, section 8.2.3), to be sent as often as it takes unless it says otherwise.
#[derive(Debug, Clone)]
pub struct Request {
    to: Option<Jid>,
    iq_type: IqType,
    payload: Element,
    no_resend: bool,
}

#[derive(Debug, Clone, Copy)]
enum IqType {
    Get,
    Set,
}

impl Request {
    /// A request of type `get`.
    pub fn get(to: impl Into<Jid>, payload: impl IqGetPayload) -> Self {
        Self { to: Some(to.into()), iq_type: IqType::Get, payload: payload.into(), no_resend: false }
    }

    /// A request of type `set`. It may be repeated after a lost session, so it has to be idempotent; or else see
    /// [`Request::no_resend`].
    pub fn set(to: impl Into<Jid>, payload: impl IqSetPayload) -> Self {
        Self { to: Some(to.into()), iq_type: IqType::Set, payload: payload.into(), no_resend: false }
    }

    /// The same, not to be sent twice: if its session is lost, it is lost with it.
    ///
    /// For what another request may undo: of two copies the first may arrive after that, and would undo it in turn.
    #[must_use]
    pub fn no_resend(self) -> Self {
        Self { no_resend: true, ..self }
    }

    /// Whether it may be sent again after it may have been received.
    pub(super) fn may_be_repeated(&self) -> bool {
        !self.no_resend
    }

    /// XEP-0199 to the server that holds the session.
    pub(super) fn ping() -> Self {
        Self { to: None, iq_type: IqType::Get, payload: Ping.into(), no_resend: false }
    }

    /// Whom it is for; nobody in particular means the server that holds the session.
    pub(super) fn to(&self) -> Option<&Jid> {
        self.to.as_ref()
    }

    pub(super) fn into_iq(self, id: String) -> Iq {
        let Self { to, iq_type, payload, .. } = self;
        match iq_type {
            IqType::Get => Iq::Get { from: None, to, id, payload },
            IqType::Set => Iq::Set { from: None, to, id, payload },
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
    /// The error that came back in its place.
    pub error: Arc<StanzaError>,
}
