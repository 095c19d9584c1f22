//! Random histories, and what they should end in.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use sippo_xmpp_core::{
    address::{RoomJid, UserJid},
    events::Version,
    ledger::{Ordinal, RoomChange, RoomEvent, RoomKind},
    testing::{Affiliation, AllBookmarks, Bookmark},
};

use crate::sim::End;

/// Events in broker order, each with its room.
pub(crate) struct History(pub(crate) Vec<(RoomJid, RoomEvent)>);

/// A room as the events leave it when each is handled once, in order.
#[derive(Default)]
struct Model {
    exists: bool,
    name: Option<String>,
    affiliations: BTreeMap<UserJid, Affiliation>,
    /// Who is due an invitation: participants, not mere owners.
    invited: BTreeSet<UserJid>,
}

impl Model {
    fn handle(&mut self, change: &RoomChange) {
        match change {
            RoomChange::Created { name, owner, participants } => {
                self.exists = true;
                self.name = name.clone().or(self.name.take());
                self.add(participants);
                self.affiliations.extend(owner.iter().map(|owner| (owner.clone(), Affiliation::Owner)));
            }
            RoomChange::Destroyed => *self = Self::default(),
            RoomChange::Joined(users) => self.add(users),
            RoomChange::Left(users) => {
                self.affiliations.retain(|user, _| !users.contains(user));
                self.invited.retain(|user| !users.contains(user));
            }
        }
    }

    fn add(&mut self, users: &BTreeSet<UserJid>) {
        for user in users {
            self.affiliations.entry(user.clone()).or_insert(Affiliation::Member);
            self.invited.insert(user.clone());
        }
    }
}

impl History {
    pub(crate) fn random(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut names = fastrand::Rng::with_seed(seed ^ 0x2545_f491_4f6c_dd1d);
        let rooms = ["one", "two"].map(|id| RoomJid::of_id(id, "example.test").unwrap());
        let users = ["a", "b", "c"].map(|name| UserJid::of_username(name, "example.test").unwrap());
        let count = rng.u64(2..=8);
        let event = |counter| {
            let some: BTreeSet<UserJid> = users.iter().filter(|_| rng.bool()).cloned().collect();
            let one = BTreeSet::from([users[rng.usize(..users.len())].clone()]);
            let change = match rng.u8(..8) {
                0..=1 => {
                    let owner = rng.bool().then(|| users[rng.usize(..users.len())].clone());
                    let name = [None, Some("A"), Some("B")][names.usize(..3)].map(str::to_owned);
                    RoomChange::Created { name, owner, participants: some }
                }
                2 => RoomChange::Destroyed,
                3..=4 => RoomChange::Joined(one),
                5 => RoomChange::Joined(some),
                _ => RoomChange::Left(one),
            };
            // Mostly one room, so that there is something to interfere with.
            let room = rooms[usize::from(rng.u8(..4) == 0)].clone();
            let at = Ordinal::new(Version { epoch: 1, counter }, "e");
            (room, RoomEvent { at, kind: RoomKind::UsersGroup, change })
        };
        Self((1..=count).map(event).collect())
    }

    /// A group that is created three times and destroyed, with a's and c's leavings and b's joining before that, and created
    /// again: a claim that one handler made for an early creation is still held when it learns of the last one.
    pub(crate) fn of_two_lives() -> Self {
        let room = RoomJid::of_id("one", "example.test").unwrap();
        let of = |names: &[&str]| -> BTreeSet<UserJid> {
            names.iter().map(|name| UserJid::of_username(name, "example.test").unwrap()).collect()
        };
        let created = || RoomChange::Created { name: None, owner: None, participants: of(&["a", "b", "c"]) };
        let (a, b, c) = (of(&["a"]), of(&["b"]), of(&["c"]));
        let before = [created(), created(), created(), RoomChange::Left(a), RoomChange::Left(c), RoomChange::Joined(b)];
        let event = |(counter, change)| {
            let at = Ordinal::new(Version { epoch: 1, counter }, "e");
            (room.clone(), RoomEvent { at, kind: RoomKind::UsersGroup, change })
        };
        Self((1..).zip(before.into_iter().chain([RoomChange::Destroyed, created()])).map(event).collect())
    }

    /// The same as a random one, in which most creations repeat one before them, some with a user more or less.
    pub(crate) fn repeating(seed: u64) -> Self {
        let mut history = Self::random(seed);
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5851_f42d_4c95_7f2d);
        let user = UserJid::of_username("c", "example.test").unwrap();
        let mut first = BTreeMap::<RoomJid, RoomChange>::new();
        for (room, event) in &mut history.0 {
            if !matches!(event.change, RoomChange::Created { .. } | RoomChange::Joined(_)) {
                continue;
            }
            match first.get(room) {
                Some(first) if rng.u8(..4) > 0 => {
                    event.change = first.clone();
                    if let (RoomChange::Created { participants, .. }, 0) = (&mut event.change, rng.u8(..3))
                        && !participants.remove(&user)
                    {
                        participants.insert(user.clone());
                    }
                }
                None if matches!(event.change, RoomChange::Created { .. }) => {
                    first.insert(room.clone(), event.change.clone());
                }
                _ => {}
            }
        }
        history
    }

    fn models(&self) -> BTreeMap<&RoomJid, Model> {
        let mut models = BTreeMap::<_, Model>::new();
        for (room, event) in &self.0 {
            models.entry(room).or_default().handle(&event.change);
        }
        models
    }

    fn interruptions<'a>(&'a self, room: &'a RoomJid, user: &'a UserJid) -> impl Iterator<Item = &'a Ordinal> {
        let interrupts = |change: &RoomChange| match change {
            RoomChange::Destroyed => true,
            RoomChange::Left(users) => users.contains(user),
            _ => false,
        };
        self.0.iter().filter(move |(of, event)| of == room && interrupts(&event.change)).map(|(_, event)| &event.at)
    }

    pub(crate) fn check_rooms(&self, end: &End) -> Result<(), String> {
        for (room, model) in self.models() {
            let (found, wanted) = (end.rooms.get(room), model.exists.then_some(&model.affiliations));
            if found.map(|found| &found.affiliations) != wanted {
                return Err(format!("{room} ended as {found:?}, not as {wanted:?}"));
            }
            let ended = self.0.iter().rfind(|(of, event)| of == room && event.change == RoomChange::Destroyed);
            if let (Some(found), Some((_, ended))) = (found, ended)
                && found.life.as_ref() <= Some(&ended.at)
            {
                return Err(format!("{room} still has the archive of its life {:?}", found.life));
            }
        }
        Ok(())
    }

    /// Who belongs to a room has it among their bookmarks as it is, and nobody else has any.
    pub(crate) fn check_bookmarks(&self, end: &End) -> Result<(), String> {
        let kind = Some(RoomKind::UsersGroup);
        let of_room = |(room, model): (&RoomJid, Model)| {
            let Model { name, affiliations, .. } = model;
            let bookmark = move |affiliation| Bookmark { name: name.clone(), kind, affiliation };
            let room = room.clone();
            affiliations.into_iter().map(move |(user, affiliation)| ((room.clone(), user), bookmark(affiliation)))
        };
        let wanted: AllBookmarks =
            self.models().into_iter().filter(|(_, model)| model.exists).flat_map(of_room).collect();
        if end.bookmarks == wanted { Ok(()) } else { Err(format!("bookmarks ended as {end:?}, not as {wanted:?}")) }
    }

    pub(crate) fn check_invited(&self, end: &End) -> Result<(), String> {
        for (room, model) in self.models().into_iter().filter(|(_, model)| model.exists) {
            for user in &model.invited {
                let since = self.interruptions(room, user).last();
                let finds = end.waiting.iter().any(|(of, to, at)| of == room && to == user && Some(at) > since);
                if !finds {
                    return Err(format!("{user} finds no invitation to {room} of their last spell: {end:?}"));
                }
            }
        }
        Ok(())
    }

    /// Nobody finds an invitation to a room that goes on without them.
    pub(crate) fn check_taken_back(&self, end: &End) -> Result<(), String> {
        let models = self.models();
        for (room, user, at) in &end.waiting {
            if models[room].exists && !models[room].affiliations.contains_key(user) {
                return Err(format!("{user} still finds the invitation to {room} for {at}: {end:?}"));
            }
        }
        Ok(())
    }

    pub(crate) fn check_no_repetition(&self, end: &End) -> Result<(), String> {
        let mut sent = end.invitations.clone();
        sent.sort();
        for pair in sent.windows(2) {
            let ((room, user, first), (_, _, second)) = (&pair[0], &pair[1]);
            let same = (&pair[1].0, &pair[1].1) == (room, user);
            if same && !self.interruptions(room, user).any(|at| first < at && at < second) {
                return Err(format!("{user} was invited to {room} for {first} and for {second}, one spell"));
            }
        }
        Ok(())
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(room, event)| writeln!(f, "{} {room} {:?}", event.at, event.change))
    }
}
