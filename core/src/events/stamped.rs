//! What travels in a queue: the event as it was published, with its place in the broker's order.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use time::{Duration, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use super::{
    envelope::Envelope,
    event::Event,
    event_type::EventType,
    poison::{Poison, Quoted},
    version::Version,
};
use crate::address::Tenancy;

/// How long an event may be on its way. The ledger forgets what ended longer ago than this and a
/// margin, so an older event could undo what came after it.
pub const LIFETIME: Duration = Duration::days(21);

const NOT_AN_OBJECT: &str = "it lacks version, stampedAt, routingKey or event";
const NOT_A_TIME: &str = "stampedAt is no RFC 3339 time since 1970";
const NOT_BASE64: &str = "event is a string, but not base64";
/// The longest of these, for the test of lengths.
pub(super) const NOT_A_VERSION: &str = "version is not epoch.counter, two decimal numbers";

/// An event on its way through a queue.
///
/// Its text never changes once it is written: a redriven message keeps version and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StampedEvent {
    version: Version,
    at: OffsetDateTime,
    routing_key: String,
    message_id: Option<String>,
    content_encoding: Option<String>,
    event: Vec<u8>,
    text: String,
}

/// The JSON of it. A body that is JSON, and no string, stands there to the letter, its odd numbers and
/// double members included. Any other body is a base64 string: it is poison, but a dead letter has to
/// hold what was published.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    version: Cow<'a, str>,
    stamped_at: Cow<'a, str>,
    routing_key: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_encoding: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event: &'a RawValue,
}

impl StampedEvent {
    /// Stamps what was published. The time is kept to the millisecond.
    #[must_use]
    pub fn new(
        version: Version,
        stamped_at: OffsetDateTime,
        routing_key: &str,
        message_id: Option<&str>,
        body: &[u8],
    ) -> Self {
        Self::stamp(version, stamped_at, routing_key, message_id, None, body)
    }

    /// The same, naming the `content_encoding` that the body was published with, for which it is no JSON.
    #[must_use]
    pub fn with_content_encoding(self, content_encoding: &str) -> Self {
        let Self { version, at, routing_key, message_id, event, .. } = self;
        Self::stamp(version, at, &routing_key, message_id.as_deref(), Some(content_encoding), &event)
    }

    fn stamp(
        version: Version,
        stamped_at: OffsetDateTime,
        routing_key: &str,
        message_id: Option<&str>,
        content_encoding: Option<&str>,
        body: &[u8],
    ) -> Self {
        let at = normal(stamped_at);
        let plain = std::str::from_utf8(body).ok().map(fit_for_sqs);
        let json = plain.as_deref().and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
        let json = json.filter(|json| !json.get().starts_with('"'));
        let encoded;
        let (event, json) = if let Some(json) = json {
            (json.get().as_bytes().to_vec(), json)
        } else {
            encoded = to_raw_value(&BASE64_STANDARD.encode(body)).expect("a string is JSON");
            (body.to_vec(), &*encoded)
        };
        let wire = Wire {
            version: version.to_string().into(),
            stamped_at: at.format(&Rfc3339).expect("a year of four digits, in UTC").into(),
            routing_key: routing_key.into(),
            message_id: message_id.map(Into::into),
            content_encoding: content_encoding.map(Into::into),
            event: json,
        };
        let text = serde_json::to_string(&wire).expect("strings and JSON");
        Self {
            version,
            at,
            routing_key: routing_key.to_owned(),
            message_id: message_id.map(str::to_owned),
            content_encoding: content_encoding.map(str::to_owned),
            event,
            text: fit_for_sqs(&text).into_owned(),
        }
    }

    /// Reads what [`StampedEvent::text`] gave.
    ///
    /// # Errors
    /// [`Poison::Unstamped`] for anything else: no retry helps.
    pub fn parse(text: &str) -> Result<Self, Poison> {
        let wire: Wire<'_> = serde_json::from_str(text).map_err(|_| Poison::Unstamped(NOT_AN_OBJECT))?;
        let version = wire.version.parse().map_err(|_| Poison::Unstamped(NOT_A_VERSION))?;
        let stamped_at = OffsetDateTime::parse(&wire.stamped_at, &Rfc3339)
            .ok()
            .and_then(|time| time.checked_to_offset(UtcOffset::UTC))
            .filter(|time| *time >= OffsetDateTime::UNIX_EPOCH)
            .ok_or(Poison::Unstamped(NOT_A_TIME))?;
        let json = wire.event.get();
        let decoded;
        let body = if json.starts_with('"') {
            decoded = serde_json::from_str::<String>(json)
                .ok()
                .and_then(|base64| BASE64_STANDARD.decode(base64).ok())
                .ok_or(Poison::Unstamped(NOT_BASE64))?;
            &*decoded
        } else {
            json.as_bytes()
        };
        let (message_id, content_encoding) = (wire.message_id.as_deref(), wire.content_encoding.as_deref());
        Ok(Self::stamp(version, stamped_at, &wire.routing_key, message_id, content_encoding, body))
    }

    /// The event's place in the broker's order.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// When the bridge took it, in UTC.
    #[must_use]
    pub fn stamped_at(&self) -> OffsetDateTime {
        self.at
    }

    /// The routing key that it was published under.
    #[must_use]
    pub fn routing_key(&self) -> &str {
        &self.routing_key
    }

    /// AMQP's message id.
    #[must_use]
    pub fn message_id(&self) -> Option<&str> {
        self.message_id.as_deref()
    }

    /// The text that goes into the queue: JSON, of characters that SQS takes.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// [`StampedEvent::text`], for who needs nothing else of it.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// The size of [`StampedEvent::text`], in bytes, as SQS counts them.
    #[must_use]
    pub fn size(&self) -> usize {
        self.text.len()
    }

    /// Whether it is too old at `now` to be handled: then it is [`Poison::Expired`].
    #[must_use]
    pub fn is_expired(&self, now: OffsetDateTime) -> bool {
        now - self.at > LIFETIME
    }

    /// The event.
    ///
    /// # Errors
    /// [`Poison`]: no retry helps.
    pub fn event(&self, tenancy: &Tenancy) -> Result<Event, Poison> {
        Event::parse(&self.routing_key, &self.event, self.message_id(), tenancy).map_err(|poison| self.explain(poison))
    }

    /// The payload as it was published, for the log: JSON, without its envelope.
    ///
    /// # Errors
    /// [`Poison`]: no retry helps.
    pub fn payload_json(&self) -> Result<&str, Poison> {
        let event_type = EventType::of_routing_key(&self.routing_key)
            .ok_or_else(|| Poison::UnknownRoutingKey(Quoted::new(&self.routing_key)))?;
        let envelope = Envelope::open(event_type, &self.event, self.message_id());
        Ok(envelope.map_err(|poison| self.explain(poison))?.payload.get())
    }

    /// Of a body that is no JSON, how it was published, where it does not tell itself.
    fn explain(&self, poison: Poison) -> Poison {
        match (&self.content_encoding, poison) {
            (Some(encoding), Poison::NotUtf8(_) | Poison::NotJson { .. }) => Poison::Encoded(Quoted::new(encoding)),
            (_, poison) => poison,
        }
    }

    /// What was published, without space around it.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.event
    }
}

/// What a stamp keeps of a time.
fn normal(time: OffsetDateTime) -> OffsetDateTime {
    let utc = time.checked_to_offset(UtcOffset::UTC).unwrap_or(time).max(OffsetDateTime::UNIX_EPOCH);
    utc - Duration::nanoseconds(i64::from(utc.nanosecond() % 1_000_000))
}

/// SQS refuses U+FFFE and U+FFFF, and a whole message for one of them. In JSON they can only stand in
/// a string, where their escapes mean the same.
fn fit_for_sqs(json: &str) -> Cow<'_, str> {
    if json.contains(['\u{fffe}', '\u{ffff}']) {
        json.replace('\u{fffe}', r"\ufffe").replace('\u{ffff}', r"\uffff").into()
    } else {
        json.into()
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const VERSION: Version = Version { epoch: 7, counter: 42 };
    const NOW: OffsetDateTime = datetime!(2026-03-01 12:00:00.123_456_789 +2);

    fn stamp(body: &[u8]) -> StampedEvent {
        StampedEvent::new(VERSION, NOW, "domain.created", Some("m-1"), body)
    }

    #[test]
    fn json_travels_to_the_letter() {
        let body = br#" {"domain":"a.test", "n":12345678901234567890.10, "domain":"b.test"}
        "#;
        let stamped = stamp(body);
        assert_eq!(
            stamped.text(),
            concat!(
                r#"{"version":"7.42","stampedAt":"2026-03-01T10:00:00.123Z","routingKey":"domain.created","#,
                r#""messageId":"m-1","event":{"domain":"a.test", "n":12345678901234567890.10, "domain":"b.test"}}"#
            )
        );
        assert_eq!(stamped.size(), stamped.text().len());
        assert_eq!(stamped.body(), body.trim_ascii());
        assert_eq!(StampedEvent::parse(stamped.text()).unwrap(), stamped);
    }

    #[test]
    fn what_is_no_json_comes_back_as_it_was() {
        for body in [&b""[..], b"no json", b"\xff\xfe\x00", b"\"a string\"", b"{} {}", "\u{ffff}".as_bytes()] {
            let stamped = stamp(body);
            assert!(stamped.text().is_ascii());
            let back = StampedEvent::parse(stamped.text()).unwrap();
            assert_eq!(back, stamped);
            assert_eq!(back.body(), body);
        }
    }

    #[test]
    fn how_a_body_was_encoded_is_named_where_it_is_no_json() {
        for body in [&b"\x0b\x02\x80{}"[..], b"e30="] {
            let stamped = stamp(body).with_content_encoding("br, \u{ffff}");
            let back = StampedEvent::parse(stamped.text()).unwrap();
            assert_eq!((back.body(), &back), (body, &stamped));
            let reason = back.payload_json().unwrap_err().reason();
            assert!(
                reason.starts_with(r"not-json: the body with content_encoding 'br, \u{ffff}' is no JSON"),
                "{reason}"
            );
        }
        let zstd = stamp(b"\x28\xb5\x2f\xfd\xff").with_content_encoding("zstd");
        assert!(zstd.payload_json().unwrap_err().reason().contains("Zstandard"));
        assert_eq!(stamp(b"{}").with_content_encoding("br").payload_json().unwrap(), "{}");
    }

    #[test]
    fn sqs_takes_every_character() {
        let stamped =
            StampedEvent::new(VERSION, NOW, "a\u{ffff}", Some("\u{fffe}\u{1}"), "{\"a\":\"\u{fffe}\"}".as_bytes());
        assert!(!stamped.text().contains(['\u{fffe}', '\u{ffff}', '\u{1}']));
        let back = StampedEvent::parse(stamped.text()).unwrap();
        assert_eq!(back, stamped);
        assert_eq!((back.routing_key(), back.message_id()), ("a\u{ffff}", Some("\u{fffe}\u{1}")));
    }

    #[test]
    fn an_event_lives_for_21_days() {
        let stamped = stamp(b"{}");
        assert!(!stamped.is_expired(stamped.stamped_at() + LIFETIME));
        assert!(stamped.is_expired(stamped.stamped_at() + LIFETIME + Duration::MILLISECOND));
        assert!(!stamped.is_expired(stamped.stamped_at() - Duration::days(1)), "another clock may be ahead");
        let redriven = StampedEvent::parse(stamped.text()).unwrap();
        assert!(redriven.is_expired(stamped.stamped_at() + LIFETIME * 2), "a redrive does not renew it");
    }

    #[test]
    fn the_payload_is_what_is_in_the_envelope() {
        let bare = stamp(br#"{"domain": "a.test"}"#);
        assert_eq!(bare.payload_json().unwrap(), r#"{"domain": "a.test"}"#);
        let wrapped = br#"{"specversion":"1.0","id":"1","source":"s","type":"domain.created","data":{"domain": 1}}"#;
        assert_eq!(stamp(wrapped).payload_json().unwrap(), r#"{"domain": 1}"#);
    }

    #[test]
    fn nothing_else_is_stamped() {
        let good = stamp(b"{}").text().to_owned();
        for (from, to, fault) in [
            ("7.42", "7.042", NOT_A_VERSION),
            ("2026-03-01T", "2026-03-01 at ", NOT_A_TIME),
            ("2026-03-01", "1969-03-01", NOT_A_TIME),
            ("2026-03-01T10:00:00.123Z", "9999-12-31T23:59:59-23:59", NOT_A_TIME),
            ("{}", "\"=\"", NOT_BASE64),
            ("\"event\"", "\"evnt\"", NOT_AN_OBJECT),
            ("\"m-1\"", "1", NOT_AN_OBJECT),
            ("{}}", "{}", NOT_AN_OBJECT),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            assert_eq!(StampedEvent::parse(&bad), Err(Poison::Unstamped(fault)), "{bad}");
        }
    }
}
