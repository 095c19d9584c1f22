//! The rooms that a user belongs to, by the bookmarks that the XMPP server keeps for them (XEP-0402).
//!
//! What is read are the marks of the server's own (`mod_sippo_bookmarks`): the user can neither make nor lose one.

mod bookmarks;

use tokio::time::Instant;
use xmpp_parsers::stanza_error::DefinedCondition;

pub use self::bookmarks::{BookmarkedRoom, Bookmarks};
use crate::{address::UserJid, xmpp::RequestError};

/// Why the rooms could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RoomListError {
    /// The XMPP server has no virtual host for the user's domain; no retry helps until it has.
    #[error("the domain {0} is not served by the XMPP server; it has to be created on the platform first")]
    DomainNotServed(String),
    /// The XMPP server did not do it; retry helps.
    #[error(transparent)]
    Unavailable(RequestError),
}

/// The rooms of `user`, sorted by JID, on whatever domain.
///
/// # Errors
/// [`RoomListError`].
pub async fn rooms_of(
    bookmarks: &impl Bookmarks,
    user: &UserJid,
    deadline: Instant,
) -> Result<Vec<BookmarkedRoom>, RoomListError> {
    let mut rooms = bookmarks.rooms(user, deadline).await.map_err(|error| match error.condition() {
        Some(DefinedCondition::RemoteServerNotFound) => RoomListError::DomainNotServed(user.domain().to_string()),
        _ => RoomListError::Unavailable(error),
    })?;
    rooms.sort_unstable_by(|a, b| a.jid.cmp(&b.jid));
    Ok(rooms)
}
