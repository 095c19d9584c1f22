//! The raw limit: frames rendered beforehand, sent as fast as the window allows, replies counted
//! and not looked at. Nothing that parses XML can be faster on the same server.

use base64::{Engine, prelude::BASE64_STANDARD};
use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, Utf8Bytes, client::IntoClientRequest},
};

use crate::Target;

/// A WebSocket logged in as the admin, with nothing on top.
pub(crate) struct Raw {
    websocket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Raw {
    /// Logs in, step by step.
    pub(crate) async fn log_in(target: &Target) -> Self {
        let mut request = target.url.as_str().into_client_request().expect("a URL");
        request.headers_mut().insert("Sec-WebSocket-Protocol", "xmpp".parse().expect("a header"));
        let (websocket, _) = connect_async(request).await.expect("the XMPP server is up");
        if let MaybeTlsStream::Plain(tcp) = websocket.get_ref() {
            tcp.set_nodelay(true).expect("a TCP socket");
        }
        let mut raw = Self { websocket };
        let (name, host) = target.admin.split_once('@').expect("a bare JID");
        let open = format!("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{host}' version='1.0'/>");
        let plain = BASE64_STANDARD.encode(format!("\0{name}\0{}", target.token));
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

    async fn send(&mut self, frame: &str) {
        self.websocket.send(Message::text(frame)).await.expect("the connection holds");
    }

    async fn until(&mut self, mark: &str) {
        while let Some(Ok(message)) = self.websocket.next().await {
            if message.to_text().is_ok_and(|text| text.contains(mark)) {
                return;
            }
        }
        panic!("the server closed before {mark}");
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

/// `count` pings to `host`, as frames.
pub(crate) fn pings(host: &str, count: usize) -> Vec<Utf8Bytes> {
    (0..count)
        .map(|id| {
            format!("<iq xmlns='jabber:client' type='get' to='{host}' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>")
                .into()
        })
        .collect()
}
