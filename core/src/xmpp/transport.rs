//! XMPP over WebSocket (RFC 7395) as a transport of tokio-xmpp.

use std::{
    borrow::Cow,
    collections::VecDeque,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures::{Sink, Stream};
use jid::Jid;
use rustls::pki_types::ServerName;
use sasl::common::ChannelBinding;
use tokio::{
    io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, Message, Utf8Bytes,
        client::IntoClientRequest,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};
use tokio_xmpp::{
    connect::ServerConnector,
    xmlstream::{PendingFeaturesRecv, StreamHeader, Timeouts, initiate_stream},
};
use url::Url;

use super::{
    error::ConnectError,
    framing::{Splitter, stream_bytes},
};
use crate::{telemetry::trace, tls::Tls};

/// Largest frame taken from the server: a roster of tens of thousands of items.
const MAX_FRAME: usize = 16 << 20;

/// Opens WebSockets to one XMPP server.
#[derive(Debug, Clone)]
pub struct WsConnector {
    url: Url,
    tls: Tls,
}

impl WsConnector {
    /// For the server at `url`, `ws://` or `wss://`.
    #[must_use]
    pub fn new(url: Url, tls: Tls) -> Self {
        Self { url, tls }
    }

    /// The server's URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// A WebSocket that speaks the `xmpp` subprotocol, with no XMPP stream on it yet.
    ///
    /// # Errors
    /// [`ConnectError`] for whatever keeps it from opening.
    pub async fn dial(&self) -> Result<WsIo, ConnectError> {
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.url.port_or_known_default().unwrap_or(80);
        let unreachable = |error| ConnectError::Unreachable(Arc::new(error));
        let tcp = TcpStream::connect((host, port)).await.map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        let socket: Box<dyn Socket> = if self.url.scheme() == "wss" {
            let failed = |error: String| ConnectError::Tls(error.into());
            let config = self.tls.config().map_err(|error| failed(error.to_string()))?;
            let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(error.to_string()))?;
            let tls = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await;
            Box::new(tls.map_err(|error| failed(error.to_string()))?)
        } else {
            Box::new(tcp)
        };
        let mut request = self.url.as_str().into_client_request().map_err(not_xmpp)?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("xmpp"));
        if let Some(value) = trace::current().and_then(|trace| HeaderValue::try_from(trace.to_string()).ok()) {
            request.headers_mut().insert(trace::TRACEPARENT, value);
        }
        let config = WebSocketConfig::default().max_message_size(Some(MAX_FRAME)).max_frame_size(Some(MAX_FRAME));
        let (websocket, response) = client_async_with_config(request, socket, Some(config)).await.map_err(not_xmpp)?;
        if response.headers().get(SEC_WEBSOCKET_PROTOCOL).is_none_or(|value| value != "xmpp") {
            return Err(ConnectError::NotXmpp("it did not accept the subprotocol xmpp".into()));
        }
        Ok(WsIo::new(websocket))
    }
}

fn not_xmpp(error: tungstenite::Error) -> ConnectError {
    match error {
        tungstenite::Error::Http(response) => {
            ConnectError::NotXmpp(format!("it answered with HTTP status {}", response.status()).into())
        }
        other => ConnectError::NotXmpp(other.to_string().into()),
    }
}

impl ServerConnector for WsConnector {
    type Stream = WsIo;

    async fn connect(
        &self,
        jid: &Jid,
        ns: &'static str,
        timeouts: Timeouts,
    ) -> Result<(PendingFeaturesRecv<WsIo>, ChannelBinding), tokio_xmpp::Error> {
        let io = self.dial().await.map_err(io::Error::other)?;
        let header = StreamHeader { to: Some(Cow::Borrowed(jid.domain().as_str())), from: None, id: None };
        Ok((initiate_stream(io, ns, header, timeouts).await?, ChannelBinding::None))
    }
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

/// A WebSocket that looks like the byte stream of RFC 6120.
pub struct WsIo {
    websocket: WebSocketStream<Box<dyn Socket>>,
    incoming: Bytes,
    outgoing: Splitter,
    /// Frames that follow the stream headers, the first one the first header and so on.
    behind_headers: VecDeque<Utf8Bytes>,
    ended: bool,
}

impl std::fmt::Debug for WsIo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What passes through includes credentials.
        f.debug_struct("WsIo").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl WsIo {
    fn new(websocket: WebSocketStream<Box<dyn Socket>>) -> Self {
        Self {
            websocket,
            incoming: Bytes::new(),
            outgoing: Splitter::default(),
            behind_headers: VecDeque::new(),
            ended: false,
        }
    }

    /// Lets `frames` follow the next stream headers, one each, without waiting for the server's
    /// answer: this is how a login saves its round trips.
    pub(super) fn pipeline(&mut self, frames: impl IntoIterator<Item = Utf8Bytes>) {
        self.behind_headers.extend(frames);
    }

    /// Hands complete frames to the WebSocket's write buffer.
    fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(frame) = {
            ready!(Pin::new(&mut self.websocket).poll_ready(cx)).map_err(broken)?;
            self.outgoing.next_frame()
        } {
            let opens_stream = frame.starts_with("<open");
            Pin::new(&mut self.websocket).start_send(Message::Text(frame)).map_err(broken)?;
            if opens_stream && let Some(behind) = self.behind_headers.pop_front() {
                self.outgoing.append(behind);
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn broken(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

impl AsyncBufRead for WsIo {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.incoming.is_empty() && !this.ended {
            match ready!(Pin::new(&mut this.websocket).poll_next(cx)) {
                Some(Ok(Message::Text(frame))) => this.incoming = stream_bytes(frame)?,
                // Pings are answered by the WebSocket layer; binary frames are not XMPP (RFC 7395, section 3.2).
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Binary(_))) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "a binary frame")));
                }
                Some(Ok(Message::Close(_))) | None => this.ended = true,
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        Poll::Ready(Ok(&this.incoming))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.incoming.advance(amount);
    }
}

impl AsyncRead for WsIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let available = ready!(self.as_mut().poll_fill_buf(cx))?;
        let amount = available.len().min(buf.remaining());
        buf.put_slice(&available[..amount]);
        self.consume(amount);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WsIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_push(cx))?;
        this.outgoing.feed(bytes)?;
        // What cannot be handed on now goes out with the next write or flush.
        if let Poll::Ready(Err(error)) = this.poll_push(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_push(cx))?;
        Pin::new(&mut this.websocket).poll_flush(cx).map_err(broken)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_push(cx))?;
        Pin::new(&mut this.websocket).poll_close(cx).map_err(broken)
    }
}
