//! One user's bookmark of one room on the XMPP server, as a state machine (`mod_sippo_muc_bookmarks`).
//!
//! A request first changes the room and saves it, then looks at the bookmark, in a slice of its own, then is answered. One
//! that takes a membership away looks also before it saves: a bookmark that is there has its user in the stored room, where
//! the room's end finds them. One that was not answered comes again: when the server has crashed or the store has failed in
//! between, nothing is known of it but what is on the disk; and if the room has ended meanwhile, nothing is asked for. The end of a room, and a new name that its owner gives it, are not waited for by anybody who
//! would come again; they put the user on a list in the store first. What should be is not modelled here (`protocol.rs`):
//! whatever the room has become, the bookmark has to be as the room is once all is answered and the list is empty.

use stateright::{Model, Property};

/// When all is done, the bookmark is as the room is.
pub const AGREES: &str = "bookmark and room agree";
/// Something is checked: there are runs in which all are done.
pub const IS_DONE: &str = "is done";

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// As it is.
    Nothing,
    /// It looks at the room when its turn comes, instead of going by what was asked for.
    Looking,
    /// It answers after it has looked.
    Waiting,
    /// What takes a membership away looks before the room is saved.
    Before,
    /// What ends or renames a room puts those whom it concerns on a list.
    List,
    /// The list is in the store.
    StoredList,
    /// Whoever is put on the list while their bookmark is looked at stays there.
    Once,
}

/// What changes the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// The room is made if it is missing; it has this name.
    Ensure(u8),
    /// The user is a member, if there is a room.
    Grant,
    /// They are none.
    Revoke,
    /// The room ends.
    Destroy,
    /// Its owner gives it this name.
    Rename(u8),
}

/// All changes that the model tries.
pub const CHANGES: [Change; 6] =
    [Change::Ensure(1), Change::Ensure(2), Change::Grant, Change::Revoke, Change::Destroy, Change::Rename(3)];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    /// On its way to the server.
    Sent,
    /// The user is out of the room in memory, and it has looked.
    Looked,
    /// The room is changed and saved.
    Changed,
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Room {
    name: u8,
    is_member: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Request {
    change: Change,
    phase: Phase,
}

/// How the list stands: on it or not, and what a slice that is at work on it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct List {
    /// The user is on it.
    is_on: bool,
    /// A slice has looked at their bookmark, and has not taken them off yet.
    looked: bool,
    /// They were put on it again since.
    again: bool,
}

/// All there is at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    room: Option<Room>,
    /// The room on the disk.
    stored: Option<Room>,
    /// The name that the bookmark says.
    bookmark: Option<u8>,
    list: List,
    requests: Vec<Request>,
    crashes: u8,
}

impl State {
    /// The changes of the run, in any order.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        self.requests.iter().map(|request| request.change).collect()
    }

    fn membership(&self) -> Option<u8> {
        self.room.filter(|room| room.is_member).map(|room| room.name)
    }

    fn is_done(&self) -> bool {
        !self.list.is_on && self.requests.iter().all(|request| request.phase == Phase::Done)
    }
}

/// What may happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A request goes on by a step.
    Step(usize),
    /// A slice looks at the bookmark of whoever is on the list.
    Look,
    /// It takes them off the list.
    TakeOff,
    /// The server crashes, or loses its store for a while: what is under way is lost, and comes again.
    Crash,
}

/// Requests, three at most in a run, in any order.
#[derive(Debug)]
pub struct Bookmarks {
    /// How many requests there are.
    pub requests: usize,
    /// How often the server may crash.
    pub crashes: u8,
    /// What is left out.
    pub without: Without,
}

impl Bookmarks {
    fn step(&self, index: usize, next: &mut State) {
        let Request { change, phase } = next.requests[index];
        let waits = !matches!(change, Change::Destroy | Change::Rename(_));
        let after = match phase {
            Phase::Sent if waits && next.room.is_none() && !matches!(change, Change::Ensure(_)) => Phase::Done,
            Phase::Sent if change == Change::Revoke && self.without != Without::Before => {
                apply(change, next);
                next.bookmark = if self.without == Without::Looking { None } else { next.membership() };
                Phase::Looked
            }
            Phase::Looked => {
                next.stored = next.room;
                Phase::Changed
            }
            Phase::Sent => {
                let was_member = next.membership().is_some();
                apply(change, next);
                next.stored = next.room;
                if !waits && was_member && self.without != Without::List {
                    next.list.again = next.list.looked;
                    next.list.is_on = true;
                }
                if waits { Phase::Changed } else { Phase::Done }
            }
            Phase::Changed => {
                next.bookmark = match (self.without, change) {
                    (Without::Looking, Change::Grant) => next.room.map(|room| room.name),
                    (Without::Looking, Change::Revoke) => None,
                    // Those who are granted afterwards are looked at then.
                    (_, Change::Ensure(_)) => next.bookmark,
                    _ => next.membership(),
                };
                Phase::Done
            }
            Phase::Done => Phase::Done,
        };
        // Answered too early, it does not come again.
        next.requests[index].phase = after;
    }

    fn crash(&self, next: &mut State) {
        next.crashes -= 1;
        next.room = next.stored;
        for request in &mut next.requests {
            request.phase = match request.phase {
                Phase::Changed if self.without == Without::Waiting => Phase::Done,
                Phase::Changed | Phase::Looked => Phase::Sent,
                other => other,
            };
        }
        let is_on = next.list.is_on && self.without != Without::StoredList;
        next.list = List { is_on, ..List::default() };
    }
}

fn apply(change: Change, next: &mut State) {
    match (change, &mut next.room) {
        (Change::Ensure(name), room) => room.get_or_insert(Room { name, is_member: false }).name = name,
        (Change::Grant, Some(room)) => room.is_member = true,
        (Change::Revoke, Some(room)) => room.is_member = false,
        (Change::Rename(name), Some(room)) => room.name = name,
        (Change::Destroy, room) => *room = None,
        (Change::Grant | Change::Revoke | Change::Rename(_), None) => {}
    }
}

impl Model for Bookmarks {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut all = vec![Vec::new()];
        for _ in 0..self.requests {
            let longer = |some: &Vec<Request>| {
                let some = some.clone();
                CHANGES.map(move |change| [&*some, &[Request { change, phase: Phase::Sent }]].concat())
            };
            all = all.iter().flat_map(longer).collect();
        }
        let there = [None, Some(Room { name: 1, is_member: false }), Some(Room { name: 1, is_member: true })];
        let state = |(room, requests): (Option<Room>, &Vec<Request>)| {
            let bookmark = room.filter(|room| room.is_member).map(|room| room.name);
            State {
                room,
                stored: room,
                bookmark,
                list: List::default(),
                requests: requests.clone(),
                crashes: self.crashes,
            }
        };
        there.into_iter().flat_map(|room| all.iter().map(move |requests| (room, requests))).map(state).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let open = state.requests.iter().enumerate().filter(|(_, request)| request.phase != Phase::Done);
        actions.extend(open.map(|(index, _)| Action::Step(index)));
        if state.list.is_on {
            actions.push(if state.list.looked { Action::TakeOff } else { Action::Look });
        }
        if state.crashes > 0 {
            actions.push(Action::Crash);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Step(index) => self.step(index, &mut next),
            Action::Look => {
                next.bookmark = if self.without == Without::Looking { None } else { next.membership() };
                next.list.looked = true;
            }
            Action::TakeOff => {
                let is_on = next.list.again && self.without != Without::Once;
                next.list = List { is_on, ..List::default() };
            }
            Action::Crash => self.crash(&mut next),
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(AGREES, |_: &Self, state: &State| {
                // A new name is granted again to all by whoever gave it: the reconciler's part, checked there.
                let renames = state.requests.iter().any(|request| matches!(request.change, Change::Ensure(_)));
                let agree = |bookmark: Option<u8>| bookmark.filter(|_| !renames);
                let is_there = state.bookmark.is_some() == state.membership().is_some();
                !state.is_done() || is_there && agree(state.bookmark) == agree(state.membership())
            }),
            Property::sometimes(IS_DONE, |_, state: &State| state.is_done()),
        ]
    }
}
