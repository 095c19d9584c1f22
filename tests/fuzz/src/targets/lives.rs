//! Lives: the XMPP server reads what Rust writes, and finds the same one newer.

use sippo_xmpp_core::{events::Version, ledger::Ordinal};

use crate::{Input, lua::ask};

pub(super) fn run(input: &mut Input<'_>) {
    if input.one_in(4) {
        let text = input.text(&["1", "0", "18446744073709551615", ".", "/", "e", "-", "+"], 6);
        // What Rust would never write, the server may read or not; what Rust reads, it must.
        if let Ok(life) = text.parse::<Ordinal>() {
            assert_eq!(ask("life", &[&text]), Some(life.to_string()));
        }
        return;
    }
    let one = life(input);
    let other = if input.one_in(3) { Ordinal { event: life(input).event, ..one.clone() } } else { life(input) };
    let (written, written_other) = (one.to_string(), other.to_string());
    assert_eq!(ask("life", &[&written]).as_ref(), Some(&written));
    let verdict = ask("is_newer", &[&written, &written_other]);
    let expected = if one > other { "newer" } else { "not newer" };
    assert_eq!(verdict.as_deref(), Some(expected), "{one} and {other}");
    let verdict = ask("is_newer", &[&one.on_wire(), &other.on_wire()]);
    assert_eq!(verdict.as_deref(), Some(expected), "{one} and {other} as they are sent");
}

fn life(input: &mut Input<'_>) -> Ordinal {
    let version = Version { epoch: input.number(), counter: input.number() };
    let event = input.text(&["e", "/", "#", "sha256:"], 4);
    Ordinal::new(version, if event.is_empty() { "e" } else { &event })
}
