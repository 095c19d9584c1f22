//! Which domains are tenants' own.

use jid::DomainRef;

use super::{MUC_LABEL, UserJid};

/// Which domains can be tenants.
#[derive(Debug, Clone)]
pub struct Tenancy {
    admin: UserJid,
}

impl Tenancy {
    /// All but the domain of `admin`, which is the service's own, and rooms' domains.
    #[must_use]
    pub fn new(admin: UserJid) -> Self {
        Self { admin }
    }

    /// Whether `domain` can never be a tenant.
    #[must_use]
    pub fn is_reserved(&self, domain: &DomainRef) -> bool {
        domain == self.admin.domain() || domain.as_str().starts_with(MUC_LABEL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::canonical_domain;

    #[test]
    fn the_services_own_domains_are_reserved() {
        let tenancy = Tenancy::new(UserJid::canonical("sippo@sippo-admin.internal").unwrap());
        for (domain, reserved) in [
            ("sippo-admin.internal", true),
            ("Sippo-Admin.Internal", true),
            ("conference.example.test", true),
            ("conference.sippo-admin.internal", true),
            ("example.test", false),
            ("conferences.test", false),
            ("a.sippo-admin.internal", false),
        ] {
            assert_eq!(tenancy.is_reserved(&canonical_domain(domain).unwrap()), reserved, "{domain}");
        }
    }
}
