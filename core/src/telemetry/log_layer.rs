//! One line an event: its message, its fields, and the fields of the spans around it.

use std::fmt::{self, Write};

use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::trace::TraceContext;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Json,
    Text,
}

/// A layer that renders events and hands each finished line, line break included, to a writer.
pub(super) struct LogLayer<W> {
    style: Style,
    service: String,
    write: W,
}

impl<W: Fn(&str) + 'static> LogLayer<W> {
    pub(super) fn new(style: Style, service: String, write: W) -> Self {
        Self { style, service, write }
    }
}

/// The fields of a span, kept with it.
pub(super) struct SpanFields(pub(super) Map<String, Value>);

impl<S, W> Layer<S> for LogLayer<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(&str) + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Map::new();
        attributes.record(&mut Collect(&mut fields));
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<SpanFields>()
        {
            record.record(&mut Collect(&mut fields.0));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Map::new();
        for span in context.event_scope(event).into_iter().flatten().collect::<Vec<_>>().into_iter().rev() {
            let extensions = span.extensions();
            if let Some(of_span) = extensions.get::<SpanFields>() {
                fields.extend(of_span.0.clone());
            }
            if let Some(trace) = extensions.get::<TraceContext>() {
                fields.insert("trace_id".to_owned(), trace.trace_id().into());
                fields.insert("span_id".to_owned(), trace.span_id().into());
            }
        }
        event.record(&mut Collect(&mut fields));
        let message = match fields.remove("message") {
            Some(Value::String(message)) => message,
            other => other.unwrap_or_default().to_string(),
        };
        let metadata = event.metadata();
        let line = match self.style {
            Style::Json => json(*metadata.level(), metadata.target(), &self.service, message, fields),
            Style::Text => text(*metadata.level(), &message, &fields),
        };
        (self.write)(&line);
    }
}

/// Winston's name of a level.
fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "silly",
    }
}

pub(super) fn now() -> String {
    let now = OffsetDateTime::now_utc();
    let milliseconds = u32::from(now.millisecond()) * 1_000_000;
    now.replace_nanosecond(milliseconds).ok().and_then(|now| now.format(&Rfc3339).ok()).unwrap_or_default()
}

/// The keys are those of Powertools for AWS Lambda where it has one.
fn json(level: Level, target: &str, service: &str, message: String, fields: Map<String, Value>) -> String {
    let mut object = Map::with_capacity(fields.len() + 5);
    object.insert("level".to_owned(), name(level).into());
    object.insert("message".to_owned(), message.into());
    object.insert("timestamp".to_owned(), now().into());
    object.insert("location".to_owned(), target.into());
    object.insert("service".to_owned(), service.into());
    for (key, value) in fields {
        object.entry(key).or_insert(value);
    }
    let mut line = Value::Object(object).to_string();
    line.push('\n');
    line
}

fn text(level: Level, message: &str, fields: &Map<String, Value>) -> String {
    // The messages of this project have no control characters, those of libraries may.
    let message: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut line = format!("{} {}: {message}", now(), name(level));
    for (key, value) in fields {
        let _ = write!(line, " {key}=");
        // Value's Display is JSON: quoted, and free of line breaks; but terminals obey more than JSON escapes.
        for character in value.to_string().chars() {
            let _ = match character {
                control if control.is_control() => write!(line, "\\u{:04x}", u32::from(control)),
                other => line.write_char(other),
            };
        }
    }
    line.push('\n');
    line
}

/// Collects fields as JSON values.
struct Collect<'a>(&'a mut Map<String, Value>);

impl Collect<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Collect<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn logged(style: Style, body: impl FnOnce()) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        let layer =
            LogLayer::new(style, "chat".to_owned(), move |line: &str| sink.lock().unwrap().push(line.to_owned()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), body);
        Arc::try_unwrap(lines).unwrap().into_inner().unwrap()
    }

    #[test]
    fn json_lines_carry_message_level_fields_and_spans() {
        let lines = logged(Style::Json, || {
            let span = tracing::info_span!("invocation", function_request_id = "r-1", user = tracing::field::Empty);
            let _entered = span.enter();
            span.record("user", "alice@example.test");
            tracing::trace!(count = 3, "Starting endpoints");
            tracing::error!(error = %"broken\npipe", "Failed to obtain [admin] XMPP client");
        });
        let values: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().all(|line| line.matches('\n').count() == 1));
        assert_eq!(values[0]["level"], "silly");
        assert_eq!(values[0]["message"], "Starting endpoints");
        assert_eq!(values[0]["count"], 3);
        assert_eq!(values[1]["level"], "error");
        assert_eq!(values[1]["function_request_id"], "r-1");
        assert_eq!(values[1]["user"], "alice@example.test");
        assert_eq!(values[1]["error"], "broken\npipe");
    }

    #[test]
    fn text_lines_stay_one_line() {
        let lines = logged(Style::Text, || tracing::warn!(user = "a\nb", r#"realm="Users" {}"#, "x\ny"));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains(r#"warn: realm="Users" x y user="a\nb""#), "{}", lines[0]);
        assert_eq!(lines[0].matches('\n').count(), 1);
        // NEL and CSI: JSON leaves them as they are, terminals obey them.
        let lines = logged(Style::Text, || tracing::warn!(user = "a\u{85}b\u{9b}31mc\u{7f}é", "x"));
        assert!(lines[0].contains(r#"user="a\u0085b\u009b31mc\u007fé""#), "{}", lines[0]);
    }
}
