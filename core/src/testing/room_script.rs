//! A room server that a script answers for.

use tokio::time::Instant;

use crate::{
    address::{RoomJid, UserJid},
    ledger::Ordinal,
    rooms::{Grant, Invitation, Refusal, Revocation, RoomServer, RoomSpec, ServerError},
};

/// What is asked of a [`RoomServer`] about a room.
#[derive(Debug, Clone)]
pub enum RoomRequest {
    /// [`RoomServer::ensure`], with the room's end.
    Ensure(RoomSpec, Option<Ordinal>),
    /// [`RoomServer::destroy`].
    Destroy(Ordinal),
    /// [`RoomServer::grant`], with the room's end.
    Grant(Vec<(UserJid, Grant)>, Option<Ordinal>),
    /// [`RoomServer::revoke`].
    Revoke(Vec<Revocation>),
    /// [`RoomServer::invite`].
    Invite(RoomSpec, Vec<Invitation>),
}

impl RoomRequest {
    /// The name of the port's function.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ensure(..) => "ensure",
            Self::Destroy(_) => "destroy",
            Self::Grant(..) => "grant",
            Self::Revoke(_) => "revoke",
            Self::Invite(..) => "invite",
        }
    }

    /// Asks another server.
    ///
    /// # Errors
    /// That server's.
    pub async fn pass_on(
        self,
        server: &impl RoomServer,
        room: &RoomJid,
        deadline: Instant,
    ) -> Result<Vec<Refusal>, ServerError> {
        match self {
            Self::Ensure(spec, ended) => {
                server.ensure(room, &spec, ended.as_ref(), deadline).await.map(|()| Vec::new())
            }
            Self::Destroy(ended) => server.destroy(room, &ended, deadline).await.map(|()| Vec::new()),
            Self::Grant(grants, ended) => server.grant(room, &grants, ended.as_ref(), deadline).await,
            Self::Revoke(revocations) => server.revoke(room, &revocations, deadline).await,
            Self::Invite(spec, invitations) => server.invite(room, &spec, &invitations, deadline).await,
        }
    }
}

/// What becomes of each request, and when. Whatever has a script is a [`RoomServer`].
pub trait RoomScript {
    /// Answers `request` about `room`: with what was refused one by one, or with why nothing was done.
    fn answer(
        &self,
        room: &RoomJid,
        request: RoomRequest,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<Refusal>, ServerError>> + Send;
}

impl<S: RoomScript + Sync> RoomServer for S {
    async fn ensure(
        &self,
        room: &RoomJid,
        spec: &RoomSpec,
        ended: Option<&Ordinal>,
        deadline: Instant,
    ) -> Result<(), ServerError> {
        self.answer(room, RoomRequest::Ensure(spec.clone(), ended.cloned()), deadline).await.map(drop)
    }

    async fn destroy(&self, room: &RoomJid, ended: &Ordinal, deadline: Instant) -> Result<(), ServerError> {
        self.answer(room, RoomRequest::Destroy(ended.clone()), deadline).await.map(drop)
    }

    async fn grant(
        &self,
        room: &RoomJid,
        grants: &[(UserJid, Grant)],
        ended: Option<&Ordinal>,
        deadline: Instant,
    ) -> Result<Vec<Refusal>, ServerError> {
        self.answer(room, RoomRequest::Grant(grants.to_vec(), ended.cloned()), deadline).await
    }

    async fn revoke(
        &self,
        room: &RoomJid,
        revocations: &[Revocation],
        deadline: Instant,
    ) -> Result<Vec<Refusal>, ServerError> {
        self.answer(room, RoomRequest::Revoke(revocations.to_vec()), deadline).await
    }

    async fn invite(
        &self,
        room: &RoomJid,
        spec: &RoomSpec,
        invitations: &[Invitation],
        deadline: Instant,
    ) -> Result<Vec<Refusal>, ServerError> {
        self.answer(room, RoomRequest::Invite(spec.clone(), invitations.to_vec()), deadline).await
    }
}
