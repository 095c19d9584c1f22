//! The two forms of an event's body: a `CloudEvents` 1.0 object in structured mode, or the bare payload.

use ring::digest::{Context, SHA256};
use serde_json::value::RawValue;

use super::{
    event_type::EventType,
    fields::Fields,
    poison::{FieldPath, Poison, Quoted},
};

/// An event whose payload has not been looked into yet.
pub(super) struct Envelope<'a> {
    /// The event's id.
    pub(super) id: String,
    /// The JSON object that is the payload.
    pub(super) payload: &'a RawValue,
}

impl<'a> Envelope<'a> {
    /// Opens `body`. An object with a `specversion` is a `CloudEvent`; any other is a bare payload, whose
    /// id is AMQP's `message_id`, or else a hash of what was published under which routing key.
    pub(super) fn open(event_type: EventType, body: &'a [u8], message_id: Option<&str>) -> Result<Self, Poison> {
        // Editors and some libraries leave a byte order mark, which is no part of the JSON.
        let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        let text = std::str::from_utf8(body).map_err(|error| not_utf8(body, error.valid_up_to()))?;
        let json: &RawValue = serde_json::from_str(text)
            .map_err(|error| wrapped(body).unwrap_or(Poison::NotJson { line: error.line(), column: error.column() }))?;
        let fields = Fields::of_body(json)?;
        if fields.has("specversion") {
            return Self::of_cloud_event(event_type, &fields);
        }
        let id = match message_id {
            Some(id) if !id.is_empty() => id.to_owned(),
            _ => fingerprint(event_type.routing_key(), json.get()),
        };
        Ok(Self { id, payload: json })
    }

    /// `CloudEvents` 1.0, section 3 (context attributes) and its JSON format, section 3.1 (data).
    fn of_cloud_event(event_type: EventType, fields: &Fields<'a>) -> Result<Self, Poison> {
        let version = fields.text("specversion")?;
        if version != "1.0" {
            return Err(Poison::SpecVersion(Quoted::new(&version)));
        }
        let id = fields.filled_text("id")?;
        fields.filled_text("source")?;
        let claimed = fields.text("type")?;
        if claimed != event_type.routing_key() {
            return Err(Poison::TypeMismatch(Quoted::new(&claimed)));
        }
        if let Some(content_type) = fields.optional_text("datacontenttype")?
            && !is_json(&content_type)
        {
            return Err(Poison::ContentType(Quoted::new(&content_type)));
        }
        if fields.optional("data").is_none() && fields.optional("data_base64").is_some() {
            return Err(Poison::DataBase64);
        }
        let payload = fields.mandatory("data")?;
        if !payload.get().starts_with('{') {
            return Err(Poison::IllTyped { path: FieldPath::field("data"), wanted: "an object" });
        }
        Ok(Self { id, payload })
    }
}

const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// How bodies begin that hold something else than JSON in UTF-8: the bridge unwraps what it can.
const WRAPPINGS: [(&[u8], &str); 14] = [
    (&[0x1f, 0x8b], "gzip that is damaged"),
    (&[0x78, 0x01], "deflate that is damaged"),
    (&[0x78, 0x9c], "deflate that is damaged"),
    (&[0x78, 0xda], "deflate that is damaged"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "Zstandard"),
    (&[0x00, 0x53], "an AMQP 1.0 section that is no string and no bytes"),
    (&[0x00, 0x80], "an AMQP 1.0 section that is no string and no bytes"),
    (&[0xff, 0xfe, 0, 0], "UTF-32"),
    (b"{\0\0\0", "UTF-32"),
    (b"\0\0\0{", "UTF-32"),
    (&[0xff, 0xfe], "UTF-16"),
    (&[0xfe, 0xff], "UTF-16"),
    (b"{\0", "UTF-16"),
    (b"\0{", "UTF-16"),
];

/// What a body is that is not UTF-8 from this byte on.
fn not_utf8(body: &[u8], from: usize) -> Poison {
    wrapped(body).unwrap_or(Poison::NotUtf8(from))
}

/// What a body is that begins like something else than JSON.
fn wrapped(body: &[u8]) -> Option<Poison> {
    let (_, name) = WRAPPINGS.iter().find(|(start, _)| body.starts_with(start))?;
    Some(Poison::Wrapped(name))
}

/// Whether a media type is JSON, parameters aside (RFC 6839, section 3.1, for the suffix).
fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

/// The same for every delivery of one event, and another one under another routing key.
pub(super) fn fingerprint(routing_key: &str, json: &str) -> String {
    let mut hash = Context::new(&SHA256);
    hash.update(routing_key.as_bytes());
    hash.update(&[0]);
    hash.update(json.as_bytes());
    let mut id = String::with_capacity(64);
    for byte in hash.finish().as_ref() {
        for nibble in [byte >> 4, byte & 0xf] {
            id.extend(char::from_digit(nibble.into(), 16));
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: EventType = EventType::DomainCreated;

    fn id(event_type: EventType, body: &str, message_id: Option<&str>) -> String {
        Envelope::open(event_type, body.as_bytes(), message_id).unwrap().id
    }

    #[test]
    fn a_bare_payload_has_its_message_id_or_a_fingerprint() {
        let body = r#"{"domain":"a.test"}"#;
        assert_eq!(id(TYPE, body, Some("m-1")), "m-1");
        let hash = id(TYPE, body, None);
        // printf 'domain.created\0{"domain":"a.test"}' | sha256sum
        assert_eq!(hash, "5fa273c04331ed191adda8ee5fd60dab9498be28a88009448502dd66b42c52d7");
        assert_eq!(id(TYPE, body, Some("")), hash);
        assert_eq!(id(TYPE, &format!(" {body}\n"), None), hash, "space around the body is no part of it");
        assert_ne!(id(EventType::DomainDeleted, body, None), hash);
        assert_ne!(id(TYPE, r#"{"domain":"b.test"}"#, None), hash);
    }

    #[test]
    fn a_cloud_event_brings_its_own_id() {
        let body = r#"{"specversion":"1.0","id":"c-1","source":"/p","type":"domain.created","data":{"domain":"a.test"},
            "datacontenttype":"application/json; charset=utf-8","subject":null,"trace":1e999}"#;
        let envelope = Envelope::open(TYPE, body.as_bytes(), Some("m-1")).unwrap();
        assert_eq!(envelope.id, "c-1");
        assert_eq!(envelope.payload.get(), r#"{"domain":"a.test"}"#);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_it() {
        let body = "{\"domain\":\"a.test\"}";
        assert_eq!(id(TYPE, &format!("\u{feff}{body}"), None), id(TYPE, body, None));
    }

    #[test]
    fn what_is_wrapped_is_named() {
        for (body, name) in [
            (&b"\x1f\x8b\x08\xff"[..], "gzip"),
            (b"\x28\xb5\x2f\xfd", "Zstandard"),
            (b"\x00\x53\x77\xc1\xff", "AMQP 1.0"),
            (b"\xff\xfe{\0}\0", "UTF-16"),
            (b"{\0\"\0", "UTF-16"),
            (b"\0{\0\"", "UTF-16"),
            (b"\xff\xfe\0\0{\0\0\0", "UTF-32"),
            (b"\0\0\0{\0\0\0\"", "UTF-32"),
            (b"\xff", "not UTF-8 from byte 0"),
        ] {
            let Err(poison) = Envelope::open(TYPE, body, None) else { panic!("{body:02x?}") };
            assert!(poison.reason().contains(name) && poison.code() == "not-json", "{}", poison.reason());
        }
    }

    #[test]
    fn json_has_several_media_types() {
        for json in ["application/json", "Application/JSON ; charset=utf-8", "application/vnd.sippo+json"] {
            assert!(is_json(json), "{json}");
        }
        for other in ["", "application/xml", "application/jsonp", "json", "text/plain; a=+json"] {
            assert!(!is_json(other), "{other}");
        }
    }
}
