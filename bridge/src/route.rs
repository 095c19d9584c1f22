//! Stamping, and which way an event goes.

use std::collections::BTreeMap;

use sippo_xmpp_core::{
    config::UnknownKeys,
    events::{EventType, Outline, Poison, StampedEvent, Version},
    telemetry::{Metric, trace::TraceContext},
};
use time::OffsetDateTime;

use crate::{
    batches::{Entry, MAX_BYTES, MAX_MESSAGE},
    content,
};

/// An event as the broker hands it out.
#[derive(Debug, Clone, Default)]
pub struct Published<'a> {
    /// Which delivery it is, by whatever numbers its giver counts.
    pub tag: u64,
    /// The routing key.
    pub routing_key: &'a str,
    /// The property `message_id`.
    pub message_id: Option<&'a str>,
    /// The header `traceparent`, well-formed or not.
    pub traceparent: Option<&'a [u8]>,
    /// A property that cannot be read.
    pub unreadable: Option<Unreadable<'a>>,
    /// The property `content_type`.
    pub content_type: Option<&'a str>,
    /// The property `content_encoding`.
    pub content_encoding: Option<&'a str>,
    /// The attributes of a `CloudEvent` that headers hold, by name: binary mode.
    pub attributes: BTreeMap<String, String>,
    /// The body.
    pub body: &'a [u8],
}

/// A property that cannot be read: not UTF-8, or a header table that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable<'a> {
    /// Its name.
    pub name: &'static str,
    /// What was published.
    pub bytes: &'a [u8],
}

/// Where a stamped event goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// To the queue of its type.
    Queue(EventType, Entry),
    /// Nowhere: it is no event of ours, and the configuration says to ignore those.
    Ignored,
    /// To the dead letters in RabbitMQ: it has no queue in SQS, or SQS cannot hold it.
    Dead(DeadLetter),
}

/// An event for the dead letters in RabbitMQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The delivery it came with.
    pub tag: u64,
    /// What it is about: the id is the one that everything else knows the event by, whatever is left of it.
    pub outline: Box<Outline>,
    /// What is put there.
    pub body: Body,
    /// The routing key it was published under.
    pub routing_key: String,
    /// Its version.
    pub version: Version,
    /// Why it is dead.
    pub poison: Poison,
    /// The property that could not be read, if that is why.
    pub unreadable: Option<Vec<u8>>,
}

/// What a dead letter is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The stamped text, which can be brought back to a queue of SQS.
    Stamped(String),
    /// The event's own body, where the stamped text is larger than SQS takes. It fitted into the broker once; with the
    /// stamp around it, it might not, and would keep all that comes behind it waiting for ever.
    Original(Vec<u8>),
}

impl Body {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Stamped(text) => text.as_bytes(),
            Self::Original(body) => body,
        }
    }

    /// The name of its kind, for whoever brings it back.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Stamped(_) => "stamped",
            Self::Original(_) => "original",
        }
    }
}

/// Stamps an event and finds its way.
#[must_use]
pub fn route(version: Version, now: OffsetDateTime, event: &Published<'_>, unknown_keys: UnknownKeys) -> Route {
    let event_type = EventType::of_routing_key(event.routing_key);
    if event_type.is_none() && event.unreadable.is_none() && unknown_keys == UnknownKeys::Ignore {
        return Route::Ignored;
    }
    let body = content::body(event);
    let stamped = body.as_deref().unwrap_or(event.body);
    let unread_encoding = content::unread_encoding(event, stamped);
    let mut stamped = StampedEvent::new(version, now, event.routing_key, event.message_id, stamped);
    if let Some(encoding) = unread_encoding {
        stamped = stamped.with_content_encoding(encoding);
    }
    let text = stamped.into_text();
    let traceparent = event.traceparent.and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok());
    let traceparent = traceparent.map(|context: TraceContext| context.to_string());
    let entry = Entry { tag: event.tag, text, traceparent };
    let routing_key = event.routing_key.to_owned();
    if let Some(Unreadable { name, bytes }) = event.unreadable {
        // Stamped it would lack what could not be read: a guess, which nobody should bring back.
        return Route::Dead(DeadLetter {
            tag: entry.tag,
            outline: outline_of(&entry.text).into(),
            body: Body::Original(event.body.to_vec()),
            routing_key,
            version,
            poison: Poison::Unreadable(name),
            unreadable: Some(bytes.to_vec()),
        });
    }
    let poison = match event_type {
        None => Poison::unknown_routing_key(event.routing_key),
        Some(_) if body.is_err() => Poison::TooLarge(MAX_BYTES + 1),
        Some(_) if entry.size() > MAX_MESSAGE => Poison::TooLarge(entry.size()),
        Some(event_type) => {
            entry.log_way("An event came from the broker");
            return Route::Queue(event_type, entry);
        }
    };
    let outline = outline_of(&entry.text).into();
    let body = if body.is_err() || entry.size() > MAX_MESSAGE {
        Body::Original(event.body.to_vec())
    } else {
        Body::Stamped(entry.text)
    };
    Route::Dead(DeadLetter { tag: entry.tag, outline, body, routing_key, version, poison, unreadable: None })
}

fn outline_of(text: &str) -> Outline {
    let stamped = StampedEvent::parse(text);
    stamped.map_or_else(|_| Outline::of_unstamped(text), |stamped| Outline::of_stamped(&stamped))
}

impl DeadLetter {
    /// To be called when it is in RabbitMQ's dead letters.
    pub(crate) fn log_dead_lettered(&self) {
        Metric::BridgeDead.add(1);
        let Outline { id, room, domain, excerpt: body } = &*self.outline;
        let room = room.as_ref().map(tracing::field::display);
        let (version, code, reason) = (self.version, self.poison.code(), self.poison.reason());
        let event_type = self.routing_key.as_str();
        tracing::warn!(event.id = id, "event.type" = event_type, %version, room, domain, body, code, reason, "An event was put to the dead letters in RabbitMQ");
    }

    /// The dead letter that an event becomes which its queue refused.
    ///
    /// # Panics
    /// Never for an entry that [`route`] made.
    #[must_use]
    pub fn refused(event_type: EventType, entry: Entry, poison: Poison) -> Self {
        let version = StampedEvent::parse(&entry.text).expect("the bridge stamped it").version();
        let (outline, routing_key) = (outline_of(&entry.text).into(), event_type.routing_key().to_owned());
        let body = Body::Stamped(entry.text);
        Self { tag: entry.tag, outline, body, routing_key, version, poison, unreadable: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: Version = Version { epoch: 3, counter: 9 };
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn routed(routing_key: &str, body: &[u8], traceparent: Option<&str>) -> Route {
        let traceparent = traceparent.map(str::as_bytes);
        let event = Published { tag: 5, routing_key, message_id: Some("m"), traceparent, body, ..Published::default() };
        route(VERSION, OffsetDateTime::UNIX_EPOCH, &event, UnknownKeys::DeadLetter)
    }

    #[test]
    fn each_type_has_its_queue() {
        for event_type in EventType::ALL {
            let Route::Queue(found, entry) = routed(event_type.routing_key(), b"{}", Some(TRACE)) else {
                panic!("{event_type:?} is dead")
            };
            assert_eq!((found, entry.tag, entry.traceparent.as_deref()), (event_type, 5, Some(TRACE)));
            let stamped = StampedEvent::parse(&entry.text).unwrap();
            assert_eq!((stamped.version(), stamped.message_id(), stamped.body()), (VERSION, Some("m"), &b"{}"[..]));
        }
    }

    #[test]
    fn a_bad_body_is_the_functions_to_judge() {
        let Route::Queue(_, entry) = routed("domain.created", b"\xff rubbish", Some("rubbish")) else { panic!("dead") };
        assert_eq!(entry.traceparent, None);
        assert_eq!(StampedEvent::parse(&entry.text).unwrap().body(), b"\xff rubbish");
    }

    #[test]
    fn what_has_no_queue_is_dead() {
        let Route::Dead(letter) = routed("user.created", b"{}", None) else { panic!("alive") };
        assert_eq!((letter.tag, letter.version, letter.routing_key.as_str()), (5, VERSION, "user.created"));
        assert_eq!(letter.poison.code(), "unknown-routing-key");
        let Body::Stamped(text) = &letter.body else { panic!("not stamped") };
        assert_eq!(StampedEvent::parse(text).unwrap().routing_key(), "user.created");
    }

    #[test]
    fn what_is_not_ours_is_ignored_if_the_configuration_says_so() {
        let event = Published { routing_key: "conference.participant.muted", body: b"{}", ..Published::default() };
        assert_eq!(route(VERSION, OffsetDateTime::UNIX_EPOCH, &event, UnknownKeys::Ignore), Route::Ignored);
        let ours = Published { routing_key: "conference.created", ..event };
        assert!(matches!(route(VERSION, OffsetDateTime::UNIX_EPOCH, &ours, UnknownKeys::Ignore), Route::Queue(..)));
    }

    #[test]
    fn what_sqs_cannot_hold_is_dead() {
        let Route::Queue(_, empty) = routed("domain.created", b"{\"a\":\"\"}", Some(TRACE)) else { panic!("dead") };
        let room = MAX_MESSAGE - empty.size();
        let body = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length)).into_bytes();
        assert!(matches!(routed("domain.created", &body(room), Some(TRACE)), Route::Queue(..)));
        for (key, poison) in [
            ("domain.created", Poison::TooLarge(MAX_MESSAGE + 1)),
            ("domain.vanished", Poison::unknown_routing_key("domain.vanished")),
        ] {
            let body = body(room + 1);
            let Route::Dead(letter) = routed(key, &body, Some(TRACE)) else { panic!("alive") };
            assert_eq!((letter.poison, letter.version), (poison, VERSION));
            assert_eq!(letter.body, Body::Original(body), "no larger than what the broker took");
            assert_eq!(letter.outline.id, "m", "the id that it would have been handled under");
        }
    }

    #[test]
    fn what_cannot_be_read_is_dead_with_its_bytes() {
        let unreadable = Some(Unreadable { name: "message_id", bytes: b"M\xfcller" });
        let event = Published {
            tag: 5,
            routing_key: "domain.created",
            message_id: Some("M\u{fffd}ller"),
            unreadable,
            body: b" {}",
            ..Published::default()
        };
        let Route::Dead(letter) = route(VERSION, OffsetDateTime::UNIX_EPOCH, &event, UnknownKeys::Ignore) else {
            panic!("alive")
        };
        assert_eq!((letter.tag, letter.poison.code(), letter.version), (5, "unreadable", VERSION));
        assert_eq!((letter.body, letter.unreadable), (Body::Original(b" {}".to_vec()), Some(b"M\xfcller".to_vec())));
    }

    #[test]
    fn a_refused_entry_keeps_its_version() {
        let Route::Queue(event_type, entry) = routed("domain.created", b"{}", None) else { panic!("dead") };
        let letter = DeadLetter::refused(event_type, entry, Poison::refused("InvalidMessageContents"));
        assert_eq!((letter.version, letter.routing_key.as_str()), (VERSION, "domain.created"));
    }
}
