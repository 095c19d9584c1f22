//! The loop of `rooms::reconcile`, its handlers, and the server, as a state machine.
//!
//! A read is not atomic: it sees what was written before it began, and any part of what is written until it
//! ends. It begins as soon as what came before it has ended; that it began later is one of those parts, so
//! nothing is left out. For the same reason a write is one step for each event, and a request takes effect in one
//! step, at any time while it is under way: ensuring a room is two of them, and each user is one of their own.
//! Failing requests are not modelled apart: to fail and come again is to crash.
//!
//! A creation that a newer one covers may be folded at any time, not only by a handler that has just read so: what
//! handlers do is among that, for what they go by stays true. An event that comes again is written again.

use sippo_xmpp_core::rooms::Grant;
use stateright::{Model, Property};

use crate::{
    folding::Folds,
    history::{Case, Event, Role, USERS, in_broker_order, place},
    view::{View, Views, Wanted},
    without::Without,
};

/// Most handlers of one case.
pub const HANDLERS: usize = 3;

/// When all are done, the room is as the events say in broker order, and of a life that has not ended.
pub const ENDS_RIGHT: &str = "ends as in broker order";
/// No room is destroyed that goes on in broker order: its messages would be gone.
pub const LOSES_NOTHING: &str = "loses no messages";
/// No handler fails for ever.
pub const ENDS: &str = "comes to an end";
/// No handler lets anyone into a room though it has read that its life is over: they could read its messages.
pub const ADMITS_NO_STRANGER: &str = "lets nobody into an earlier life";
/// Something is checked: there are runs in which all are done.
pub const IS_DONE: &str = "is done";

/// Where a handler is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    /// Notes its events, `todo`, in the ledger.
    Write,
    /// Reads for the first time.
    Read,
    /// Asks to destroy what is not newer than the end.
    Destroy,
    /// Asks for the same before it makes the room.
    Purge,
    /// Asks to make the room if it is missing.
    Make,
    /// Asks for the users in `todo`, each request for itself.
    Users,
    /// Reads again.
    ReadAgain,
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Handler {
    phase: Phase,
    /// The events it goes by.
    state: u8,
    /// A read sees at least these: they were there when it began.
    there: u8,
    /// Folded since that read began: it sees them or not.
    gone: u8,
    todo: u8,
    /// A request found no room.
    missing: bool,
    /// It looks at the whole room, though its events are about members.
    wide: bool,
    /// Crashed; what it last asked may still arrive.
    dead: bool,
}

const DONE: Handler =
    Handler { phase: Phase::Done, state: 0, there: 0, gone: 0, todo: 0, missing: false, wide: false, dead: false };

/// The room on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Room {
    life: u8,
    roles: [Role; USERS],
}

/// All there is at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    case: u16,
    /// The events that were written to the ledger.
    written: u8,
    /// Those of them that were folded.
    folded: u8,
    room: Option<Room>,
    handlers: [Handler; HANDLERS],
    /// How many more may crash.
    crashes: u8,
    /// A room was destroyed whose life goes on in broker order: its messages are gone.
    lost: bool,
    /// Someone was let into a room by a handler which had read that the room's life is over: they can read
    /// its messages.
    intruded: bool,
}

impl State {
    /// Which case it belongs to.
    #[must_use]
    pub fn case(&self) -> usize {
        self.case.into()
    }

    /// The events in the ledger.
    fn present(&self) -> u8 {
        self.written & !self.folded
    }

    fn is_done(&self) -> bool {
        self.handlers.iter().all(|handler| handler.phase == Phase::Done)
    }
}

/// What may happen next; the number is the handler's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// One of its events is written.
    Write(usize, u8),
    /// Its read ends; of the events written since it began it sees these.
    Read(usize, u8),
    /// Its request about the room takes effect.
    Room(usize),
    /// Its request about a user does.
    User(usize, usize),
    /// It dies, its requests under way.
    Crash(usize),
    /// What a dead one asked can take no effect any more; its event comes again.
    ComesAgain(usize),
    /// This event is folded.
    Fold(usize),
}

#[derive(Debug)]
struct Tables {
    case: Case,
    whole: Views,
    folds: Folds,
    /// By handler.
    own: Vec<Views>,
    is_whole: Vec<bool>,
    end: Option<[Role; USERS]>,
    /// The place of the last destruction.
    ended: u8,
}

/// The protocol, over a number of cases.
#[derive(Debug)]
pub struct Protocol {
    tables: Vec<Tables>,
    crashes: u8,
    without: Without,
}

impl Protocol {
    /// With at most `crashes` crashes in each run.
    ///
    /// # Panics
    /// If a case has more than [`HANDLERS`] handlers, or there are more than 65,536 cases.
    #[must_use]
    pub fn new(cases: impl Iterator<Item = Case>, crashes: u8, without: Without) -> Self {
        let tables = cases.map(|case| Tables::new(case, without)).collect::<Vec<_>>();
        assert!(tables.len() <= usize::from(u16::MAX) + 1, "the number of a case has 16 bits");
        Self { tables, crashes, without }
    }

    /// The case of a state.
    #[must_use]
    pub fn case(&self, state: &State) -> &Case {
        &self.tables[state.case()].case
    }

    fn of(&self, state: &State) -> &Tables {
        &self.tables[state.case()]
    }
}

impl Tables {
    fn new(case: Case, without: Without) -> Self {
        assert!(case.deliveries.len() <= HANDLERS, "{case:?} has too many handlers");
        let events = |set: u8| {
            let history = &case.history;
            history.iter().enumerate().filter(move |(index, _)| set & 1 << index != 0).map(|(_, event)| *event)
        };
        let users = |set: u8| {
            events(set).try_fold(0, |users, event| match event {
                Event::Join(who) | Event::Leave(who) => Some(users | who),
                Event::Create { .. } | Event::Destroy => None,
            })
        };
        let own = |set: &u8| Views::new(&case.history, users(*set), without);
        let ended = case.history.iter().rposition(|event| *event == Event::Destroy).map_or(0, place);
        let (whole, states) = Views::with_states(&case.history, None, without);
        Self {
            whole,
            folds: Folds::new(&case.history, &states, without),
            own: case.deliveries.iter().map(own).collect(),
            is_whole: case.deliveries.iter().map(|set| users(*set).is_none()).collect(),
            end: in_broker_order(&case.history),
            ended,
            case,
        }
    }

    fn views(&self, index: usize, handler: Handler) -> &Views {
        if handler.wide { &self.whole } else { &self.own[index] }
    }

    fn view(&self, index: usize, handler: Handler) -> &View {
        self.views(index, handler).of(handler.state)
    }

    fn begin(&self, index: usize, phase: Phase, handler: &mut Handler, written: u8) {
        handler.phase = phase;
        handler.there = written & self.views(index, *handler).scope;
        handler.gone = 0;
        (handler.todo, handler.missing) = (0, false);
        if phase == Phase::Read {
            // It goes by nothing yet; and nobody who dies now has anything under way.
            (handler.state, handler.dead) = (0, false);
        }
    }

    /// A new attempt at the events.
    fn restart(&self, index: usize, handler: &mut Handler, written: u8) {
        handler.wide = self.is_whole[index];
        self.begin(index, Phase::Read, handler, written);
    }

    /// Step 3, from its beginning.
    fn make_agree(&self, index: usize, handler: &mut Handler, written: u8) {
        let view = self.view(index, *handler);
        handler.missing = false;
        match (view.life, handler.wide) {
            (0, true) if view.ended > 0 => handler.phase = Phase::Destroy,
            (0, _) => self.begin(index, Phase::ReadAgain, handler, written),
            (_, true) if view.ended > 0 => handler.phase = Phase::Purge,
            (_, true) => handler.phase = Phase::Make,
            (_, false) => self.ask_for_users(index, handler, written),
        }
    }

    fn ask_for_users(&self, index: usize, handler: &mut Handler, written: u8) {
        (handler.phase, handler.todo) = (Phase::Users, self.view(index, *handler).users);
        if handler.todo == 0 {
            self.begin(index, Phase::ReadAgain, handler, written);
        }
    }

    /// Whether the ledger has something newer than all of its events, about the same thing.
    fn is_stale(&self, index: usize, seen: u8) -> bool {
        let of_same_kind = |at: &usize| self.case.history[*at].is_of_room() == self.is_whole[index];
        let key = (0..self.case.history.len()).filter(of_same_kind).fold(0, |set, at| set | 1 << at);
        (seen & key).leading_zeros() < self.case.deliveries[index].leading_zeros()
    }
}

impl Protocol {
    fn read(&self, index: usize, seen: u8, next: &mut State) {
        let tables = &self.tables[next.case()];
        let (written, handler) = (next.present(), &mut next.handlers[index]);
        let seen = handler.there & !handler.gone | seen;
        let first = handler.phase == Phase::Read;
        let agrees = !first && tables.view(index, *handler).agrees & 1 << seen != 0;
        // How it came to see that is of no account any more. Where it stayed, each state was there ten times.
        (handler.state, handler.there, handler.gone) = (seen, 0, 0);
        if agrees || (self.without == Without::StaleApply && tables.is_stale(index, seen)) {
            *handler = DONE;
        } else {
            tables.make_agree(index, handler, written);
        }
        self.settle(index, next);
    }

    /// Without a second read nothing comes after the requests.
    fn settle(&self, index: usize, next: &mut State) {
        let handler = &mut next.handlers[index];
        if handler.phase == Phase::ReadAgain && self.without == Without::SecondRead && !handler.dead {
            *handler = DONE;
        }
    }

    fn ask_about_room(&self, index: usize, next: &mut State) {
        let (tables, present) = (&self.tables[next.case()], next.present());
        let handler = &mut next.handlers[index];
        let view = tables.view(index, *handler);
        match handler.phase {
            Phase::Make => {
                next.room.get_or_insert(Room { life: view.life, roles: [Role::Out; USERS] });
            }
            Phase::Purge | Phase::Destroy => {
                let goes = |room: &Room| match (handler.phase, self.without) {
                    (Phase::Purge, Without::Purge) => false,
                    (Phase::Destroy, Without::ConditionalDestroy) => true,
                    _ => room.life <= view.ended,
                };
                if let Some(room) = next.room.filter(goes) {
                    next.lost |= room.life > tables.ended;
                    next.room = None;
                }
            }
            _ => unreachable!("no other phase asks about the room"),
        }
        if handler.dead {
            self.come_again(index, next);
            return;
        }
        match handler.phase {
            Phase::Purge => handler.phase = Phase::Make,
            Phase::Make => tables.ask_for_users(index, handler, present),
            _ => tables.begin(index, Phase::ReadAgain, handler, present),
        }
        self.settle(index, next);
    }

    fn ask_for_user(&self, index: usize, who: usize, next: &mut State) {
        let (tables, present) = (&self.tables[next.case()], next.present());
        let handler = &mut next.handlers[index];
        handler.todo &= !(1 << who);
        let view = tables.view(index, *handler);
        let wanted = view.wanted[who];
        let over = wanted != Wanted::Out && next.room.is_some_and(|room| room.life <= view.ended);
        let absent = over && self.without != Without::EndInGrants;
        next.intruded |= over && !absent;
        let room = next.room.as_mut().filter(|_| !absent);
        match (room, wanted) {
            // A dead one's answers reach nobody.
            (None, _) => handler.missing = !handler.dead,
            (Some(room), Wanted::Out) => room.roles[who] = Role::Out,
            (Some(room), Wanted::In(Grant::Owner)) => room.roles[who] = Role::Owner,
            (Some(room), Wanted::In(Grant::ExactlyMember)) => room.roles[who] = Role::Member,
            (Some(room), Wanted::In(Grant::AtLeastMember)) => room.roles[who] = room.roles[who].max(Role::Member),
        }
        if handler.todo != 0 {
            return;
        }
        if handler.dead {
            self.come_again(index, next);
            return;
        }
        let (missing, wide) = (handler.missing, handler.wide);
        match (missing, self.without) {
            (false, _) => tables.begin(index, Phase::ReadAgain, handler, present),
            (true, Without::Retry) if !wide => *handler = DONE,
            (true, Without::MemberScope) if !wide => {
                handler.wide = true;
                tables.begin(index, Phase::Read, handler, present);
            }
            // Those of members fail and come again; the others read, and go by that without a comparison.
            (true, _) => tables.restart(index, handler, present),
        }
        self.settle(index, next);
    }

    fn come_again(&self, index: usize, next: &mut State) {
        let tables = &self.tables[next.case()];
        let delivered = &tables.case.deliveries;
        let is_done = |other: usize| delivered[other] == delivered[index] && next.handlers[other].phase == Phase::Done;
        let deleted = self.without == Without::ComesAgain && (0..delivered.len()).any(is_done);
        let (present, gone) = (next.present(), delivered[index] & next.folded);
        let handler = &mut next.handlers[index];
        tables.restart(index, handler, present);
        if gone != 0 {
            (handler.phase, handler.todo, handler.there) = (Phase::Write, gone, 0);
        }
        if deleted {
            *handler = DONE;
        }
    }

    /// Whether this handler fails for ever, nobody else being there to help it.
    fn is_stuck(&self, state: &State) -> bool {
        let mut waiting = (0..HANDLERS).filter(|index| state.handlers[*index].phase != Phase::Done);
        let (Some(index), None) = (waiting.next(), waiting.next()) else { return false };
        let (tables, handler) = (self.of(state), &state.handlers[index]);
        let is_current = handler.state == state.present() & tables.views(index, *handler).scope;
        handler.phase == Phase::Users && !handler.wide && !handler.dead && is_current && state.room.is_none()
    }

    /// What is wrong with the end of a run, if anything is.
    fn ends_well(&self, state: &State) -> bool {
        let tables = self.of(state);
        state.room.map(|room| room.roles) == tables.end && state.room.is_none_or(|room| room.life > tables.ended)
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let of = |(case, tables): (usize, &Tables)| {
            let handler = |index: usize| match tables.case.deliveries.get(index) {
                Some(events) => Handler { phase: Phase::Write, todo: *events, wide: tables.is_whole[index], ..DONE },
                None => DONE,
            };
            let case = u16::try_from(case).expect("there are no more cases");
            let handlers = std::array::from_fn(handler);
            let crashes = self.crashes;
            State { case, written: 0, folded: 0, room: None, handlers, crashes, lost: false, intruded: false }
        };
        self.tables.iter().enumerate().map(of).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if !state.is_done() {
            actions.extend(ones(self.of(state).folds.of(state.present())).map(Action::Fold));
        }
        for (index, handler) in state.handlers.iter().enumerate() {
            match handler.phase {
                Phase::Done => continue,
                Phase::Write => actions.extend(ones(handler.todo).map(|at| Action::Write(index, 1 << at))),
                Phase::Read | Phase::ReadAgain => {
                    let (tables, Handler { there, gone, .. }) = (self.of(state), *handler);
                    let scope = tables.views(index, *handler).scope;
                    let since = (state.present() & !there | gone) & scope;
                    let may_see = |seen: &u8| {
                        let all = there & !gone | seen;
                        self.without == Without::AscendingReads || tables.folds.may_miss(there & !all, all)
                    };
                    actions.extend(subsets(since).filter(may_see).map(|seen| Action::Read(index, seen)));
                }
                Phase::Destroy | Phase::Purge | Phase::Make => actions.push(Action::Room(index)),
                Phase::Users => actions.extend(ones(handler.todo).map(|who| Action::User(index, who))),
            }
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
            Action::Write(index, event) => {
                (next.written, next.folded) = (next.written | event, next.folded & !event);
                let present = next.present();
                let handler = &mut next.handlers[index];
                handler.todo &= !event;
                if handler.todo == 0 {
                    self.of(state).begin(index, Phase::Read, handler, present);
                }
            }
            Action::Read(index, seen) => self.read(index, seen, &mut next),
            Action::Room(index) => self.ask_about_room(index, &mut next),
            Action::User(index, who) => self.ask_for_user(index, who, &mut next),
            Action::Crash(index) => {
                next.crashes -= 1;
                (next.handlers[index].dead, next.handlers[index].missing) = (true, false);
                if next.handlers[index].phase == Phase::ReadAgain {
                    self.come_again(index, &mut next);
                }
            }
            Action::ComesAgain(index) => self.come_again(index, &mut next),
            Action::Fold(event) => {
                next.folded |= 1 << event;
                let tables = self.of(state);
                for (index, handler) in next.handlers.iter_mut().enumerate() {
                    if matches!(handler.phase, Phase::Read | Phase::ReadAgain) {
                        handler.gone |= 1 << event & tables.views(index, *handler).scope;
                    }
                }
            }
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ENDS_RIGHT, |model: &Self, state: &State| !state.is_done() || model.ends_well(state)),
            Property::always(LOSES_NOTHING, |_, state: &State| !state.lost),
            Property::always(ENDS, |model: &Self, state: &State| !model.is_stuck(state)),
            Property::always(ADMITS_NO_STRANGER, |_, state: &State| !state.intruded),
            Property::sometimes(IS_DONE, |_, state: &State| state.is_done()),
        ]
    }
}

fn ones(set: u8) -> impl Iterator<Item = usize> {
    (0..8).filter(move |index| set & 1 << index != 0)
}

fn subsets(of: u8) -> impl Iterator<Item = u8> {
    (0..=of).filter(move |set| set & !of == 0)
}
