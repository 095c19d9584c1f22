//! Stand-ins for the XMPP server at the ports of the use cases, for unit tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::time::Instant;

use crate::{
    address::{RoomJid, UserJid},
    domains::HostServer,
    hosts::HostsError,
    ledger::{Ordinal, RoomKind},
    rooms::{Grant, Invitation, Refusal, RoomServer, RoomSpec, ServerError},
};

/// Rooms with their members. `refused` is never let in, invitations of `bounced` bounce; requests about `broken` fail, those about `stuck…` are never answered,
/// nor is the first about `late`.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    members: Mutex<BTreeMap<RoomJid, BTreeSet<UserJid>>>,
    requests: Mutex<Vec<&'static str>>,
    was_late: AtomicBool,
}

impl Rooms {
    async fn record(&self, room: &RoomJid, request: &'static str, deadline: Instant) -> Result<(), ServerError> {
        self.requests.lock().unwrap().push(request);
        match room.as_bare().node().map(ToString::to_string).as_deref() {
            Some("broken") => Err(ServerError::Unavailable("injected".to_owned())),
            Some("late") if self.was_late.swap(true, Ordering::Relaxed) => Ok(()),
            Some(name) if name == "late" || name.starts_with("stuck") => {
                tokio::time::sleep_until(deadline).await;
                Err(ServerError::Unanswered("injected".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// What was asked for so far, in order.
    pub(crate) fn requests(&self) -> Vec<&'static str> {
        self.requests.lock().unwrap().clone()
    }

    /// Loses all rooms.
    pub(crate) fn wipe(&self) {
        self.members.lock().unwrap().clear();
    }

    /// Lets someone in by hand.
    pub(crate) fn add(&self, room: &RoomJid, user: UserJid) {
        self.members.lock().unwrap().entry(room.clone()).or_default().insert(user);
    }

    /// The localparts of the members of the room whose JID begins so.
    pub(crate) fn members(&self, room: &str) -> Option<Vec<String>> {
        let rooms = self.members.lock().unwrap();
        let room = rooms.iter().find(|(jid, _)| jid.as_str().starts_with(room))?;
        Some(room.1.iter().map(|user| user.localpart().to_owned()).collect())
    }
}

impl RoomServer for &Rooms {
    async fn ensure(
        &self,
        room: &RoomJid,
        _: &RoomSpec,
        _: Option<&Ordinal>,
        deadline: Instant,
    ) -> Result<(), ServerError> {
        self.record(room, "ensure", deadline).await?;
        self.members.lock().unwrap().entry(room.clone()).or_default();
        Ok(())
    }

    async fn destroy(&self, room: &RoomJid, _: &Ordinal, deadline: Instant) -> Result<(), ServerError> {
        self.record(room, "destroy", deadline).await?;
        self.members.lock().unwrap().remove(room);
        Ok(())
    }

    async fn grant(
        &self,
        room: &RoomJid,
        grants: &[(UserJid, Grant)],
        _: Option<&Ordinal>,
        deadline: Instant,
    ) -> Result<Vec<Refusal>, ServerError> {
        self.record(room, "grant", deadline).await?;
        let mut rooms = self.members.lock().unwrap();
        let members = rooms.get_mut(room).ok_or(ServerError::RoomMissing)?;
        let mut refusals = Vec::new();
        for (user, _) in grants {
            if user.localpart() == "refused" {
                refusals.push(Refusal { user: user.clone(), error: ServerError::Refused("injected".to_owned()) });
            } else {
                members.insert(user.clone());
            }
        }
        Ok(refusals)
    }

    async fn revoke(&self, room: &RoomJid, users: &[UserJid], deadline: Instant) -> Result<Vec<Refusal>, ServerError> {
        self.record(room, "revoke", deadline).await?;
        let mut rooms = self.members.lock().unwrap();
        rooms.get_mut(room).ok_or(ServerError::RoomMissing)?.retain(|user| !users.contains(user));
        Ok(Vec::new())
    }

    async fn invite(
        &self,
        room: &RoomJid,
        _: RoomKind,
        invitations: &[Invitation],
        deadline: Instant,
    ) -> Result<Vec<Refusal>, ServerError> {
        self.record(room, "invite", deadline).await?;
        let bounced = |error: ServerError| {
            let bounce = move |one: &Invitation| Refusal { user: one.to.clone(), error: error.clone() };
            invitations.iter().filter(|one| one.to.localpart() == "bounced").map(bounce).collect()
        };
        Ok(bounced(ServerError::Unavailable("injected".to_owned())))
    }
}

/// The virtual hosts that there are.
#[derive(Debug, Default)]
pub(crate) struct Hosts(Mutex<BTreeSet<String>>);

impl Hosts {
    pub(crate) fn has(&self, domain: &str) -> bool {
        self.0.lock().unwrap().contains(domain)
    }

    /// Loses all of them.
    pub(crate) fn wipe(&self) {
        self.0.lock().unwrap().clear();
    }
}

impl HostServer for &Hosts {
    async fn create(&self, domain: &str) -> Result<(), HostsError> {
        self.0.lock().unwrap().insert(domain.to_owned());
        Ok(())
    }

    async fn delete(&self, domain: &str) -> Result<(), HostsError> {
        self.0.lock().unwrap().remove(domain);
        Ok(())
    }
}
