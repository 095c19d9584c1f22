//! Requests: a path is encoded once whoever invoked us, an entry names one contact, a token stands in one header.

use sippo_xmpp_core::{
    address::UserJid,
    lambda::hooks::{bearer_token, contact, path},
};

use crate::{
    Input,
    samples::{DOMAINS, NAMES},
};

const PATHS: &[&str] = &[
    "/sapi/xmpp/login",
    "/sapi/xmpp/rooms",
    "/sapi/xmpp/individualChatList",
    "/",
    "/prod",
    "..",
    "%2F",
    "%40",
    "%25",
    "%",
    "%0",
    "%ff",
    "?",
    "#",
    "//",
    "@",
    "bob@example.test",
];

pub(super) fn run(input: &mut Input<'_>) {
    if input.one_in(3) {
        return authorization(input);
    }
    let raw = if input.one_in(3) {
        let name = input.text(&[NAMES, &["%25", "%2525", "%40", "%41", "41"]].concat(), 4);
        format!("/sapi/xmpp/individualChatList/{name}{}example.test", input.pick(&["@", "%40"]))
    } else {
        input.text(&[PATHS, NAMES, DOMAINS].concat(), 6)
    };
    let has_account = input.one_in(2);
    let stage = input.one_in(3).then(|| input.pick(&["$default", "prod", ""]));
    let seen = path(&raw, &input.text(&["a=b", "%"], 3), has_account, stage);
    assert!(seen.starts_with('/') && seen.bytes().all(|byte| byte.is_ascii_graphic()), "{seen:?}");
    let served = stage
        .filter(|stage| *stage != "$default")
        .and_then(|stage| raw.strip_prefix('/')?.strip_prefix(stage))
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(&raw);
    let meant = if has_account { served.as_bytes().to_vec() } else { decoded(served.as_bytes()) };
    let found = decoded(seen.as_bytes());
    assert!(found == meant || found.strip_prefix(b"/") == Some(&meant), "{raw:?} became {seen:?}");
    if let (true, Some(Ok(jid))) = contact(&seen) {
        let text = String::from_utf8(found).expect("a contact is text");
        let entry = text.strip_prefix("/sapi/xmpp/individualChatList/").expect("a contact stands behind the list");
        assert_eq!(UserJid::of_contact(entry), Ok(jid), "decoded otherwise than once");
    }
}

/// RFC 3986, section 2.1.
fn decoded(text: &[u8]) -> Vec<u8> {
    let (mut rest, mut bytes) = (text, Vec::new());
    while let Some((first, others)) = rest.split_first() {
        let digit = |at: usize| char::from(*others.get(at)?).to_digit(16);
        if let (b'%', Some((high, low))) = (first, digit(0).zip(digit(1))) {
            bytes.extend(u8::try_from(high << 4 | low));
            rest = &others[2..];
        } else {
            bytes.push(*first);
            rest = others;
        }
    }
    bytes
}

/// RFC 6750, section 2.1: one header, `Bearer`, spaces, a `b64token`.
fn authorization(input: &mut Input<'_>) {
    let words = &["Bearer ", "bearer", "BEARER  ", "Basic ", "abc.d-e_f~+/", "==", " ", "\t", ","];
    let headers: Vec<Vec<u8>> = (0..input.below(3)).map(|_| input.text(words, 4).into_bytes()).collect();
    let Some(outcome) = bearer_token(&headers) else { return };
    let [header] = &headers[..] else {
        assert!(outcome.is_err(), "{headers:?}");
        return;
    };
    let text = String::from_utf8_lossy(header);
    let text = text.trim_matches([' ', '\t']);
    let token = text
        .get(..7)
        .filter(|scheme| scheme.eq_ignore_ascii_case("bearer "))
        .map(|_| text[7..].trim_start_matches(' '));
    let is_b64token = |token: &&str| {
        let plain = token.trim_end_matches('=');
        !plain.is_empty() && plain.chars().all(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c))
    };
    assert_eq!(outcome.ok().as_deref(), token.filter(is_b64token), "{text:?}");
}
