//! The bridge's ways: each event goes one way, whole, and a queue of SQS gets nothing that it refuses.

use std::{collections::BTreeMap, io::Write};

use bridge::{
    batches::MAX_MESSAGE,
    route::{Body, Published, Route, Unreadable, route},
};
use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use serde_json::Value;
use sippo_xmpp_core::{
    config::UnknownKeys,
    events::{EventType, StampedEvent, Version},
    telemetry::trace::TraceContext,
};
use time::OffsetDateTime;

use super::{event::json, sending::counted, telemetry::traceparent};
use crate::Input;

const VERSION: Version = Version { epoch: 3, counter: 9 };

pub(super) fn run(input: &mut Input<'_>) {
    let key = if input.one_in(4) {
        input.text(&["usersGroup.", "conference.", "participant", "muted"], 3)
    } else {
        EventType::ALL[input.below(EventType::ALL.len())].routing_key().to_owned()
    };
    let plain = match input.below(1_000) {
        0..250 => input.bytes(40),
        // Near to what a message may have, on either side.
        999 => Value::from("x".repeat(MAX_MESSAGE - input.below(500))).to_string().into_bytes(),
        _ => json(input, 3).into_bytes(),
    };
    let is_long = plain.len() > MAX_MESSAGE - 500;
    let packed = if is_long { plain.clone() } else { packed(input, &plain) };
    let (message_id, traceparent) = (input.text(&["m-1"], 2), traceparent(input));
    let odd = input.bytes(6);
    let event = Published {
        tag: input.number(),
        routing_key: &key,
        message_id: input.one_in(2).then_some(&*message_id),
        traceparent: input.one_in(3).then_some(traceparent.as_bytes()),
        unreadable: input.one_in(8).then_some(Unreadable { name: "message_id", bytes: &odd }),
        content_type: input.one_in(4).then_some("application/cloudevents+json"),
        content_encoding: input.one_in(4).then(|| input.pick(&["gzip", "deflate", "identity", "gzip, gzip", "br", ""])),
        attributes: BTreeMap::new(),
        body: &packed,
    };
    let unknown_keys = if input.one_in(2) { UnknownKeys::DeadLetter } else { UnknownKeys::Ignore };
    let known = EventType::of_routing_key(&key);
    match route(VERSION, OffsetDateTime::UNIX_EPOCH, &event, unknown_keys) {
        Route::Ignored => assert!(known.is_none() && event.unreadable.is_none() && unknown_keys == UnknownKeys::Ignore),
        Route::Queue(event_type, entry) => {
            assert!(event.unreadable.is_none() && Some(event_type) == known, "{event:?}");
            assert_eq!((entry.size(), entry.tag), (counted(&entry), event.tag));
            assert!(entry.size() <= MAX_MESSAGE, "SQS refuses {} bytes", entry.size());
            let trace = event.traceparent.and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok());
            assert_eq!(entry.traceparent, trace.map(|trace: TraceContext| trace.to_string()), "{event:?}");
            is_stamped(&entry.text, &event, &plain, &packed);
        }
        Route::Dead(letter) => {
            assert!(known.is_none() || event.unreadable.is_some() || is_long, "{letter:?} has a queue, and is short");
            assert_eq!((letter.tag, letter.version, &letter.routing_key), (event.tag, VERSION, &key));
            assert_eq!(letter.unreadable.as_deref(), event.unreadable.map(|unreadable| unreadable.bytes));
            match &letter.body {
                Body::Original(body) => assert!(*body == packed && (is_long || letter.unreadable.is_some())),
                Body::Stamped(text) => is_stamped(text, &event, &plain, &packed),
            }
        }
    }
}

fn is_stamped(text: &str, event: &Published<'_>, plain: &[u8], packed: &[u8]) {
    let stamped = StampedEvent::parse(text).unwrap_or_else(|poison| panic!("{poison:?}: {text}"));
    assert_eq!((stamped.version(), stamped.routing_key()), (VERSION, event.routing_key));
    assert_eq!(stamped.message_id(), event.message_id);
    let of = |body| StampedEvent::new(VERSION, OffsetDateTime::UNIX_EPOCH, event.routing_key, event.message_id, body);
    // What is JSON is unpacked, whatever it was packed in; all else may be anything, and is kept in one form or the other.
    let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if std::str::from_utf8(plain).is_ok_and(is_json) {
        assert_eq!(text, of(plain).text(), "not what was packed: {}", packed.escape_ascii());
    }
}

/// As publishers pack: not, or compressed, or with a byte order mark, or twice.
fn packed(input: &mut Input<'_>, plain: &[u8]) -> Vec<u8> {
    let mut body = plain.to_vec();
    for _ in 0..input.below(3) {
        body = match input.below(3) {
            0 => [b"\xef\xbb\xbf", &*body].concat(),
            1 => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(&body).and_then(|()| encoder.finish()).expect("memory")
            }
            _ => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(&body).and_then(|()| encoder.finish()).expect("memory")
            }
        };
    }
    body
}
