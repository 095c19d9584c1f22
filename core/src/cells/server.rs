//! The cells as one server of rooms and hosts, for use cases that need not know that there are several.

use futures::{
    FutureExt,
    future::{join, join_all},
};
use tokio::time::Instant;

use super::{
    all::Cells,
    cell::Cell,
    guests::{Divided, refuse_all},
    place::PlaceError,
};
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
        let on_its_cell = async |grants: &[(UserJid, Grant)]| {
            self.on_cell_of(room.tenant(), |cell| cell.rooms.grant(room, grants, ended, deadline).boxed(), is_elsewhere)
                .await?
        };
        let Some(Divided { own, elsewhere }) = self.divide(room, grants, |(user, _)| user).await? else {
            return on_its_cell(grants).await;
        };
        let guests = elsewhere.iter().map(async |(domain, grants)| {
            // Their cell may be away, which the room's does not mind: it tells them as soon as it can.
            let (guests, room) =
                join(self.introduce_guests(room, domain, deadline), self.introduce_room(room, domain, deadline)).await;
            if let Err(error) = room {
                tracing::warn!(error = %error, domain, "Guests learn of their membership later");
            }
            let granted = match guests {
                Ok(()) => on_its_cell(grants).await,
                Err(error) => Err(error),
            };
            granted.unwrap_or_else(|error| refuse_all(grants.iter().map(|(user, _)| user), &error).collect())
        });
        let of_own = async { if own.is_empty() { Ok(Vec::new()) } else { on_its_cell(&own).await } };
        let (refusals, of_guests) = join(of_own, join_all(guests)).await;
        Ok(refusals?.into_iter().chain(of_guests.into_iter().flatten()).collect())
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
        let on_its_cell = async |invitations: &[Invitation]| {
            self.on_cell_of(
                room.tenant(),
                |cell| cell.rooms.invite(room, spec, invitations, deadline).boxed(),
                is_elsewhere,
            )
            .await?
        };
        let Some(Divided { own, elsewhere }) = self.divide(room, invitations, |one| &one.to).await? else {
            return on_its_cell(invitations).await;
        };
        let guests = elsewhere.iter().map(async |(domain, invitations)| {
            let invited = async {
                self.introduce_room(room, domain, deadline).await?;
                let cell = self.of(domain).await?;
                cell.rooms.invite_guests(domain, room, spec, invitations, deadline).await
            };
            let invited = invited.await;
            invited.unwrap_or_else(|error| refuse_all(invitations.iter().map(|one| &one.to), &error).collect())
        });
        let of_own = async { if own.is_empty() { Ok(Vec::new()) } else { on_its_cell(&own).await } };
        let (refusals, of_guests) = join(of_own, join_all(guests)).await;
        Ok(refusals?.into_iter().chain(of_guests.into_iter().flatten()).collect())
    }
}

impl<P: PlaceRegister + Sync + Send> HostServer for Cells<P> {
    async fn has_place(&self, domain: &str) -> Result<bool, HostsError> {
        match &self.0.places {
            Some(places) => Ok(places.find(domain).await?.is_some()),
            None => Ok(true),
        }
    }

    async fn away(&self, domain: &str) -> Option<String> {
        // Nothing is looked up as long as all of them answer.
        if !self.all().iter().any(Cell::is_away) {
            return None;
        }
        self.of(domain).await.ok().filter(|cell| cell.is_away()).map(|cell| cell.name.clone())
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
