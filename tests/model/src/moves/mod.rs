//! One tenant's place among two cells, and its moves from one to the other, as a state machine.
//!
//! The ledger has the place: a cell, and while the tenant moves the move's number and what is to be done next (core's
//! `ledger::MoveStep`; its first step, waiting, is nothing but time). A move closes the old copy, reads it in slices, fills the
//! new one, flips the place, opens the new copy and purges the old one; as long as the place has not flipped, an operator may
//! take it back. Movers die at any step, a second one takes over while the first may still be at it, requests come late or
//! twice, and handlers keep the place that they once looked up.
//!
//! A cell keeps the number of the newest move that it was asked for, and does nothing for an older one, or for one that was
//! taken back.

mod without;

use stateright::{Model, Property};

pub use self::without::{PARTS, Without};

/// At no time do two cells serve the tenant.
pub const ONE_SERVES: &str = "one cell serves";
/// Nothing is written to a copy that a mover has begun to read.
pub const READS_WHAT_STAYS: &str = "what is read stays as it is";
/// When all is done, what was acknowledged is where the tenant is, and what was deleted is not.
pub const LOSES_NOTHING: &str = "nothing is lost and nothing comes back";
/// When all is done, nothing is left on the other cell.
pub const LEAVES_NOTHING: &str = "nothing is left behind";
/// As long as nothing has moved, one cell has something of the tenant at most.
pub const PLACED_ONCE: &str = "placed once";
/// Wherever all movers die, a new one that is left in peace ends the move, and then events are handled.
pub const CAN_END: &str = "a new mover ends it";
/// Something is checked: there are runs in which all moves are done.
pub const IS_DONE: &str = "is done";

/// A row that is there from the beginning, and that a client may delete.
const FIRST: u8 = 1;
/// A mover reads these rows at a time: the first one, and those that events write.
const SLICES: [u8; 2] = [FIRST, !FIRST];

/// A mover that nobody disturbs needs fewer.
const MOST_STEPS: u8 = 20;

/// What the ledger says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    cell: usize,
    /// Of the newest move.
    number: u8,
    moving: Moving,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Moving {
    No,
    /// To the other cell.
    Copying,
    /// It is there, and not served yet.
    Opening,
    /// It is served there, and the copy on the other cell is to be purged.
    Purging,
    /// It was taken back, and is not served yet.
    Thawing,
    /// It is served again, and the copy on the other cell is to be purged.
    Discarding,
}

impl Moving {
    fn is_served(self) -> bool {
        matches!(self, Self::No | Self::Purging | Self::Discarding)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    Open,
    Closed,
    Filling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Copy {
    stage: Stage,
    rows: u8,
    /// A mover has begun to read it.
    is_read: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Cell {
    copy: Option<Copy>,
    /// Of the newest move that it knows of.
    number: u8,
    /// The tenant was moved away, or closed when nothing of it was there.
    is_gone: bool,
    /// The move that was taken back.
    thawed: u8,
}

/// What a mover asks of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Step {
    Close,
    Clear,
    Read(usize),
    Fill(usize, u8),
    Open,
    Purge,
    Thaw,
    Discard,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Request {
    step: Step,
    cell: usize,
    number: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Mover {
    Idle,
    /// What it waits for.
    Asking(Request),
    /// Tells the ledger what is so, unless something else is.
    Telling {
        was: Place,
        now: Place,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Handler {
    Ready,
    /// By the place it has looked up, and may keep for as long as it likes.
    Sent(usize),
    Done,
}

/// All there is at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    place: Option<Place>,
    cells: [Cell; 2],
    handlers: [Handler; 2],
    movers: [Mover; 2],
    /// Requests that their sender has given up.
    late: Vec<Request>,
    /// How many more moves may begin.
    moves: u8,
    /// How many may be taken back.
    returns: u8,
    /// How much more trouble there may be.
    troubles: u8,
    /// Rows that were acknowledged.
    told: u8,
    has_written_what_was_read: bool,
}

/// What may happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A handler goes on by a step.
    Handle(usize),
    /// A mover, or what it waits for, goes on by a step.
    Move(usize),
    /// A mover dies; what it has asked for last may come late.
    Die(usize, bool),
    /// A mover asks once more, and what it has asked for comes late.
    AskAgain(usize),
    /// What came late arrives.
    Arrive(usize),
    /// An operator takes the move back.
    TakeBack,
    /// A client deletes what was there from the beginning.
    Delete(usize),
    /// A cell crashes and comes back.
    Crash(usize),
}

/// Two handlers, of which the first creates the tenant, and two movers.
#[derive(Debug)]
pub struct Moves {
    /// How many moves there are.
    pub moves: u8,
    /// How many of them may be taken back.
    pub returns: u8,
    /// How often something dies, crashes or comes late.
    pub troubles: u8,
    /// What is left out.
    pub without: Without,
}

impl Moves {
    fn handle(&self, index: usize, next: &mut State) {
        let handler = next.handlers[index];
        next.handlers[index] = match handler {
            Handler::Ready => match next.place {
                Some(place) if place.moving.is_served() => Handler::Sent(place.cell),
                Some(_) => Handler::Ready,
                // Each chooses another.
                None if self.without == Without::Condition => Handler::Sent(index),
                None => {
                    next.place = Some(Place { cell: index, number: 0, moving: Moving::No });
                    Handler::Sent(index)
                }
            },
            Handler::Sent(cell) if self.write(cell, 2 << index, next) => Handler::Done,
            // Not served here: it is looked up anew.
            Handler::Sent(_) => Handler::Ready,
            Handler::Done => Handler::Done,
        };
    }

    /// Whether the cell has taken the row.
    fn write(&self, cell: usize, row: u8, next: &mut State) -> bool {
        let Cell { copy, is_gone, .. } = &mut next.cells[cell];
        if copy.is_none() && (!*is_gone || self.without == Without::Tombstone) {
            *copy = Some(Copy { stage: Stage::Open, rows: FIRST, is_read: false });
            next.told |= FIRST;
        }
        let Some(copy) = copy.as_mut().filter(|copy| copy.stage == Stage::Open) else { return false };
        next.has_written_what_was_read |= copy.is_read;
        copy.rows |= row;
        next.told |= row;
        true
    }

    fn go_on(&self, index: usize, next: &mut State) {
        let mover = next.movers[index];
        next.movers[index] = match mover {
            Mover::Idle => self.begin(next).unwrap_or(Mover::Idle),
            Mover::Asking(request) => self.answered(request, next).unwrap_or(Mover::Idle),
            Mover::Telling { was, now } => {
                if next.place == Some(was) || self.without == Without::Flipping && now.moving == Moving::Opening {
                    next.place = Some(now);
                }
                Mover::Idle
            }
        };
    }

    /// By what the ledger says: what is to be done next.
    fn begin(&self, next: &mut State) -> Option<Mover> {
        let place = next.place.as_mut()?;
        if place.moving == Moving::No && next.moves > 0 {
            next.moves -= 1;
            *place = Place { number: place.number + 1, moving: Moving::Copying, ..*place };
        }
        let (step, is_there) = match place.moving {
            Moving::No => return None,
            Moving::Copying if self.without == Without::Closing => (Step::Clear, false),
            Moving::Copying => (Step::Close, true),
            Moving::Opening => (Step::Open, true),
            Moving::Purging => (Step::Purge, false),
            Moving::Thawing => (Step::Thaw, true),
            Moving::Discarding => (Step::Discard, false),
        };
        let cell = if is_there { place.cell } else { 1 - place.cell };
        Some(Mover::Asking(Request { step, cell, number: place.number }))
    }

    /// What a mover does with the answer to its request; it looks at the ledger anew, if that is refused.
    fn answered(&self, request: Request, next: &mut State) -> Option<Mover> {
        let Request { step, cell, number } = request;
        let found = self.serve(request, next)?;
        let ask = |step, cell| Some(Mover::Asking(Request { step, cell, number }));
        let place = |cell, moving| Place { cell, number, moving };
        let tell = |was, now| Some(Mover::Telling { was, now });
        let flip = |to: usize| tell(place(1 - to, Moving::Copying), place(to, Moving::Opening));
        match step {
            Step::Close => ask(Step::Clear, 1 - cell),
            Step::Clear => ask(Step::Read(0), 1 - cell),
            Step::Read(slice) => ask(Step::Fill(slice, found), 1 - cell),
            Step::Fill(0, _) => ask(Step::Read(1), 1 - cell),
            Step::Fill(..) if self.without == Without::PurgingLast => ask(Step::Purge, 1 - cell),
            Step::Fill(..) => flip(cell),
            Step::Open => tell(place(cell, Moving::Opening), place(cell, Moving::Purging)),
            Step::Purge if next.place.is_some_and(|place| place.moving == Moving::Copying) => flip(1 - cell),
            Step::Purge => tell(place(1 - cell, Moving::Purging), place(1 - cell, Moving::No)),
            Step::Thaw => tell(place(cell, Moving::Thawing), place(cell, Moving::Discarding)),
            Step::Discard => tell(place(1 - cell, Moving::Discarding), place(1 - cell, Moving::No)),
        }
    }

    /// Whether a new mover, undisturbed, ends what the others have left, and handlers then end.
    fn can_end(&self, state: &State) -> bool {
        let mut alone = State { movers: [Mover::Idle; 2], moves: 0, ..state.clone() };
        for _ in 0..MOST_STEPS {
            self.go_on(0, &mut alone);
        }
        for index in [0, 0, 0, 1, 1, 1] {
            self.handle(index, &mut alone);
        }
        alone.movers[0] == Mover::Idle
            && alone.handlers == [Handler::Done; 2]
            && alone.place.is_some_and(|place| place.moving == Moving::No)
    }

    /// What a cell does for a mover: the rows that were asked for, or nothing if it refuses.
    fn serve(&self, Request { step, cell, number }: Request, next: &mut State) -> Option<u8> {
        let cell = &mut next.cells[cell];
        let is_new = number > cell.number;
        if number < cell.number && self.without != Without::Numbers {
            return None;
        }
        cell.number = number.max(cell.number);
        match (step, &mut cell.copy) {
            (Step::Close, _) if cell.thawed == number && self.without != Without::Thawed => return None,
            (Step::Close, Some(copy)) => {
                if copy.stage == Stage::Open {
                    copy.stage = Stage::Closed;
                }
            }
            // Placed here and not made yet: whoever makes it has to be refused, too.
            (Step::Close, None) => cell.is_gone = self.without != Without::ClosingNothing,
            (Step::Thaw, copy) => {
                if copy.is_some() || self.without != Without::ThawedNothing {
                    cell.thawed = number;
                }
                if let Some(copy) = copy {
                    *copy = Copy { stage: Stage::Open, is_read: false, ..*copy };
                }
                cell.is_gone = false;
            }
            (Step::Clear, copy)
                if is_new
                    || copy.is_some_and(|copy| copy.stage == Stage::Filling)
                        && self.without == Without::ClearingOnce =>
            {
                *copy = Some(Copy { stage: Stage::Filling, rows: 0, is_read: false });
                cell.is_gone = false;
            }
            // Only what stays as it is: a move that was taken back may have a mover yet.
            (Step::Read(slice), Some(copy)) if copy.stage == Stage::Closed || self.without == Without::Closing => {
                copy.is_read = true;
                return Some(copy.rows & SLICES[slice]);
            }
            (Step::Fill(slice, rows), Some(copy))
                if copy.stage == Stage::Filling || self.without == Without::Sealing =>
            {
                copy.rows = copy.rows & !SLICES[slice] | rows;
            }
            (Step::Open, Some(copy)) if copy.stage == Stage::Filling => copy.stage = Stage::Open,
            (Step::Purge | Step::Discard, copy) => {
                *copy = None;
                cell.is_gone = true;
            }
            // There is nothing to read, or another mover of the same move has been there.
            (Step::Read(_), None)
            | (Step::Clear, Some(Copy { stage: Stage::Filling, .. }))
            | (Step::Open, Some(Copy { stage: Stage::Open, .. })) => {}
            _ => return None,
        }
        Some(0)
    }
}

impl State {
    fn is_done(&self) -> bool {
        self.late.is_empty()
            && self.movers == [Mover::Idle; 2]
            && self.handlers == [Handler::Done; 2]
            && self.place.is_some_and(|place| place.moving == Moving::No)
    }

    fn is_open(&self, cell: usize) -> bool {
        self.cells[cell].copy.is_some_and(|copy| copy.stage == Stage::Open)
    }

    /// The copies where the tenant is, and where it is not.
    fn copies(&self) -> Option<(Option<Copy>, Option<Copy>)> {
        let cell = self.place?.cell;
        Some((self.cells[cell].copy, self.cells[1 - cell].copy))
    }
}

impl Model for Moves {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            place: None,
            cells: [Cell::default(); 2],
            handlers: [Handler::Ready; 2],
            movers: [Mover::Idle; 2],
            late: Vec::new(),
            moves: self.moves,
            returns: self.returns,
            troubles: self.troubles,
            told: 0,
            has_written_what_was_read: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for index in 0..2 {
            actions.extend([Action::Handle(index), Action::Move(index)]);
            if state.is_open(index) && state.told & FIRST != 0 {
                actions.push(Action::Delete(index));
            }
            if state.troubles > 0 {
                actions.extend([Action::AskAgain(index), Action::Die(index, true), Action::Die(index, false)]);
                actions.push(Action::Crash(index));
            }
        }
        if state.returns > 0 && state.place.is_some_and(|place| place.moving == Moving::Copying) {
            actions.push(Action::TakeBack);
        }
        actions.extend((0..state.late.len()).map(Action::Arrive));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Handle(index) => self.handle(index, &mut next),
            Action::Move(index) => self.go_on(index, &mut next),
            Action::Arrive(index) => {
                let request = next.late.remove(index);
                self.serve(request, &mut next);
            }
            Action::TakeBack => {
                next.place.as_mut()?.moving = Moving::Thawing;
                next.returns -= 1;
            }
            Action::Die(index, comes_late) => {
                let was = std::mem::replace(&mut next.movers[index], Mover::Idle);
                match was {
                    Mover::Idle => return None,
                    Mover::Asking(request) if comes_late => next.late.push(request),
                    _ => {}
                }
                next.troubles -= 1;
            }
            Action::AskAgain(index) => {
                let Mover::Asking(request) = next.movers[index] else { return None };
                next.late.push(request);
                next.troubles -= 1;
            }
            Action::Delete(cell) => {
                let copy = next.cells[cell].copy.as_mut()?;
                next.has_written_what_was_read |= copy.is_read;
                copy.rows &= !FIRST;
                next.told &= !FIRST;
            }
            Action::Crash(cell) => {
                let copy = next.cells[cell].copy.as_mut().filter(|copy| copy.stage == Stage::Closed)?;
                if self.without != Without::StoredClosing {
                    return None;
                }
                copy.stage = Stage::Open;
                next.troubles -= 1;
            }
        }
        next.late.sort_unstable();
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_SERVES, |_: &Self, state: &State| !(state.is_open(0) && state.is_open(1))),
            Property::always(READS_WHAT_STAYS, |_, state: &State| !state.has_written_what_was_read),
            Property::always(LOSES_NOTHING, |_, state: &State| {
                let there = state.copies().and_then(|(there, _)| there);
                !state.is_done() || there.is_some_and(|copy| copy.stage == Stage::Open && copy.rows == state.told)
            }),
            Property::always(LEAVES_NOTHING, |_, state: &State| {
                !state.is_done() || state.copies().is_some_and(|(_, elsewhere)| elsewhere.is_none())
            }),
            Property::always(PLACED_ONCE, |model: &Self, state: &State| {
                state.moves < model.moves || state.cells.iter().filter(|cell| cell.copy.is_some()).count() <= 1
            }),
            Property::always(CAN_END, |model: &Self, state: &State| model.can_end(state)),
            Property::sometimes(IS_DONE, |_, state: &State| state.is_done() && state.moves == 0),
        ]
    }
}
