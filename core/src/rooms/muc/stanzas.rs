//! The payloads of what is sent, for which the XMPP libraries have no types.

use jid::BareJid;
use tokio_xmpp::minidom::Element;
use xmpp_parsers::{
    iq::{IqGetPayload, IqSetPayload},
    message::MessagePayload,
    stanza_error::{DefinedCondition, ErrorType},
};
use xso::{AsXml, FromXml};

use super::super::model::Grant;
use crate::ledger::Ordinal;

const ROOM: &str = "urn:quobis:sippo:room:0";
const BATCH: &str = "urn:quobis:sippo:muc-admin-batch:0";
const MESSAGES: &str = "urn:quobis:sippo:messages:0";
const INVITATION: &str = "urn:quobis:sippo:invitation:0";
const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
const CONFERENCE: &str = "jabber:x:conference";
const HINTS: &str = "urn:xmpp:hints";

/// There is a room of a life newer than `ended` (`mod_sippo_muc_lives`).
#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = ROOM, name = "ensure")]
pub(super) struct Ensure {
    #[xml(attribute)]
    pub(super) life: String,
    #[xml(attribute(default))]
    pub(super) ended: Option<String>,
    #[xml(attribute(default))]
    pub(super) name: Option<String>,
    /// What the room is for, as invitations say it: `usersGroup` or `conference`.
    #[xml(attribute)]
    pub(super) kind: String,
    #[xml(attribute)]
    pub(super) expires: u64,
}

/// There is no room whose life is not newer than `ended`.
#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = ROOM, name = "destroy")]
pub(super) struct Destroy {
    #[xml(attribute)]
    pub(super) ended: String,
    #[xml(attribute)]
    pub(super) expires: u64,
}

/// Affiliations, each refused for itself (`mod_muc_admin_batch`).
#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = BATCH, name = "affiliations")]
pub(super) struct Affiliations {
    #[xml(attribute)]
    pub(super) expires: u64,
    /// A room whose life is not newer counts as absent.
    #[xml(attribute(default))]
    pub(super) ended: Option<String>,
    #[xml(child(n = ..))]
    pub(super) items: Vec<Affiliation>,
}

#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = BATCH)]
pub(super) enum Affiliation {
    #[xml(name = "owner")]
    Owner {
        #[xml(attribute)]
        jid: BareJid,
    },
    /// Leaves owners and admins what they are.
    #[xml(name = "member")]
    AtLeastMember {
        #[xml(attribute)]
        jid: BareJid,
    },
    #[xml(name = "exactly-member")]
    ExactlyMember {
        #[xml(attribute)]
        jid: BareJid,
    },
    /// Invitations for a spell that began after `ended` are not taken back.
    #[xml(name = "none")]
    None {
        #[xml(attribute)]
        jid: BareJid,
        #[xml(attribute(default))]
        ended: Option<String>,
    },
}

/// The result of [`Affiliations`].
#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = BATCH, name = "affiliations")]
pub(super) struct Refused {
    #[xml(child(n = ..))]
    pub(super) items: Vec<RefusedOne>,
}

#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = BATCH, name = "refused")]
pub(super) struct RefusedOne {
    #[xml(attribute)]
    pub(super) jid: String,
    #[xml(attribute(name = "type"))]
    pub(super) kind: ErrorType,
    #[xml(child)]
    pub(super) condition: DefinedCondition,
}

/// Messages to be stored together (`mod_sippo_message_batch`).
#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = MESSAGES, name = "messages")]
pub(super) struct Messages {
    #[xml(attribute)]
    pub(super) expires: u64,
    #[xml(element(n = ..))]
    pub(super) messages: Vec<Element>,
}

/// The result of [`Messages`].
#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = MESSAGES, name = "messages")]
pub(super) struct Bounced {
    #[xml(child(n = ..))]
    pub(super) items: Vec<BouncedOne>,
}

#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = MESSAGES, name = "refused")]
pub(super) struct BouncedOne {
    #[xml(attribute)]
    pub(super) id: String,
    #[xml(attribute(name = "type"))]
    pub(super) kind: ErrorType,
    #[xml(child)]
    pub(super) condition: DefinedCondition,
}

/// XEP-0045, sections 9 and 10: a list of affiliations to read, or one to set.
#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = MUC_ADMIN, name = "query")]
pub(super) struct AdminQuery {
    #[xml(child(n = ..))]
    pub(super) items: Vec<AdminItem>,
}

#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = MUC_ADMIN, name = "item")]
pub(super) struct AdminItem {
    #[xml(attribute(default))]
    pub(super) affiliation: Option<String>,
    #[xml(attribute(default))]
    pub(super) jid: Option<BareJid>,
}

/// XEP-0249: a direct invitation.
#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = CONFERENCE, name = "x")]
pub(super) struct DirectInvitation {
    #[xml(attribute)]
    pub(super) jid: BareJid,
    #[xml(attribute)]
    pub(super) reason: String,
}

/// Of an invitation in [`Messages`]: the event that began the membership (`mod_sippo_invitations`, which takes it off).
#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = INVITATION, name = "membership")]
pub(super) struct MembershipSince {
    #[xml(attribute)]
    pub(super) since: String,
}

/// XEP-0334: to be archived, though it has no body.
#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = HINTS, name = "store")]
pub(super) struct Store;

impl IqSetPayload for Ensure {}
impl IqSetPayload for Destroy {}
impl IqSetPayload for Affiliations {}
impl IqSetPayload for Messages {}
impl IqSetPayload for AdminQuery {}
impl IqGetPayload for AdminQuery {}
impl MessagePayload for DirectInvitation {}
impl MessagePayload for MembershipSince {}
impl MessagePayload for Store {}

impl Affiliation {
    /// Gives `grant` to `jid`.
    pub(super) fn grant(jid: BareJid, grant: Grant) -> Self {
        match grant {
            Grant::Owner => Self::Owner { jid },
            Grant::AtLeastMember => Self::AtLeastMember { jid },
            Grant::ExactlyMember => Self::ExactlyMember { jid },
        }
    }
}

/// An ordinal on the wire.
pub(super) fn life(ordinal: &Ordinal) -> String {
    ordinal.on_wire()
}

/// `bytes` as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect()
}

/// A name for people, without what XML cannot hold or a line does not (XML 1.0, section 2.2).
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_keep_their_order_and_say_nothing_that_xml_cannot() {
        let ordinals = ["1.9/b", "1.10/\u{1}", "1.10/ ", "1.10/a", "1.10/a/b", "1.10/aé", "1.10/b"];
        let parsed: Vec<Ordinal> = ordinals.iter().map(|text| text.parse().unwrap()).collect();
        assert!(parsed.is_sorted());
        assert_eq!(life(&parsed[0]), "1.9/62");
        let ids: Vec<String> = parsed[1..].iter().map(life).collect();
        assert!(ids.is_sorted(), "{ids:?}");
    }

    #[test]
    fn names_lose_what_xml_cannot_hold() {
        assert_eq!(plain("Team\u{0} <&> \u{1f600}\n\u{ffff}2"), "Team <&> \u{1f600}2");
    }
}
