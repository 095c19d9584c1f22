//! The task that owns a session's stream: writes requests, hands out replies.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{Sink, Stream};
use jid::Jid;
use tokio::sync::{mpsc, oneshot};
use tokio_xmpp::{
    minidom::Element,
    xmlstream::{FallibleStreamElement, ReadError, StreamElementError, Timeouts, XmppStream, XmppStreamElement},
};
use xmpp_parsers::{
    iq::Iq,
    message::{Message, MessageType},
    ns,
    stanza::Stanza,
    stanza_error::{DefinedCondition, ErrorType, StanzaError},
};

use super::{
    error::RequestError,
    request::{Answer, Bounce, Request},
    transport::WsIo,
};
use crate::telemetry::trace::TraceContext;

/// After a minute of silence the server is pinged; ten seconds later the session is given up.
pub(super) const TIMEOUTS: Timeouts =
    Timeouts { read_timeout: Duration::from_mins(1), response_timeout: Duration::from_secs(10) };

/// Elements read before writing gets its turn, and then other tasks: a server that sends without end must not keep the
/// only thread, and a turn for each element would cost a wake-up each.
const READS_PER_TURN: usize = 16;

type Reply = oneshot::Sender<Result<Answer, RequestError>>;

/// A request on its way to the stream, and the messages that go ahead of it.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) ahead: Arc<[Message]>,
    pub(super) request: Request,
    pub(super) reply: Reply,
    /// The trace that the request belongs to.
    pub(super) trace: Option<TraceContext>,
}

/// A request that waits for its answer, which has to come from whom it was sent to.
struct Pending {
    to: Option<Jid>,
    /// The server handles a stream in order: what bounces of these does so before the answer.
    ahead: Arc<[Message]>,
    bounces: Vec<Bounce>,
    reply: Reply,
}

/// How many elements have come: whoever waits sees by it whether the server still says anything. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<AtomicU64>);

impl Heard {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Runs until the stream ends, the last [`super::Session`] is dropped, or it is aborted. Reading and
/// writing never wait for each other: a server that stops reading until we read cannot stall us.
pub(super) struct Driver {
    stream: XmppStream<WsIo>,
    requests: mpsc::UnboundedReceiver<Outgoing>,
    pending: HashMap<u64, Pending>,
    last_id: u64,
    heard: Heard,
    /// Answers to what the server asks of us, our pings, and what stands between the first message ahead of
    /// a request and that request.
    queued: VecDeque<Stanza>,
}

/// Why the driver stops.
struct Ended(Arc<str>);

impl Driver {
    pub(super) fn new(stream: XmppStream<WsIo>, requests: mpsc::UnboundedReceiver<Outgoing>, heard: Heard) -> Self {
        Self { stream, requests, pending: HashMap::new(), last_id: 0, heard, queued: VecDeque::new() }
    }

    /// Reads what is there; true if there may be more.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        for _ in 0..READS_PER_TURN {
            let Poll::Ready(item) = Pin::new(&mut self.stream).poll_next(cx) else {
                return Ok(false);
            };
            self.heard.0.fetch_add(1, Ordering::Relaxed);
            match item {
                None | Some(Err(ReadError::StreamFooterReceived)) => {
                    return Err(Ended("the server closed the stream".into()));
                }
                Some(Err(ReadError::SoftTimeout)) => self.queued.push_back(keep_alive()),
                Some(Err(error)) => return Err(Ended(error.to_string().into())),
                Some(Ok(FallibleStreamElement::Ok(element))) => self.take(element)?,
                Some(Ok(FallibleStreamElement::Err(error))) => self.take_unreadable(&error),
            }
        }
        Ok(true)
    }

    /// Writes what is due, as far as the transport takes it; true if anything was written.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let mut wrote = false;
        loop {
            match Sink::<&Stanza>::poll_ready(Pin::new(&mut self.stream), cx) {
                Poll::Pending => break,
                Poll::Ready(ready) => ready.map_err(ended)?,
            }
            let Some(stanza) = self.queued.pop_front() else {
                match self.requests.poll_recv(cx) {
                    Poll::Pending => break,
                    Poll::Ready(None) => return Err(Ended("it is no longer needed".into())),
                    // The caller has given up already.
                    Poll::Ready(Some(outgoing)) if outgoing.reply.is_closed() => {}
                    Poll::Ready(Some(outgoing)) => self.register(outgoing),
                }
                continue;
            };
            Sink::<&Stanza>::start_send(Pin::new(&mut self.stream), &stanza).map_err(ended)?;
            wrote = true;
        }
        if let Poll::Ready(Err(error)) = Sink::<&Stanza>::poll_flush(Pin::new(&mut self.stream), cx) {
            return Err(ended(error));
        }
        Ok(wrote)
    }

    /// Notes that an answer is due, and queues what there is to send.
    fn register(&mut self, outgoing: Outgoing) {
        self.last_id += 1;
        let Outgoing { ahead, request, reply, trace } = outgoing;
        self.queued.extend(ahead.iter().cloned().map(Stanza::Message));
        let pending = Pending { to: request.to().cloned(), ahead, bounces: Vec::new(), reply };
        self.pending.insert(self.last_id, pending);
        // The server's log names the id of what it handles, and so the trace.
        let id = trace.map_or_else(|| self.last_id.to_string(), |trace| format!("{}/{trace}", self.last_id));
        self.queued.push_back(Stanza::Iq(request.into_iq(id)));
    }

    fn take(&mut self, element: XmppStreamElement) -> Result<(), Ended> {
        match element {
            XmppStreamElement::Stanza(Stanza::Iq(iq)) => match iq {
                Iq::Result { from, id, payload, .. } => self.settle(&id, from.as_ref(), Ok(payload)),
                Iq::Error { from, id, error, .. } => {
                    self.settle(&id, from.as_ref(), Err(RequestError::Stanza(Arc::new(error))));
                }
                Iq::Get { from, id, payload, .. } if payload.is("ping", ns::PING) => {
                    self.queued.push_back(Stanza::Iq(Iq::Result { from: None, to: from, id, payload: None }));
                }
                // RFC 6120, section 8.4: a request that is not understood is answered so.
                Iq::Get { from, id, .. } | Iq::Set { from, id, .. } => {
                    let error = StanzaError::new(
                        ErrorType::Cancel,
                        DefinedCondition::ServiceUnavailable,
                        "en",
                        "not offered by the service's own account",
                    );
                    self.queued.push_back(Stanza::Iq(Iq::Error { from: None, to: from, id, error, payload: None }));
                }
            },
            XmppStreamElement::Stanza(Stanza::Message(message)) if message.type_ == MessageType::Error => {
                let error = message.payloads.into_iter().find_map(|payload| StanzaError::try_from(payload).ok());
                let id = message.id.map_or_else(String::new, |id| id.0);
                self.note_bounce(&id, message.from.as_ref(), &Arc::new(error.unwrap_or_else(unspecified)));
            }
            XmppStreamElement::StreamError(error) => return Err(Ended(format!("stream error {error}").into())),
            _ => {}
        }
        Ok(())
    }

    fn take_unreadable(&mut self, error: &StreamElementError) {
        if let StreamElementError::InvalidStanza { header, .. } = error
            && let Some(id) = &header.id
        {
            let from = header.from.as_deref().and_then(|from| Jid::new(from).ok());
            self.note_bounce(id, from.as_ref(), &Arc::new(unspecified()));
            self.settle(id, from.as_ref(), Err(RequestError::Protocol(error.to_string().into())));
        }
    }

    /// Ids are easy to guess, and others may send us stanzas: id and sender have to match
    /// (RFC 6120, section 8.1.3). What was sent to no one in particular only the server answers.
    fn settle(&mut self, id: &str, from: Option<&Jid>, result: Result<Option<Element>, RequestError>) {
        let number = id.split_once('/').map_or(id, |(number, _)| number);
        let Ok(id) = number.parse::<u64>() else { return };
        if let Entry::Occupied(pending) = self.pending.entry(id)
            && (pending.get().to.is_none() || pending.get().to.as_ref() == from)
        {
            let Pending { bounces, reply, .. } = pending.remove();
            // Nobody listens when the caller's deadline has passed.
            let _ = reply.send(result.map(|payload| Answer { payload, bounces }));
        }
    }

    /// A message came back as an error: with its id, and from whom it was sent to (RFC 6120, section 8.3.1).
    fn note_bounce(&mut self, id: &str, from: Option<&Jid>, error: &Arc<StanzaError>) {
        for pending in self.pending.values_mut() {
            let is_it = |sent: &Message| sent.to.as_ref() == from && sent.id.as_ref().is_some_and(|own| own.0 == id);
            if let Some(message) = pending.ahead.iter().position(is_it) {
                pending.bounces.push(Bounce { message, error: error.clone() });
            }
        }
    }
}

/// For an error that names no condition we know.
fn unspecified() -> StanzaError {
    StanzaError::new(ErrorType::Wait, DefinedCondition::UndefinedCondition, "en", "it came back without a known reason")
}

/// A ping nobody waits for: its answer is the sign of life.
fn keep_alive() -> Stanza {
    Stanza::Iq(Request::ping().into_iq("keep-alive".to_owned()))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands where map_err wants it")]
fn ended(error: std::io::Error) -> Ended {
    Ended(error.to_string().into())
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        match this.read(cx).and_then(|more| Ok(this.write(cx)? || more)) {
            Ok(true) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Ok(false) => Poll::Pending,
            Err(Ended(reason)) => {
                tracing::debug!(reason = &*reason, unanswered = this.pending.len(), "XMPP session ended");
                // New requests are refused before the pending ones hear of the end, so that
                // whoever retries at once sees a closed session.
                this.requests.close();
                for (_, pending) in this.pending.drain() {
                    let _ = pending.reply.send(Err(RequestError::SessionLost(reason.clone())));
                }
                Poll::Ready(())
            }
        }
    }
}
