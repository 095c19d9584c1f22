//! The port to the XMPP server's rooms.

use tokio::time::Instant;

use super::model::{Grant, RoomSpec};
use crate::{
    address::{RoomJid, UserJid},
    ledger::Ordinal,
    xmpp::not_admin,
};

/// Why the server did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// There is no such room (`item-not-found`). Its creation's handler makes it; joining and leaving wait for that.
    #[error("the room is not there; a retry makes it")]
    RoomMissing,
    /// It could not be reached, was too slow, or cannot do it yet. Retry helps.
    #[error("the XMPP server did not do it ({0}); a retry may succeed")]
    Unavailable(String),
    /// It does not serve the room's domain: that one's event has not been handled yet, or it is on another server. Retry helps.
    #[error("the XMPP server did not do it ({0}); a retry may succeed")]
    NotServed(String),
    /// It has the request, or part of it, and did not answer: it may take effect as long as the request has not expired
    /// ([`super::expired_by`]). A retry helps, and must not come sooner.
    #[error("the XMPP server did not answer ({0}); a retry may succeed")]
    Unanswered(String),
    /// It refuses what only its admin may ask for. Retry helps once its configuration, or its version, is another.
    #[error("{}", not_admin(.0))]
    NotAdmin(String),
    /// It will not do it; no retry helps until something is changed.
    #[error("the XMPP server refuses it ({0}); correct the event at its source, or the server's configuration")]
    Refused(String),
}

impl ServerError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// One of several was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The user whom it was about.
    pub user: UserJid,
    /// Why it was not done, and whether a retry helps.
    pub error: ServerError,
}

/// An invitation (XEP-0249).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Who is invited.
    pub to: UserJid,
    /// The event that made them a member; the stanza's id follows from it, the room and them, so that a
    /// client can tell a repeated invitation.
    pub since: Ordinal,
}

/// The end of someone's membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Whose it is.
    pub user: UserJid,
    /// What ended it, as far as it is known: the newest of their leaving and the room's end. An invitation for a newer spell is
    /// not taken back: another handler may know more.
    pub ended: Option<Ordinal>,
}

/// What reconciling needs of the XMPP server (XEP-0045, sections 9 and 10).
///
/// Every request is idempotent. None may still be unanswered when its future is ready: an implementation
/// that gives up at `deadline` closes its session first, so that nothing more of the request is sent.
pub trait RoomServer {
    /// The room exists as `spec` says: persistent, members-only, hidden, archived. A room that carries a life
    /// not newer than `ended` is destroyed first, with its archive, so that nobody reads the earlier life's
    /// messages, and with the invitations to that life that nobody has seen. A room with a newer life keeps it; one without
    /// a life is given this one.
    ///
    /// # Errors
    /// [`ServerError`]; the room may have been made all the same.
    fn ensure(
        &self,
        room: &RoomJid,
        spec: &RoomSpec,
        ended: Option<&Ordinal>,
        deadline: Instant,
    ) -> impl Future<Output = Result<(), ServerError>> + Send;

    /// The room does not exist, nor do its archive, its members' bookmarks and the invitations for spells that are not newer
    /// than `ended`, if it carries a life that is not newer. A room without a life was not made by an event and stays. Where
    /// there is no room, or its domain is not served, there is nothing to do.
    ///
    /// # Errors
    /// [`ServerError::Unavailable`] or [`ServerError::Refused`].
    fn destroy(
        &self,
        room: &RoomJid,
        ended: &Ordinal,
        deadline: Instant,
    ) -> impl Future<Output = Result<(), ServerError>> + Send;

    /// Gives `grants`; returns those that were refused one by one. Whoever is a member then has the room among their bookmarks
    /// (XEP-0402), as it is; what they set there themselves stays. A room whose life is not newer than `ended` counts as
    /// absent: it is about to go, and nobody may be let in to read what was said there.
    ///
    /// # Errors
    /// [`ServerError`]; some may have been given.
    fn grant(
        &self,
        room: &RoomJid,
        grants: &[(UserJid, Grant)],
        ended: Option<&Ordinal>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<Refusal>, ServerError>> + Send;

    /// Those of `revocations` have no affiliation, and are not in the room, nor is the room among their bookmarks; returns those
    /// for whom that was refused. Of their invitations that nobody has seen those are taken back which belong to a spell that
    /// has ended.
    ///
    /// # Errors
    /// [`ServerError`]; some may have been revoked.
    fn revoke(
        &self,
        room: &RoomJid,
        revocations: &[Revocation],
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<Refusal>, ServerError>> + Send;

    /// Sends `invitations` to the room that is as `spec` says, with its name, and waits until the server has handled them (a
    /// ping behind them collects the bounces); returns those that bounced, and those for which there was no time while there
    /// was for others.
    ///
    /// # Errors
    /// [`ServerError`]; some of the first may have been sent.
    fn invite(
        &self,
        room: &RoomJid,
        spec: &RoomSpec,
        invitations: &[Invitation],
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<Refusal>, ServerError>> + Send;
}
