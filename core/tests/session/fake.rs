//! An XMPP server that misbehaves to order: just enough of RFC 7395 to log in and answer pings.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
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
    /// Answers in reverse, when a hundred requests are there.
    AnswersReversed,
    /// Answers requests with a stanza error.
    StanzaError,
    /// Logs in but never binds.
    NoBind,
}

/// A running fake; counts what it sees.
pub(crate) struct Fake {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub logins: Arc<AtomicUsize>,
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
        let (counted, counted_logins) = (connections.clone(), logins.clone());
        let task = tokio::spawn(async move {
            loop {
                let Ok((tcp, _)) = listener.accept().await else { return };
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let logins = counted_logins.clone();
                tokio::spawn(async move { serve(tcp, fault, number, &logins).await });
            }
        });
        Self { address, connections, logins, task }
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

async fn serve(mut tcp: TcpStream, fault: Fault, number: usize, logins: &AtomicUsize) -> Option<()> {
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
    let accept = |_: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        if fault != Fault::NoSubprotocol {
            response.headers_mut().insert("Sec-WebSocket-Protocol", "xmpp".parse().unwrap());
        }
        Ok(response)
    };
    let mut ws = accept_hdr_async(tcp, accept).await.ok()?;
    let mut opened = 0;
    let mut requests = Vec::new();
    let mut answered = 0;
    let mut offered = false;
    while let Some(Ok(Message::Text(frame))) = ws.next().await {
        if fault == Fault::NotXml {
            send(&mut ws, "{\"hello\": 1}").await?;
        } else if frame.starts_with("<open") {
            opened += 1;
            if fault == Fault::StreamErrorAtOpen {
                send(&mut ws, &format!("<open xmlns='{FRAMING}' from='a.test' version='1.0'/>")).await?;
                send(&mut ws, STREAM_ERROR).await?;
                return None;
            }
            if fault == Fault::ObjectsToPipelining && opened == 1 {
                // Whoever writes before the offer is shown the door.
                let early = tokio::time::timeout(std::time::Duration::from_millis(100), ws.next()).await;
                if early.is_ok() {
                    return None;
                }
            }
            send(&mut ws, &format!("<open xmlns='{FRAMING}' from='a.test' id='s{opened}' version='1.0'/>")).await?;
            let offer = if opened == 1 {
                "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>"
            } else {
                "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
            };
            send(
                &mut ws,
                &format!("<stream:features xmlns:stream='http://etherx.jabber.org/streams'>{offer}</stream:features>"),
            )
            .await?;
            offered = true;
        } else if frame.starts_with("<auth") {
            assert!(offered || fault != Fault::ObjectsToPipelining);
            if fault == Fault::NotAuthorized {
                send(&mut ws, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>").await?;
            } else {
                send(&mut ws, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>").await?;
            }
        } else if frame.contains("xmpp-bind") {
            if fault != Fault::NoBind {
                logins.fetch_add(1, Ordering::SeqCst);
                send(&mut ws, "<iq xmlns='jabber:client' type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>a@a.test/r</jid></bind></iq>").await?;
            }
        } else if frame.contains("<iq") {
            let id = frame
                .split("id='")
                .nth(1)
                .or_else(|| frame.split("id=\"").nth(1))?
                .split(['\'', '"'])
                .next()?
                .to_owned();
            let answer = format!("<iq xmlns='jabber:client' type='result' id='{id}'/>");
            match fault {
                Fault::StreamErrorAtRequest => {
                    send(&mut ws, STREAM_ERROR).await?;
                    return None;
                }
                Fault::DropsFirstConnection if number == 0 => return None,
                Fault::SilentAfterLogin => {}
                Fault::SilentAfterFirstAnswer if answered > 0 => {}
                Fault::AnswersReversed => {
                    requests.push(answer);
                    if requests.len() == 100 {
                        for answer in requests.drain(..).rev() {
                            send(&mut ws, &answer).await?;
                        }
                    }
                }
                Fault::StanzaError => {
                    send(&mut ws, &format!("<iq xmlns='jabber:client' type='error' id='{id}'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")).await?;
                }
                _ => {
                    answered += 1;
                    send(&mut ws, &answer).await?;
                }
            }
        }
    }
    None
}

async fn send(ws: &mut WebSocketStream<TcpStream>, frame: &str) -> Option<()> {
    ws.send(Message::text(frame)).await.ok()
}
