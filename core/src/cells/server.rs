//! The cells as one server of rooms and hosts, for use cases that need not know that there are several.

use futures::FutureExt;
use tokio::time::Instant;

use super::{all::Cells, place::PlaceError};
use crate::{
    address::{RoomJid, UserJid},
    domains::HostServer,
    hosts::HostsError,
    ledger::{Ordinal, PlaceRegister},
    rooms::{Grant, Invitation, Refusal, Revocation, RoomServer, RoomSpec, ServerError},
};

impl From<PlaceError> for ServerError {
    fn from(error: PlaceError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<PlaceError> for HostsError {
    fn from(error: PlaceError) -> Self {
        Self::Place(error.to_string())
    }
}

impl<P: PlaceRegister + Sync + Send> Cells<P> {
    /// Those of `invitations` whose users are on the cell of `room`, or on none, and the others' users.
    async fn in_reach_of(
        &self,
        room: &RoomJid,
        invitations: &[Invitation],
    ) -> Result<(Vec<Invitation>, Vec<UserJid>), PlaceError> {
        let (mut reached, mut elsewhere) = (Vec::new(), Vec::new());
        for invitation in invitations {
            let domain = invitation.to.domain().as_str();
            if domain == room.tenant() || self.are_together(domain, room.tenant()).await? {
                reached.push(invitation.clone());
            } else {
                elsewhere.push(invitation.to.clone());
            }
        }
        Ok((reached, elsewhere))
    }

    /// Whether a guest's domain is on the cell of `tenant`. One that is on none may come to be.
    async fn are_together(&self, guests: &str, tenant: &str) -> Result<bool, PlaceError> {
        match self.of(guests).await {
            Err(PlaceError::None(_)) => Ok(true),
            place => Ok(place?.name == self.of(tenant).await?.name),
        }
    }
}

fn is_elsewhere(error: &ServerError) -> bool {
    matches!(error, ServerError::NotServed(_))
}

impl<P: PlaceRegister + Sync + Send> RoomServer for Cells<P> {
    async fn ensure(
        &self,
        room: &RoomJid,
        spec: &RoomSpec,
        ended: Option<&Ordinal>,
        deadline: Instant,
    ) -> Result<(), ServerError> {
        self.on_cell_of(room.tenant(), |cell| cell.rooms.ensure(room, spec, ended, deadline).boxed(), is_elsewhere)
            .await?
    }

    async fn destroy(&self, room: &RoomJid, ended: &Ordinal, deadline: Instant) -> Result<(), ServerError> {
        match self.of(room.tenant()).await {
            // Nothing of it is anywhere.
            Err(PlaceError::None(_)) => Ok(()),
            cell => cell?.rooms.destroy(room, ended, deadline).await,
        }
    }

    async fn grant(
        &self,
        room: &RoomJid,
        grants: &[(UserJid, Grant)],
        ended: Option<&Ordinal>,
        deadline: Instant,
    ) -> Result<Vec<Refusal>, ServerError> {
        self.on_cell_of(room.tenant(), |cell| cell.rooms.grant(room, grants, ended, deadline).boxed(), is_elsewhere)
            .await?
    }

    async fn revoke(
        &self,
        room: &RoomJid,
        revocations: &[Revocation],
        deadline: Instant,
    ) -> Result<Vec<Refusal>, ServerError> {
        self.on_cell_of(room.tenant(), |cell| cell.rooms.revoke(room, revocations, deadline).boxed(), is_elsewhere)
            .await?
    }

    async fn invite(
        &self,
        room: &RoomJid,
        spec: &RoomSpec,
        invitations: &[Invitation],
        deadline: Instant,
    ) -> Result<Vec<Refusal>, ServerError> {
        let (reached, elsewhere) = self.in_reach_of(room, invitations).await?;
        let mut refusals = self
            .on_cell_of(room.tenant(), |cell| cell.rooms.invite(room, spec, &reached, deadline).boxed(), is_elsewhere)
            .await??;
        refusals.extend(elsewhere.into_iter().map(|user| Refusal {
            user,
            error: ServerError::Refused(
                "their tenant is on another cell, and cells do not speak with each other".to_owned(),
            ),
        }));
        Ok(refusals)
    }
}

impl<P: PlaceRegister + Sync + Send> HostServer for Cells<P> {
    async fn has_place(&self, domain: &str) -> Result<bool, HostsError> {
        match &self.0.places {
            Some(places) => Ok(places.find(domain).await.map_err(HostsError::from)?.is_some()),
            None => Ok(true),
        }
    }

    async fn place(&self, domain: &str) -> Result<(), HostsError> {
        match &self.0.places {
            Some(places) => Ok(places.place(domain, &self.0.cells).await.map_err(HostsError::from)?),
            None => Ok(()),
        }
    }

    async fn create(&self, domain: &str, life: &Ordinal) -> Result<(), HostsError> {
        HostServer::create(&self.of(domain).await?.hosts, domain, life).await
    }

    async fn delete(&self, domain: &str, ended: &Ordinal) -> Result<(), HostsError> {
        HostServer::delete(&self.of(domain).await?.hosts, domain, ended).await
    }
}
