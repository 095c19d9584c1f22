//! The ledger: in whatever order events are noted, and however often, what should be is what their order says.

use std::collections::{BTreeMap, BTreeSet};

use futures::executor::block_on;
use sippo_xmpp_core::{
    address::{RoomJid, UserJid},
    events::Version,
    ledger::{Ledger, MemoryLedger, Ordinal, RoomChange, RoomEvent, RoomKind, RoomState, Scope},
    rooms::{Grant, Membership},
};

use crate::Input;

pub(super) fn run(input: &mut Input<'_>) {
    let room = RoomJid::of_id("r", "example.test").expect("a room");
    let events: Vec<RoomEvent> = (0..input.below(9)).map(|number| event(input, number)).collect();
    let (one, other) = (MemoryLedger::default(), MemoryLedger::default());
    let note = |ledger: &MemoryLedger, events: &[RoomEvent]| block_on(ledger.record(&room, events)).expect("memory");
    let read = |ledger: &MemoryLedger| block_on(ledger.read(&room, &Scope::Whole)).expect("memory");
    note(&one, &events);
    let mut left = events.clone();
    while !left.is_empty() {
        let event = left.swap_remove(input.below(left.len()));
        note(&other, std::slice::from_ref(&event));
        if input.one_in(3) {
            left.extend(input.one_in(2).then(|| event.clone()));
            note(&other, &[event]);
        }
        if input.is_empty() {
            note(&other, &left);
            left.clear();
        }
    }
    let expected = World::after(&events);
    expected.is(&read(&one));
    expected.is(&read(&other));
    let (one, other) = (read(&one), read(&other));
    assert!(one.same_desired_state(&other), "{one:?}\n{other:?}");
    for event in &events {
        assert_eq!(one.has_overtaken(event), other.has_overtaken(event), "{event:?}");
    }
}

fn user(number: usize) -> UserJid {
    UserJid::of_username(&format!("u{number}"), if number == 2 { "partner.test" } else { "example.test" })
        .expect("a user")
}

/// The event at a place of its own: two of one version differ by their ids.
fn event(input: &mut Input<'_>, number: usize) -> RoomEvent {
    let version = Version { epoch: 1 + input.below(2) as u64, counter: input.below(6) as u64 };
    let some = |input: &mut Input<'_>| (0..3).filter(|_| input.one_in(2)).map(user).collect::<BTreeSet<_>>();
    let change = match input.below(5) {
        0 => RoomChange::Destroyed,
        1 => RoomChange::Joined(some(input)),
        2 => RoomChange::Left(some(input)),
        _ => RoomChange::Created {
            name: input.one_in(2).then(|| format!("name {number}")),
            owner: input.one_in(2).then(|| user(input.below(3))),
            participants: some(input),
        },
    };
    RoomEvent { at: Ordinal::new(version, &format!("e{number}")), kind: RoomKind::UsersGroup, change }
}

/// What should be after events in their order, by a walk over them that forgets the past.
#[derive(Debug, Default)]
struct World {
    life: Option<Ordinal>,
    name: Option<String>,
    members: BTreeSet<UserJid>,
    owners: BTreeSet<UserJid>,
}

impl World {
    fn after(events: &[RoomEvent]) -> Self {
        let (mut world, mut ordered) = (Self::default(), BTreeMap::new());
        ordered.extend(events.iter().map(|event| (event.at.clone(), &event.change)));
        for (at, change) in ordered {
            match change {
                RoomChange::Created { name, owner, participants } => {
                    world.life.get_or_insert(at);
                    world.name = name.clone().or(world.name);
                    world.owners.extend(owner.clone());
                    world.members.extend(participants.iter().cloned());
                }
                RoomChange::Destroyed => world = Self::default(),
                RoomChange::Joined(users) => world.members.extend(users.iter().cloned()),
                RoomChange::Left(users) => {
                    world.members.retain(|user| !users.contains(user));
                    world.owners.retain(|user| !users.contains(user));
                }
            }
        }
        world
    }

    fn is(&self, state: &RoomState) {
        let room = state.room();
        assert_eq!(room.as_ref().map(|room| &room.life), self.life.as_ref(), "{state:?}");
        assert_eq!(room.and_then(|room| room.name), self.life.as_ref().and(self.name.clone()), "{state:?}");
        for user in (0..3).map(user) {
            let membership = state.membership(&user);
            let (owns, belongs) = (self.owners.contains(&user), self.members.contains(&user));
            assert_eq!(membership == Membership::In(Grant::Owner), owns, "{user} owns it? {state:?}");
            assert_eq!(membership == Membership::Out, !owns && !belongs, "{user} belongs to it? {state:?}");
            // Nobody has been invited yet, so whoever is a member of a room that is there is due.
            let is_due = state.invitation_due(&user).is_some();
            assert_eq!(is_due, belongs && self.life.is_some(), "{user} is due an invitation? {state:?}");
        }
    }
}
