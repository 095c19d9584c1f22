//! The port to the XMPP server's rosters.
//!
//! Groups are changed by an operation of our own (`mod_sippo_roster_admin`), not by reading and setting an
//! item: between the two another change would be lost, and it would take two round trips. They are read by one, too:
//! the whole roster is its user's, and as long as they make it.

use jid::BareJid;
use tokio::time::Instant;
use xmpp_parsers::iq::{IqGetPayload, IqSetPayload};
use xso::{AsXml, FromXml};

use crate::{
    address::UserJid,
    xmpp::{Request, RequestError, XmppClient},
};

const NS: &str = "urn:quobis:sippo:roster-group:0";

/// A change of which items are in a group.
#[derive(Debug, Clone, Copy)]
pub enum GroupChange<'a> {
    /// The contact's item is in the group afterwards, all else about it as before.
    Add {
        /// Whose item.
        contact: &'a UserJid,
        /// Refused when the group has that many items already and this would be another.
        max: u32,
    },
    /// The contact's item is not in the group afterwards; it goes if nothing else holds it.
    Remove {
        /// Whose item.
        contact: &'a UserJid,
    },
}

/// Every user's roster, as the XMPP server's admin sees it.
pub trait Rosters {
    /// The bare JIDs of the items in `group`, in no particular order.
    fn in_group(
        &self,
        user: &UserJid,
        group: &str,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<String>, RequestError>> + Send;

    /// Applies `change` to `group` at once; idempotent.
    fn change_group(
        &self,
        user: &UserJid,
        group: &str,
        change: GroupChange<'_>,
        deadline: Instant,
    ) -> impl Future<Output = Result<(), RequestError>> + Send;
}

/// `<group xmlns='urn:quobis:sippo:roster-group:0' name='…' max='…'><add jid='…'/></group>`
#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = NS, name = "group")]
struct GroupElement {
    #[xml(attribute)]
    name: String,
    #[xml(attribute(default))]
    max: Option<u32>,
    #[xml(child)]
    change: AddOrRemove,
}

#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = NS)]
enum AddOrRemove {
    #[xml(name = "add")]
    Add {
        #[xml(attribute)]
        jid: BareJid,
    },
    #[xml(name = "remove")]
    Remove {
        #[xml(attribute)]
        jid: BareJid,
    },
}

impl IqSetPayload for GroupElement {}

/// `<group xmlns='urn:quobis:sippo:roster-group:0' name='…'/>`: asks for the group alone, for a roster may be long.
#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = NS, name = "group")]
struct GroupQuery {
    #[xml(attribute)]
    name: String,
}

impl IqGetPayload for GroupQuery {}

impl Rosters for XmppClient {
    async fn in_group(&self, user: &UserJid, group: &str, deadline: Instant) -> Result<Vec<String>, RequestError> {
        let query = GroupQuery { name: group.to_owned() };
        let answer = self.request(&Request::get(user.as_bare().clone(), query), deadline).await?;
        let Some(answer) = answer else { return Ok(Vec::new()) };
        // Not as typed JIDs: the server takes names of newer Unicode than our JIDs do, and one such contact must not
        // cost the user their whole list.
        let items = answer.children().filter(|child| child.is("item", NS));
        Ok(items.filter_map(|item| item.attr("jid")).map(str::to_owned).collect())
    }

    async fn change_group(
        &self,
        user: &UserJid,
        group: &str,
        change: GroupChange<'_>,
        deadline: Instant,
    ) -> Result<(), RequestError> {
        let (max, change) = match change {
            GroupChange::Add { contact, max } => (Some(max), AddOrRemove::Add { jid: contact.as_bare().clone() }),
            GroupChange::Remove { contact } => (None, AddOrRemove::Remove { jid: contact.as_bare().clone() }),
        };
        let payload = GroupElement { name: group.to_owned(), max, change };
        self.request(&Request::set(user.as_bare().clone(), payload), deadline).await?;
        Ok(())
    }
}
