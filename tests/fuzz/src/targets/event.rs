//! Events: in either envelope the same, everyone in the tenant that was named, and nobody becomes somebody else.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sippo_xmpp_core::{
    address::{StringNames, Tenancy, UserJid},
    events::{Event, EventType, Family, MAX_REASON, Payload, Poison},
};

use crate::{
    Input,
    samples::{DOMAINS, NAMES, domain, name},
};

const WORDS: &[&str] = &[
    "id",
    "chatId",
    "domain",
    "name",
    "owner",
    "participants",
    "participant",
    "username",
    "capabilities",
    "specversion",
    "type",
    "data",
    "source",
    "datacontenttype",
    "chat",
    "1.0",
    "example.test",
    "alice@example.test",
    "\\ud800",
    "\\u0000",
    "application/json",
    "usersGroup.created",
    "domain.created",
];

pub(super) fn tenancy() -> Tenancy {
    Tenancy::new(UserJid::canonical("sippo@sippo-admin.internal").expect("a JID"))
}

pub(super) fn run(input: &mut Input<'_>) {
    let event_type = EventType::ALL[input.below(EventType::ALL.len())];
    if input.one_in(4) {
        let body = if input.one_in(3) { input.bytes(60) } else { json(input, 4).into_bytes() };
        let message_id = input.one_in(2).then(|| input.text(&["m"], 2));
        if let Err(poison) = Event::parse(event_type.routing_key(), &body, message_id.as_deref(), &tenancy()) {
            is_a_reason(&poison);
        }
        return;
    }
    let names = if input.one_in(2) { StringNames::Username } else { StringNames::Jid };
    let of = domain(input);
    let people: Vec<Person> = (0..input.below(4)).map(|_| Person::any(input, &of)).collect();
    let capabilities = input.one_in(4).then(|| input.pick(&["audio", "chat", "chats"]));
    let payload = payload(input, event_type, &of, &people, capabilities);
    let people = who_is_read(event_type, &people);
    let tenancy = tenancy().with_string_names(names);
    let parse = |body: &Value| Event::parse(event_type.routing_key(), body.to_string().as_bytes(), Some("m"), &tenancy);
    let wrapped =
        json!({"specversion": "1.0", "id": "m", "source": "/x", "type": event_type.routing_key(), "data": payload});
    let event = parse(&payload);
    assert_eq!(event, parse(&wrapped), "the envelope makes a difference");
    let marked = format!("\u{feff}{payload}");
    let marked = Event::parse(event_type.routing_key(), marked.as_bytes(), Some("m"), &tenancy);
    assert_eq!(event, marked, "the byte order mark makes a difference");
    let whoever = parse(&without_capabilities(payload));
    assert_eq!(event.is_ok(), whoever.is_ok(), "capabilities make an event of none, or none of one");
    if let (Ok(event), Ok(whoever)) = (&event, whoever) {
        let lacks_chat = capabilities.is_some_and(|capability| capability != "chat");
        let without: BTreeSet<_> = people.iter().filter(|_| lacks_chat).filter_map(|one| one.described(&of)).collect();
        assert_eq!(event.payload, allowed(whoever.payload, &without), "{without:?} have no chat");
    }
    match event {
        Ok(event) => is_of_its_tenant(&event, &of, people, names, &tenancy),
        Err(poison) => is_a_reason(&poison),
    }
}

/// Somebody whom an event names: by a string, or by an object.
enum Person {
    Named(String),
    Described { username: String, domain: Option<String> },
}

impl Person {
    fn any(input: &mut Input<'_>, of: &str) -> Self {
        match input.below(4) {
            0 => Self::Named(name(input)),
            1 => {
                Self::Named(format!("{}@{}", name(input), if input.one_in(2) { of.to_owned() } else { domain(input) }))
            }
            _ => Self::Described { username: name(input), domain: input.one_in(2).then(|| domain(input)) },
        }
    }

    fn json(&self, capability: Option<&str>) -> Value {
        match self {
            Self::Named(text) => json!(text),
            Self::Described { username, domain } => {
                let mut object = json!({"username": username});
                if let Some(domain) = domain {
                    object["domain"] = json!(domain);
                }
                if let Some(capability) = capability {
                    object["capabilities"] = json!([capability]);
                }
                object
            }
        }
    }

    /// Whom this names by an object, which may have capabilities. Nobody by a user name that no JID can have: a JID that
    /// would have to be theirs, with a space's escape at an end, may be in a string all the same.
    fn described(&self, of: &str) -> Option<(String, String)> {
        let Self::Described { username, domain } = self else { return None };
        UserJid::of_username(username, domain.as_deref().unwrap_or(of)).ok()?;
        self.identity(of, StringNames::Username)
    }

    /// Whom this names, as user name and tenant, if it names anybody.
    fn identity(&self, of: &str, names: StringNames) -> Option<(String, String)> {
        let of = of.to_ascii_lowercase();
        match self {
            Self::Named(text) if names == StringNames::Username || !text.contains('@') => Some((text.clone(), of)),
            Self::Named(jid) => {
                let (localpart, domain) = jid.split_once('@')?;
                (domain.to_ascii_lowercase() == of).then(|| (unescaped(localpart), of))
            }
            Self::Described { username, domain } => {
                Some((username.clone(), domain.as_ref().map_or(of, |domain| domain.to_ascii_lowercase())))
            }
        }
    }
}

fn payload(
    input: &mut Input<'_>,
    event_type: EventType,
    of: &str,
    people: &[Person],
    capability: Option<&str>,
) -> Value {
    let mut payload = json!({"id": name(input), "domain": of});
    if input.one_in(3) {
        payload["chatId"] = json!(name(input));
    }
    let list: Vec<Value> = people.iter().map(|one| one.json(capability)).collect();
    if let Some(first) = list.first() {
        payload[if input.one_in(2) { "owner" } else { "participant" }] = first.clone();
    }
    if event_type.family() != Family::Domain {
        payload["participants"] = json!(list);
    }
    payload
}

/// The same of users whose capabilities nobody tells.
fn without_capabilities(mut payload: Value) -> Value {
    let strip = |one: &mut Value| one.as_object_mut().and_then(|one| one.remove("capabilities"));
    for name in ["owner", "participant"] {
        payload.get_mut(name).and_then(strip);
    }
    for one in payload.get_mut("participants").and_then(Value::as_array_mut).into_iter().flatten() {
        strip(one);
    }
    payload
}

/// Of those who are in a payload: a conference's participants come and go one at a time, and their event's list is not read.
fn who_is_read(event_type: EventType, people: &[Person]) -> &[Person] {
    match event_type {
        EventType::ConferenceParticipantJoined | EventType::ConferenceParticipantLeft => {
            people.first().map_or(&[], std::slice::from_ref)
        }
        _ => people,
    }
}

/// What an event says when those who are `without` chat are left out where somebody is let in, and nowhere else.
fn allowed(payload: Payload, without: &BTreeSet<(String, String)>) -> Payload {
    let may = |user: &UserJid| !without.contains(&(unescaped(user.localpart()), user.domain().as_str().to_owned()));
    let among = |users: Vec<UserJid>| users.into_iter().filter(may).collect();
    match payload {
        Payload::RoomCreated { room, name, owner, participants } => {
            Payload::RoomCreated { room, name, owner: owner.filter(may), participants: among(participants) }
        }
        Payload::Joined { room, participants } => Payload::Joined { room, participants: among(participants) },
        other => other,
    }
}

fn is_of_its_tenant(event: &Event, of: &str, people: &[Person], names: StringNames, tenancy: &Tenancy) {
    let identities: BTreeSet<_> = people.iter().filter_map(|one| one.identity(of, names)).collect();
    if let Some(room) = event.payload.room() {
        assert_eq!(room.tenant(), of.to_ascii_lowercase(), "outside of its tenant");
    }
    let (owner, participants) = match &event.payload {
        Payload::RoomCreated { owner, participants, .. } => (owner.as_ref(), &participants[..]),
        Payload::Joined { participants, .. } | Payload::Left { participants, .. } => (None, &participants[..]),
        Payload::DomainCreated { domain } | Payload::DomainDeleted { domain } => {
            assert_eq!(domain.as_str(), of.to_ascii_lowercase());
            return;
        }
        Payload::RoomDestroyed { .. } => return,
    };
    assert_eq!(participants.iter().collect::<BTreeSet<_>>().len(), participants.len(), "identities twice");
    for user in participants.iter().chain(owner) {
        assert!(!tenancy.is_reserved(user.domain()), "{user} is the service's own");
        let identity = (unescaped(user.localpart()), user.domain().as_str().to_owned());
        assert!(identities.contains(&identity), "nobody identities {user}: {identities:?}");
    }
}

/// XEP-0106, section 4.3.
fn unescaped(localpart: &str) -> String {
    const ESCAPES: [(&str, char); 10] = [
        ("20", ' '),
        ("22", '"'),
        ("26", '&'),
        ("27", '\''),
        ("2f", '/'),
        ("3a", ':'),
        ("3c", '<'),
        ("3e", '>'),
        ("40", '@'),
        ("5c", '\\'),
    ];
    let (mut rest, mut username) = (localpart, String::new());
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        let escape = ESCAPES.iter().find(|(code, _)| first == '\\' && rest.starts_with(code));
        rest = escape.map_or(rest, |_| &rest[2..]);
        username.push(escape.map_or(first, |(_, meant)| *meant));
    }
    username
}

/// What a log line and an attribute of SQS can hold.
fn is_a_reason(poison: &Poison) {
    let reason = poison.reason();
    assert!(reason.len() <= MAX_REASON && reason.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{reason:?}");
}

/// JSON of the fields that events have, right and wrong.
pub(super) fn json(input: &mut Input<'_>, depth: usize) -> String {
    match if depth == 0 { input.below(3) } else { input.below(6) } {
        0 => input.pick(&["null", "true", "1e999", "-0.0", "7", "\"\"", "18446744073709551616"]).to_owned(),
        1 => Value::from(input.text(&[WORDS, NAMES, DOMAINS].concat(), 3)).to_string(),
        2 => format!("\"{}\"", input.pick(WORDS)),
        3 => format!("[{}]", (0..input.below(4)).map(|_| json(input, depth - 1)).collect::<Vec<_>>().join(",")),
        _ => {
            let mut member = || format!("\"{}\":{}", input.pick(WORDS), json(input, depth - 1));
            let members: Vec<_> = (0..4).map(|_| member()).collect();
            format!("{{{}}}", members.join(" , "))
        }
    }
}
