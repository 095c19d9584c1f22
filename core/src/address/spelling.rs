//! What helps a name that cannot be an address: mostly the spelling that preparation gives it.

use super::{
    canonical::{AddressError, DOTS, canonical_domain, canonical_localpart},
    escape::escape_localpart,
};

/// What to write instead of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// This spelling of it.
    Spelling(String),
    /// What the words say.
    Words(&'static str),
}

impl Advice {
    /// About `name`, a username, a domain, or a user's JID, which cannot be an address because of `cause`.
    #[must_use]
    pub fn new(cause: AddressError, name: &str) -> Self {
        let words = match cause {
            AddressError::NoLocalpart | AddressError::Malformed => "user@domain, or the user name alone",
            AddressError::LocalpartTooLong => "a shorter one",
            AddressError::AdhocRoom => "another id of the group or conference",
            AddressError::LocalpartNotCanonical => match stringprep::nameprep(name) {
                Ok(prepared) if canonical_localpart(&escape_localpart(&prepared)).is_ok() && prepared != name => {
                    return Self::Spelling(prepared.into_owned());
                }
                _ => "one of letters, digits and signs that XMPP addresses can hold (RFC 6122, appendix A)",
            },
            AddressError::DomainNotCanonical => match domain_spelling(name) {
                Some(spelling) => return Self::Spelling(spelling),
                None if name.to_ascii_lowercase().contains("xn--") => "the domain in Unicode instead of xn--",
                None => "a host name: labels of letters, digits and hyphens, with dots between them",
            },
        };
        Self::Words(words)
    }
}

impl std::fmt::Display for Advice {
    /// To follow a verb, such as "write".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Spelling(spelling) => write!(f, "it as '{spelling}'"),
            Self::Words(words) => f.write_str(words),
        }
    }
}

/// The spelling of a domain, or of a JID with that domain, that is canonical.
fn domain_spelling(name: &str) -> Option<String> {
    let prepared = stringprep::nameprep(name).ok()?.replace(DOTS, ".");
    // As DNS writes a whole name (RFC 1034, section 3.1).
    let prepared = prepared.strip_suffix('.').unwrap_or(&prepared);
    let domain = prepared.rsplit('@').next().unwrap_or(prepared);
    (canonical_domain(domain).is_ok() && prepared != name).then(|| prepared.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{RoomJid, UserJid};

    /// What the advice says is what helps.
    #[test]
    fn a_spelling_is_one_that_is_taken() {
        for (name, spelling) in [
            ("Alice", "alice"),
            ("straße", "strasse"),
            ("Straße", "strasse"),
            ("ﬁona", "fiona"),
            ("ａｌｉｃｅ", "alice"),
            ("ΑΛΙΚΗΣ", "αλικησ"),
            ("μελης", "μελησ"),
            ("a\u{301}lice", "álice"),
            ("al\u{ad}ice", "alice"),
            ("Ann Smith", "ann smith"),
        ] {
            let cause = UserJid::of_username(name, "a.test").unwrap_err();
            assert_eq!(Advice::new(cause, name), Advice::Spelling(spelling.to_owned()));
            assert!(UserJid::of_username(spelling, "a.test").is_ok(), "{spelling}");
        }
        for (domain, spelling) in [
            ("straße.test", "strasse.test"),
            ("ｅxample.test", "example.test"),
            ("a。test", "a.test"),
            ("example.test.", "example.test"),
            ("Bücher.Test", "bücher.test"),
            ("alice@STRASSE.straße", "alice@strasse.strasse"),
        ] {
            let cause = AddressError::DomainNotCanonical;
            assert_eq!(Advice::new(cause, domain), Advice::Spelling(spelling.to_owned()));
            let name = spelling.rsplit('@').next().unwrap();
            assert!(canonical_domain(name).is_ok(), "{spelling}");
        }
    }

    #[test]
    fn where_no_spelling_helps_words_do() {
        for (name, words) in [
            ("a\u{0}b", "letters, digits and signs"),
            ("a\u{e000}b", "letters, digits and signs"),
            ("A\nb", "letters, digits and signs"),
        ] {
            let cause = UserJid::of_username(name, "a.test").unwrap_err();
            assert!(Advice::new(cause, name).to_string().contains(words), "{name:?}");
        }
        for (domain, words) in [
            ("xn--strae-oqa.test", "in Unicode instead of xn--"),
            ("XN--strae-oqa.test", "in Unicode instead of xn--"),
            ("a_b.test", "letters, digits and hyphens"),
            ("", "a host name"),
            ("-a.test", "a host name"),
            ("a..test", "a host name"),
        ] {
            let cause = canonical_domain(domain).unwrap_err();
            assert!(Advice::new(cause, domain).to_string().contains(words), "{domain}");
        }
        let long = "A".repeat(300);
        let cause = UserJid::of_username(&long, "a.test").unwrap_err();
        assert_eq!(Advice::new(cause, &long), Advice::Words("a shorter one"));
        let cause = RoomJid::of_id("adhoc-1", "a.test").unwrap_err();
        assert_eq!(Advice::new(cause, "adhoc-1"), Advice::Words("another id of the group or conference"));
    }
}
