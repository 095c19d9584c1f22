//! What should be, as it follows from what the ledger holds. Pure functions.
//!
//! All that is recorded only grows: the newest destruction, the set of creations, and for each member
//! her newest joining and her newest leaving. Writing two events in either order, or one of them twice, so leaves
//! the same ledger, without a reader having to know what was written first.
//!
//! Two departures from a record `member | owner | left` with one version, both for that reason. A
//! record that the last writer wins forgets what an owner was before she joined once more; with
//! `joined` and `left` apart, and ownership only in the creations, nothing is forgotten. And the
//! register `created` is the newest of the creations: one fact, stored once, cannot contradict itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    time::SystemTime,
};

use super::{Change, Ordinal, RoomEvent, Scope};
use crate::{address::UserJid, events::Family};

/// What a room is for; the reason given in its invitations (XEP-0249, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoomKind {
    /// The chat of a group of users.
    UsersGroup,
    /// The chat of a conference.
    Conference,
}

impl RoomKind {
    /// Of the rooms that events of `family` are about; `None` for domains, which are no rooms.
    #[must_use]
    pub fn of(family: Family) -> Option<Self> {
        match family {
            Family::UsersGroup => Some(Self::UsersGroup),
            Family::Conference => Some(Self::Conference),
            Family::Domain => None,
        }
    }

    /// The `reason` of an invitation.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::UsersGroup => Family::UsersGroup.as_str(),
            Self::Conference => Family::Conference.as_str(),
        }
    }
}

/// One creation of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// What the room is for.
    pub kind: RoomKind,
    /// Its name, for people.
    pub name: Option<String>,
    /// Its owner. She is invited only if she is among the participants as well.
    pub owner: Option<UserJid>,
    /// Its members.
    pub participants: BTreeSet<UserJid>,
    /// Set once the participants were invited, to those who were *not* invited by that.
    pub announced: Option<BTreeSet<UserJid>>,
    /// Until when a handler has the participants' invitations to itself.
    pub claimed: Option<SystemTime>,
}

/// What changed about one member since the creations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberRecord {
    /// Her newest joining.
    pub joined: Option<Ordinal>,
    /// Her newest leaving.
    pub left: Option<Ordinal>,
    /// The event for which she was last invited.
    pub invited: Option<Ordinal>,
    /// Until when a handler has her invitation to itself.
    pub claimed: Option<SystemTime>,
}

/// What the ledger holds about a room, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoomState {
    /// The room's newest destruction.
    pub destroyed: Option<Ordinal>,
    /// Its domain's newest deletion, which ends the room as well.
    pub domain_deleted: Option<Ordinal>,
    /// Its creations.
    pub creations: BTreeMap<Ordinal, Creation>,
    /// The records of its members; those in the scope of the read only.
    pub members: BTreeMap<UserJid, MemberRecord>,
}

/// A room that should exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomSpec {
    /// The room's life: its oldest creation since it ended last. A repeated creation continues that life.
    pub life: Ordinal,
    /// What it is for.
    pub kind: RoomKind,
    /// The name that was given last in this life.
    pub name: Option<String>,
}

/// What a member should be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grant {
    /// Owner.
    Owner,
    /// Member, unless she is more: neither joining nor creating lowers an affiliation.
    AtLeastMember,
    /// Member and no more: she was an owner by a creation, and that has ended since. An event that
    /// ended it may be handled only now, so what she has beyond it is not hers to keep.
    ExactlyMember,
}

/// What someone is to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Belongs to it.
    In(Grant),
    /// Does not.
    Out,
}

impl RoomState {
    /// When the room ended last: what is not newer counts no more.
    #[must_use]
    pub fn ended(&self) -> Option<&Ordinal> {
        self.destroyed.as_ref().max(self.domain_deleted.as_ref())
    }

    /// The creations since the room ended last, oldest first.
    pub fn living(&self) -> impl Iterator<Item = (&Ordinal, &Creation)> {
        let since = self.ended().map_or(Bound::Unbounded, Bound::Excluded);
        self.creations.range::<Ordinal, _>((since, Bound::Unbounded))
    }

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
            Change::Created { .. } => self.ended() > at,
            Change::Destroyed => self.ended() > at || self.creations.keys().next_back() > at,
            Change::Joined(users) => users.iter().all(|user| self.interrupted(user).max(self.joined(user)) > at),
            Change::Left(users) => users.iter().all(|user| {
                let listed = self.creations.iter().filter(|(_, creation)| creation.participants.contains(user));
                let listed = listed.map(|(at, _)| at).next_back();
                self.interrupted(user).max(self.joined(user)).max(listed) > at
            }),
        }
    }

    /// When `user`'s membership was last interrupted: what is not newer does not make her a member.
    #[must_use]
    pub fn interrupted(&self, user: &UserJid) -> Option<&Ordinal> {
        self.ended().max(self.members.get(user).and_then(|record| record.left.as_ref()))
    }

    /// What `user` should be, given that the room exists.
    ///
    /// The newest of her record and the creations that list her decides, if it is newer than the end.
    #[must_use]
    pub fn standing(&self, user: &UserJid) -> Standing {
        let interrupted = self.interrupted(user);
        let (mut owner, mut member, mut was_owner) = (false, self.joined_since(user).is_some(), false);
        for (at, creation) in &self.creations {
            let counts = Some(at) > interrupted;
            let owns = creation.owner.as_ref() == Some(user);
            owner |= owns && counts;
            was_owner |= owns;
            member |= counts && creation.participants.contains(user);
        }
        match (owner, member, was_owner) {
            (true, _, _) => Standing::In(Grant::Owner),
            (false, true, true) => Standing::In(Grant::ExactlyMember),
            (false, true, false) => Standing::In(Grant::AtLeastMember),
            (false, false, _) => Standing::Out,
        }
    }

    /// Everyone of whom the ledger says anything, in the room's present life or an earlier one.
    #[must_use]
    pub fn recorded(&self) -> BTreeSet<&UserJid> {
        let listed = self.creations.values().flat_map(|creation| creation.owner.iter().chain(&creation.participants));
        listed.chain(self.members.keys()).collect()
    }

    /// The event for which `user` is due an invitation; `None` if she is no member, or was invited since
    /// her membership was last interrupted.
    #[must_use]
    pub fn invitation_due(&self, user: &UserJid) -> Option<&Ordinal> {
        let interrupted = self.interrupted(user);
        let listing = || self.creations.iter().filter(|(_, creation)| creation.participants.contains(user));
        let listed = listing().map(|(at, _)| at).rfind(|at| Some(*at) > interrupted);
        let invited_by = |creation: &Creation| creation.announced.as_ref().is_some_and(|except| !except.contains(user));
        let by_list = listing().filter(|(_, creation)| invited_by(creation)).map(|(at, _)| at).next_back();
        let by_record = self.members.get(user).and_then(|record| record.invited.as_ref());
        self.living().next()?;
        listed.max(self.joined_since(user)).filter(|_| by_list.max(by_record) <= interrupted)
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
        let interrupted = self.interrupted(user);
        self.living().filter(move |(at, creation)| {
            Some(*at) > interrupted && creation.announced.is_none() && creation.participants.contains(user)
        })
    }

    /// Whether `other` says the same about who should be where; invitations aside.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
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
        self.joined(user).filter(|joined| Some(*joined) > self.interrupted(user))
    }
}

#[cfg(test)]
mod tests;
