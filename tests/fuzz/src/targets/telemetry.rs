//! What goes out for operators: trace contexts as the standards write them, one line an event, JSON for X-Ray.

use serde_json::Value;
use sippo_xmpp_core::telemetry::{
    hooks::{datagrams, lines},
    join,
    trace::{TraceContext, current},
};

use crate::Input;

const PARTS: &[&str] = &[
    "00",
    "01",
    "ff",
    "-",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "00f067aa0ba902b7",
    "0000000000000000",
    "Root=1-5759e988-",
    "bd862e3fe1be46a994272793",
    ";Parent=53995c3f42cd8ad8",
    ";Sampled=1",
    ";Sampled=0",
    "Root=",
    ";",
    "=",
    "F",
];

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

pub(super) fn run(input: &mut Input<'_>) {
    match input.below(4) {
        0 | 1 => is_read_as_it_is(&traceparent(input)),
        2 => log_line(input),
        _ => subsegment(input),
    }
}

/// A header of that name, or nearly.
pub(super) fn traceparent(input: &mut Input<'_>) -> String {
    match input.below(4) {
        0 => input.text(PARTS, 8),
        1 => String::from_utf8_lossy(&input.damaged(TRACE.as_bytes())).into_owned(),
        // The digits of one field in place of another's, too few, too many, or none but zeros.
        2 => {
            let digits =
                ["00", "01", "ff", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "0000000000000000", ""];
            let field = |input: &mut Input<'_>, usual: &str| match input.below(4) {
                0 => input.pick(&digits).to_owned(),
                1 => "0".repeat(usual.len()),
                _ => usual.to_owned(),
            };
            TRACE.split('-').map(|usual| field(input, usual)).collect::<Vec<_>>().join("-")
        }
        _ => TRACE.to_owned(),
    }
}

/// Trace Context, sections 3.2.2 and 3.2.3: two, 32, 16 and two lower-case hexadecimal digits; neither id is 0.
fn is_read_as_it_is(text: &str) {
    let Ok(context) = text.parse::<TraceContext>() else { return };
    let fields: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = fields.iter().take(4).map(|field| field.len()).collect();
    assert_eq!(lengths, [2, 32, 16, 2], "{text}");
    assert!(fields[0] != "ff" && (fields[0] != "00" || fields.len() == 4), "{text}");
    assert!(!fields[..4].concat().bytes().any(|byte| byte.is_ascii_uppercase()), "{text}");
    assert_eq!((context.trace_id().as_str(), context.span_id().as_str()), (fields[1], fields[2]), "{text}");
    assert!(!fields[1].trim_matches('0').is_empty() && !fields[2].trim_matches('0').is_empty(), "{text}");
    assert_eq!(context.to_string().parse(), Ok(context));
}

fn log_line(input: &mut Input<'_>) {
    let odd = &["\n", "\r", "\u{85}", "\u{9b}31m", "\u{2028}", "\"", "\\", "message", "="];
    let (user, message) = (input.text(odd, 6), input.text(odd, 6));
    let log = || tracing::warn!(user, odd = ?user, level = "of the field", number = 7_u64, "{message}");
    let json = lines(true, log);
    let [line] = &json[..] else { panic!("{json:?}") };
    let read: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "{line}");
    assert_eq!(
        (&read["message"], &read["user"], &read["level"]),
        (&message.clone().into(), &user.clone().into(), &"warn".into())
    );
    let text = lines(false, log);
    let [line] = &text[..] else { panic!("{text:?}") };
    let line = line.strip_suffix('\n').expect("it ends");
    assert!(!line.chars().any(char::is_control), "{line:?}");
}

/// X-Ray takes JSON documents whose ids are those of the header; what is not sampled is not told.
fn subsegment(input: &mut Input<'_>) {
    let header = match input.below(3) {
        0 => input.text(PARTS, 8),
        1 => "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1".to_owned(),
        _ => {
            let sample = b"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
            String::from_utf8_lossy(&input.damaged(sample)).into_owned()
        }
    };
    let room = input.text(&["\n", "\"", "r@conference.example.test"], 4);
    let mut inner = None;
    let sent = datagrams(&header, || {
        let span = tracing::error_span!("room", room);
        join(&span, None);
        inner = span.in_scope(current);
    });
    let field = |name: &str| header.split(';').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
    assert!(sent.is_empty() || field("Sampled") == Some("1"), "{header}");
    for datagram in &sent {
        let text = std::str::from_utf8(datagram).expect("JSON is text");
        let document: Value = serde_json::from_str(text.split_once('\n').expect("a header").1)
            .unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(document["trace_id"].as_str(), field("Root"), "{header}");
        if document["name"] == "room" {
            assert_eq!(document["annotations"]["room"], room);
            assert_eq!(document["id"].as_str(), inner.map(TraceContext::span_id).as_deref());
        }
    }
}
