//! From a token's identity to a caller who may use chat.

use super::claims::{Identity, IllTyped};
use crate::address::{AddressError, Advice, Tenancy, UserJid};

/// Someone with a valid token, the `chat` capability and an address of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Their bare JID.
    pub jid: UserJid,
}

/// Why a valid token does not open chat.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// `chat` is not among the capabilities.
    #[error("the capability \"chat\" is required; ask the platform's administrator to grant it")]
    CapabilityRequired,
    /// The capabilities cannot be read.
    #[error("the capability \"chat\" is required, and {0}")]
    CapabilitiesIllTyped(IllTyped),
    /// The token does not say who it is for.
    #[error("the access token names no {0}; see the issuer's claims and [auth] usernameClaim, domainClaim")]
    IdentityMissing(&'static str),
    /// What should say who it is for cannot be read.
    #[error("the access token names nobody: {0}")]
    IdentityIllTyped(IllTyped),
    /// The name would become another one on the XMPP server.
    #[error("the user name cannot be used for chat: {0}; the issuer has to write {1}")]
    UsernameNotCanonical(AddressError, Advice),
    /// The domain is another spelling of a tenant's, or none.
    #[error("the domain is not served under that spelling; the issuer has to write {0}")]
    DomainNotCanonical(Advice),
    /// The domain cannot be a tenant.
    #[error("the domain is not served: it is no tenant of the chat service")]
    DomainNotServed,
    /// The domain is not among those of the token's issuer.
    #[error("the domain is not served for this issuer's users; see the issuer's domains in [auth]")]
    IssuerOfOthers,
}

impl Caller {
    /// The caller that `identity` is among the tenants of `tenancy`, with the capability looked at first.
    ///
    /// # Errors
    /// [`Denied`], which names what is missing; no retry helps with the same token.
    pub fn admit(identity: &Identity, tenancy: &Tenancy) -> Result<Self, Denied> {
        if !identity.may_chat.clone().map_err(Denied::CapabilitiesIllTyped)? {
            return Err(Denied::CapabilityRequired);
        }
        let named = |claim: &Result<Option<String>, IllTyped>, what| {
            claim.clone().map_err(Denied::IdentityIllTyped)?.ok_or(Denied::IdentityMissing(what))
        };
        let (username, domain) = (named(&identity.username, "user name")?, named(&identity.domain, "domain")?);
        let jid = UserJid::of_username(&username, &domain).map_err(|error| match error {
            AddressError::DomainNotCanonical => Denied::DomainNotCanonical(Advice::new(error, &domain)),
            error => Denied::UsernameNotCanonical(error, Advice::new(error, &username)),
        })?;
        if tenancy.is_reserved(jid.domain()) {
            return Err(Denied::DomainNotServed);
        }
        if jid.domain().as_str() != domain {
            return Err(Denied::DomainNotCanonical(Advice::Spelling(jid.domain().as_str().to_owned())));
        }
        if !identity.is_from_its_issuer {
            return Err(Denied::IssuerOfOthers);
        }
        Ok(Self { jid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(username: Option<&str>, domain: Option<&str>, may_chat: bool) -> Result<String, Denied> {
        let tenancy = Tenancy::new(UserJid::canonical("sippo@sippo-admin.internal").unwrap());
        let identity = Identity {
            username: Ok(username.map(str::to_owned)),
            domain: Ok(domain.map(str::to_owned)),
            may_chat: Ok(may_chat),
            is_from_its_issuer: domain != Some("others.test"),
        };
        Caller::admit(&identity, &tenancy).map(|caller| caller.jid.to_string())
    }

    #[test]
    fn the_capability_comes_before_everything_else() {
        assert_eq!(admit(None, None, false), Err(Denied::CapabilityRequired));
        assert_eq!(admit(Some("Alice"), Some("sippo-admin.internal"), false), Err(Denied::CapabilityRequired));
    }

    #[test]
    fn only_tenants_are_served() {
        assert_eq!(admit(Some("alice"), Some("example.test"), true).unwrap(), "alice@example.test");
        for domain in
            ["sippo-admin.internal", "SIPPO-ADMIN.internal", "conference.example.test", "Conference.example.test"]
        {
            assert_eq!(admit(Some("sippo"), Some(domain), true), Err(Denied::DomainNotServed), "{domain}");
        }
        for domain in ["a b", "", "Example.test", "xn--bcher-kva.test", "ｅxample.test"] {
            let denied = admit(Some("alice"), Some(domain), true);
            assert!(matches!(denied, Err(Denied::DomainNotCanonical(_))), "{domain}");
        }
        assert_eq!(admit(Some("alice"), Some("others.test"), true), Err(Denied::IssuerOfOthers));
        assert_eq!(admit(None, Some("example.test"), true), Err(Denied::IdentityMissing("user name")));
        assert_eq!(admit(Some("alice"), None, true), Err(Denied::IdentityMissing("domain")));
        assert!(matches!(admit(Some("ALICE"), Some("example.test"), true), Err(Denied::UsernameNotCanonical(..))));
    }
}
