//! The room server of most tests: what it does wrong follows from names.

use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};

use tokio::time::Instant;

use super::{
    muc_service::{Affiliation, MucService},
    room_script::{RoomRequest, RoomScript},
};
use crate::{
    address::{RoomJid, UserJid},
    rooms::{Refusal, ServerError},
};

/// Rooms with their members. The user `refused` is never let in, invitations of `bounced` bounce; requests about the room
/// `broken` fail, those about `stuck…` are never answered, nor is the first about `late`.
#[derive(Debug, Default)]
pub struct FakeRooms {
    service: Mutex<MucService>,
    requests: Mutex<Vec<&'static str>>,
    was_late: AtomicBool,
}

impl FakeRooms {
    fn service(&self) -> MutexGuard<'_, MucService> {
        self.service.lock().unwrap()
    }

    async fn meet_fault(&self, room: &RoomJid, deadline: Instant) -> Result<(), ServerError> {
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
    #[must_use]
    pub fn requests(&self) -> Vec<&'static str> {
        self.requests.lock().unwrap().clone()
    }

    /// Loses all rooms.
    pub fn wipe(&self) {
        self.service().rooms.clear();
    }

    /// Lets someone in by hand.
    pub fn add(&self, room: &RoomJid, user: UserJid) {
        self.service().rooms.entry(room.clone()).or_default().affiliations.insert(user, Affiliation::Member);
    }

    /// The localparts of the members of the room whose JID begins so.
    #[must_use]
    pub fn members(&self, room: &str) -> Option<Vec<String>> {
        let service = self.service();
        let (_, room) = service.rooms.iter().find(|(jid, _)| jid.as_str().starts_with(room))?;
        Some(room.affiliations.keys().map(|user| user.localpart().to_owned()).collect())
    }
}

impl RoomScript for &FakeRooms {
    async fn answer(
        &self,
        room: &RoomJid,
        request: RoomRequest,
        deadline: Instant,
    ) -> Result<Vec<Refusal>, ServerError> {
        self.requests.lock().unwrap().push(request.name());
        self.meet_fault(room, deadline).await?;
        let (request, refusals) = refuse(request);
        self.service().apply(room, request)?;
        Ok(refusals)
    }
}

/// What is left of `request` without those who are refused, and their refusals.
fn refuse(request: RoomRequest) -> (RoomRequest, Vec<Refusal>) {
    let refusal =
        |user: UserJid, error: fn(String) -> ServerError| Refusal { user, error: error("injected".to_owned()) };
    match request {
        RoomRequest::Grant(grants, ended) => {
            let (refused, granted): (Vec<_>, Vec<_>) =
                grants.into_iter().partition(|(user, _)| user.localpart() == "refused");
            let refusals = refused.into_iter().map(|(user, _)| refusal(user, ServerError::Refused)).collect();
            (RoomRequest::Grant(granted, ended), refusals)
        }
        RoomRequest::Invite(spec, all) => {
            let (bounced, sent): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.to.localpart() == "bounced");
            let refusals = bounced.into_iter().map(|one| refusal(one.to, ServerError::Unavailable)).collect();
            (RoomRequest::Invite(spec, sent), refusals)
        }
        other => (other, Vec::new()),
    }
}
