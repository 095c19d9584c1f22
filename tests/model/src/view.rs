//! What a handler concludes from what it has read: core's own conclusions, looked up in a table.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use sippo_xmpp_core::{
    address::RoomJid,
    ledger::{Ledger as _, MemoryLedger, RoomEvent, RoomKind, RoomState, Scope},
    rooms::{Grant, Membership},
};

use crate::{
    history::{Event, USERS, ordinal, place, user, users},
    without::Without,
};

/// What a handler does about a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Grants it.
    In(Grant),
    /// Revokes their membership.
    Out,
}

/// What follows from a set of events.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// The place of the creation that began the room's life; 0 if it should not exist.
    pub life: u8,
    /// The place of the newest destruction; 0 if there is none.
    pub ended: u8,
    /// By user.
    pub wanted: [Wanted; USERS],
    /// Whom the handler makes a request for.
    pub users: u8,
    /// With which other sets of events this one agrees; a bit each.
    pub agrees: u16,
}

/// The views of one scope of one history.
#[derive(Debug, Clone)]
pub struct Views {
    /// The events in the scope.
    pub scope: u8,
    /// By set of events read.
    by_set: Vec<View>,
}

impl Views {
    /// For handlers that handle the whole room (`of_users` is `None`) or these users.
    #[must_use]
    pub fn new(history: &[Event], of_users: Option<u8>, without: Without) -> Self {
        Self::with_states(history, of_users, without).0
    }

    /// The same, and what the ledger gives for each set of events.
    #[must_use]
    pub fn with_states(history: &[Event], of_users: Option<u8>, without: Without) -> (Self, Vec<RoomState>) {
        let blind = of_users.is_some() && without == Without::RoomInMemberScope;
        let in_scope = |event: &Event| match (*event, of_users) {
            (Event::Join(who) | Event::Leave(who), Some(scope)) => who & scope != 0,
            (Event::Create { .. } | Event::Destroy, Some(_)) => !blind,
            (_, None) => true,
        };
        let scope =
            (0..history.len()).filter(|index| in_scope(&history[*index])).fold(0, |set, index| set | 1 << index);
        let sets = 0..1u8 << history.len();
        let states: Vec<_> = sets.map(|set| state(history, set & scope, of_users, without)).collect();
        let by_set = states.iter().map(|state| conclude(state, &states, of_users, without)).collect();
        (Self { scope, by_set }, states)
    }

    /// What follows from the events in `set`.
    #[must_use]
    pub fn of(&self, set: u8) -> &View {
        &self.by_set[usize::from(set)]
    }
}

/// What the ledger gives when the events in `set` are in it.
fn state(history: &[Event], set: u8, of_users: Option<u8>, without: Without) -> RoomState {
    let ledger = MemoryLedger::default();
    let room = RoomJid::of_id("room", "example.test").expect("a good name");
    let noted = history.iter().enumerate().filter(|(index, _)| set & 1 << index != 0);
    let mut events: Vec<RoomEvent> = noted.map(|(index, event)| event.to_room_event(index)).collect();
    if of_users.is_some() && without == Without::RoomInMemberScope {
        // It knows nothing of the room and takes it to be there.
        let mut there = Event::Create { participants: 0, owner: 0 }.to_room_event(0);
        there.at = ordinal(0);
        events.push(there);
    }
    ready(ledger.record(&room, &events)).expect("the ledger in memory takes all");
    let scope = of_users.map_or(Scope::Whole, |set| Scope::Members(users(set)));
    let mut state = ready(ledger.read(&room, &scope)).expect("the ledger in memory has all");
    if of_users.is_none() && without == Without::MembersInWholeScope {
        state.members.clear();
    }
    state
}

fn conclude(state: &RoomState, all: &[RoomState], of_users: Option<u8>, without: Without) -> View {
    let counter = |at: &sippo_xmpp_core::ledger::Ordinal| u8::try_from(at.version.counter).expect("places are small");
    let wanted = std::array::from_fn(|index| match state.membership(&user(index)) {
        Membership::In(grant) => Wanted::In(grant),
        Membership::Out => Wanted::Out,
    });
    let recorded = state.recorded();
    let named = |index: &usize| match without {
        Without::EarlierLives => is_of_this_life(state, *index),
        _ => recorded.contains(&user(*index)),
    };
    let users = of_users.unwrap_or_else(|| (0..USERS).filter(named).fold(0, |set, index| set | 1 << index));
    View {
        // The creation that a blind handler supposes counts as the oldest there could be.
        life: state.room().map_or(0, |spec| counter(&spec.life).max(place(0))),
        ended: state.ended().map_or(0, counter),
        wanted,
        users,
        agrees: all
            .iter()
            .enumerate()
            .fold(0, |set, (other, of)| set | u16::from(state.same_desired_state(of)) << other),
    }
}

/// Whether anything since the room ended last names them.
fn is_of_this_life(state: &RoomState, index: usize) -> bool {
    let user = user(index);
    let record = state.members.get(&user);
    let changed = record.and_then(|record| record.joined.as_ref().max(record.left.as_ref()));
    let names = |creation: &sippo_xmpp_core::ledger::Creation| {
        debug_assert_eq!(creation.kind, RoomKind::UsersGroup);
        creation.owner.as_ref() == Some(&user) || creation.participants.contains(&user)
    };
    changed > state.ended() || state.living().any(|(_, creation)| names(creation))
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the ledger in memory answers at once"),
    }
}
