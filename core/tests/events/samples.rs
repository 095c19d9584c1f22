//! Every sample is what its function understands.

use std::{fs, path::PathBuf};

use serde_json::Value;
use sippo_xmpp_core::events::{Event, EventType, Payload, StampedEvent};
use time::macros::datetime;

use crate::tenancy;

pub(crate) fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../events").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("events/{name}: {error}"))
}

/// The sample of `event_type` in the envelope that `form` names.
pub(crate) fn published(event_type: EventType, form: &str) -> String {
    read(&format!("{}.{form}.json", event_type.function()))
}

#[test]
fn both_envelopes_hold_the_same_event() {
    for event_type in EventType::ALL {
        let event = |form: &str, id| {
            let body = published(event_type, form);
            Event::parse(event_type.routing_key(), body.as_bytes(), id, &tenancy())
                .unwrap_or_else(|poison| panic!("{} {form}: {poison}", event_type.function()))
        };
        let wrapped = event("cloudevent", None);
        assert_eq!(event("bare", Some(&wrapped.id)), wrapped);
        assert_eq!(wrapped.event_type, event_type);
    }
}

/// Two records, one in each envelope, as Lambda's event source mapping makes them.
#[test]
fn a_function_gets_two_stamped_events() {
    for event_type in EventType::ALL {
        let function = event_type.function();
        let sample: Value = serde_json::from_str(&read(&format!("{function}.json"))).unwrap();
        let records = sample["Records"].as_array().unwrap();
        assert_eq!(records.len(), 2, "{function}");
        assert_ne!(records[0]["messageId"], records[1]["messageId"], "{function}");
        let mut versions = Vec::new();
        for (record, form) in records.iter().zip(["cloudevent", "bare"]) {
            assert_eq!(record["eventSource"], "aws:sqs");
            assert!(record["eventSourceARN"].as_str().unwrap().ends_with(&format!(":sippo-xmpp-{function}")));
            assert_eq!(record["attributes"]["ApproximateReceiveCount"], "1");
            let body = record["body"].as_str().unwrap();
            let stamped = StampedEvent::parse(body).unwrap_or_else(|poison| panic!("{function}: {poison}"));
            assert_eq!(stamped.text(), body, "{function}: not as the bridge writes it");
            assert_eq!(stamped.routing_key(), event_type.routing_key());
            // The samples serve for years.
            assert!(!stamped.is_expired(datetime!(2060-01-01 0:00 UTC)));
            let event = stamped.event(&tenancy()).unwrap();
            assert_eq!(event.event_type, event_type);
            let publishable: Value = serde_json::from_str(&published(event_type, form)).unwrap();
            let carried: Value = serde_json::from_slice(stamped.body()).unwrap();
            assert_eq!(carried, publishable, "{function} {form}");
            versions.push(stamped.version());
        }
        assert!(versions[0] < versions[1], "{function}");
    }
}

#[test]
fn a_payload_of_each_kind_is_shown() {
    let event = |event_type: EventType| {
        let body = published(event_type, "bare");
        Event::parse(event_type.routing_key(), body.as_bytes(), None, &tenancy()).unwrap()
    };
    let created = event(EventType::UsersGroupCreated);
    let Payload::RoomCreated { name: Some(_), owner: Some(_), participants, .. } = &created.payload else {
        panic!("{created:?}")
    };
    assert!(participants.len() > 2, "a name, a JID and an object at least");
    let body: Value = serde_json::from_str(&published(EventType::UsersGroupCreated, "bare")).unwrap();
    assert_eq!(body["participants"].as_array().unwrap().len(), participants.len() + 1, "and somebody without chat");
    for left in [EventType::UsersGroupParticipantsLeft, EventType::UsersGroupParticipantsJoined] {
        assert_eq!(event(left).payload.room(), created.payload.room());
    }
}
