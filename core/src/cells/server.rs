//! The cells as one server of rooms and hosts, for use cases that need not know that there are several.

use std::{borrow::Cow, collections::BTreeSet};

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
    /// The users of `invitations` who are on another cell than `room`: none of its own tenant's, and none where there is one cell.
    async fn out_of_reach_of(
        &self,
        room: &RoomJid,
        invitations: &[Invitation],
    ) -> Result<BTreeSet<UserJid>, PlaceError> {
        let mut found = BTreeSet::new();
        for Invitation { to, .. } in invitations {
            let domain = to.domain().as_str();
            if domain != room.tenant() && !self.are_together(domain, room.tenant()).await? {
                found.insert(to.clone());
            }
        }
        Ok(found)
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
        let destroyed =
            self.on_cell_of(room.tenant(), |cell| cell.rooms.destroy(room, ended, deadline).boxed(), is_elsewhere);
        match destroyed.await {
            // Nothing of it is anywhere: not that it has gone elsewhere, for then that was asked.
            Err(PlaceError::None(_)) | Ok(Err(ServerError::NotServed(_))) => Ok(()),
            outcome => outcome?,
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
        let elsewhere = self.out_of_reach_of(room, invitations).await?;
        let reached: Cow<'_, [Invitation]> = if elsewhere.is_empty() {
            invitations.into()
        } else {
            invitations.iter().filter(|one| !elsewhere.contains(&one.to)).cloned().collect()
        };
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
            Some(places) => Ok(places.find(domain).await?.is_some()),
            None => Ok(true),
        }
    }

    async fn place(&self, domain: &str) -> Result<(), HostsError> {
        match &self.0.places {
            Some(places) => Ok(places.place(domain, &self.0.cells).await?),
            None => Ok(()),
        }
    }

    async fn create(&self, domain: &str, life: &Ordinal) -> Result<(), HostsError> {
        let cell = self.of(domain).await?;
        cell.while_it_lives(HostServer::create(&cell.hosts, domain, life)).await
    }

    async fn delete(&self, domain: &str, ended: &Ordinal) -> Result<(), HostsError> {
        let cell = self.of(domain).await?;
        cell.while_it_lives(HostServer::delete(&cell.hosts, domain, ended)).await
    }
}
