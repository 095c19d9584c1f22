//! What is recorded of rooms and domains, and what events say about them.
//!
//! All that is recorded only grows: the newest destruction, the set of creations, and for each member
//! their newest joining and their newest leaving. Writing two events in either order, or one of them twice, so leaves
//! the same ledger, without a reader having to know what was written first. What goes makes no difference any more:
//! creations that a newer one covers (`rooms/folding.rs`), and what is old (`retention.rs`).
//!
//! Two departures from a record `member | owner | left` with one version, both for that reason. A
//! record that the last writer wins forgets what an owner was before they joined once more; with
//! `joined` and `left` apart, and ownership only in the creations, nothing is forgotten. And the
//! register `created` is the newest of the creations: one fact, stored once, cannot contradict itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    time::SystemTime,
};

use super::ordinal::Ordinal;
use crate::{
    address::{RoomJid, UserJid},
    events::{Event, Family, Payload, Version},
};

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
    /// Its owner. They are invited only if they are among the participants as well.
    pub owner: Option<UserJid>,
    /// Its members.
    pub participants: BTreeSet<UserJid>,
    /// Set once the participants were invited, to those who were *not* invited by that.
    pub announced: Option<BTreeSet<UserJid>>,
    /// The event for which they were invited, if this creation took their announcement over from an older one.
    pub announced_for: Option<Ordinal>,
    /// Until when a handler has the participants' invitations to itself.
    pub claimed: Option<SystemTime>,
}

impl Creation {
    /// The event for which `user` was invited when this creation, which happened at `at`, was announced, or the one whose
    /// announcement it took over; `None` if they were not.
    #[must_use]
    pub fn invited_for<'a>(&'a self, at: &'a Ordinal, user: &UserJid) -> Option<&'a Ordinal> {
        let except = self.announced.as_ref()?;
        let was_invited = self.participants.contains(user) && !except.contains(user);
        was_invited.then(|| self.announced_for.as_ref().unwrap_or(at))
    }

    /// Whether a handler has the participants' invitations to itself at `now`.
    #[must_use]
    pub fn is_claimed(&self, now: SystemTime) -> bool {
        self.claimed.is_some_and(|until| until > now)
    }
}

/// What changed about one member since the creations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberRecord {
    /// Their newest joining.
    pub joined: Option<Ordinal>,
    /// Their newest leaving.
    pub left: Option<Ordinal>,
    /// The event for which they were last invited.
    pub invited: Option<Ordinal>,
    /// Until when a handler has their invitation to itself.
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

    /// When `user`'s membership ended last: what is not newer does not make them a member.
    #[must_use]
    pub fn membership_ended_at(&self, user: &UserJid) -> Option<&Ordinal> {
        self.ended().max(self.members.get(user).and_then(|record| record.left.as_ref()))
    }
}

/// An event about one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomEvent {
    /// Its place among all events.
    pub at: Ordinal,
    /// What the room is for.
    pub kind: RoomKind,
    /// What happened.
    pub change: RoomChange,
}

impl RoomEvent {
    /// What `event`, at `version` in the broker's order, says about its room; `None` if it is about a domain.
    #[must_use]
    pub fn of(event: Event, version: Version) -> Option<(RoomJid, Self)> {
        let kind = RoomKind::of(event.event_type.family())?;
        let at = Ordinal::new(version, &event.id);
        let (room, change) = match event.payload {
            Payload::RoomCreated { room, name, owner, participants } => {
                (room, RoomChange::Created { name, owner, participants: participants.into_iter().collect() })
            }
            Payload::RoomDestroyed { room } => (room, RoomChange::Destroyed),
            Payload::Joined { room, participants } => (room, RoomChange::Joined(participants.into_iter().collect())),
            Payload::Left { room, participants } => (room, RoomChange::Left(participants.into_iter().collect())),
            Payload::DomainCreated { .. } | Payload::DomainDeleted { .. } => return None,
        };
        Some((room, Self { at, kind, change }))
    }
}

/// What an event says about its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomChange {
    /// The room was created. It stays what it is if it exists.
    Created {
        /// Its name, for people.
        name: Option<String>,
        /// Its owner.
        owner: Option<UserJid>,
        /// Its members.
        participants: BTreeSet<UserJid>,
    },
    /// The room was destroyed.
    Destroyed,
    /// These became members.
    Joined(BTreeSet<UserJid>),
    /// These ceased to be members.
    Left(BTreeSet<UserJid>),
}

/// How much of a room is read and made to agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The end of the room, every creation, every member's record.
    Whole,
    /// The end of the room, every creation, the records of these members.
    Members(BTreeSet<UserJid>),
}

/// A domain's registers, each `None` as long as nothing raised it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DomainState {
    /// [`DomainRegister::Created`].
    pub created: Option<Ordinal>,
    /// [`DomainRegister::Deleted`].
    pub deleted: Option<Ordinal>,
    /// [`DomainRegister::Purged`].
    pub purged: Option<Ordinal>,
}

/// Which of a domain's registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DomainRegister {
    /// Its newest creation.
    Created,
    /// Its newest deletion.
    Deleted,
    /// The newest deletion whose data are purged, see [`crate::domains`].
    Purged,
}

/// Whose invitations a claim is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClaimTarget {
    /// One member's.
    Member(UserJid),
    /// Those of all participants of the creation, so that a room of 1,000 costs one claim and not as many.
    Creation(Ordinal),
}

/// What the walk over the ledger meets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LedgerKey {
    /// A domain with a register.
    Domain(String),
    /// A room of which anything is recorded.
    Room(RoomJid),
}
