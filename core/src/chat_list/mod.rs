//! The individual chat list: which one-to-one chats a user keeps open.
//!
//! It lives on the XMPP server, in their roster (RFC 6121): an entry is a roster item in the roster
//! group [`GROUP`]. So their connected clients see every change as a roster push, and what else a
//! roster item carries stays theirs.

mod rosters;

use tokio::time::Instant;
use xmpp_parsers::stanza_error::DefinedCondition;

pub use self::rosters::{GroupChange, Rosters};
use crate::{address::UserJid, xmpp::RequestError};

/// The roster group that makes an item an entry.
pub const GROUP: &str = "individualChatList";

/// Most entries a list may have. The server reads and answers a roster in one piece; one of this size is some 500 kB.
pub const MAX_ENTRIES: u32 = 5_000;

/// Why a chat list could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ChatListError {
    /// There are [`MAX_ENTRIES`] already; no retry helps.
    #[error("the chat list has {MAX_ENTRIES} entries, which is the most it can have; remove one first")]
    Full,
    /// The contact cannot be in the list; no retry helps.
    #[error("the XMPP server does not take this contact ({0}); give another user's bare JID")]
    Contact(RequestError),
    /// The XMPP server has no virtual host for the user's domain; no retry helps until it has.
    #[error("the domain {0} is not served by the XMPP server; it has to be created on the platform first")]
    DomainNotServed(String),
    /// The XMPP server did not do it; retry helps.
    #[error(transparent)]
    Unavailable(RequestError),
}

/// The chat lists of all users.
#[derive(Debug, Clone)]
pub struct ChatLists<R> {
    rosters: R,
}

impl<R: Rosters> ChatLists<R> {
    /// On the given rosters.
    #[must_use]
    pub fn new(rosters: R) -> Self {
        Self { rosters }
    }

    /// The entries of `user`'s list, sorted.
    ///
    /// # Errors
    /// [`ChatListError::DomainNotServed`] or [`ChatListError::Unavailable`].
    pub async fn entries(&self, user: &UserJid, deadline: Instant) -> Result<Vec<String>, ChatListError> {
        let mut entries = self.rosters.in_group(user, GROUP, deadline).await.map_err(|error| failure(user, error))?;
        entries.sort_unstable();
        Ok(entries)
    }

    /// Puts `contact` into `user`'s list, or leaves it there.
    ///
    /// # Errors
    /// Each of [`ChatListError`]; only [`ChatListError::Unavailable`] may have had its effect all the same.
    pub async fn add(&self, user: &UserJid, contact: &UserJid, deadline: Instant) -> Result<(), ChatListError> {
        let change = GroupChange::Add { contact, max: MAX_ENTRIES };
        self.rosters.change_group(user, GROUP, change, deadline).await.map_err(|error| failure(user, error))
    }

    /// Takes `contact` out of `user`'s list, if it is there.
    ///
    /// # Errors
    /// [`ChatListError::DomainNotServed`] or [`ChatListError::Unavailable`].
    pub async fn remove(&self, user: &UserJid, contact: &UserJid, deadline: Instant) -> Result<(), ChatListError> {
        self.rosters
            .change_group(user, GROUP, GroupChange::Remove { contact }, deadline)
            .await
            .map_err(|error| failure(user, error))
    }
}

fn failure(user: &UserJid, error: RequestError) -> ChatListError {
    match error.condition() {
        Some(DefinedCondition::ResourceConstraint) => ChatListError::Full,
        Some(DefinedCondition::BadRequest | DefinedCondition::NotAcceptable | DefinedCondition::NotAllowed) => {
            ChatListError::Contact(error)
        }
        Some(DefinedCondition::RemoteServerNotFound) => ChatListError::DomainNotServed(user.domain().to_string()),
        _ => ChatListError::Unavailable(error),
    }
}
