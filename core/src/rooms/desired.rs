//! What should be, as it follows from what the ledger holds. Pure functions.

use std::collections::BTreeSet;

use super::model::{Grant, Membership, RoomSpec};
use crate::{
    address::UserJid,
    ledger::{Creation, MemberRecord, Ordinal, RoomChange, RoomEvent, RoomState, Scope},
};

impl RoomState {
    /// The room, if it should exist: if it was created since it ended last.
    #[must_use]
    pub fn room(&self) -> Option<RoomSpec> {
        let (life, first) = self.living().next()?;
        let name = self.living().filter_map(|(_, creation)| creation.name.clone()).last();
        Some(RoomSpec { life: life.clone(), kind: first.kind, name })
    }

    /// Whether `event`, which is among what was read, changes nothing any more because of a newer one.
    #[must_use]
    pub fn has_overtaken(&self, event: &RoomEvent) -> bool {
        let at = Some(&event.at);
        match &event.change {
            RoomChange::Created { .. } => self.ended() > at,
            RoomChange::Destroyed => self.ended() > at || self.creations.keys().next_back() > at,
            RoomChange::Joined(users) => {
                users.iter().all(|user| self.membership_ended_at(user).max(self.joined(user)) > at)
            }
            RoomChange::Left(users) => users.iter().all(|user| {
                let listed = self.creations.iter().filter(|(_, creation)| creation.participants.contains(user));
                let listed = listed.map(|(at, _)| at).next_back();
                self.membership_ended_at(user).max(self.joined(user)).max(listed) > at
            }),
        }
    }

    /// What `user` should be, given that the room exists.
    ///
    /// The newest of their record and the creations that list them decides, if it is newer than the end.
    #[must_use]
    pub fn membership(&self, user: &UserJid) -> Membership {
        let ended_at = self.membership_ended_at(user);
        let (mut owner, mut member, mut was_owner) = (false, self.joined_since(user).is_some(), false);
        for (at, creation) in &self.creations {
            let counts = Some(at) > ended_at;
            let owns = creation.owner.as_ref() == Some(user);
            owner |= owns && counts;
            was_owner |= owns;
            member |= counts && creation.participants.contains(user);
        }
        match (owner, member, was_owner) {
            (true, _, _) => Membership::In(Grant::Owner),
            (false, true, true) => Membership::In(Grant::ExactlyMember),
            (false, true, false) => Membership::In(Grant::AtLeastMember),
            (false, false, _) => Membership::Out,
        }
    }

    /// Everyone of whom the ledger says anything, in the room's present life or an earlier one.
    #[must_use]
    pub fn recorded(&self) -> BTreeSet<&UserJid> {
        let listed = self.creations.values().flat_map(|creation| creation.owner.iter().chain(&creation.participants));
        listed.chain(self.members.keys()).collect()
    }

    /// The event for which `user` is due an invitation; `None` if they are no member, or were invited since
    /// their membership ended last.
    #[must_use]
    pub fn invitation_due(&self, user: &UserJid) -> Option<&Ordinal> {
        let ended_at = self.membership_ended_at(user);
        let listing = || self.creations.iter().filter(|(_, creation)| creation.participants.contains(user));
        let listed = listing().map(|(at, _)| at).rfind(|at| Some(*at) > ended_at);
        let by_list = listing().filter_map(|(at, creation)| creation.invited_for(at, user)).max();
        let by_record = self.members.get(user).and_then(|record| record.invited.as_ref());
        self.living().next()?;
        listed.max(self.joined_since(user)).filter(|_| by_list.max(by_record) <= ended_at)
    }

    /// Those in `scope` who are due an invitation.
    #[must_use]
    pub fn invitations_due(&self, scope: &Scope) -> Vec<(UserJid, Ordinal)> {
        let due = |user: &UserJid| self.invitation_due(user).map(|since| (user.clone(), since.clone()));
        match scope {
            Scope::Whole => self.recorded().into_iter().filter_map(due).collect(),
            Scope::Members(users) => users.iter().filter_map(due).collect(),
        }
    }

    /// The creations in force that list `user` as participant and have not been announced.
    pub fn unannounced<'a>(&'a self, user: &'a UserJid) -> impl Iterator<Item = (&'a Ordinal, &'a Creation)> {
        let ended_at = self.membership_ended_at(user);
        self.living().filter(move |(at, creation)| {
            Some(*at) > ended_at && creation.announced.is_none() && creation.participants.contains(user)
        })
    }

    /// Whether `other` says the same about who should be where; invitations aside.
    #[must_use]
    pub fn same_desired_state(&self, other: &Self) -> bool {
        let records = |state: &Self| {
            let of = |(user, record): (&UserJid, &MemberRecord)| {
                let versions = (record.joined.clone(), record.left.clone());
                (versions != (None, None)).then(|| (user.clone(), versions))
            };
            state.members.iter().filter_map(of).collect::<Vec<_>>()
        };
        self.ended() == other.ended()
            && self.creations.keys().eq(other.creations.keys())
            && records(self) == records(other)
    }

    fn joined(&self, user: &UserJid) -> Option<&Ordinal> {
        self.members.get(user)?.joined.as_ref()
    }

    fn joined_since(&self, user: &UserJid) -> Option<&Ordinal> {
        self.joined(user).filter(|joined| Some(*joined) > self.membership_ended_at(user))
    }
}

#[cfg(test)]
mod tests;
