//! Stamps: what was published comes back, however often it is stamped and read.

use std::{fs, path::Path};

use sippo_xmpp_core::events::{Event, EventType, MAX_REASON, Poison, StampedEvent, Version};
use time::{Duration, OffsetDateTime};

use super::event::{json, tenancy};
use crate::Input;

/// What is published under a routing key, as the documents have it.
fn sample(key: &str) -> String {
    let Some(event_type) = EventType::of_routing_key(key) else { return "{}".to_owned() };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
    let file = folder.join(format!("{}.cloudevent.json", event_type.function()));
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

pub(super) fn run(input: &mut Input<'_>) {
    let key = if input.one_in(8) {
        input.text(&[".", "domain", "created"], 4)
    } else {
        EventType::ALL[input.below(EventType::ALL.len())].routing_key().to_owned()
    };
    let message_id = input.one_in(2).then(|| input.text(&["m-1"], 3));
    let body = match input.below(8) {
        0 | 1 => input.bytes(60),
        2 => input.damaged(sample(&key).as_bytes()),
        3 => sample(&key).into_bytes(),
        _ => json(input, 3).into_bytes(),
    };
    let version = Version { epoch: input.number(), counter: input.number() };
    let at =
        OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(i64::try_from(input.number() % (1 << 47)).unwrap_or(0));
    // Milliseconds are kept, and no more.
    let taken_at = at + Duration::nanoseconds(i64::try_from(input.below(1_000_000)).unwrap_or(0));
    let stamped = StampedEvent::new(version, taken_at, &key, message_id.as_deref(), &body);
    let text = stamped.text();
    assert!(!text.contains(['\u{fffe}', '\u{ffff}']), "SQS takes no {text}");
    assert_eq!(stamped.size(), text.len());
    let back = StampedEvent::parse(text).unwrap_or_else(|poison| panic!("{poison:?}: {text}"));
    assert_eq!(back, stamped);
    assert_eq!((back.version(), back.stamped_at(), back.routing_key()), (version, at, &*key));
    assert_eq!(back.message_id(), message_id.as_deref());
    is_what_was_published(&body, back.body());
    assert_eq!(back.event(&tenancy()), stamped.event(&tenancy()));
    is_read_as_published(&Event::parse(&key, &body, message_id.as_deref(), &tenancy()), &back);

    let damaged = input.damaged(text.as_bytes());
    match std::str::from_utf8(&damaged).map(StampedEvent::parse) {
        Ok(Ok(read)) => assert_eq!(StampedEvent::parse(read.text()), Ok(read), "not the same again"),
        Ok(Err(poison)) => assert!(poison.reason().len() <= MAX_REASON, "{poison:?}"),
        Err(_) => {}
    }
}

/// The function that reads a stamped event finds what the bridge would. Where SQS does not take a body's characters, they are
/// written otherwise, which makes another hash of it and moves what stands behind them.
fn is_read_as_published(published: &Result<Event, Poison>, stamped: &StampedEvent) {
    match (published, stamped.event(&tenancy())) {
        (Ok(event), Ok(same)) => {
            let is_hash = stamped.message_id().is_none_or(str::is_empty);
            assert!(event.id == same.id || is_hash, "{same:?}: {event:?}");
            assert_eq!(event.payload, same.payload);
            assert_eq!((&event.left_out, &event.without_chat), (&same.left_out, &same.without_chat));
        }
        (Err(poison), Err(same)) => assert_eq!(poison.code(), same.code()),
        (published, same) => panic!("{published:?} became {same:?}"),
    }
}

/// JSON stays to the letter, but for space around it and the two characters that SQS does not take; all else to the byte.
fn is_what_was_published(published: &[u8], read: &[u8]) {
    let json = std::str::from_utf8(published).ok().filter(|text| {
        serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok_and(|json| !json.get().starts_with('"'))
    });
    match json {
        Some(text) => {
            let fit = text.replace('\u{fffe}', r"\ufffe").replace('\u{ffff}', r"\uffff");
            assert_eq!(fit.trim_matches([' ', '\t', '\r', '\n']).as_bytes(), read);
        }
        None => assert_eq!(published, read),
    }
}
