//! Rooms on the XMPP server (XEP-0045), behind the port [`RoomServer`].
//!
//! A room is made and unmade by requests of our own (`mod_sippo_muc_lives`), not by entering it, filling in
//! the owner's form and leaving: handlers run concurrently, so the server has to compare lives and act in one
//! step. Affiliations go in batches where the server takes them, and singly where it does not; singly they cannot
//! say which end of the room is known, and whether a room has ended is left to its `ensure`.

mod affiliations;
mod errors;
mod invitations;
mod stanzas;

use jid::BareJid;
use tokio::time::Instant;

use self::{
    affiliations::AffiliationChange,
    errors::server_error,
    stanzas::{Destroy, Ensure, life},
};
use super::{
    expiry::expires,
    model::{Grant, RoomSpec},
    server::{Invitation, Refusal, Revocation, RoomServer, ServerError},
};
use crate::{
    address::{RoomJid, UserJid},
    ledger::Ordinal,
    xmpp::{Request, RequestError, XmppClient},
};

/// The rooms of an XMPP server, by the session of its admin. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MucRooms {
    client: XmppClient,
}

impl MucRooms {
    /// Over `client`, which others may share.
    #[must_use]
    pub fn new(client: XmppClient) -> Self {
        Self { client }
    }

    /// Invites users of `domain`, which is here, to a room that may be on another XMPP server.
    ///
    /// # Errors
    /// As [`RoomServer::invite`].
    pub(crate) async fn invite_guests(
        &self,
        domain: &str,
        room: &RoomJid,
        spec: &RoomSpec,
        invitations: &[Invitation],
        deadline: Instant,
    ) -> Result<Vec<Refusal>, ServerError> {
        let component = BareJid::new(&format!("conference.{domain}"))
            .map_err(|error| ServerError::Refused(format!("{domain} can have no rooms: {error}")))?;
        invitations::send(&self.client, &component, (room, spec), invitations, deadline).await
    }
}

impl RoomServer for MucRooms {
    async fn ensure(
        &self,
        room: &RoomJid,
        spec: &RoomSpec,
        ended: Option<&Ordinal>,
        deadline: Instant,
    ) -> Result<(), ServerError> {
        let payload = Ensure {
            life: life(&spec.life),
            ended: ended.map(life),
            name: spec.name.as_deref().map(stanzas::plain),
            kind: spec.kind.reason().to_owned(),
            expires: expires(deadline),
        };
        // Late, and after a destruction that was handled meanwhile, a copy would make the room anew.
        let request = Request::set(room.as_bare().clone(), payload).no_resend();
        self.client.request(&request, deadline).await.map(drop).map_err(|error| server_error(&error))
    }

    async fn destroy(&self, room: &RoomJid, ended: &Ordinal, deadline: Instant) -> Result<(), ServerError> {
        let request = Request::set(room.as_bare().clone(), Destroy { ended: life(ended), expires: expires(deadline) });
        match self.client.request(&request, deadline).await {
            Err(RequestError::Stanza(error)) => match errors::room_error(&error) {
                ServerError::RoomMissing => Ok(()),
                // One that does not serve the domain may not be the one that has the room, so the caller sees it.
                other => Err(other),
            },
            result => result.map(drop).map_err(|error| server_error(&error)),
        }
    }

    async fn grant(
        &self,
        room: &RoomJid,
        grants: &[(UserJid, Grant)],
        ended: Option<&Ordinal>,
        deadline: Instant,
    ) -> Result<Vec<Refusal>, ServerError> {
        let changes: Vec<_> = grants.iter().map(|(user, grant)| (user, AffiliationChange::Grant(*grant))).collect();
        affiliations::apply(&self.client, room, &changes, ended, deadline).await
    }

    async fn revoke(
        &self,
        room: &RoomJid,
        revocations: &[Revocation],
        deadline: Instant,
    ) -> Result<Vec<Refusal>, ServerError> {
        let change = |one: &'_ Revocation| AffiliationChange::Revoke(one.ended.as_ref().map(life));
        let changes: Vec<_> = revocations.iter().map(|one| (&one.user, change(one))).collect();
        affiliations::apply(&self.client, room, &changes, None, deadline).await
    }

    async fn invite(
        &self,
        room: &RoomJid,
        spec: &RoomSpec,
        invitations: &[Invitation],
        deadline: Instant,
    ) -> Result<Vec<Refusal>, ServerError> {
        invitations::send(&self.client, room.as_bare(), (room, spec), invitations, deadline).await
    }
}
