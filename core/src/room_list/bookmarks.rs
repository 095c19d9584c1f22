//! The port to users' bookmarks.

use tokio_xmpp::minidom::Element;
use xmpp_parsers::iq::IqGetPayload;
use xso::{AsXml, FromXml};

use tokio::time::Instant;

use crate::{
    address::UserJid,
    xmpp::{Request, RequestError, XmppClient},
};

const NS: &str = "urn:quobis:sippo:bookmark:0";

/// A room as the bookmark of one of its members has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookmarkedRoom {
    /// The room's bare JID.
    pub jid: String,
    /// The room's name, if it has one.
    pub name: Option<String>,
    /// `usersGroup` or `conference`.
    pub kind: String,
    /// `owner`, `admin` or `member` (XEP-0045, section 5.2).
    pub affiliation: String,
}

/// Every user's bookmarks, as the XMPP server's admin sees them.
pub trait Bookmarks {
    /// The rooms of the service that `user` belongs to, in no particular order.
    fn rooms(
        &self,
        user: &UserJid,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<BookmarkedRoom>, RequestError>> + Send;
}

/// `<rooms xmlns='urn:quobis:sippo:bookmark:0'/>`: asks for what the service put among the bookmarks, and for nothing
/// of the user's own.
#[derive(Debug, FromXml, AsXml)]
#[xml(namespace = NS, name = "rooms")]
struct RoomsQuery;

impl IqGetPayload for RoomsQuery {}

impl Bookmarks for XmppClient {
    async fn rooms(&self, user: &UserJid, deadline: Instant) -> Result<Vec<BookmarkedRoom>, RequestError> {
        let answer = self.request(&Request::get(user.as_bare().clone(), RoomsQuery), deadline).await?;
        Ok(answer.iter().flat_map(Element::children).filter_map(room).collect())
    }
}

fn room(item: &Element) -> Option<BookmarkedRoom> {
    let text = |name| item.attr(name).map(str::to_owned);
    item.is("room", NS).then_some(())?;
    Some(BookmarkedRoom {
        jid: text("jid")?,
        name: text("name"),
        kind: text("kind")?,
        affiliation: text("affiliation")?,
    })
}
