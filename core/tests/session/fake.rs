//! An XMPP server that misbehaves to order: just enough of RFC 7395 to log in and answer pings.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
    },
};

/// What the server does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Accepts TCP and says nothing, ever.
    SilentTcp,
    /// Answers the WebSocket handshake without the subprotocol.
    NoSubprotocol,
    /// Answers HTTP with 404.
    Http404,
    /// Sends JSON over the WebSocket.
    NotXml,
    /// Answers the stream header with a stream error.
    StreamErrorAtOpen,
    /// Refuses the credentials.
    NotAuthorized,
    /// Refuses the credentials on all connections after the first, unless their password is `changed`.
    ChangesPassword,
    /// Closes the connection when it sees credentials before it offered SASL.
    ObjectsToPipelining,
    /// Logs in, then ends the stream with an error at the first request.
    StreamErrorAtRequest,
    /// Logs in, then drops the connection at the first request of each connection but the last ones.
    DropsFirstConnection,
    /// Logs in, answers nothing after.
    SilentAfterLogin,
    /// Logs in on each connection, answers the first request of it and then nothing.
    SilentAfterFirstAnswer,
    /// On the first connection answers the first request, and the others only when somebody has logged in once more.
    SlowUntilNextLogin,
    /// As `SilentAfterFirstAnswer`, but keeps sending messages of its own.
    TalksButAnswersOnce,
    /// Answers in reverse, when a hundred requests are there.
    AnswersReversed,
    /// Before each answer, somebody else sends one with the same id.
    ForgedAnswers,
    /// Answers requests with a stanza error.
    StanzaError,
    /// Sends every message back as an error, and before that somebody else does so with the one before it.
    BouncesMessages,
    /// Logs in but never binds.
    NoBind,
}

/// A running fake; counts what it sees.
pub(crate) struct Fake {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub logins: Arc<AtomicUsize>,
    /// The handshakes' `traceparent`, and the ids of requests, as they came.
    pub traces: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    pub(crate) async fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, logins) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let traces = Arc::new(Mutex::new(Vec::new()));
        let (counted, counted_logins, noted) = (connections.clone(), logins.clone(), traces.clone());
        let task = tokio::spawn(async move {
            loop {
                let Ok((tcp, _)) = listener.accept().await else { return };
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let (logins, traces) = (counted_logins.clone(), noted.clone());
                tokio::spawn(async move { serve(tcp, fault, number, &logins, &traces).await });
            }
        });
        Self { address, connections, logins, traces, task }
    }

    pub(crate) fn url(&self) -> url::Url {
        format!("ws://{}/xmpp-websocket", self.address).parse().unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn logins(&self) -> usize {
        self.logins.load(Ordering::SeqCst)
    }
}

const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
const STREAM_ERROR: &str = "<stream:error xmlns:stream='http://etherx.jabber.org/streams'><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";

/// One client's connection.
struct Connection<'a> {
    ws: WebSocketStream<TcpStream>,
    fault: Fault,
    /// How many connections there were before.
    number: usize,
    logins: &'a AtomicUsize,
    traces: &'a Mutex<Vec<String>>,
    /// Stream headers so far.
    opened: usize,
    /// Requests that were answered.
    answered: usize,
    /// Answers that wait for others.
    held: Vec<String>,
}

async fn serve(
    mut tcp: TcpStream,
    fault: Fault,
    number: usize,
    logins: &AtomicUsize,
    traces: &Mutex<Vec<String>>,
) -> Option<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    match fault {
        Fault::SilentTcp => std::future::pending::<()>().await,
        Fault::Http404 => {
            let _ = tcp.read(&mut [0; 4096]).await;
            let _ = tcp.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
            return None;
        }
        _ => {}
    }
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let accept = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
        traces.lock().unwrap().extend(traceparent.map(str::to_owned));
        if fault != Fault::NoSubprotocol {
            response.headers_mut().insert("Sec-WebSocket-Protocol", "xmpp".parse().unwrap());
        }
        Ok(response)
    };
    let ws = accept_hdr_async(tcp, accept).await.ok()?;
    let mut connection = Connection { ws, fault, number, logins, traces, opened: 0, answered: 0, held: Vec::new() };
    while let Some(Ok(Message::Text(frame))) = connection.next().await {
        connection.take(&frame).await?;
    }
    None
}

/// The value of the frame's first attribute of that name.
fn attribute(frame: &str, name: &str) -> Option<String> {
    let quoted =
        |quote: char| frame.split(&format!(" {name}={quote}")).nth(1).and_then(|rest| rest.split(quote).next());
    quoted('\'').or_else(|| quoted('"')).map(str::to_owned)
}

impl Connection<'_> {
    /// Does with a frame what the fault says; `None` ends the connection.
    async fn take(&mut self, frame: &str) -> Option<()> {
        if self.fault == Fault::NotXml {
            self.send("{\"hello\": 1}").await
        } else if frame.starts_with("<open") {
            self.open_stream().await
        } else if frame.starts_with("<auth") {
            assert!(self.opened > 0 || self.fault != Fault::ObjectsToPipelining);
            // SASL PLAIN for `a` with the password `changed`.
            let is_old = self.number > 0 && !frame.contains("AGEAY2hhbmdlZA==");
            self.send(if self.fault == Fault::NotAuthorized || self.fault == Fault::ChangesPassword && is_old {
                "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>"
            } else {
                "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
            })
            .await
        } else if frame.contains("xmpp-bind") {
            self.bind().await
        } else if frame.starts_with("<message") && self.fault == Fault::BouncesMessages {
            self.bounce(frame).await
        } else if frame.starts_with("<iq") {
            self.traces.lock().unwrap().extend(attribute(frame, "id"));
            let waits = self.fault == Fault::SlowUntilNextLogin && self.answered > 0;
            while waits && self.logins.load(Ordering::SeqCst) < 2 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            self.answer(frame).await
        } else {
            Some(())
        }
    }

    async fn open_stream(&mut self) -> Option<()> {
        if self.fault == Fault::StreamErrorAtOpen {
            self.send(&format!("<open xmlns='{FRAMING}' from='a.test' version='1.0'/>")).await?;
            self.send(STREAM_ERROR).await?;
            return None;
        }
        if self.fault == Fault::ObjectsToPipelining && self.opened == 0 {
            // Whoever writes before the offer is shown the door.
            let early = tokio::time::timeout(std::time::Duration::from_millis(100), self.ws.next()).await;
            if early.is_ok() {
                return None;
            }
        }
        self.opened += 1;
        let opened = self.opened;
        self.send(&format!("<open xmlns='{FRAMING}' from='a.test' id='s{opened}' version='1.0'/>")).await?;
        let offer = if opened == 1 {
            "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>"
        } else {
            "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
        };
        let features = "stream:features xmlns:stream='http://etherx.jabber.org/streams'";
        self.send(&format!("<{features}>{offer}</stream:features>")).await
    }

    async fn bind(&mut self) -> Option<()> {
        if self.fault != Fault::NoBind {
            self.logins.fetch_add(1, Ordering::SeqCst);
            let bound = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>a@a.test/r</jid></bind>";
            self.send(&format!("<iq xmlns='jabber:client' type='result' id='bind'>{bound}</iq>")).await?;
        }
        Some(())
    }

    async fn bounce(&mut self, frame: &str) -> Option<()> {
        let (id, to) = (attribute(frame, "id")?, attribute(frame, "to")?);
        let forged = id.parse::<usize>().ok()?.wrapping_sub(1);
        let error = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
        for (id, from) in [(forged.to_string(), "mallory@b.test"), (id, to.as_str())] {
            let head = format!("<message xmlns='jabber:client' type='error' id='{id}' from='{from}'>");
            self.send(&format!("{head}{error}</message>")).await?;
        }
        Some(())
    }

    async fn answer(&mut self, frame: &str) -> Option<()> {
        let id = attribute(frame, "id")?;
        // As a server does, in the name of whom it was sent to.
        let from = if frame.contains("to='") || frame.contains("to=\"") { " from='a.test'" } else { "" };
        let answer = format!("<iq xmlns='jabber:client' type='result' id='{id}'{from}/>");
        let error = |from: &str, condition: &str| {
            let condition = format!("<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>");
            format!(
                "<iq xmlns='jabber:client' type='error' id='{id}'{from}><error type='cancel'>{condition}</error></iq>"
            )
        };
        match self.fault {
            Fault::StreamErrorAtRequest => {
                self.send(STREAM_ERROR).await?;
                return None;
            }
            Fault::DropsFirstConnection if self.number == 0 => return None,
            Fault::SilentAfterLogin => {}
            Fault::SilentAfterFirstAnswer | Fault::TalksButAnswersOnce if self.answered > 0 => {}
            Fault::AnswersReversed => {
                self.held.push(answer);
                if self.held.len() == 100 {
                    for answer in std::mem::take(&mut self.held).into_iter().rev() {
                        self.send(&answer).await?;
                    }
                }
            }
            Fault::StanzaError => self.send(&error(from, "item-not-found")).await?,
            _ => {
                if self.fault == Fault::ForgedAnswers {
                    self.send(&error(" from='mallory@b.test'", "conflict")).await?;
                }
                self.answered += 1;
                self.send(&answer).await?;
            }
        }
        Some(())
    }

    /// The next frame from the client; meanwhile, if it is to talk, a message every few milliseconds.
    async fn next(&mut self) -> Option<Result<Message, tokio_tungstenite::tungstenite::Error>> {
        while self.fault == Fault::TalksButAnswersOnce && self.answered > 0 {
            match tokio::time::timeout(std::time::Duration::from_millis(5), self.ws.next()).await {
                Ok(frame) => return frame,
                Err(_) => {
                    self.send("<message xmlns='jabber:client' from='a.test'><body>hello</body></message>").await?;
                }
            }
        }
        self.ws.next().await
    }

    async fn send(&mut self, frame: &str) -> Option<()> {
        self.ws.send(Message::text(frame)).await.ok()
    }
}
