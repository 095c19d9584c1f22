//! Histories of one room, and what they should end in.

use std::{collections::BTreeSet, fmt};

use sippo_xmpp_core::{
    address::UserJid,
    events::Version,
    ledger::{Ordinal, RoomChange, RoomEvent, RoomKind},
};

/// The users there are; a set of them is a bit each.
pub const USERS: usize = 2;

/// What a user is to the room on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Not in it.
    Out,
    /// Member.
    Member,
    /// Owner.
    Owner,
}

/// One event of the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It was created, with these participants and these owners (one at most).
    Create {
        /// Set of users.
        participants: u8,
        /// Set of users.
        owner: u8,
    },
    /// It was destroyed.
    Destroy,
    /// These joined.
    Join(u8),
    /// These left.
    Leave(u8),
}

impl Event {
    /// Whether it is about the room as a whole.
    #[must_use]
    pub fn is_of_room(self) -> bool {
        matches!(self, Self::Create { .. } | Self::Destroy)
    }

    /// As the ledger takes it: the event at `index` of its history.
    #[must_use]
    pub fn to_room_event(self, index: usize) -> RoomEvent {
        let change = match self {
            Self::Create { participants, owner } => {
                RoomChange::Created { name: None, owner: users(owner).pop_first(), participants: users(participants) }
            }
            Self::Destroy => RoomChange::Destroyed,
            Self::Join(who) => RoomChange::Joined(users(who)),
            Self::Leave(who) => RoomChange::Left(users(who)),
        };
        RoomEvent { at: ordinal(place(index)), kind: RoomKind::UsersGroup, change }
    }
}

/// The place of the event at `index` among all; 0 is before the first.
///
/// # Panics
/// With a history of more than 254 events.
#[must_use]
pub fn place(index: usize) -> u8 {
    u8::try_from(index + 1).expect("histories are short")
}

/// The ordinal of a place.
#[must_use]
pub fn ordinal(place: u8) -> Ordinal {
    Ordinal::new(Version { epoch: 1, counter: place.into() }, "e")
}

/// The address of a user.
///
/// # Panics
/// Never: the names are good ones.
#[must_use]
pub fn user(index: usize) -> UserJid {
    UserJid::of_username(["a", "b"][index], "example.test").expect("a good name")
}

/// The addresses of a set of users.
#[must_use]
pub fn users(set: u8) -> BTreeSet<UserJid> {
    (0..USERS).filter(|index| set & 1 << index != 0).map(user).collect()
}

/// The room when each event of `history` is handled once, in order; `None` if there is none.
#[must_use]
pub fn in_broker_order(history: &[Event]) -> Option<[Role; USERS]> {
    let (mut exists, mut roles) = (false, [Role::Out; USERS]);
    let set = |roles: &mut [Role; USERS], who: u8, to: &dyn Fn(Role) -> Role| {
        for index in (0..USERS).filter(|index| who & 1 << index != 0) {
            roles[index] = to(roles[index]);
        }
    };
    let raise = |roles: &mut [Role; USERS], who, to| set(roles, who, &|role| role.max(to));
    for event in history {
        match *event {
            Event::Create { participants, owner } => {
                exists = true;
                raise(&mut roles, participants, Role::Member);
                raise(&mut roles, owner, Role::Owner);
            }
            Event::Destroy => (exists, roles) = (false, [Role::Out; USERS]),
            Event::Join(who) => raise(&mut roles, who, Role::Member),
            Event::Leave(who) => set(&mut roles, who, &|_| Role::Out),
        }
    }
    exists.then_some(roles)
}

/// Every history of `length` events over `alphabet`.
pub fn words(alphabet: &[Event], length: u32) -> impl Iterator<Item = Vec<Event>> {
    let count = alphabet.len();
    (0..count.pow(length)).map(move |word| (0..length).map(|at| alphabet[word / count.pow(at) % count]).collect())
}

/// What one user can meet, save owning.
pub const ONE_MEMBER: [Event; 5] = [
    Event::Create { participants: 1, owner: 0 },
    Event::Create { participants: 0, owner: 0 },
    Event::Destroy,
    Event::Join(1),
    Event::Leave(1),
];

/// What one user can meet.
pub const ONE_OWNER: [Event; 7] = [
    Event::Create { participants: 1, owner: 0 },
    Event::Create { participants: 0, owner: 0 },
    Event::Create { participants: 0, owner: 1 },
    Event::Create { participants: 1, owner: 1 },
    Event::Destroy,
    Event::Join(1),
    Event::Leave(1),
];

/// What two users can meet.
pub const TWO_MEMBERS: [Event; 9] = [
    Event::Create { participants: 0, owner: 0 },
    Event::Create { participants: 1, owner: 0 },
    Event::Create { participants: 2, owner: 1 },
    Event::Create { participants: 3, owner: 0 },
    Event::Destroy,
    Event::Join(1),
    Event::Join(3),
    Event::Leave(1),
    Event::Leave(2),
];

/// A case: a history, and which of its events are delivered together to one handler each, as sets.
#[derive(Clone)]
pub struct Case {
    /// In broker order.
    pub history: Vec<Event>,
    /// The events of each handler.
    pub deliveries: Vec<u8>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} delivered as {:?}", self.history, self.deliveries)
    }
}
