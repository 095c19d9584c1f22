//! Rooms as the XMPP server has them.

use std::collections::{BTreeMap, BTreeSet};

use super::room_script::RoomRequest;
use crate::{
    address::{RoomJid, UserJid},
    ledger::{Ordinal, RoomKind},
    rooms::{Grant, Invitation, Revocation, ServerError},
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
    /// The newest end that it has been told of: what is not newer speaks of an earlier life.
    pub ended: Option<Ordinal>,
    /// Its name.
    pub name: Option<String>,
    /// The life as whose its name was given.
    pub named_by: Option<Ordinal>,
    /// What it is for.
    pub kind: Option<RoomKind>,
    /// Who is what in it.
    pub affiliations: BTreeMap<UserJid, Affiliation>,
}

/// What a bookmark says of its room (XEP-0402, `mod_sippo_bookmarks`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bookmark {
    /// The room's name.
    pub name: Option<String>,
    /// What the room is for.
    pub kind: Option<RoomKind>,
    /// What its user is in the room.
    pub affiliation: Affiliation,
}

/// The bookmarks of all users.
pub type AllBookmarks = BTreeMap<(RoomJid, UserJid), Bookmark>;

/// All rooms, the invitations that were sent, and those that wait for somebody to come online.
#[derive(Debug, Default)]
pub struct MucService {
    /// The rooms there are.
    pub rooms: BTreeMap<RoomJid, MucRoom>,
    /// Who has which room among their bookmarks.
    pub bookmarks: AllBookmarks,
    /// To which room who was invited for which event, in order.
    pub invitations: Vec<(RoomJid, UserJid, Ordinal)>,
    /// Those of them that were not taken back. Nobody comes online and sees them.
    pub waiting: BTreeSet<(RoomJid, UserJid, Ordinal)>,
    /// The newest end of each membership that took invitations back: what comes late is dropped.
    withdrawn: BTreeMap<(RoomJid, UserJid), Ordinal>,
}

impl MucService {
    /// Does what [`crate::rooms::RoomServer`] says of `request`, in one step.
    ///
    /// # Errors
    /// [`ServerError::RoomMissing`], as there.
    pub fn apply(&mut self, room: &RoomJid, request: RoomRequest) -> Result<(), ServerError> {
        match request {
            RoomRequest::Ensure(spec, ended) => {
                if let Some(ended) = &ended {
                    self.end(room, ended);
                }
                let found = self.rooms.entry(room.clone()).or_default();
                found.ended = ended.max(found.ended.take());
                if found.named_by <= found.ended {
                    (found.name, found.named_by) = (None, None);
                }
                if Some(&spec.life) > found.ended.as_ref() {
                    found.kind = Some(spec.kind);
                    if spec.name.is_some() {
                        (found.name, found.named_by) = (spec.name, Some(spec.life.clone()));
                    }
                }
                found.life.get_or_insert(spec.life);
            }
            RoomRequest::Destroy(ended) => self.end(room, &ended),
            RoomRequest::Grant(grants, ended) => {
                let counts = |found: &&mut MucRoom| found.life.is_none() || found.life > ended;
                let affiliations = &mut self.existing(room, counts)?.affiliations;
                for (user, grant) in &grants {
                    let user = user.clone();
                    match grant {
                        Grant::Owner => affiliations.insert(user, Affiliation::Owner),
                        Grant::AtLeastMember => Some(*affiliations.entry(user).or_insert(Affiliation::Member)),
                        Grant::ExactlyMember => affiliations.insert(user, Affiliation::Member),
                    };
                }
                for (user, _) in &grants {
                    self.bookmark(room, user);
                }
            }
            RoomRequest::Revoke(revocations) => {
                for Revocation { user, ended } in revocations {
                    self.existing(room, |_| true)?.affiliations.remove(&user);
                    self.take_back(room, &user, ended.as_ref());
                    self.bookmark(room, &user);
                }
            }
            RoomRequest::Invite(_, all) => {
                for Invitation { to, since } in all {
                    let is_late = self.withdrawn.get(&(room.clone(), to.clone())) >= Some(&since);
                    let invitation = (room.clone(), to, since);
                    self.invitations.push(invitation.clone());
                    if !is_late {
                        self.waiting.insert(invitation);
                    }
                }
            }
        }
        Ok(())
    }

    /// Does the first half of `request`: of a grant the room, of a revocation what depends on the room. A bookmark is there
    /// only with an affiliation, which the room's end finds.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn apply_in_part(&mut self, room: &RoomJid, request: RoomRequest) -> Result<(), ServerError> {
        match request {
            RoomRequest::Grant(..) => {
                let bookmarks = self.bookmarks.clone();
                let outcome = self.apply(room, request);
                self.bookmarks = bookmarks;
                outcome
            }
            RoomRequest::Revoke(revocations) => {
                self.existing(room, |_| true)?;
                for Revocation { user, ended } in revocations {
                    self.take_back(room, &user, ended.as_ref());
                    self.bookmarks.remove(&(room.clone(), user));
                }
                Ok(())
            }
            other => self.apply(room, other),
        }
    }

    /// Has a user's bookmark agree with the room.
    fn bookmark(&mut self, room: &RoomJid, user: &UserJid) {
        let key = (room.clone(), user.clone());
        let found = self.rooms.get(room).and_then(|found| Some((found, *found.affiliations.get(user)?)));
        match found {
            Some((MucRoom { name, kind, .. }, affiliation)) => {
                self.bookmarks.insert(key, Bookmark { name: name.clone(), kind: *kind, affiliation });
            }
            None => drop(self.bookmarks.remove(&key)),
        }
    }

    /// There is no room of a life that is not newer than `ended`.
    fn end(&mut self, room: &RoomJid, ended: &Ordinal) {
        let is_over = |found: &MucRoom| found.life.as_ref().is_some_and(|life| life <= ended);
        if !self.rooms.get(room).is_some_and(is_over) {
            return;
        }
        for user in self.rooms.remove(room).into_iter().flat_map(|found| found.affiliations.into_keys()) {
            self.take_back(room, &user, Some(ended));
            self.bookmark(room, &user);
        }
    }

    /// Takes back the invitations for spells that are not newer than `ended`; all if that is not known.
    fn take_back(&mut self, room: &RoomJid, user: &UserJid, ended: Option<&Ordinal>) {
        let is_over = |since: &Ordinal| ended.is_none_or(|ended| since <= ended);
        self.waiting.retain(|(of, to, since)| !(of == room && to == user && is_over(since)));
        if let Some(ended) = ended {
            let newest = self.withdrawn.entry((room.clone(), user.clone())).or_insert_with(|| ended.clone());
            *newest = newest.clone().max(ended.clone());
        }
    }

    fn existing(
        &mut self,
        room: &RoomJid,
        counts: impl FnOnce(&&mut MucRoom) -> bool,
    ) -> Result<&mut MucRoom, ServerError> {
        self.rooms.get_mut(room).filter(counts).ok_or(ServerError::RoomMissing)
    }
}
