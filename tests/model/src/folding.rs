//! Folding: which creations may be forgotten, as core has it or with a condition left out.

use sippo_xmpp_core::ledger::RoomState;

use crate::{
    history::{Event, ordinal, place},
    without::Without,
};

/// What may be folded of one history.
#[derive(Debug, Clone)]
pub struct Folds {
    /// By set of events in the ledger: those that may be forgotten.
    by_set: Vec<u8>,
    /// By event: those for one of which it may be, whatever is in the ledger.
    by_event: Vec<u8>,
}

impl Folds {
    /// Given what the ledger holds for each set of events of `history`.
    #[must_use]
    pub fn new(history: &[Event], states: &[RoomState], without: Without) -> Self {
        let all = 0..history.len();
        let covering = |set: usize, old: usize| {
            let covers = |new: &usize| set & 1 << new != 0 && covers(history, &states[set], old, *new, without);
            all.clone().filter(covers).fold(0, |set, new| set | 1 << new)
        };
        let foldable = |set: usize| {
            let goes = |old: &usize| set & 1 << old != 0 && covering(set, *old) != 0;
            all.clone().filter(goes).fold(0, |set, old| set | 1 << old)
        };
        Self {
            by_set: (0..states.len()).map(foldable).collect(),
            by_event: all.clone().map(|old| covering(states.len() - 1, old)).collect(),
        }
    }

    /// Those of the events in `set` that may be forgotten.
    #[must_use]
    pub fn of(&self, set: u8) -> u8 {
        self.by_set[usize::from(set)]
    }

    /// Whether a reader that begins with `missed` in the ledger and misses them may see `seen`: creations are read in
    /// ascending order, so it meets what each was folded for, which was there before that.
    #[must_use]
    pub fn may_miss(&self, missed: u8, seen: u8) -> bool {
        let meets = |old: &usize| self.by_event[*old] & seen != 0;
        (0..self.by_event.len()).filter(|old| missed & 1 << old != 0).all(|old| meets(&old))
    }
}

fn covers(history: &[Event], state: &RoomState, old: usize, new: usize, without: Without) -> bool {
    let is_covered = || state.is_covered(&ordinal(place(old)), &ordinal(place(new)));
    let (Event::Create { participants, owner }, Event::Create { participants: listed, owner: owns }) =
        (history[old], history[new])
    else {
        return false;
    };
    let lists_all = participants & !listed == 0;
    let owned = owner == 0 || owner == owns;
    match without {
        Without::CoveredParticipants => new > old && owned,
        Without::CoveredOwner => new > old && lists_all,
        Without::NewerCover => new != old && lists_all && owned,
        Without::Nothing | Without::AscendingReads => is_covered(),
        _ => false,
    }
}
