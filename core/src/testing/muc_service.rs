//! Rooms as the XMPP server has them.

use std::collections::BTreeMap;

use super::room_script::RoomRequest;
use crate::{
    address::{RoomJid, UserJid},
    ledger::Ordinal,
    rooms::{Grant, ServerError},
};

/// What someone is allowed in a room (XEP-0045, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affiliation {
    /// Owner.
    Owner,
    /// Member.
    Member,
}

/// A room.
#[derive(Debug, Clone, Default)]
pub struct MucRoom {
    /// Its life; a room that people made has none.
    pub life: Option<Ordinal>,
    /// Who is what in it.
    pub affiliations: BTreeMap<UserJid, Affiliation>,
}

/// All rooms, and the invitations that were sent.
#[derive(Debug, Default)]
pub struct MucService {
    /// The rooms there are.
    pub rooms: BTreeMap<RoomJid, MucRoom>,
    /// To which room who was invited for which event, in order.
    pub invitations: Vec<(RoomJid, UserJid, Ordinal)>,
}

impl MucService {
    /// Does what [`crate::rooms::RoomServer`] says of `request`, in one step.
    ///
    /// # Errors
    /// [`ServerError::RoomMissing`], as there.
    pub fn apply(&mut self, room: &RoomJid, request: RoomRequest) -> Result<(), ServerError> {
        match request {
            RoomRequest::Ensure(spec, ended) => match self.rooms.get_mut(room) {
                Some(found) if found.life.is_none() => found.life = Some(spec.life),
                Some(found) if found.life > ended => {}
                _ => drop(self.rooms.insert(room.clone(), MucRoom { life: Some(spec.life), ..MucRoom::default() })),
            },
            RoomRequest::Destroy(ended) => {
                let stays = |found: &MucRoom| found.life.as_ref().is_none_or(|life| *life > ended);
                self.rooms.retain(|name, found| name != room || stays(found));
            }
            RoomRequest::Grant(grants, ended) => {
                let counts = |found: &&mut MucRoom| found.life.is_none() || found.life > ended;
                let affiliations = &mut self.existing(room, counts)?.affiliations;
                for (user, grant) in grants {
                    match grant {
                        Grant::Owner => affiliations.insert(user, Affiliation::Owner),
                        Grant::AtLeastMember => Some(*affiliations.entry(user).or_insert(Affiliation::Member)),
                        Grant::ExactlyMember => affiliations.insert(user, Affiliation::Member),
                    };
                }
            }
            RoomRequest::Revoke(users) => {
                self.existing(room, |_| true)?.affiliations.retain(|user, _| !users.contains(user));
            }
            RoomRequest::Invite(_, all) => {
                self.invitations.extend(all.into_iter().map(|one| (room.clone(), one.to, one.since)));
            }
        }
        Ok(())
    }

    fn existing(
        &mut self,
        room: &RoomJid,
        counts: impl FnOnce(&&mut MucRoom) -> bool,
    ) -> Result<&mut MucRoom, ServerError> {
        self.rooms.get_mut(room).filter(counts).ok_or(ServerError::RoomMissing)
    }
}
