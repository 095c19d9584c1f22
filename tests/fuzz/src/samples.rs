//! What inputs are made of: names, domains and JSON that come near to what is meant.

use crate::Input;

/// Beginnings, middles and ends of names.
pub(crate) const NAMES: &[&str] =
    &["alice", "bob", "a", "\\20", "\\5c", "\\", "\\4", "adhoc-", "user", "josé", "straße", "日本", "ＡＢ", "e\u{301}"];

/// Beginnings, middles and ends of domains.
pub(crate) const DOMAINS: &[&str] = &[
    "example.test",
    "corp.test",
    "conference.",
    "sippo-admin.internal",
    ".",
    "xn--",
    "xn--bcher-kva",
    "bücher",
    "a",
    "-",
    "test",
    "192.0.2.1",
    "1",
    "faß",
    "日本.test",
    "。",
];

/// A domain: a plain one in half of the cases.
pub(crate) fn domain(input: &mut Input<'_>) -> String {
    if input.one_in(2) {
        input.text(DOMAINS, 5)
    } else {
        input.pick(&["example.test", "corp.test", "bücher.test"]).to_owned()
    }
}

/// A name: a plain one in a third of the cases.
pub(crate) fn name(input: &mut Input<'_>) -> String {
    if input.one_in(3) { input.pick(&["alice", "bob", "carol"]).to_owned() } else { input.text(NAMES, 6) }
}
