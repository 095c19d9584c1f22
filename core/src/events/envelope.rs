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
        let text = std::str::from_utf8(body).map_err(|error| Poison::NotUtf8(error.valid_up_to()))?;
        let json: &RawValue = serde_json::from_str(text)
            .map_err(|error| Poison::NotJson { line: error.line(), column: error.column() })?;
        let fields = Fields::of_body(json)?;
        if fields.has("specversion") {
            return Self::of_cloud_event(event_type, &fields);
        }
        let id = match message_id {
            Some(id) if !id.is_empty() => id.to_owned(),
            _ => fingerprint(event_type, json),
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
        let payload = fields.mandatory("data")?;
        if !payload.get().starts_with('{') {
            return Err(Poison::IllTyped { path: FieldPath::field("data"), wanted: "an object" });
        }
        Ok(Self { id, payload })
    }
}

/// Whether a media type is JSON, parameters aside (RFC 6839, section 3.1, for the suffix).
fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

/// The same for every delivery of one event, and another one under another routing key.
fn fingerprint(event_type: EventType, json: &RawValue) -> String {
    let mut hash = Context::new(&SHA256);
    hash.update(event_type.routing_key().as_bytes());
    hash.update(&[0]);
    hash.update(json.get().as_bytes());
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
    fn json_has_several_media_types() {
        for json in ["application/json", "Application/JSON ; charset=utf-8", "application/vnd.sippo+json"] {
            assert!(is_json(json), "{json}");
        }
        for other in ["", "application/xml", "application/jsonp", "json", "text/plain; a=+json"] {
            assert!(!is_json(other), "{other}");
        }
    }
}
