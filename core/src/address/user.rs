//! The addresses of users.

use jid::{BareJid, DomainRef};
use stringprep::tables::unassigned_code_point;

use super::{
    canonical::{AddressError, bare_jid, canonical_domain, canonical_localpart},
    escape::escape_localpart,
};

/// The bare JID of a user: canonical, with a localpart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserJid(BareJid);

impl UserJid {
    /// The JID of `username` (as the platform knows it, unescaped) at `domain`.
    ///
    /// # Errors
    /// [`AddressError`] when preparation would change either part, or one is too long.
    pub fn of_username(username: &str, domain: &str) -> Result<Self, AddressError> {
        let domain = canonical_domain(domain)?;
        Ok(Self(BareJid::from_parts(Some(&*canonical_localpart(&escape_localpart(username))?), &domain)))
    }

    /// The JID written as `text`, which has to be bare and canonical already.
    ///
    /// # Errors
    /// [`AddressError`] when it is not.
    pub fn canonical(text: &str) -> Result<Self, AddressError> {
        let (localpart, domain) = text.split_once('@').ok_or(AddressError::NoLocalpart)?;
        let domain = canonical_domain(domain)?;
        Ok(Self(BareJid::from_parts(Some(&*canonical_localpart(localpart)?), &domain)))
    }

    /// The contact that a user named as `text`: prepared as the server would, reduced to the bare JID. Of a resource only
    /// the form counts: clients take theirs from newer Unicode than JIDs know.
    ///
    /// # Errors
    /// [`AddressError::Malformed`], [`AddressError::NoLocalpart`], or [`AddressError::DomainNotCanonical`] if the domain is
    /// none in whatever spelling that the server prepares.
    pub fn of_contact(text: &str) -> Result<Self, AddressError> {
        let (bare, resource) = text.split_once('/').map_or((text, None), |(bare, resource)| (bare, Some(resource)));
        // RFC 7622, section 3.4.
        if resource.is_some_and(|it| !(1..=1_023).contains(&it.len()) || it.contains(char::is_control)) {
            return Err(AddressError::Malformed);
        }
        // The library's tables normalise characters of newer Unicode, which the server leaves as they are (RFC 3454, section
        // 7): of `℻` it would make `FAX`, and of somebody's contact somebody else.
        if bare.contains(unassigned_code_point) {
            return Err(AddressError::Malformed);
        }
        let jid = BareJid::new(bare).map_err(|_| AddressError::Malformed)?;
        if jid.node().is_none() {
            return Err(AddressError::NoLocalpart);
        }
        canonical_domain(jid.domain().as_str())?;
        Ok(Self(jid))
    }

    /// The domain: the tenant.
    #[must_use]
    pub fn domain(&self) -> &DomainRef {
        self.0.domain()
    }

    /// The escaped localpart.
    #[must_use]
    pub fn localpart(&self) -> &str {
        self.0.node().map_or("", |node| node.as_str())
    }
}

bare_jid!(UserJid);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::MAX_LOCALPART;

    #[test]
    fn a_username_is_escaped_into_the_localpart() {
        let jid = UserJid::of_username("d'artagnan@gascony", "musketeers.test").unwrap();
        assert_eq!(jid.as_str(), r"d\27artagnan\40gascony@musketeers.test");
    }

    #[test]
    fn a_name_that_preparation_would_change_is_refused() {
        for name in ["Alice", "ａｌｉｃｅ", "ﬁona", "al\u{ad}ice", "Straße", "ΑΛΙΚΗ", "a\u{301}lice"] {
            let refused = UserJid::of_username(name, "example.test");
            assert_eq!(refused, Err(AddressError::LocalpartNotCanonical), "{name}");
        }
        for name in ["", "a\u{0}b", "a\nb", "a\u{7f}", "a\u{202e}b", "a\u{e000}b"] {
            assert!(UserJid::of_username(name, "example.test").is_err(), "{name:?}");
        }
        assert!(UserJid::of_username("alice", "example.test").is_ok());
        assert!(UserJid::of_username("straße", "example.test").is_err(), "ß folds to ss");
        assert!(UserJid::of_username("josé", "example.test").is_ok());
    }

    #[test]
    fn a_localpart_may_be_as_long_as_it_says() {
        assert!(UserJid::of_username(&"a".repeat(MAX_LOCALPART), "example.test").is_ok());
        let longer = UserJid::of_username(&"a".repeat(MAX_LOCALPART + 1), "example.test");
        assert_eq!(longer, Err(AddressError::LocalpartTooLong));
        assert!(UserJid::of_username(&"@".repeat(67), "example.test").is_err(), "67 escapes of three bytes");
    }

    #[test]
    fn domains_are_host_names() {
        for bad in
            ["", ".", "a..b", "example.test.", "exa mple.test", "a@b", "a/b", "ｅxample.test", "-a.test", "a\u{0}b"]
        {
            assert_eq!(UserJid::of_username("alice", bad), Err(AddressError::DomainNotCanonical), "{bad:?}");
        }
        assert_eq!(UserJid::of_username("alice", "Example.TEST").unwrap().as_str(), "alice@example.test");
    }

    /// As the hosts API serves them: with a virama, a tone mark, a middle dot.
    #[test]
    fn domains_may_be_written_with_marks() {
        for domain in ["हिन्दी.test", "தமிழ்.test", "ไทย่.test", "l·l.test", "a・b.test"]
        {
            assert_eq!(UserJid::of_username("alice", domain).unwrap().domain().as_str(), domain);
        }
        for other in
            ["a\u{3002}test", "a\u{ff0e}test", "a\u{ff61}test", "a\u{200d}b.test", "a\u{a0}b.test", "a\u{2024}b"]
        {
            assert_eq!(UserJid::of_username("alice", other), Err(AddressError::DomainNotCanonical), "{other}");
        }
    }

    #[test]
    fn of_a_domains_two_spellings_one_is_canonical() {
        assert_eq!(UserJid::of_username("alice", "bücher.test").unwrap().as_str(), "alice@bücher.test");
        for other in
            ["xn--bcher-kva.test", "XN--bcher-kva.test", "a.xn--bcher-kva.test", "xn--a.test", "b\u{fc}cher.xn--p1ai"]
        {
            assert_eq!(UserJid::of_username("alice", other), Err(AddressError::DomainNotCanonical), "{other}");
        }
    }

    #[test]
    fn a_contact_counts_as_its_bare_jid() {
        // Clients name their resources as they like, and newer Unicode than JIDs know is among that.
        let longest = "r".repeat(1_023);
        for resource in ["phone", "📱", "a/b@c", " ", &longest] {
            let contact = UserJid::of_contact(&format!("Bob@Example.test/{resource}"));
            assert_eq!(contact.unwrap().as_str(), "bob@example.test", "{resource}");
        }
        for resource in ["", "a\u{0}b", "a\u{85}b", &format!("{longest}r")] {
            let contact = UserJid::of_contact(&format!("bob@example.test/{resource}"));
            assert_eq!(contact, Err(AddressError::Malformed), "{resource:?}");
        }
        for bad in ["", "example.test", "@example.test", "bob@", "bob@exa mple", "b\u{0}b@example.test", "..", "a@b@c"]
        {
            assert!(UserJid::of_contact(bad).is_err(), "{bad:?}");
        }
        assert!(UserJid::of_contact(&format!("{}@example.test", "b".repeat(1024))).is_err());
        assert_eq!(UserJid::of_contact("ＢOB@Example.test").unwrap().as_str(), "bob@example.test");
        for newer in ["℻@example.test", "ᵃlice@example.test", "bob@℻.test"] {
            assert_eq!(UserJid::of_contact(newer), Err(AddressError::Malformed), "{newer}");
        }
    }
}
