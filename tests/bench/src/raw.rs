//! The raw limit: frames rendered beforehand, sent as fast as the window allows, replies counted
//! and not looked at. Nothing that parses XML can be faster on the same server.

use base64::{Engine, prelude::BASE64_STANDARD};
use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, Utf8Bytes, client::IntoClientRequest, protocol::WebSocketConfig},
};

/// Bytes of each buffer: thousands of sessions have two of them.
const BUFFER: usize = 4096;

/// A WebSocket (RFC 7395) logged in, with nothing on top. It panics when the connection breaks.
pub(crate) struct Raw {
    websocket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Raw {
    /// Connects to `url` and logs in as the bare JID `jid`, step by step.
    pub(crate) async fn log_in(url: &str, jid: &str, password: &str) -> Self {
        let mut request = url.into_client_request().expect("a URL");
        request.headers_mut().insert("Sec-WebSocket-Protocol", "xmpp".parse().expect("a header"));
        let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(BUFFER);
        let (websocket, _) =
            connect_async_with_config(request, Some(config), true).await.expect("the XMPP server takes connections");
        let mut raw = Self { websocket };
        let (name, host) = jid.split_once('@').expect("a bare JID");
        let open = format!("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{host}' version='1.0'/>");
        let plain = BASE64_STANDARD.encode(format!("\0{name}\0{password}"));
        raw.send(&open).await;
        raw.until("features").await;
        raw.send(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>")).await;
        raw.until("success").await;
        raw.send(&open).await;
        raw.until("features").await;
        raw.send("<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
            .await;
        raw.until("id='b'").await;
        raw
    }

    pub(crate) async fn send(&mut self, frame: &str) {
        self.websocket.send(Message::text(frame)).await.expect("the connection holds");
    }

    /// Sends it with the next `send` at the latest.
    pub(crate) async fn feed(&mut self, frame: &str) {
        self.websocket.feed(Message::text(frame)).await.expect("the connection holds");
    }

    pub(crate) async fn flush(&mut self) {
        self.websocket.flush().await.expect("the connection holds");
    }

    /// The next frame of text. May be dropped while it waits; nothing is lost then.
    pub(crate) async fn text(&mut self) -> Utf8Bytes {
        loop {
            match self.websocket.next().await {
                Some(Ok(Message::Text(text))) => return text,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("the server ends a session: {other:?}"),
            }
        }
    }

    /// The next frame with `mark` in it.
    pub(crate) async fn until(&mut self, mark: &str) -> Utf8Bytes {
        loop {
            let text = self.text().await;
            if text.contains(mark) {
                return text;
            }
            assert!(!is_refusal(&text), "instead of {mark} the server sends {text}");
        }
    }

    /// Sends `frames` with at most `window` unanswered, and waits for as many replies.
    pub(crate) async fn blast(&mut self, frames: &[Utf8Bytes], window: usize) {
        let (mut sink, stream) = (&mut self.websocket).split();
        // As many replies a wake-up as have arrived: what a session's driver does, too.
        let mut replies = stream.ready_chunks(window);
        let (mut sent, mut answered) = (0, 0);
        while answered < frames.len() {
            let due = (answered + window).min(frames.len());
            if due > sent {
                for frame in &frames[sent..due] {
                    sink.feed(Message::Text(frame.clone())).await.expect("the connection holds");
                }
                sink.flush().await.expect("the connection holds");
                sent = due;
            }
            let arrived = replies.next().await.expect("the connection holds");
            answered += arrived.iter().filter(|message| matches!(message, Ok(Message::Text(_)))).count();
            assert!(arrived.iter().all(Result::is_ok), "the connection broke");
        }
    }
}

/// Whether a frame is an error of the stanza, the stream or SASL (RFC 6120, sections 8.3, 4.9, 6.4.5).
pub(crate) fn is_refusal(text: &str) -> bool {
    text.contains("type='error'") || text.contains("stream:error") || text.starts_with("<failure")
}

/// `count` pings to `host`, as frames.
pub(crate) fn pings(host: &str, count: usize) -> Vec<Utf8Bytes> {
    (0..count)
        .map(|id| {
            format!("<iq xmlns='jabber:client' type='get' to='{host}' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>")
                .into()
        })
        .collect()
}
