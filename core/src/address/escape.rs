//! XEP-0106: JID Escaping.

use jid::NodePart;

/// Escapes `username` into a localpart (XEP-0106, section 4.3).
///
/// A backslash is escaped only where it would otherwise read as an escape, as the standard has it.
/// Spaces at either end are left alone: the standard forbids them there, and preparation of the
/// result will not take them.
#[must_use]
pub fn escape_localpart(username: &str) -> String {
    escape(username, reads_as_escape, |_| true)
}

/// Escapes the id of a group or conference into a localpart: as [`escape_localpart`], and besides it whatever
/// preparation (nodeprep, RFC 6122, appendix A) would change or refuse, so that ids that differ never have one room.
/// Each byte becomes a backslash and two hexadecimal digits in lower case: `A` is `\41`, `é` with its accent as a sign
/// of its own `e\cc\81`.
///
/// ASCII's control characters and spaces at either end are left alone, and preparation will not take them.
#[must_use]
pub fn escape_id(id: &str) -> String {
    let plain = escape(id, begins_with_hex, prepares_to_itself);
    if NodePart::new(&plain).is_ok_and(|prepared| prepared.as_str() == plain) {
        return plain;
    }
    // Signs that are fine one by one and are changed, or refused, together: an accent behind its letter, left beside right.
    escape(id, begins_with_hex, |character| character.is_ascii() && prepares_to_itself(character))
}

/// Whether preparation leaves a sign as it is, when it stands alone.
fn prepares_to_itself(character: char) -> bool {
    let mut buffer = [0; 4];
    let text: &str = character.encode_utf8(&mut buffer);
    character.is_ascii_control()
        || character == ' '
        || NodePart::new(text).is_ok_and(|prepared| prepared.as_str() == text)
}

/// Escapes the bytes of what XEP-0106 names, of all that `stays` does not hold for, and of a backslash whose rest
/// would read as the beginning of an escape.
fn escape(text: &str, reads_as_escape: impl Fn(&str) -> bool, stays: impl Fn(char) -> bool) -> String {
    let inner = text.trim_matches(' ').len();
    let start = text.len() - text.trim_start_matches(' ').len();
    let mut localpart = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        let stays = match character {
            ' ' => at <= start || at >= start + inner,
            '"' | '&' | '\'' | '/' | ':' | '<' | '>' | '@' => false,
            '\\' => !reads_as_escape(&text[at + 1..]),
            _ => stays(character),
        };
        if stays {
            localpart.push(character);
            continue;
        }
        for byte in text[at..].bytes().take(character.len_utf8()) {
            localpart.push('\\');
            for nibble in [byte >> 4, byte & 0xf] {
                localpart.extend(char::from_digit(nibble.into(), 16));
            }
        }
    }
    localpart
}

/// Whether what follows a backslash would make it one of the ten escapes.
fn reads_as_escape(rest: &str) -> bool {
    const ESCAPES: [&str; 10] = ["20", "22", "26", "27", "2f", "3a", "3c", "3e", "40", "5c"];
    rest.get(..2).is_some_and(|code| ESCAPES.iter().any(|escape| escape.eq_ignore_ascii_case(code)))
}

/// Whether what follows a backslash would make it the escape of any byte.
fn begins_with_hex(rest: &str) -> bool {
    rest.get(..2).is_some_and(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The id that [`escape_id`] has escaped; `None` if no id is escaped so.
    fn unescape_id(localpart: &str) -> Option<String> {
        let bytes = localpart.as_bytes();
        let mut id = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let code = (bytes[at] == b'\\').then(|| localpart.get(at + 1..at + 3)).flatten();
            if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
                id.push(byte);
                at += 3;
            } else {
                id.push(bytes[at]);
                at += 1;
            }
        }
        String::from_utf8(id).ok().filter(|id| escape_id(id) == localpart)
    }

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
    fn ids_are_escaped_reversibly() {
        for (id, localpart) in [
            ("team-7", "team-7"),
            ("5f2a/b c", r"5f2a\2fb\20c"),
            ("Team", r"\54eam"),
            ("é", "é"),
            ("É", r"\c3\89"),
            ("ﬁ", r"\ef\ac\81"),
            ("e\u{301}", r"e\cc\81"),
            ("😀", r"\f0\9f\98\80"),
            (r"\41", r"\5c41"),
            (r"\4A", r"\5c4\41"),
            (r"\x", r"\x"),
            (r"\5c41", r"\5c5c41"),
            ("a\u{5d0}", r"a\d7\90"),
        ] {
            assert_eq!(escape_id(id), localpart, "{id}");
            assert_eq!(unescape_id(localpart).as_deref(), Some(id), "{localpart}");
            assert_eq!(NodePart::new(localpart).unwrap().as_str(), localpart, "preparation leaves it");
        }
        for never in [r"\61", r"\ff", "Team"] {
            assert_eq!(unescape_id(never), None, "{never}");
        }
    }

    /// Over all strings of a few signs: no two ids have one localpart.
    #[test]
    fn no_two_ids_have_one_localpart() {
        let signs = ['a', 'A', '4', '1', '\\', 'é', 'É', '\u{301}', ' ', 'ß', 'ﬁ'];
        let mut ids = vec![String::new()];
        let mut seen = std::collections::HashMap::new();
        for _ in 0..4 {
            ids = ids.iter().flat_map(|id| signs.iter().map(move |sign| format!("{id}{sign}"))).collect();
            for id in &ids {
                let localpart = escape_id(id);
                assert_eq!(unescape_id(&localpart).as_deref(), Some(id.as_str()), "{localpart}");
                assert_eq!(seen.insert(localpart, id.clone()), None, "{id}");
            }
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
