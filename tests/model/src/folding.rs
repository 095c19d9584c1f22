//! Folding: which creations may be forgotten, as core has it or with a condition left out.

use sippo_xmpp_core::ledger::RoomState;

use crate::{
    history::{Event, USERS, ordinal, place, user},
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

    /// Whether what may be forgotten once may be for ever, however much is written and forgotten meanwhile: a handler that was
    /// paused after it had read does no harm. So the model need not know what a handler has read before it forgets.
    #[must_use]
    pub fn outlast_all_else(&self) -> bool {
        let stays = |set: usize, old: u8| {
            let written = (0..self.by_event.len()).map(|event| set | 1 << event);
            let forgotten = (0..self.by_event.len()).filter(|event| self.by_set[set] & !old & 1 << event != 0);
            written.chain(forgotten.map(|event| set & !(1 << event))).all(|set| self.by_set[set] & old != 0)
        };
        let of =
            |set: usize| (0..self.by_event.len()).map(|old| 1 << old).filter(move |old| self.by_set[set] & old != 0);
        (0..self.by_set.len()).all(|set| of(set).all(|old| stays(set, old)))
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
    let has_left = |index: &usize| state.members.get(&user(*index)).is_some_and(|record| record.left.is_some());
    let have_left = (0..USERS).filter(has_left).fold(0, |set, index| set | 1 << index);
    let lists_all = participants & !listed == 0;
    let owned = owner == 0 || owner == owns;
    match without {
        Without::CoveredParticipants => new > old && owned,
        Without::CoveredOwner => new > old && lists_all,
        Without::NewerCover => new != old && lists_all && owned,
        Without::LeavingSince => new > old && participants & !listed & !have_left == 0 && owned,
        Without::Nothing | Without::AscendingReads => is_covered(),
        _ => false,
    }
}
