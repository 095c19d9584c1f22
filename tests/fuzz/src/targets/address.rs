//! Addresses: what is an address here is, to the letter, the same address to Prosody.

use sippo_xmpp_core::address::{
    MAX_LOCALPART, RoomJid, Tenancy, UserJid, canonical_domain, escape_id, escape_localpart,
};

use crate::{
    Input,
    lua::ask,
    samples::{DOMAINS, NAMES, domain, name},
};

pub(super) fn run(input: &mut Input<'_>) {
    match input.below(4) {
        0 => user(&name(input), &domain(input)),
        1 => room(&name(input), &domain(input)),
        2 => contact(&input.text(&[NAMES, DOMAINS, &["@", "/", "/phone"]].concat(), 8)),
        _ => host(&domain(input)),
    }
}

/// A user name becomes a JID that Prosody leaves alone, and that reads as that user name and no other.
fn user(username: &str, domain: &str) {
    let Ok(user) = UserJid::of_username(username, domain) else { return };
    assert!(user.localpart().len() <= MAX_LOCALPART, "{user}");
    assert_eq!(user.localpart(), escape_localpart(username));
    is_left_alone("nodeprep", user.localpart());
    is_left_alone("nameprep", user.domain().as_str());
    is_left_alone("jid_prep", user.as_str());
    assert_eq!(ask("jid_unescape", &[user.localpart()]).as_deref(), Some(username), "{user} is somebody else's");
    assert_eq!(UserJid::canonical(user.as_str()), Ok(user.clone()), "not read as it is written");
    assert_eq!(UserJid::of_contact(user.as_str()), Ok(user), "another contact");
}

/// An id becomes a room that Prosody leaves alone, and no other id does.
fn room(id: &str, domain: &str) {
    let Ok(room) = RoomJid::of_id(id, domain) else { return };
    is_left_alone("jid_prep", room.as_str());
    let (localpart, service) = room.as_str().split_once('@').expect("a localpart");
    assert_eq!(service, format!("conference.{}", domain.to_ascii_lowercase()), "outside of its tenant");
    assert!(!room.tenant().starts_with("conference."), "{room} is of another tenant's rooms");
    assert_eq!(room.tenant(), domain.to_ascii_lowercase());
    assert_eq!(unescaped(localpart), id.as_bytes(), "{room} is another id's");
    assert_eq!(localpart, escape_id(id));
    assert_eq!(RoomJid::canonical(room.as_str()), Ok(room.clone()), "not read as it is written");
}

/// The inverse of what an id becomes: a backslash and two hexadecimal digits are a byte.
fn unescaped(localpart: &str) -> Vec<u8> {
    let (mut rest, mut id) = (localpart.as_bytes(), Vec::new());
    while let Some((first, others)) = rest.split_first() {
        let digit = |at: usize| char::from(*others.get(at)?).to_digit(16);
        let code = digit(0).zip(digit(1)).filter(|_| *first == b'\\');
        id.extend(code.map_or(Some(*first), |(high, low)| u8::try_from(high << 4 | low).ok()));
        rest = if code.is_some() { &others[2..] } else { others };
    }
    id
}

/// A contact is prepared as Prosody would; with a resource that Prosody takes, it is the same contact.
fn contact(text: &str) {
    let (bare, resource) = text.split_once('/').map_or((text, None), |(bare, resource)| (bare, Some(resource)));
    let contact = UserJid::of_contact(text);
    if let Some(resource) =
        resource.filter(|resource| !resource.is_empty() && ask("resourceprep", &[resource]).is_some())
    {
        assert_eq!(contact, UserJid::of_contact(bare), "Prosody takes the resource {resource:?}");
    }
    let Ok(contact) = contact else { return };
    assert_eq!(ask("jid_prep", &[bare]).as_deref(), Some(contact.as_str()), "{text:?} is another user to Prosody");
    is_left_alone("jid_prep", contact.as_str());
}

/// A tenant's domain is the one spelling that the hosts API has for it, and can be served.
fn host(text: &str) {
    let Ok(domain) = canonical_domain(text) else { return };
    assert_eq!(domain.as_str(), text.to_ascii_lowercase());
    is_left_alone("nameprep", domain.as_str());
    let tenancy = Tenancy::new(UserJid::canonical("sippo@sippo-admin.internal").expect("a JID"));
    if tenancy.is_reserved(&domain) {
        return;
    }
    // What has no ASCII form the hosts API refuses, with a reason; what has one, has no other spelling.
    if let Some(ascii) = ask("to_ascii", &[domain.as_str()]) {
        assert!(ascii.len() <= 253 - "conference.".len(), "{ascii} has no room for its rooms");
        is_left_alone("canonical_domain", domain.as_str());
    }
}

fn is_left_alone(preparation: &str, text: &str) {
    assert_eq!(ask(preparation, &[text]).as_deref(), Some(text), "{preparation} makes another of {text:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All scripts but Han and Hangul, which are many and alike.
    #[test]
    fn each_character_alone_and_behind_another() {
        for character in '\0'..='\u{33ff}' {
            for text in [character.to_string(), format!("a{character}")] {
                user(&text, "example.test");
                room(&text, "example.test");
                contact(&format!("{text}@example.test"));
                contact(&format!("a@example.test/{text}"));
                host(&text);
            }
        }
    }
}
