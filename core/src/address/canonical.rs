//! Names that preparation leaves as they are.

use jid::{DomainPart, NodePart};
use stringprep::tables::unassigned_code_point;

/// What the types of bare JIDs have in common: text, and what the XMPP libraries want.
macro_rules! bare_jid {
    ($type:ident) => {
        impl $type {
            /// The JID as a string.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// As the XMPP libraries want it.
            #[must_use]
            pub fn as_bare(&self) -> &jid::BareJid {
                &self.0
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(super) use bare_jid;

/// Longest escaped localpart, in bytes. RFC 7622 allows 1,023, but a key of the ledger (1,024) has to hold a localpart
/// with its domain, and more.
pub const MAX_LOCALPART: usize = 200;

/// Why a name cannot be an address here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No localpart, as in `example.test`.
    #[error("it has no localpart")]
    NoLocalpart,
    /// Not a JID at all.
    #[error("it is not a JID")]
    Malformed,
    /// Preparation would change the localpart, or cannot take it.
    #[error("the XMPP server would take it for another name")]
    LocalpartNotCanonical,
    /// The escaped localpart is longer than [`MAX_LOCALPART`].
    #[error("its localpart is longer than {MAX_LOCALPART} bytes when escaped")]
    LocalpartTooLong,
    /// Rooms of that name are made by clients, not by the service.
    #[error("rooms whose id begins with adhoc- belong to clients")]
    AdhocRoom,
    /// The domain is no canonical host name.
    #[error("its domain is not a host name in its canonical form")]
    DomainNotCanonical,
}

/// Checks that `localpart`, escaped, is one that preparation leaves as it is.
pub(super) fn canonical_localpart(localpart: &str) -> Result<NodePart, AddressError> {
    if localpart.len() > MAX_LOCALPART {
        return Err(AddressError::LocalpartTooLong);
    }
    let prepared = NodePart::new(localpart).map_err(|_| AddressError::LocalpartNotCanonical)?;
    if prepared.as_str() != localpart {
        return Err(AddressError::LocalpartNotCanonical);
    }
    Ok(prepared.into_owned())
}

/// What else than a full stop divides labels (RFC 3490, section 3.1).
pub(super) const DOTS: [char; 3] = ['\u{3002}', '\u{ff0e}', '\u{ff61}'];

/// Whether a label may have this sign beside letters and digits, if preparation leaves it: of later signs than preparation knows
/// the XMPP server may make others.
fn is_sign(c: char) -> bool {
    !c.is_ascii() && !DOTS.contains(&c) && !unassigned_code_point(c)
}

/// Checks that `domain` is a host name that preparation leaves as it is. Upper-case ASCII is the one
/// liberty: host names are compared without regard to it everywhere, so it cannot name another tenant.
///
/// Of signs beyond ASCII preparation is the judge, as it is for the XMPP server: many languages write with marks that are
/// neither letters nor digits to Unicode.
///
/// Of an internationalised name only the Unicode form (U-labels, RFC 5890, section 2.3.2.1) is canonical, for that
/// is what the XMPP server keeps: preparation leaves the ASCII form (A-labels, `xn--…`) as it is too, and one domain
/// would be two tenants.
///
/// # Errors
/// [`AddressError::DomainNotCanonical`].
pub fn canonical_domain(domain: &str) -> Result<DomainPart, AddressError> {
    let lower = domain.to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && !label.starts_with("xn--")
            && label.chars().all(|c| c == '-' || c.is_alphanumeric() || is_sign(c))
    };
    if lower.len() > 253 || !lower.split('.').all(label) {
        return Err(AddressError::DomainNotCanonical);
    }
    let prepared = DomainPart::new(&lower).map_err(|_| AddressError::DomainNotCanonical)?;
    if prepared.as_str() != lower {
        return Err(AddressError::DomainNotCanonical);
    }
    Ok(prepared.into_owned())
}
