//! What tests outside of this crate need of log lines and of what X-Ray is told.

use std::{
    net::UdpSocket,
    sync::{Arc, Mutex, PoisonError},
};

use tracing_subscriber::layer::SubscriberExt;

use super::{
    join::join,
    log_layer::{LogLayer, Style},
    trace::TraceContext,
    xray::{Subsegments, report},
};

/// The lines that `body` logs in this thread: JSON, or for a terminal.
pub fn lines(json: bool, body: impl FnOnce()) -> Vec<String> {
    let (style, lines) = (if json { Style::Json } else { Style::Text }, Arc::new(Mutex::new(Vec::new())));
    let sink = lines.clone();
    let write = move |line: &str| sink.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
    tracing::subscriber::with_default(
        tracing_subscriber::registry().with(LogLayer::new(style, String::new(), write)),
        body,
    );
    std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The datagrams that X-Ray's daemon gets when `body` runs in an invocation with this header of X-Ray's.
pub fn datagrams(header: &str, body: impl FnOnce()) -> Vec<Vec<u8>> {
    let daemon = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let address = daemon.local_addr().expect("it is bound").to_string();
    let lines = LogLayer::new(Style::Json, String::new(), |_: &str| {});
    let registry =
        tracing_subscriber::registry().with(lines).with(Subsegments::to(&address).expect("an address of loopback"));
    tracing::subscriber::with_default(registry, || {
        let span = tracing::error_span!("invocation");
        join(&span, TraceContext::from_xray(header));
        report(&span, header);
        span.in_scope(body);
    });
    daemon.set_nonblocking(true).expect("a socket can");
    let mut buffer = vec![0; 1 << 16];
    let mut datagrams = Vec::new();
    while let Ok(length) = daemon.recv(&mut buffer) {
        datagrams.push(buffer[..length].to_vec());
    }
    datagrams
}
