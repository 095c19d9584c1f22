//! Which domains are tenants' own.

use jid::DomainRef;
use url::Host;

use super::{room::MUC_LABEL, user::UserJid};

/// Longest host name that the XMPP server can serve, in bytes of its ASCII form.
const MAX_DOMAIN: usize = 253;

/// What a string is that names a user in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StringNames {
    /// A user name of the event's domain, or, where it has an `@`, a JID of that domain, escaped already.
    #[default]
    Jid,
    /// A user name of the event's domain, unescaped, whatever it holds: for platforms whose user names are e-mail addresses.
    Username,
}

/// Which domains can be tenants, and how events name their users.
#[derive(Debug, Clone)]
pub struct Tenancy {
    admin: UserJid,
    string_names: StringNames,
}

impl Tenancy {
    /// All but the domain of `admin`, which is the service's own, and rooms' domains.
    #[must_use]
    pub fn new(admin: UserJid) -> Self {
        Self { admin, string_names: StringNames::default() }
    }

    /// The same, where strings in events name users as `string_names` says.
    #[must_use]
    pub fn with_string_names(self, string_names: StringNames) -> Self {
        Self { string_names, ..self }
    }

    /// What a string is that names a user in an event.
    #[must_use]
    pub fn string_names(&self) -> StringNames {
        self.string_names
    }

    /// Whether `domain` can never be a tenant: the XMPP server has it for the service or for rooms, or cannot have it at all, with
    /// the component for its rooms: an address of the Internet Protocol, or too long (RFC 7622, section 3.2).
    #[must_use]
    pub fn is_reserved(&self, domain: &DomainRef) -> bool {
        let name = domain.as_str();
        let is_number = name.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
        // The limits are those of the ASCII form (IDNA). What has none is left to the XMPP server to judge.
        let ascii = match Host::parse(name) {
            Ok(Host::Domain(ascii)) => ascii,
            _ => name.to_owned(),
        };
        let is_too_long = ascii.len() + MUC_LABEL.len() > MAX_DOMAIN || ascii.split('.').any(|label| label.len() > 63);
        domain == self.admin.domain() || name.starts_with(MUC_LABEL) || is_number || is_too_long
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::canonical_domain;

    #[test]
    fn the_services_own_domains_are_reserved() {
        let tenancy = Tenancy::new(UserJid::canonical("sippo@sippo-admin.internal").unwrap());
        let long = |bytes: usize| "a.".repeat(bytes / 2 - 1) + &"b".repeat(bytes % 2 + 2);
        for (domain, reserved) in [
            ("sippo-admin.internal", true),
            ("Sippo-Admin.Internal", true),
            ("conference.example.test", true),
            ("conference.sippo-admin.internal", true),
            ("example.test", false),
            ("conferences.test", false),
            ("a.sippo-admin.internal", false),
            ("192.0.2.1", true),
            ("a.0", true),
            ("a0.test", false),
            (&long(243), true),
            (&long(242), false),
            // 243 bytes, but 107 in ASCII; and the other way round.
            (&["日"; 4].map(|sign| sign.repeat(20)).join("."), false),
            (&["ñ"; 31].join("."), true),
        ] {
            let canonical = canonical_domain(domain).unwrap_or_else(|error| panic!("{domain}: {error}"));
            assert_eq!(tenancy.is_reserved(&canonical), reserved, "{domain}");
        }
    }
}
