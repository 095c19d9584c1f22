//! What an event is about, as far as its text tells: for the log lines of those that cannot be handled.

use serde_json::Value;

use super::{envelope::fingerprint, stamped::StampedEvent};
use crate::address::RoomJid;

/// Characters of an event's body that a log line shows.
const EXCERPT: usize = 300;

/// An event in short. It is read from whatever was published, so it has what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The event's id, by which a list of dead letters and the publisher know it: a `CloudEvent`'s own, or AMQP's message
    /// id, or the hash that a bare payload is known by; the version of an event that has none of these.
    pub id: String,
    /// The room that its payload names.
    pub room: Option<RoomJid>,
    /// The domain that its payload names.
    pub domain: Option<String>,
    /// The beginning of what was published, in one line.
    pub excerpt: String,
}

impl Outline {
    /// Of what the bridge has stamped.
    #[must_use]
    pub fn of_stamped(stamped: &StampedEvent) -> Self {
        let text = String::from_utf8_lossy(stamped.body());
        let mut outline = Self::of_published(&text, stamped.routing_key(), stamped.message_id());
        if outline.id.is_empty() {
            outline.id = stamped.version().to_string();
        }
        outline
    }

    /// Of what nobody has stamped. The id is empty if the event has none.
    #[must_use]
    pub fn of_published(text: &str, routing_key: &str, message_id: Option<&str>) -> Self {
        let json: Option<Value> = serde_json::from_str(text).ok();
        let event = json.as_ref().unwrap_or(&Value::Null);
        let is_cloud_event = event.get("specversion").is_some();
        let own = event["id"].as_str().filter(|id| is_cloud_event && !id.is_empty());
        let id = match own.or(message_id.filter(|id| !id.is_empty())) {
            Some(id) => id.to_owned(),
            None if json.is_some() && !is_cloud_event => fingerprint(routing_key, text.trim()),
            None => String::new(),
        };
        let payload = if is_cloud_event { &event["data"] } else { event };
        let domain = payload["domain"].as_str();
        // Also under a routing key that is misspelt: whose room it is about looks for that room's name.
        let chat_id = payload["chatId"].as_str().filter(|_| !routing_key.starts_with("conference."));
        let named = chat_id.or(payload["id"].as_str()).filter(|_| !routing_key.starts_with("domain."));
        Self {
            id,
            room: named.zip(domain).and_then(|(id, domain)| RoomJid::of_id(id, domain).ok()),
            domain: domain.map(str::to_owned),
            excerpt: excerpt(text),
        }
    }

    /// Of a message that is no stamped event; it has no id but the hash of its text.
    #[must_use]
    pub fn of_unstamped(text: &str) -> Self {
        Self { id: fingerprint("", text), room: None, domain: None, excerpt: excerpt(text) }
    }
}

/// The beginning of a text, its white space as single spaces.
fn excerpt(text: &str) -> String {
    let begin = text.char_indices().nth(EXCERPT).map_or(text.len(), |(at, _)| at);
    let mut short = text[..begin].split_whitespace().collect::<Vec<_>>().join(" ");
    if begin < text.len() {
        short.push_str(" …");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(text: &str, key: &str, message_id: Option<&str>) -> Outline {
        Outline::of_published(text, key, message_id)
    }

    #[test]
    fn the_id_is_the_one_that_the_event_would_be_handled_under() {
        let bare = r#"{"id":"g","domain":"a.test"}"#;
        assert_eq!(outline(bare, "usersGroup.created", Some("m-1")).id, "m-1");
        // printf 'domain.created\0{"domain":"a.test"}' | sha256sum
        let hash = "5fa273c04331ed191adda8ee5fd60dab9498be28a88009448502dd66b42c52d7";
        assert_eq!(outline(" {\"domain\":\"a.test\"}\n", "domain.created", Some("")).id, hash);
        let cloud = r#"{"specversion":"1.0","id":"c-1","data":7}"#;
        assert_eq!(outline(cloud, "usersGroup.created", Some("m-1")).id, "c-1");
        for nameless in ["no JSON", r#"{"specversion":"1.0","id":7}"#] {
            assert_eq!(outline(nameless, "usersGroup.created", Some("m-1")).id, "m-1");
            assert_eq!(outline(nameless, "usersGroup.created", None).id, "");
        }
    }

    #[test]
    fn a_room_is_named_as_far_as_there_is_one() {
        for (text, key, room) in [
            (r#"{"id":"g","chatId":"C","domain":"a.test"}"#, "usersGroup.created", Some(r"\43@conference.a.test")),
            (r#"{"id":"g","chatId":"C","domain":"a.test"}"#, "conference.created", Some("g@conference.a.test")),
            (
                r#"{"specversion":"1.0","data":{"id":"g","domain":"a.test"}}"#,
                "conference.created",
                Some("g@conference.a.test"),
            ),
            (r#"{"id":"g","chatId":"C","domain":"a.test"}"#, "userGroup.created", Some(r"\43@conference.a.test")),
            (r#"{"id":"g","domain":"a..test"}"#, "conference.created", None),
            (r#"{"id":7,"domain":"a.test"}"#, "conference.created", None),
            (r#"{"domain":"a.test","id":"g"}"#, "domain.created", None),
            ("[1]", "usersGroup.created", None),
        ] {
            assert_eq!(outline(text, key, None).room.as_ref().map(RoomJid::as_str), room, "{text}");
        }
    }

    #[test]
    fn what_is_shown_of_a_body_is_one_short_line() {
        assert_eq!(excerpt("a\n \tb"), "a b");
        assert_eq!(excerpt(&"é".repeat(EXCERPT)), "é".repeat(EXCERPT));
        assert_eq!(excerpt(&"é".repeat(EXCERPT + 1)), format!("{} …", "é".repeat(EXCERPT)));
    }
}
