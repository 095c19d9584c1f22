//! What the ledger may forget.
//!
//! Handlers refuse events that were stamped more than 21 days ago, and an item is written only by the handler of an
//! event that it then holds. So what was not written for 30 days holds events that were stamped before any event
//! that may still be handled, with 9 days left for clocks that differ: every event to come is newer than all
//! of it. Their own handlers have come to an end too, one way or another, and who prunes a room has just
//! made the server agree with the ledger.
//!
//! So order still does not matter, for what goes makes no difference whatever is yet to come:
//! - a list not newer than the room's end, once both are old: an end only grows, and the list stays dead;
//! - a member's record, once it and the end are old, whose joining and invitation are not newer than their leaving or
//!   the end, and whom no list newer than the end names. They are out, with the record and without. A
//!   joining to come is newer than their leaving; it makes them a member with an invitation due, in either
//!   case. A joining that nothing ended stays, even if no creation came yet: it would count;
//! - the end, once it is old and nothing is left that it might keep dead.
//!
//! A reader does not read all items at one moment. Were the end to go right after the lists, a reader that
//! saw a list, and then no end, would take the room for living. Hence the end waits: a prune that finds it alone
//! only marks it, and one that comes [`END_GRACE`] later deletes it. No handler lives that long. The same holds
//! of a domain's deletion, which is an end of every room of the domain.
//!
//! Two pruners, or one that was paused, do no harm: what may go once may go ever after, unless it is written
//! again, and then its deletion fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use super::{model::RoomState, ordinal::Ordinal};
use crate::address::UserJid;

/// How long after its last writing something may be forgotten: the 21 days for which events are handled, and nine more.
pub const RETENTION: Duration = Duration::from_hours(30 * 24);

/// How long an end stays when all that it ended is forgotten. Longer than any handler lives: a function has 15 minutes
/// at most.
pub const END_GRACE: Duration = Duration::from_hours(1);

/// A part of what is recorded of a room.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RecordKey {
    Creation(Ordinal),
    Member(UserJid),
    End,
}

/// All that is recorded of a room, and since when.
#[derive(Debug, Clone, Default)]
pub(super) struct TimestampedRoom {
    pub(super) state: RoomState,
    /// When each part was last changed.
    pub(super) written: BTreeMap<RecordKey, SystemTime>,
    /// When the domain's registers were last changed.
    pub(super) domain_written: Option<SystemTime>,
    /// When a prune found the end alone.
    pub(super) found_alone: Option<SystemTime>,
}

/// What a prune does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pruning {
    /// Forgets these, in any order. None of them is the end.
    Forget(Vec<RecordKey>),
    /// Marks the end, which is alone.
    Mark,
    /// Forgets the end.
    End,
}

/// Whether what was written at `written` may go by its age.
pub(super) fn is_old(written: SystemTime, now: SystemTime) -> bool {
    now.duration_since(written).is_ok_and(|age| age > RETENTION)
}

/// Whether the mark of an earlier prune is old enough.
pub(super) fn may_end(found_alone: SystemTime, now: SystemTime) -> bool {
    now.duration_since(found_alone).is_ok_and(|age| age > END_GRACE)
}

impl TimestampedRoom {
    /// What a prune at `now` may do.
    pub(super) fn prune(&self, now: SystemTime) -> Pruning {
        let end = self.written.get(&RecordKey::End).copied();
        if end.into_iter().chain(self.domain_written).any(|written| !is_old(written, now)) {
            return Pruning::Forget(Vec::new());
        }
        if end.is_some() && self.written.len() == 1 {
            return if self.found_alone.is_some_and(|found_alone| may_end(found_alone, now)) {
                Pruning::End
            } else {
                Pruning::Mark
            };
        }
        let named: BTreeSet<&UserJid> =
            self.state.living().flat_map(|(_, creation)| creation.owner.iter().chain(&creation.participants)).collect();
        let goes = |part: &RecordKey| match part {
            RecordKey::Creation(at) => Some(at) <= self.state.ended(),
            RecordKey::Member(user) => !named.contains(user) && self.is_spent(user),
            RecordKey::End => false,
        };
        let old = self.written.iter().filter(|(_, written)| is_old(**written, now));
        Pruning::Forget(old.map(|(part, _)| part).filter(|part| goes(part)).cloned().collect())
    }

    /// Whether nothing in `user`'s record is newer than what ended the membership.
    fn is_spent(&self, user: &UserJid) -> bool {
        let ended_at = self.state.membership_ended_at(user);
        let spent = |at: &Option<Ordinal>| at.as_ref() <= ended_at;
        self.state.members.get(user).is_none_or(|record| spent(&record.joined) && spent(&record.invited))
    }

    /// Forgets `part`.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn forget(&mut self, part: &RecordKey) {
        self.written.remove(part);
        match part {
            RecordKey::Creation(at) => drop(self.state.creations.remove(at)),
            RecordKey::Member(user) => drop(self.state.members.remove(user)),
            RecordKey::End => (self.state.destroyed, self.found_alone) = (None, None),
        }
    }
}

#[cfg(test)]
mod tests;
