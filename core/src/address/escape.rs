//! XEP-0106: JID Escaping.

/// Escapes `username` into a localpart (XEP-0106, section 4.3).
///
/// A backslash is escaped only where it would otherwise read as an escape, as the standard has it.
/// Spaces at either end are left alone: the standard forbids them there, and preparation of the
/// result will not take them.
#[must_use]
pub fn escape_localpart(username: &str) -> String {
    let inner = username.trim_matches(' ').len();
    let start = username.len() - username.trim_start_matches(' ').len();
    let mut localpart = String::with_capacity(username.len());
    for (at, character) in username.char_indices() {
        let escaped = match character {
            ' ' => at > start && at < start + inner,
            '"' | '&' | '\'' | '/' | ':' | '<' | '>' | '@' => true,
            '\\' => reads_as_escape(&username[at + 1..]),
            _ => false,
        };
        if escaped {
            localpart.push('\\');
            for nibble in [(character as u32) >> 4, (character as u32) & 0xf] {
                localpart.extend(char::from_digit(nibble, 16));
            }
        } else {
            localpart.push(character);
        }
    }
    localpart
}

/// Whether what follows a backslash would make it one of the ten escapes.
fn reads_as_escape(rest: &str) -> bool {
    const ESCAPES: [&str; 10] = ["20", "22", "26", "27", "2f", "3a", "3c", "3e", "40", "5c"];
    rest.get(..2).is_some_and(|code| ESCAPES.iter().any(|escape| escape.eq_ignore_ascii_case(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of XEP-0106, section 5.
    #[test]
    fn the_standards_examples() {
        for (username, localpart) in [
            ("space cadet", r"space\20cadet"),
            (r#"call me "ishmael""#, r"call\20me\20\22ishmael\22"),
            ("at&t guy", r"at\26t\20guy"),
            ("d'artagnan", r"d\27artagnan"),
            ("/.fanboy", r"\2f.fanboy"),
            ("::foo::", r"\3a\3afoo\3a\3a"),
            ("<foo>", r"\3cfoo\3e"),
            ("user@host", r"user\40host"),
            (r"c:\net", r"c\3a\net"),
            (r"c:\\net", r"c\3a\\net"),
            (r"c:\cool stuff", r"c\3a\cool\20stuff"),
            (r"c:\5commas", r"c\3a\5c5commas"),
        ] {
            assert_eq!(escape_localpart(username), localpart);
        }
    }

    #[test]
    fn a_backslash_at_the_end_stays() {
        assert_eq!(escape_localpart(r"tail\"), r"tail\");
    }

    #[test]
    fn what_is_escaped_comes_back_as_it_was() {
        for username in [r"a\20b", r"\5c", r"\\5c20", "50%", "a b c", r"\2g", "é@ü"] {
            let localpart = escape_localpart(username);
            let node = jid::NodePart::new(&localpart).unwrap();
            assert_eq!(node.unescape().unwrap(), username);
        }
    }
}
