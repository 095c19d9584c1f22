//! One member's invitations beside what ends their membership, as a state machine.
//!
//! The room is there and stays. Handlers note their event, read, grant or revoke, read again, send the invitation that is due and
//! mark it as sent (`rooms::invitations`). A request takes effect at any time while it is under way, also when its handler has
//! died. Claims are left out: they only save repetitions. What is due, and what ended a membership, are core's own conclusions.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use sippo_xmpp_core::{
    address::RoomJid,
    ledger::{Ledger as _, MemoryLedger, Ordinal, RoomEvent, RoomState, Scope},
    rooms::Membership,
};
use stateright::{Model, Property};

use crate::history::{Event, ordinal, user, users};

/// Whoever is a member in broker order finds an invitation of their last spell.
pub const INVITES: &str = "invites each member";
/// Whoever is none finds no invitation.
pub const TAKES_BACK: &str = "takes invitations back";
/// Something is checked: there are runs in which all are done.
pub const IS_DONE: &str = "is done";

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// As it is.
    Nothing,
    /// A revocation says what ended the membership, and takes back what is not newer.
    EndInRevocations,
    /// The server drops an invitation that comes after the end of its spell.
    Dropping,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Write,
    Read,
    Ask,
    ReadAgain,
    Send,
    Mark,
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Handler {
    phase: Phase,
    /// The events it goes by.
    seen: u8,
    /// What it last asked for may still take effect.
    dead: bool,
}

/// All there is at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    history: usize,
    /// The events in the ledger.
    written: u8,
    /// The place for which the member was last marked as invited; 0 for none.
    marked: u8,
    /// The invitations that wait, a bit for each place.
    waiting: u8,
    /// The newest end that took invitations back.
    withdrawn: u8,
    handlers: Vec<Handler>,
    crashes: u8,
}

/// What may happen next; the number is the handler's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It goes on by a step; what it has asked for takes effect.
    Step(usize),
    /// It dies.
    Crash(usize),
    /// Nothing that it asked for can take effect any more; its event comes again.
    ComesAgain(usize),
}

/// What follows from a set of events.
#[derive(Debug, Clone, Copy)]
struct View {
    is_member: bool,
    /// The place of what ended the last spell; 0 if nothing did.
    ended_at: u8,
    /// The place for which they are invited, if they are.
    since: u8,
}

/// The handlers of some histories; each event has a handler of its own.
#[derive(Debug)]
pub struct Invitations {
    histories: Vec<Vec<Event>>,
    /// By history and set of events.
    views: Vec<Vec<View>>,
    crashes: u8,
    without: Without,
}

impl Invitations {
    /// Of histories of the first user in a room that is there.
    #[must_use]
    pub fn new(histories: impl Iterator<Item = Vec<Event>>, crashes: u8, without: Without) -> Self {
        let histories: Vec<_> = histories.collect();
        let views_of =
            |history: &Vec<Event>| (0..1u8 << history.len()).map(|set| View::of(&ledger(history, set))).collect();
        Self { views: histories.iter().map(views_of).collect(), histories, crashes, without }
    }

    /// The history of a state.
    #[must_use]
    pub fn history(&self, state: &State) -> &[Event] {
        &self.histories[state.history]
    }

    fn step(&self, index: usize, next: &mut State) {
        let Handler { phase, seen, dead } = next.handlers[index];
        let view = self.views[next.history][usize::from(seen)];
        let (mut seen, mut after) = (seen, Phase::Done);
        match phase {
            Phase::Write => (next.written, after) = (next.written | 1 << index, Phase::Read),
            Phase::Read => (seen, after) = (next.written, Phase::Ask),
            Phase::Ask => {
                if !view.is_member {
                    self.take_back(view.ended_at, next);
                }
                after = Phase::ReadAgain;
            }
            Phase::ReadAgain if seen != next.written => (seen, after) = (next.written, Phase::Ask),
            Phase::ReadAgain if view.since > 0 && next.marked <= view.ended_at => after = Phase::Send,
            Phase::Send => {
                if self.without == Without::Dropping || view.since > next.withdrawn {
                    next.waiting |= 1 << view.since;
                }
                after = Phase::Mark;
            }
            Phase::Mark => next.marked = next.marked.max(view.since),
            Phase::ReadAgain | Phase::Done => {}
        }
        let again = Handler { phase: Phase::Read, seen: 0, dead: false };
        next.handlers[index] = if dead { again } else { Handler { phase: after, seen, dead } };
    }

    fn take_back(&self, ended_at: u8, next: &mut State) {
        let newest = if self.without == Without::EndInRevocations { u8::MAX } else { ended_at };
        next.waiting &= !(0..8).filter(|since| *since <= newest).fold(0, |set, since| set | 1 << since);
        next.withdrawn = next.withdrawn.max(ended_at);
    }

    /// What is there when all are done, and should be.
    fn end<'a>(&'a self, state: &State) -> impl Iterator<Item = (View, u8)> + use<'a> {
        let is_done = state.handlers.iter().all(|handler| handler.phase == Phase::Done);
        let all = self.views[state.history].last().filter(|_| is_done);
        let waiting = state.waiting;
        all.map(|view| (*view, waiting)).into_iter()
    }
}

impl View {
    fn of(state: &RoomState) -> Self {
        let place =
            |at: Option<&Ordinal>| at.map_or(0, |at| u8::try_from(at.version.counter).expect("places are small"));
        let someone = user(0);
        Self {
            is_member: matches!(state.membership(&someone), Membership::In(_)),
            ended_at: place(state.membership_ended_at(&someone)),
            since: place(state.invitation_due(&someone)),
        }
    }
}

/// What the ledger gives of the member when the events in `set` are in it.
fn ledger(history: &[Event], set: u8) -> RoomState {
    let (ledger, room) = (MemoryLedger::default(), RoomJid::of_id("room", "example.test").expect("a good name"));
    let mut there = Event::Create { participants: 0, owner: 0 }.to_room_event(0);
    there.at = ordinal(0);
    let noted = history.iter().enumerate().filter(|(index, _)| set & 1 << index != 0);
    let mut events: Vec<RoomEvent> = noted.map(|(index, event)| event.to_room_event(index)).collect();
    events.push(there);
    ready(ledger.record(&room, &events)).expect("the ledger in memory takes all");
    ready(ledger.read(&room, &Scope::Members(users(1)))).expect("the ledger in memory has all")
}

impl Model for Invitations {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let of = |(history, events): (usize, &Vec<Event>)| {
            let handlers = vec![Handler { phase: Phase::Write, seen: 0, dead: false }; events.len()];
            State { history, written: 0, marked: 0, waiting: 0, withdrawn: 0, handlers, crashes: self.crashes }
        };
        self.histories.iter().enumerate().map(of).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (index, handler) in state.handlers.iter().enumerate() {
            if handler.phase == Phase::Done {
                continue;
            }
            actions.push(Action::Step(index));
            if handler.dead {
                actions.push(Action::ComesAgain(index));
            } else if state.crashes > 0 && !matches!(handler.phase, Phase::Write | Phase::Read) {
                actions.push(Action::Crash(index));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Step(index) => self.step(index, &mut next),
            Action::Crash(index) => {
                next.crashes -= 1;
                let is_asking = matches!(next.handlers[index].phase, Phase::Ask | Phase::Send);
                next.handlers[index].dead = true;
                if !is_asking {
                    next.handlers[index] = Handler { phase: Phase::Read, seen: 0, dead: false };
                }
            }
            Action::ComesAgain(index) => next.handlers[index] = Handler { phase: Phase::Read, seen: 0, dead: false },
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(INVITES, |model: &Self, state: &State| {
                model.end(state).all(|(view, waiting)| !view.is_member || waiting >> (view.ended_at + 1) != 0)
            }),
            Property::always(TAKES_BACK, |model: &Self, state: &State| {
                model.end(state).all(|(view, waiting)| view.is_member || waiting == 0)
            }),
            Property::sometimes(IS_DONE, |model: &Self, state: &State| model.end(state).next().is_some()),
        ]
    }
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the ledger in memory answers at once"),
    }
}
