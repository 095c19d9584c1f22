//! What events say, and what makes one poison.

use serde_json::{Value, json};

use super::*;
use crate::address::{StringNames, Tenancy, UserJid};

fn parse(key: &str, payload: &Value) -> Result<Event, Poison> {
    let tenancy = Tenancy::new(UserJid::canonical("sippo@sippo-admin.internal").unwrap());
    let wrapped = json!({"specversion": "1.0", "id": "e-1", "source": "/p", "type": key, "data": payload});
    let event = Event::parse(key, wrapped.to_string().as_bytes(), None, &tenancy);
    let bare = Event::parse(key, payload.to_string().as_bytes(), Some("e-1"), &tenancy);
    // A payload means the same in either envelope.
    if payload.is_object() {
        assert_eq!(event, bare);
    }
    event
}

fn good(key: &str, payload: &Value) -> Event {
    parse(key, payload).unwrap_or_else(|poison| panic!("{key} {payload}: {poison}"))
}

fn text(users: &[UserJid]) -> Vec<&str> {
    users.iter().map(UserJid::as_str).collect()
}

/// The members of a new group with these participants.
fn members(participants: &Value) -> Vec<String> {
    let event = good("usersGroup.created", &json!({"id": "g", "domain": "example.test", "participants": participants}));
    let Payload::RoomCreated { participants, .. } = &event.payload else { panic!("{event:?}") };
    text(participants).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_group_has_a_room_of_its_chat_id() {
    let payload = json!({"id": "g 1", "chatId": "c/1", "domain": "Example.test", "name": "Team", "owner": "o'hara",
        "participants": ["alice"], "colour": {"deep": [1]}});
    let event = good("usersGroup.created", &payload);
    assert_eq!((event.id.as_str(), event.event_type), ("e-1", EventType::UsersGroupCreated));
    let Payload::RoomCreated { room, name, owner, participants } = &event.payload else { panic!("{event:?}") };
    assert_eq!(room.as_str(), r"c\2f1@conference.example.test");
    assert_eq!(name.as_deref(), Some("Team"));
    assert_eq!(owner.as_ref().unwrap().as_str(), r"o\27hara@example.test");
    assert_eq!(text(participants), ["alice@example.test"]);

    for chat_id in [json!({"id": "g", "domain": "a.test"}), json!({"id": "g", "chatId": null, "domain": "a.test"})] {
        let event = good("usersGroup.deleted", &chat_id);
        assert_eq!(event.payload.room().unwrap().as_str(), "g@conference.a.test");
    }
    let conference = good("conference.destroyed", &json!({"id": "k", "chatId": 7, "domain": "a.test"}));
    assert_eq!(conference.payload.room().unwrap().as_str(), "k@conference.a.test", "conferences have no chatId");
}

#[test]
fn null_is_absent() {
    let bare = good("conference.created", &json!({"id": "k", "domain": "a.test"}));
    let nulls = json!({"id": "k", "domain": "a.test", "name": null, "owner": null, "participants": null});
    assert_eq!(good("conference.created", &nulls), bare);
    let Payload::RoomCreated { name: None, owner: None, participants, .. } = bare.payload else { panic!() };
    assert_eq!(participants, []);
}

#[test]
fn a_user_can_be_written_in_several_ways() {
    let users = members(&json!([
        "alice", "alice@example.test", {"username": "alice"}, {"username": "alice", "domain": "EXAMPLE.test"},
        {"username": "alice", "capabilities": ["chat", "x"]}, {"username": "alice", "capabilities": null, "age": 1e9},
        "d'artagnan", r"d\27artagnan@example.test",
        {"username": "guest@other.test"}, {"username": "guest", "domain": "other.test"},
    ]));
    assert_eq!(
        users,
        ["alice@example.test", r"d\27artagnan@example.test", r"guest\40other.test@example.test", "guest@other.test"]
    );
}

#[test]
fn who_has_no_chat_is_left_out_however_often_they_are_named() {
    let none = json!({"username": "bob", "capabilities": []});
    let other = json!({"username": "carol", "domain": "other.test", "capabilities": ["Chat", "sms"]});
    let users = members(&json!(["bob", "alice", none, other, {"username": "bob", "capabilities": ["chat"]}]));
    assert_eq!(users, ["alice@example.test"]);

    let payload = json!({"id": "g", "domain": "example.test", "owner": none, "participants": ["bob", "alice"]});
    let event = good("usersGroup.created", &payload);
    let Payload::RoomCreated { owner: None, participants, .. } = &event.payload else { panic!("{event:?}") };
    assert_eq!(text(participants), ["alice@example.test"]);

    let moved = |key: &str| good(key, &json!({"id": "k", "domain": "example.test", "participant": none}));
    let event = moved("conference.participant.joined");
    let Payload::Joined { participants, .. } = &event.payload else { panic!("{event:?}") };
    assert!(participants.is_empty());
    let event = moved("conference.participant.left");
    let Payload::Left { participants, .. } = &event.payload else { panic!("{event:?}") };
    assert_eq!(text(participants), ["bob@example.test"], "who lost the capability leaves all the same");
}

#[test]
fn groups_list_who_moves_and_conferences_name_one() {
    let group = json!({"id": "g", "domain": "a.test", "participants": ["alice", "bob", "alice"]});
    let conference = json!({"id": "g", "domain": "a.test", "participant": "alice"});
    for (key, payload, expected) in [
        ("usersGroup.participants.joined", &group, vec!["alice@a.test", "bob@a.test"]),
        ("usersGroup.participants.left", &group, vec!["alice@a.test", "bob@a.test"]),
        ("conference.participant.joined", &conference, vec!["alice@a.test"]),
        ("conference.participant.left", &conference, vec!["alice@a.test"]),
    ] {
        match good(key, payload).payload {
            Payload::Joined { participants, .. } if key.ends_with("joined") => {
                assert_eq!(text(&participants), expected);
            }
            Payload::Left { participants, .. } if key.ends_with("left") => assert_eq!(text(&participants), expected),
            other => panic!("{key}: {other:?}"),
        }
    }
}

#[test]
fn tenants_come_and_go() {
    let payload = json!({"domain": "New.test"});
    let created = good("domain.created", &payload).payload;
    assert!(matches!(created, Payload::DomainCreated { domain } if domain.as_str() == "new.test"));
    let deleted = good("domain.deleted", &payload).payload;
    assert!(matches!(deleted, Payload::DomainDeleted { domain } if domain.as_str() == "new.test"));
}

/// A routing key with a payload, and how the reason begins why it is poison: the code, and where the fault is.
type Bad<'a> = ((&'a str, Value), &'a str);

fn all_are_poison<'a>(bad: impl IntoIterator<Item = Bad<'a>>) {
    for ((key, payload), reason) in bad {
        let poison = parse(key, &payload).expect_err(&payload.to_string());
        assert!(poison.reason().starts_with(reason), "{payload}: {}", poison.reason());
    }
}

/// A good group but for one field.
fn group_with(field: &str, value: Value) -> (&'static str, Value) {
    let mut payload = json!({"id": "g", "domain": "example.test", "owner": "o", "participants": ["p"]});
    payload[field] = value;
    ("usersGroup.created", payload)
}

#[test]
fn bad_payloads_are_poison() {
    let group = group_with;
    all_are_poison([
        (("usersGroup.unheardOf", json!({})), "unknown-routing-key: routing key 'usersGroup.unheardOf'"),
        (("domain.created", json!([])), "ill-typed: data is not an object"),
        (("domain.created", json!({})), "missing: domain"),
        (("domain.created", json!({"domain": null})), "missing: domain"),
        (("domain.created", json!({"domain": 7})), "ill-typed: domain is not a string"),
        (("domain.created", json!({"domain": ""})), "bad-address: domain ''"),
        (("domain.created", json!({"domain": "a b"})), "bad-address: domain 'a b'"),
        (("domain.created", json!({"domain": "ｅx.test"})), r"bad-address: domain '\u{ff45}x.test'"),
        (("domain.created", json!({"domain": "Conference.a.test"})), "reserved-domain: domain 'Conference.a.test'"),
        (("domain.deleted", json!({"domain": "sippo-admin.internal"})), "reserved-domain: domain"),
        (("usersGroup.deleted", json!({"domain": "a.test"})), "missing: id"),
        (("usersGroup.deleted", json!({"chatId": "c", "domain": "a.test"})), "missing: id"),
        (("usersGroup.participants.joined", json!({"id": "g", "domain": "a.test"})), "missing: participants"),
        (("conference.participant.left", json!({"id": "g", "domain": "a.test"})), "missing: participant"),
        (
            ("conference.participant.left", json!({"id": "g", "domain": "a.test", "participant": ["a"]})),
            "ill-typed: participant is not a user name",
        ),
        (group("id", json!(1)), "ill-typed: id is not a string"),
        (group("id", json!("")), "bad-address: id ''"),
        (group("id", json!("adhoc-1")), "bad-address: id 'adhoc-1': rooms"),
        (group("chatId", json!("adhoc-1")), "bad-address: chatId 'adhoc-1'"),
        (group("chatId", json!("")), "bad-address: chatId ''"),
        (group("chatId", json!(["c"])), "ill-typed: chatId"),
        (group("id", json!("x".repeat(201))), "bad-address: id 'xxx"),
        (group("domain", json!("conference.example.test")), "reserved-domain: domain"),
        (group("participants", json!("p")), "ill-typed: participants is not an array"),
        (group("participants", json!({})), "ill-typed: participants is not an array"),
        (group("participants", json!(vec!["p"; 20_001])), "too-many: participants has 20001 users, more than 20000"),
    ]);
}

/// What is odd in an event costs only itself: `(field, value, what it says instead, how the complaint begins)`.
#[test]
fn a_part_that_is_odd_is_left_out_and_told() {
    let long = "x".repeat(MAX_NAME + 1);
    for (field, value, complaint) in [
        ("name", json!(false), "ill-typed: name is not a string"),
        ("name", json!("a\u{0}"), "bad-text: name has control characters"),
        ("name", json!("a\u{ffff}"), "bad-text: name has control characters"),
        ("name", json!(long), "bad-text: name is longer than 1024 bytes"),
        ("owner", json!([]), "ill-typed: owner is not a user name"),
        ("owner", json!("Olga"), "bad-address: owner 'Olga'"),
        ("owner", json!("olga@corp.test"), "foreign-domain: owner 'olga@corp.test'"),
        ("participants", json!(["p", null]), "ill-typed: participants[1] is not a user name"),
        ("participants", json!(["p", 7]), "ill-typed: participants[1]"),
        ("participants", json!(["Zoe", "p"]), "bad-address: participants[0] 'Zoe'"),
        ("participants", json!(["p", "ann@corp.test"]), "foreign-domain: participants[1] 'ann@corp.test'"),
        ("participants", json!(["p", {"username": "a", "capabilities": 7}]), "ill-typed: participants[1].capabilities"),
        ("participants", json!(["p", "x".repeat(201)]), "bad-address: participants[1]"),
    ] {
        let (key, payload) = group_with(field, value.clone());
        let event = good(key, &payload);
        let [fault] = &event.left_out[..] else { panic!("{payload}: {:?}", event.left_out) };
        assert!(fault.reason().starts_with(complaint), "{value}: {}", fault.reason());
        let Payload::RoomCreated { name, owner, participants, .. } = event.payload else { panic!("{payload}") };
        assert_eq!(name, None);
        assert_eq!(owner.is_some(), field != "owner");
        assert_eq!(text(&participants), ["p@example.test"]);
    }
}

#[test]
fn who_leaves_leaves_whatever_the_neighbours_are() {
    let odd = json!({"username": "carol", "capabilities": 7});
    let payload = json!({"id": "g", "domain": "example.test", "participants": ["bob", "Zoe", null, odd]});
    let event = good("usersGroup.participants.left", &payload);
    let Payload::Left { participants, .. } = &event.payload else { panic!("{event:?}") };
    assert_eq!(text(participants), ["bob@example.test", "carol@example.test"]);
    assert_eq!(event.left_out.len(), 2);
}

/// `ann@corp.test` may be somebody's user name, an e-mail address: the user ann of a tenant corp.test is somebody else.
#[test]
fn nobody_becomes_somebody_else_by_an_at_sign() {
    let (key, payload) = group_with("participants", json!(["ann@corp.test"]));
    let poison = parse(key, &payload).unwrap_err();
    assert!(poison.reason().starts_with("foreign-domain: participants[0] 'ann@corp.test'"), "{}", poison.reason());
    assert!(poison.reason().contains(r#"{"username""#), "{}", poison.reason());

    let tenancy = Tenancy::new(UserJid::canonical("sippo@sippo-admin.internal").unwrap());
    let tenancy = tenancy.with_string_names(StringNames::Username);
    let event = Event::parse(key, payload.to_string().as_bytes(), Some("e-1"), &tenancy).unwrap();
    let Payload::RoomCreated { participants, .. } = event.payload else { panic!("no room") };
    assert_eq!(text(&participants), [r"ann\40corp.test@example.test"]);
}

#[test]
fn bad_participants_are_poison() {
    let first = |value: Value| group_with("participants", json!([value]));
    all_are_poison([
        (first(json!(7)), "ill-typed: participants[0]"),
        (first(json!("")), "bad-address: participants[0] ''"),
        (first(json!("Alice")), "bad-address: participants[0] 'Alice': the XMPP server would take"),
        (first(json!("alice@example.test/phone")), "bad-address: participants[0]"),
        (first(json!("@example.test")), "bad-address: participants[0]"),
        (first(json!("a b@example.test")), "bad-address: participants[0]"),
        (first(json!("a@b@example.test")), "bad-address: participants[0]"),
        (first(json!("alice@conference.example.test")), "reserved-domain: participants[0]"),
        (first(json!("sippo@sippo-admin.internal")), "reserved-domain: participants[0]"),
        (first(json!({})), "missing: participants[0].username"),
        (first(json!({"username": null})), "missing: participants[0].username"),
        (first(json!({"username": 1})), "ill-typed: participants[0].username"),
        (first(json!({"username": "a", "domain": 1})), "ill-typed: participants[0].domain"),
        (first(json!({"username": "a", "domain": "a/b"})), "bad-address: participants[0].domain 'a/b'"),
        (first(json!({"username": "a", "domain": "conference.a.test"})), "reserved-domain: participants[0]"),
        (first(json!({"username": "a", "capabilities": "chat"})), "ill-typed: participants[0].capabilities"),
        (first(json!({"username": "a", "capabilities": ["chat", 1]})), "ill-typed: participants[0].capabilities"),
        (first(json!({"username": "A", "capabilities": []})), "bad-address: participants[0].username 'A'"),
    ]);
}

#[test]
fn bad_bodies_are_poison() {
    let tenancy = Tenancy::new(UserJid::canonical("sippo@sippo-admin.internal").unwrap());
    let cloud = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "domain.created",
        "datacontenttype": null, "data": {"domain": "a.test"}});
    let with = |field: &str, value: Value| {
        let mut body = cloud.clone();
        body[field] = value;
        body.to_string().into_bytes()
    };
    assert!(Event::parse("domain.created", &with("data_base64", json!(null)), None, &tenancy).is_ok());
    let mut in_base64 = cloud.clone();
    (in_base64["data"], in_base64["data_base64"]) = (json!(null), json!("eyJkb21haW4iOiJhLnRlc3QifQ=="));
    for (body, reason) in [
        (in_base64.to_string().into_bytes(), "bad-envelope: data_base64 is not read"),
        (b"".to_vec(), "not-json: the body is not JSON (line 1, column 0)"),
        (b"{\"domain\":}".to_vec(), "not-json: the body is not JSON (line 1, column 11)"),
        (b"{}{}".to_vec(), "not-json"),
        (b"{\"domain\":\"\xff\"}".to_vec(), "not-json: the body is not UTF-8 from byte 11 on"),
        (b"\xef\xbb\xbf{}".to_vec(), "missing: domain"),
        (b"null".to_vec(), "ill-typed: the body is not an object"),
        (b"[{}]".to_vec(), "ill-typed: the body is not an object"),
        (br#"{"domain":"\ud800"}"#.to_vec(), "ill-typed: domain is not a string of valid Unicode"),
        (with("specversion", json!(null)), "missing: specversion"),
        (with("specversion", json!("0.3")), "bad-envelope: specversion is '0.3'"),
        (with("specversion", json!(1.0)), "ill-typed: specversion"),
        (with("id", json!("")), "empty: id"),
        (with("id", json!(null)), "missing: id"),
        (with("source", json!("")), "empty: source"),
        (with("source", json!(null)), "missing: source"),
        (with("type", json!("domain.deleted")), "bad-envelope: type is 'domain.deleted'"),
        (with("type", json!(null)), "missing: type"),
        (with("datacontenttype", json!("application/xml")), "bad-envelope: datacontenttype is 'application/xml'"),
        (with("data", json!(null)), "missing: data"),
        (with("data", json!("{}")), "ill-typed: data is not an object"),
    ] {
        let poison = Event::parse("domain.created", &body, None, &tenancy).unwrap_err();
        assert!(poison.reason().starts_with(reason), "{}: {}", body.escape_ascii(), poison.reason());
    }
}

/// No depth of nesting overflows the stack, nor does an unknown field get looked into.
#[test]
fn deep_nesting_does_no_harm() {
    let tenancy = Tenancy::new(UserJid::canonical("sippo@sippo-admin.internal").unwrap());
    let deep = format!("{}{}", "[".repeat(300_000), "]".repeat(300_000));
    let unknown = format!(r#"{{"domain":"a.test","deep":{deep}}}"#);
    assert!(Event::parse("domain.created", unknown.as_bytes(), None, &tenancy).is_ok());
    let ill_typed = format!(r#"{{"domain":{deep}}}"#);
    let poison = Event::parse("domain.created", ill_typed.as_bytes(), None, &tenancy).unwrap_err();
    assert_eq!(poison.code(), "ill-typed");
}
