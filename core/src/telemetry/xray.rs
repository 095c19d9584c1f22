//! Spans as subsegments of AWS X-Ray, with annotations to search by.
//!
//! Lambda traces the invocation itself and runs X-Ray's daemon beside the function; the daemon takes one JSON document per UDP
//! datagram. A span is reported when it has joined a trace (`telemetry::join`) inside of an invocation that X-Ray samples.

use std::{
    io,
    net::UdpSocket,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};
use tracing::{Id, Span, Subscriber, span::Attributes};
use tracing_subscriber::{
    Layer,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

use super::{
    log_layer::SpanFields,
    trace::{TraceContext, with_span, xray_field},
};

/// What stands before a document in its datagram.
const HEADER: &str = "{\"format\":\"json\",\"version\":1}\n";

/// Fields of spans that become annotations; these may have letters, digits and `_` in their names.
const ANNOTATIONS: [&str; 7] = ["room", "domain", "user", "event.id", "version", "status", "function_request_id"];

/// Where Lambda runs the daemon, `IP:port`. Not every runtime has the documented variable; all have the other two.
pub(super) fn daemon_address() -> Option<String> {
    let known = |name| std::env::var(name).ok();
    let apart = || Some(format!("{}:{}", known("_AWS_XRAY_DAEMON_ADDRESS")?, known("_AWS_XRAY_DAEMON_PORT")?));
    known("AWS_XRAY_DAEMON_ADDRESS").or_else(apart)
}

/// A layer that sends each subsegment as its span closes. Nothing waits for the daemon, and nothing fails without it.
pub(super) struct Subsegments(UdpSocket);

/// When a span began.
struct Begun(SystemTime);

/// The segment that an invocation is reported under.
struct Segment {
    trace_id: String,
    parent_id: String,
}

impl Subsegments {
    /// To the daemon at `address`, `IP:port`.
    pub(super) fn to(address: &str) -> io::Result<Self> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(address)?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }
}

/// Tells `span` and those inside of it under the segment that X-Ray's `header` names, if X-Ray samples it.
pub(crate) fn report(span: &Span, header: &str) {
    let field = |name| xray_field(header, name);
    if let (Some(trace_id), Some(parent_id), Some("1")) = (field("Root"), field("Parent"), field("Sampled")) {
        let segment = Segment { trace_id: trace_id.to_owned(), parent_id: parent_id.to_owned() };
        with_span(span, |span| drop(span.extensions_mut().replace(segment)));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Subsegments {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Begun(SystemTime::now()));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(document) = context.span(&id).and_then(|span| document(&span)) {
            // A full buffer costs this document and nothing else.
            let _ = self.0.send(format!("{HEADER}{document}").as_bytes());
        }
    }
}

fn document<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Option<Value> {
    let joined = |span: &SpanRef<'a, S>| span.extensions().get::<TraceContext>().copied();
    let own = joined(span)?;
    // From the inside out, up to the invocation.
    let (mut parent, mut trace_id) = (None, None);
    for around in span.scope() {
        if around.id() != span.id() && parent.is_none() {
            parent = joined(&around).map(TraceContext::span_id);
        }
        if let Some(segment) = around.extensions().get::<Segment>() {
            trace_id = Some(segment.trace_id.clone());
            parent = parent.or_else(|| Some(segment.parent_id.clone()));
            break;
        }
    }
    let extensions = span.extensions();
    let fields = extensions.get::<SpanFields>().map(|fields| &fields.0);
    let status = fields.and_then(|fields| fields.get("status")?.as_u64()).unwrap_or_default();
    Some(json!({
        "name": span.name(),
        "type": "subsegment",
        "id": own.span_id(),
        "trace_id": trace_id?,
        "parent_id": parent?,
        "start_time": seconds(extensions.get::<Begun>()?.0),
        "end_time": seconds(SystemTime::now()),
        "error": (400..500).contains(&status),
        "fault": status >= 500 || fields.is_some_and(|fields| fields.contains_key("failed")),
        "annotations": annotations(fields, own),
    }))
}

fn annotations(fields: Option<&Map<String, Value>>, context: TraceContext) -> Map<String, Value> {
    let known = ANNOTATIONS.iter().filter_map(|name| Some((name.replace('.', "_"), fields?.get(*name)?.clone())));
    // X-Ray has one trace for an invocation; its events may belong to others.
    known.chain([("w3c_trace_id".to_owned(), context.trace_id().into())]).collect()
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::telemetry::{
        join::join,
        log_layer::{LogLayer, Style},
    };

    const HEADER_OF_LAMBDA: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=";

    fn documents(sampled: &str, body: impl FnOnce()) -> Vec<Value> {
        let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
        let layer = Subsegments::to(&daemon.local_addr().unwrap().to_string()).unwrap();
        let registry =
            tracing_subscriber::registry().with(LogLayer::new(Style::Json, String::new(), |_: &str| {})).with(layer);
        tracing::subscriber::with_default(registry, || {
            let header = format!("{HEADER_OF_LAMBDA}{sampled}");
            let span = tracing::error_span!("invocation", status = tracing::field::Empty);
            join(&span, TraceContext::from_xray(&header));
            report(&span, &header);
            span.in_scope(body);
            span.record("status", 503);
        });
        // Datagrams on loopback are there when they have been sent.
        daemon.set_nonblocking(true).unwrap();
        let mut buffer = [0; 4096];
        let mut documents = Vec::new();
        while let Ok(length) = daemon.recv(&mut buffer) {
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            documents.push(serde_json::from_str(text.strip_prefix(HEADER).unwrap()).unwrap());
        }
        documents
    }

    #[test]
    fn spans_that_joined_a_trace_become_subsegments() {
        let event: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        let documents = documents("1", || {
            let room = tracing::error_span!("room", room = "r@conference.example.test", event.id = "e-1", failed = 1);
            join(&room, Some(event));
            room.in_scope(|| drop(tracing::error_span!("not joined")));
        });
        let [room, invocation] = &documents[..] else { panic!("{documents:?}") };
        assert_eq!((&room["name"], &room["type"]), (&"room".into(), &"subsegment".into()));
        assert_eq!(room["trace_id"], "1-5759e988-bd862e3fe1be46a994272793");
        assert_eq!(room["parent_id"], invocation["id"]);
        assert_eq!(room["fault"], true);
        let annotations = json!({
            "room": "r@conference.example.test", "event_id": "e-1", "w3c_trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"
        });
        assert_eq!(room["annotations"], annotations);
        assert_eq!(invocation["parent_id"], "53995c3f42cd8ad8");
        assert_eq!((&invocation["fault"], &invocation["annotations"]["status"]), (&true.into(), &503.into()));
        assert!(invocation["end_time"].as_f64() >= room["end_time"].as_f64());
    }

    #[test]
    fn what_x_ray_does_not_sample_is_not_reported() {
        assert_eq!(documents("0", || {}), [Value::Null; 0]);
    }
}
