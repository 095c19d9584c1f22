//! The addresses of rooms.

use jid::{BareJid, DomainPart};

use super::{
    canonical::{AddressError, bare_jid, canonical_domain, canonical_localpart},
    escape::escape_id,
};

/// The MUC service of a tenant is this name in front of its domain.
pub const MUC_LABEL: &str = "conference.";

/// Rooms whose localpart begins so are made by clients; no event ever names one.
const ADHOC: &str = "adhoc-";

/// The bare JID of a room of the service: of a group or a conference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomJid(BareJid);

impl RoomJid {
    /// The room of the group or conference `id` (unescaped) of the tenant `domain`:
    /// `escape(id)@conference.<domain>`. Ids are case-sensitive and JIDs are not, so what preparation would change
    /// is escaped as well: `A` is `\41` (see [`escape_id`]).
    ///
    /// # Errors
    /// [`AddressError`] when an id is empty, has control characters or spaces at an end, when it is too long, when
    /// clients make rooms of that name, or when the domain is not canonical.
    pub fn of_id(id: &str, domain: &str) -> Result<Self, AddressError> {
        Self::of_localpart(&escape_id(id), domain)
    }

    /// The JID written as `text`, in its canonical form.
    ///
    /// # Errors
    /// [`AddressError`] when it is not, or no room of the service.
    pub fn canonical(text: &str) -> Result<Self, AddressError> {
        let (localpart, service) = text.split_once('@').ok_or(AddressError::NoLocalpart)?;
        Self::of_localpart(localpart, service.strip_prefix(MUC_LABEL).ok_or(AddressError::Malformed)?)
    }

    fn of_localpart(localpart: &str, domain: &str) -> Result<Self, AddressError> {
        let localpart = canonical_localpart(localpart)?;
        if localpart.as_str().starts_with(ADHOC) {
            return Err(AddressError::AdhocRoom);
        }
        let domain = canonical_domain(domain)?;
        if domain.as_str().starts_with(MUC_LABEL) {
            return Err(AddressError::DomainNotCanonical);
        }
        let service = DomainPart::new(&format!("{MUC_LABEL}{}", domain.as_str()))
            .map_err(|_| AddressError::DomainNotCanonical)?
            .into_owned();
        Ok(Self(BareJid::from_parts(Some(&*localpart), &service)))
    }

    /// The tenant that the room belongs to.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.0.domain().as_str().strip_prefix(MUC_LABEL).unwrap_or_default()
    }
}

bare_jid!(RoomJid);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_lives_on_its_tenants_conference_service() {
        let room = RoomJid::of_id("5f2a/b c", "example.test").unwrap();
        assert_eq!(room.as_str(), r"5f2a\2fb\20c@conference.example.test");
        assert_eq!(room.tenant(), "example.test");
        assert_eq!(RoomJid::canonical(room.as_str()), Ok(room));
        for text in ["", "a", "a@example.test", "adhoc-1@conference.a.test", "A@conference.a.test", "a@conference."] {
            assert!(RoomJid::canonical(text).is_err(), "{text}");
        }
    }

    /// ULIDs, nanoids and UUIDs in capitals: ids that differ in case only have rooms of their own.
    #[test]
    fn ids_with_capitals_have_rooms_of_their_own() {
        for (id, localpart) in [
            ("01HXZ8K3VQ", r"01\48\58\5a8\4b3\56\51"),
            ("01hxz8k3vq", "01hxz8k3vq"),
            ("V1StGXR8_Z5", r"\561\53t\47\58\528_\5a5"),
            ("ADHOC-1", r"\41\44\48\4f\43-1"),
        ] {
            let room = RoomJid::of_id(id, "example.test").unwrap();
            assert_eq!(room.as_str(), format!("{localpart}@conference.example.test"));
            assert_eq!(RoomJid::canonical(room.as_str()), Ok(room));
        }
    }

    #[test]
    fn no_crafted_id_leaves_the_tenant_or_meets_a_clients_room() {
        for id in ["x@conference.other.test", "x@conference.other.test/y", "/", "..", "a@b"] {
            let room = RoomJid::of_id(id, "example.test").unwrap();
            assert_eq!(room.as_bare().domain().as_str(), "conference.example.test", "{id}");
        }
        for id in ["", "adhoc-1", "a\u{0}", " a", "a\n", &"x".repeat(201), &"X".repeat(67)] {
            assert!(RoomJid::of_id(id, "example.test").is_err(), "{id}");
        }
        for domain in ["conference.example.test", "", "a b", "x/y"] {
            assert!(RoomJid::of_id("team", domain).is_err(), "{domain}");
        }
    }
}
