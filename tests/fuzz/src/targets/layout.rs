//! The ledger's table: what is written is read again, keys sort as what they stand for, and odd items are told, not fatal.

use std::collections::{BTreeSet, HashMap};

use sippo_xmpp_core::{
    address::{RoomJid, UserJid},
    events::Version,
    ledger::{
        LedgerKey, Ordinal,
        hooks::{Attribute, behind, chunk, excepted, listed, member, met, ordinal, read},
    },
};

use crate::{
    Input,
    samples::{domain, name},
};

pub(super) fn run(input: &mut Input<'_>) {
    let Ok(room) = RoomJid::of_id(&name(input), &domain(input)) else { return };
    let (one, other) = (any_ordinal(input), any_ordinal(input));
    let ((written, again), (written_other, _)) = (ordinal(&one), ordinal(&other));
    assert_eq!(again.as_ref(), Some(&one));
    assert_eq!(one.cmp(&other), written.cmp(&written_other), "{one} sorts otherwise than {other}");
    if !one.event.is_empty() {
        assert_eq!(one.to_string().parse(), Ok(one.clone()));
    }

    let number = input.below(10_000);
    let ((pk, sk), found) = chunk(&room, &one, number);
    assert_eq!(found, Some((one.clone(), number)));
    assert_eq!(met(&pk), Some(LedgerKey::Room(room.clone())));
    assert!(pk.len() <= 2_048 && sk.len() <= 1_024, "DynamoDB takes no such key");
    assert!((&pk, &sk) < (&behind(&room).0, &behind(&room).1), "{sk} is behind the end");

    let users: BTreeSet<UserJid> = (0..input.below(20)).filter_map(|_| any_user(input, &room)).collect();
    for user in &users {
        let ((pk, sk), found) = member(&room, user);
        assert_eq!(found.as_ref(), Some(user));
        assert!(sk.len() <= 1_024 && (&pk, &sk) < (&behind(&room).0, &behind(&room).1), "{sk}");
    }
    assert_eq!(listed(&users, &room).as_ref(), Some(&users));
    let mut except: BTreeSet<UserJid> = users.iter().filter(|_| input.one_in(3)).cloned().collect();
    except.extend(any_user(input, &room));
    assert_eq!(excepted(&users, &except), users.intersection(&except).cloned().collect());

    let items = (0..input.below(4)).map(|_| item(input, &room, &one)).collect();
    // Read, or said to be odd.
    let _ = read(&room, items);
}

fn any_ordinal(input: &mut Input<'_>) -> Ordinal {
    let version = Version { epoch: input.number(), counter: input.number() };
    let long = if input.one_in(10) { "x".repeat(input.below(1_100)) } else { String::new() };
    Ordinal::new(version, &format!("{}{long}", input.text(&["/", "#", "#0000", ".", "e-1"], 4)))
}

fn any_user(input: &mut Input<'_>, room: &RoomJid) -> Option<UserJid> {
    let domain = if input.one_in(2) { room.tenant().to_owned() } else { domain(input) };
    UserJid::of_username(&name(input), &domain).ok()
}

/// An item as the ledger writes it, or nearly.
fn item(input: &mut Input<'_>, room: &RoomJid, at: &Ordinal) -> HashMap<String, Attribute> {
    let written = ordinal(at).0;
    let sort_keys = [
        chunk(room, at, 0).0.1,
        chunk(room, at, 1).0.1,
        "end".to_owned(),
        "registers".to_owned(),
        "member#alice".to_owned(),
        "member#a@b@c".to_owned(),
        "creation#1".to_owned(),
        "other".to_owned(),
    ];
    let pk = behind(room).0;
    let mut item = HashMap::from([
        ("pk".to_owned(), Attribute::Text(pk)),
        ("sk".to_owned(), Attribute::Text(sort_keys[input.below(sort_keys.len())].clone())),
        ("written".to_owned(), Attribute::Number("1000".to_owned())),
        ("kind".to_owned(), Attribute::Text("usersGroup".to_owned())),
        ("chunks".to_owned(), Attribute::Number(input.pick(&["1", "2", "0", "18446744073709551615"]).to_owned())),
    ]);
    for _ in 0..input.below(4) {
        let names = [
            "participants",
            "announced",
            "claimed",
            "joined",
            "parted",
            "invited",
            "destroyed",
            "deleted",
            "swept",
            "owner",
            "name",
            "written",
            "kind",
            "chunks",
            "pk",
            "sk",
        ];
        let value = match input.below(6) {
            0 => Attribute::Text(written.clone()),
            1 => Attribute::Text(input.text(&["alice", "@", "example.test", "conference"], 3)),
            2 => Attribute::Number(
                input
                    .pick(&["0", "-1", "1e9", "18446744073709551615", "340282366920938463463374607431768211456", "x"])
                    .to_owned(),
            ),
            3 => Attribute::Bytes(input.bytes(4)),
            4 => Attribute::Texts(vec![input.text(&["alice", "bob"], 2)]),
            _ => Attribute::Texts(vec!["alice".to_owned(), "bob@partner.test".to_owned()]),
        };
        item.insert(input.pick(&names).to_owned(), value);
    }
    item
}
