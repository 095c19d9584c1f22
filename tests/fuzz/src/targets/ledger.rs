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
    let invited = invite(input, &room, &events, &[&one, &other]);
    let expected = World::after(&events);
    expected.is(&read(&one), &invited);
    expected.is(&read(&other), &invited);
    let (one, other) = (read(&one), read(&other));
    assert!(one.same_desired_state(&other), "{one:?}\n{other:?}");
    for event in &events {
        for state in [&one, &other] {
            assert_eq!(state.has_overtaken(event), is_overtaken(event, &events), "{event:?}");
        }
    }
    // What a handler has read before an event came must not look to it like what is there afterwards.
    let begun = MemoryLedger::default();
    for count in 0..events.len() {
        let before = read(&begun);
        note(&begun, &events[count..=count]);
        if World::after(&events[..count]) != World::after(&events[..=count]) {
            assert!(!before.same_desired_state(&read(&begun)), "{:?} makes no difference", events[count]);
        }
    }
}

/// Notes invitations in all of `ledgers`: who was invited for which events.
fn invite(
    input: &mut Input<'_>,
    room: &RoomJid,
    events: &[RoomEvent],
    ledgers: &[&MemoryLedger],
) -> BTreeSet<(UserJid, Ordinal)> {
    let mut invited = BTreeSet::new();
    for event in events {
        if !input.one_in(3) {
            continue;
        }
        let someone = user(input.below(3));
        for ledger in ledgers {
            block_on(async {
                match &event.change {
                    RoomChange::Created { .. } => {
                        ledger.mark_announced(room, &event.at, &BTreeSet::from([someone.clone()])).await
                    }
                    _ => ledger.mark_invited(room, &someone, &event.at).await,
                }
            })
            .expect("memory");
        }
        match &event.change {
            RoomChange::Created { participants, .. } => {
                invited.extend(
                    participants.iter().filter(|one| **one != someone).map(|one| (one.clone(), event.at.clone())),
                );
            }
            _ => invited.extend([(someone, event.at.clone())]),
        }
    }
    invited
}

/// Whether a newer event says otherwise of all that `event` is about.
fn is_overtaken(event: &RoomEvent, events: &[RoomEvent]) -> bool {
    let newer = || events.iter().filter(|other| other.at > event.at).map(|other| &other.change);
    let is_end = |change: &RoomChange| *change == RoomChange::Destroyed;
    let is_creation = |change: &RoomChange| matches!(change, RoomChange::Created { .. });
    let moves = |user: &UserJid, change: &RoomChange| match change {
        RoomChange::Joined(users) | RoomChange::Left(users) => users.contains(user),
        RoomChange::Created { .. } | RoomChange::Destroyed => is_end(change),
    };
    let lists = |user: &UserJid, change: &RoomChange| matches!(change, RoomChange::Created { participants, .. } if participants.contains(user));
    match &event.change {
        RoomChange::Created { .. } => newer().any(is_end),
        RoomChange::Destroyed => newer().any(|change| is_end(change) || is_creation(change)),
        RoomChange::Joined(users) => users.iter().all(|user| newer().any(|change| moves(user, change))),
        RoomChange::Left(users) => {
            users.iter().all(|user| newer().any(|change| moves(user, change) || lists(user, change)))
        }
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
#[derive(Debug, Default, PartialEq)]
struct World {
    life: Option<Ordinal>,
    name: Option<String>,
    members: BTreeSet<UserJid>,
    owners: BTreeSet<UserJid>,
    /// Who has been an owner, in whatever life.
    former: BTreeSet<UserJid>,
    /// When the membership of each ended last.
    ended: BTreeMap<UserJid, Ordinal>,
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
                    world.former.extend(owner.clone());
                    world.members.extend(participants.iter().cloned());
                }
                RoomChange::Destroyed => {
                    let ended = (0..3).map(|number| (user(number), at.clone())).collect();
                    world = Self { former: world.former, ended, ..Self::default() };
                }
                RoomChange::Joined(users) => world.members.extend(users.iter().cloned()),
                RoomChange::Left(users) => {
                    world.members.retain(|user| !users.contains(user));
                    world.owners.retain(|user| !users.contains(user));
                    world.ended.extend(users.iter().map(|user| (user.clone(), at.clone())));
                }
            }
        }
        world
    }

    fn is(&self, state: &RoomState, invited: &BTreeSet<(UserJid, Ordinal)>) {
        let room = state.room();
        assert_eq!(room.as_ref().map(|room| &room.life), self.life.as_ref(), "{state:?}");
        assert_eq!(room.and_then(|room| room.name), self.life.as_ref().and(self.name.clone()), "{state:?}");
        for user in (0..3).map(user) {
            let membership = state.membership(&user);
            let (owns, belongs) = (self.owners.contains(&user), self.members.contains(&user));
            let expected = match (owns, belongs, self.former.contains(&user)) {
                (true, _, _) => Membership::In(Grant::Owner),
                (false, true, true) => Membership::In(Grant::ExactlyMember),
                (false, true, false) => Membership::In(Grant::AtLeastMember),
                (false, false, _) => Membership::Out,
            };
            assert_eq!(membership, expected, "{user}: {state:?}");
            // Whoever is a member of a room that is there is due one invitation since their membership ended last.
            let since = invited.iter().filter(|(of, _)| *of == user).map(|(_, at)| at).max();
            let is_invited = since.is_some() && since > self.ended.get(&user);
            let is_due = state.invitation_due(&user).is_some();
            assert_eq!(is_due, belongs && self.life.is_some() && !is_invited, "{user} is due an invitation? {state:?}");
        }
    }
}
