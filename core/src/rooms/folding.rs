//! Folding: a creation that a newer one covers is forgotten, so that a room costs the same however often its creation is
//! repeated.
//!
//! Some platforms publish all their groups anew every night. Each of these creations is a list that every later event of
//! the room reads. A creation may go if a newer one *covers* it ([`RoomState::is_covered`]), for then it makes no
//! difference any more, whatever is yet to come: an end that is newer than the newer one ends both, any other leaves
//! the newer one, which says the same or more. Its own event, delivered again, brings it back, and it is folded again.
//!
//! What a creation alone may know is who was invited, and for which event: a spell of membership that began later, as a
//! leaving that is handled late may tell, has an invitation due. So that goes to another place first, unchanged: to the
//! newer creation, which takes the announcement over, or, where few are concerned, to the records of these members.
//!
//! All that this goes by stays true once it was read, so a handler that was paused in between does no harm either. What
//! may change meanwhile, a claim and the announcement, the ledger looks at in the same step in which it forgets.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use futures::future::try_join_all;
use tokio::time::Instant;

use super::{deadline::with_deadline, error::ReconcileError};
use crate::{
    address::{RoomJid, UserJid},
    ledger::{Creation, Heir, Ledger, Ordinal, RoomState},
};

/// Creations that are folded at a time: all have items of one room, so of one partition, and those of one night are few.
const AT_A_TIME: usize = 30;

/// A creation that may be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fold {
    at: Ordinal,
    read: Creation,
    handover: Handover,
}

/// What becomes of the invitations of which no other place knows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Handover {
    /// There are none.
    Nothing,
    /// They are noted in the records of these members.
    ToMembers(BTreeSet<UserJid>),
    /// The creation `heir` takes them over, save those of its participants who are in `except`.
    ToCreation { heir: Ordinal, participants: BTreeSet<UserJid>, except: BTreeSet<UserJid> },
}

impl RoomState {
    /// Whether the creation at `old` makes no difference beside the one at `new`, whatever is yet to come; invitations
    /// aside. To be asked of all that is recorded of a room.
    ///
    /// It does not if the newer one is of the same kind, names the room if the older one does, has its owner, and lists
    /// all its participants but those who have left since. Its owner counts though they left: having been one makes a
    /// difference ([`super::Grant::ExactlyMember`]).
    #[must_use]
    pub fn is_covered(&self, old: &Ordinal, new: &Ordinal) -> bool {
        let (Some(older), Some(newer)) = (self.creations.get(old), self.creations.get(new)) else { return false };
        let has_left = |user: &UserJid| self.members.get(user).is_some_and(|record| record.left.as_ref() > Some(old));
        new > old
            && older.kind == newer.kind
            && (older.owner.is_none() || older.owner == newer.owner)
            && (older.name.is_none() || newer.name.is_some())
            && older.participants.iter().all(|user| newer.participants.contains(user) || has_left(user))
    }

    /// The creations that may be forgotten, given all that is recorded of the room; those that someone has claimed at `now`
    /// wait.
    pub(super) fn folds(&self, now: SystemTime) -> Vec<Fold> {
        let mut heirs = BTreeSet::new();
        let mut folds = Vec::new();
        for (at, creation) in self.creations.iter().filter(|(_, creation)| !creation.is_claimed(now)) {
            // The newest first: on most nights that is the one.
            let mut newer = self.creations.keys().rev().take_while(|newer| *newer > at);
            let Some(newest) = newer.find(|newer| self.is_covered(at, newer)) else { continue };
            if let Some(handover) = self.handover(at, creation, newest, now, &mut heirs) {
                folds.push(Fold { at: at.clone(), read: creation.clone(), handover });
            }
        }
        folds
    }

    /// How the invitations of the creation `at` outlast it; `None` if it has to stay for them.
    ///
    /// It stays if most of its participants would need a record each, which would cost every reader more than the list
    /// does. Of lists that grow, each that stays so is twice as long as the one before.
    fn handover(
        &self,
        at: &Ordinal,
        creation: &Creation,
        newer: &Ordinal,
        now: SystemTime,
        heirs: &mut BTreeSet<Ordinal>,
    ) -> Option<Handover> {
        let only_here = self.invited_only_by(at, creation);
        if only_here.is_empty() {
            return Some(Handover::Nothing);
        }
        if only_here.len() * 2 <= creation.participants.len() {
            return Some(Handover::ToMembers(only_here));
        }
        let heir = self.creations.get(newer).filter(|heir| heir.announced.is_none() && !heir.is_claimed(now))?;
        let participants = heir.participants.clone();
        let except = participants.difference(&only_here).cloned().collect();
        heirs.insert(newer.clone()).then(|| Handover::ToCreation { heir: newer.clone(), participants, except })
    }

    /// Those of whose invitation only the creation `at` knows, as far as it makes a difference. Only newer creations count
    /// beside their records, so that of two handlers neither forgets what the other goes by.
    fn invited_only_by(&self, at: &Ordinal, creation: &Creation) -> BTreeSet<UserJid> {
        let newer: BTreeMap<&Ordinal, &Creation> = self.creations.iter().filter(|(newer, _)| *newer > at).collect();
        let known = |user: &UserJid, since: &Ordinal| {
            self.membership_ended_at(user) >= Some(since)
                || self.members.get(user).is_some_and(|record| record.invited.as_ref() >= Some(since))
                || newer.iter().any(|(newer, one)| one.invited_for(newer, user) >= Some(since))
        };
        let invited = creation.participants.iter().filter_map(|user| Some((user, creation.invited_for(at, user)?)));
        invited.filter(|(user, since)| !known(user, since)).map(|(user, _)| user.clone()).collect()
    }
}

/// Forgets the creations of `room` in `folds`.
///
/// # Errors
/// [`ReconcileError`]; some may be gone. Nothing depends on it: the next handler of a creation folds what is left.
pub(super) async fn fold(
    ledger: &(impl Ledger + Sync),
    room: &RoomJid,
    folds: &[Fold],
    now: SystemTime,
    deadline: Instant,
) -> Result<(), ReconcileError> {
    for some in folds.chunks(AT_A_TIME) {
        try_join_all(some.iter().map(|fold| fold_one(ledger, room, fold, now, deadline))).await?;
    }
    Ok(())
}

async fn fold_one(
    ledger: &(impl Ledger + Sync),
    room: &RoomJid,
    Fold { at, read, handover }: &Fold,
    now: SystemTime,
    deadline: Instant,
) -> Result<(), ReconcileError> {
    let since = read.announced_for.as_ref().unwrap_or(at);
    match handover {
        Handover::Nothing => {}
        Handover::ToMembers(users) => with_deadline(deadline, ledger.note_invited(room, users, since)).await?,
        Handover::ToCreation { heir, participants, except } => {
            let heir = Heir { at: heir, participants, except };
            if !with_deadline(deadline, ledger.take_over_announcement(room, heir, since, now)).await? {
                // It was announced or claimed meanwhile.
                return Ok(());
            }
        }
    }
    with_deadline(deadline, ledger.forget_creation(room, at, read, now)).await.map(drop)
}

#[cfg(test)]
mod tests;
