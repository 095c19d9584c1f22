//! Guests: a room's members who are on other cells than the room. Their cell and the room's are told of each other before
//! anything is asked for, so that the two speak with each other (`mod_sippo_cells`).

use std::collections::BTreeMap;

use tokio::time::{Instant, timeout_at};

use super::{all::Cells, cell::Cell, place::PlaceError};
use crate::{
    address::{RoomJid, UserJid},
    hosts::HostsError,
    ledger::PlaceRegister,
    rooms::{Refusal, ServerError},
};

/// What is asked for of users, divided by where they are.
#[derive(Debug)]
pub(super) struct Divided<T> {
    /// Of the room's own cell.
    pub(super) own: Vec<T>,
    /// Of other cells, by their domain.
    pub(super) elsewhere: BTreeMap<String, Vec<T>>,
}

impl<P: PlaceRegister + Sync + Send> Cells<P> {
    /// Divides what is asked for of the members of `room`; None where all of them are on its own cell, which costs nothing for
    /// its own tenant's. A domain that is on no cell counts as the room's: that cell says that there is no such domain.
    pub(super) async fn divide<T>(
        &self,
        room: &RoomJid,
        all: &[T],
        user: impl Fn(&T) -> &UserJid + Send + Sync,
    ) -> Result<Option<Divided<T>>, PlaceError>
    where
        T: Clone + Send + Sync,
    {
        let mut elsewhere: BTreeMap<String, Vec<T>> = BTreeMap::new();
        let mut own = Vec::new();
        if self.0.places.is_none() {
            return Ok(None);
        }
        let mut are_beside: BTreeMap<&str, bool> = BTreeMap::from([(room.tenant(), true)]);
        for one in all {
            let domain = user(one).domain().as_str();
            let is_beside = match are_beside.get(domain) {
                Some(known) => *known,
                None => *are_beside.entry(domain).or_insert(self.are_together(domain, room.tenant()).await?),
            };
            if is_beside {
                own.push(one.clone());
            } else {
                elsewhere.entry(domain.to_owned()).or_default().push(one.clone());
            }
        }
        Ok((!elsewhere.is_empty()).then_some(Divided { own, elsewhere }))
    }

    /// Whether a guest's domain is on the cell of `tenant`. One that is on none may come to be.
    async fn are_together(&self, guests: &str, tenant: &str) -> Result<bool, PlaceError> {
        match self.of(guests).await {
            Err(PlaceError::None(_)) => Ok(true),
            place => Ok(place?.name == self.of(tenant).await?.name),
        }
    }

    /// Has the room's cell know where the guests of `domain` are.
    pub(super) async fn introduce_guests(&self, room: &RoomJid, domain: &str, by: Instant) -> Result<(), ServerError> {
        let (told, cell) = (self.of(room.tenant()).await?, self.of(domain).await?);
        self.introduce(told, domain, cell, by).await
    }

    /// Has the guests' cell know where the room is.
    pub(super) async fn introduce_room(&self, room: &RoomJid, domain: &str, by: Instant) -> Result<(), ServerError> {
        let (told, cell) = (self.of(domain).await?, self.of(room.tenant()).await?);
        self.introduce(told, room.tenant(), cell, by).await
    }

    /// Tells `told` that `domain` is on `cell`, once in a process. Where it is gets looked up anew first: what was kept may be
    /// from before a move, of which `told` knows by [`Cells::announce`].
    async fn introduce(&self, told: &Cell, domain: &str, cell: &Cell, by: Instant) -> Result<(), ServerError> {
        if self.0.routes.has(told, domain, cell) {
            return Ok(());
        }
        if let Some(places) = &self.0.places {
            places.look_up_anew(domain);
        }
        let now = self.of(domain).await?;
        let telling = timeout_at(by, self.0.routes.tell(told, domain, now));
        match telling.await {
            Err(_) => {
                Err(ServerError::Unavailable(format!("the cell {} has not been told where {domain} is", told.name)))
            }
            Ok(outcome) => outcome.map_err(|error| not_told(&told.name, domain, &error)),
        }
    }
}

/// Each of `users` was refused for the same reason.
pub(super) fn refuse_all<'a>(
    users: impl Iterator<Item = &'a UserJid> + 'a,
    error: &'a ServerError,
) -> impl Iterator<Item = Refusal> + 'a {
    users.map(|user| Refusal { user: user.clone(), error: error.clone() })
}

/// A configuration that is wrong is mended some day, so all of it is tried again.
fn not_told(cell: &str, domain: &str, error: &HostsError) -> ServerError {
    ServerError::Unavailable(format!("the cell {cell} cannot be told where {domain} is: {error}"))
}
