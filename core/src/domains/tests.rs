//! Every order in which the events of a domain and of a room of it can be handled, each request failing once after it took effect.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Mutex,
    time::Duration,
};

use super::*;
use crate::{
    address::{RoomJid, UserJid},
    events::Version,
    ledger::{MemoryLedger, RoomChange, RoomEvent, RoomKind},
    rooms::{Refusal, ServerError},
    testing::{MucService, RoomRequest, RoomScript},
};

const DOMAIN: &str = "new.test";

/// A server whose rooms, and what waits for users, go with their virtual host.
#[derive(Debug, Default)]
struct Server(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The life of the host, if it is served.
    life: Option<Ordinal>,
    muc: MucService,
    /// The request that is done and then told to have failed.
    failing: Option<u32>,
    requests: u32,
}

impl State {
    /// Whether the request that was just done is told to have failed.
    fn fails(&mut self) -> bool {
        self.requests += 1;
        self.failing == Some(self.requests)
    }
}

impl Server {
    fn host(&self, change: impl FnOnce(&mut State)) -> Result<(), HostsError> {
        let mut state = self.0.lock().unwrap();
        change(&mut state);
        if state.fails() { Err(HostsError::Unavailable("injected".to_owned())) } else { Ok(()) }
    }
}

impl HostServer for &Server {
    async fn create(&self, _: &str, life: &Ordinal) -> Result<(), HostsError> {
        self.host(|state| {
            state.life.get_or_insert_with(|| life.clone());
        })
    }

    async fn delete(&self, _: &str, ended: &Ordinal) -> Result<(), HostsError> {
        self.host(|state| {
            if state.life.as_ref().is_some_and(|life| life > ended) {
                return;
            }
            state.life = None;
            state.muc.rooms.clear();
            state.muc.waiting.retain(|(_, _, since)| since > ended);
        })
    }
}

impl RoomScript for &Server {
    async fn answer(&self, room: &RoomJid, request: RoomRequest, _: Instant) -> Result<Vec<Refusal>, ServerError> {
        let mut state = self.0.lock().unwrap();
        if state.life.is_none() {
            return match request {
                // A room of a host that is not there is not there.
                RoomRequest::Destroy(_) => Ok(Vec::new()),
                _ => Err(ServerError::Unavailable("there is no such host".to_owned())),
            };
        }
        let outcome = state.muc.apply(room, request);
        if state.fails() { Err(ServerError::Unavailable("injected".to_owned())) } else { outcome.map(|()| Vec::new()) }
    }
}

#[derive(Debug, Clone)]
enum Happened {
    Domain { created: bool },
    Room(RoomChange),
}

fn users(names: &[&str]) -> BTreeSet<UserJid> {
    names.iter().map(|name| UserJid::of_username(name, DOMAIN).unwrap()).collect()
}

fn group(names: &[&str]) -> Happened {
    Happened::Room(RoomChange::Created { name: None, owner: None, participants: users(names) })
}

fn ordinal(index: usize) -> Ordinal {
    Ordinal::new(Version { epoch: 1, counter: index as u64 + 1 }, "event")
}

/// What there is when all is handled.
#[derive(Debug, PartialEq, Eq)]
struct End {
    /// Of the host, if it is served.
    life: Option<Ordinal>,
    /// Who is in the room, if it is there.
    members: Option<BTreeSet<UserJid>>,
    /// Who finds an invitation, and for which event.
    invited: BTreeSet<(UserJid, Ordinal)>,
}

fn orders(length: usize) -> Vec<Vec<usize>> {
    let shorter = if length == 1 { vec![Vec::new()] } else { orders(length - 1) };
    let longer = |order: Vec<usize>| {
        (0..length).map(move |place| {
            let mut order = order.clone();
            order.insert(place, length - 1);
            order
        })
    };
    shorter.into_iter().flat_map(longer).collect()
}

/// Handles `history` in `order`, what failed once more at the end; returns what there is, and how many requests it took.
async fn handle(history: &[Happened], order: &[usize], failing: Option<u32>) -> (End, u32) {
    let server = Server(Mutex::new(State { failing, ..State::default() }));
    let reconciler = Reconciler::new(MemoryLedger::default(), &server);
    let (domain, room) = (DomainPart::new(DOMAIN).unwrap().into_owned(), RoomJid::of_id("team", DOMAIN).unwrap());
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut pending: VecDeque<usize> = order.iter().copied().collect();
    for _ in 0..100 {
        let Some(index) = pending.pop_front() else {
            let state = server.0.lock().unwrap();
            let members = state.muc.rooms.get(&room).map(|found| found.affiliations.keys().cloned().collect());
            let invited = state.muc.waiting.iter().map(|(_, user, since)| (user.clone(), since.clone())).collect();
            return (End { life: state.life.clone(), members, invited }, state.requests);
        };
        let at = ordinal(index);
        let done = match history[index].clone() {
            Happened::Domain { created } => {
                let events = [DomainEvent { at, created }];
                Domains::new(&reconciler, &&server).apply(&domain, &events, deadline).await.is_ok()
            }
            Happened::Room(change) => {
                let events = [RoomEvent { at, kind: RoomKind::UsersGroup, change }];
                reconciler.apply(&room, &events, deadline).await[0].is_ok()
            }
        };
        if !done {
            pending.push_back(index);
        }
    }
    panic!("{order:?} never comes to an end")
}

async fn always_ends(history: &[Happened], wanted: &End) {
    for order in orders(history.len()) {
        let (found, requests) = handle(history, &order, None).await;
        assert_eq!(&found, wanted, "handled as {order:?}");
        for failing in 1..=requests {
            let (found, _) = handle(history, &order, Some(failing)).await;
            assert_eq!(&found, wanted, "handled as {order:?}, request {failing} failed");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_domain_that_comes_back_has_rooms_and_invitations_of_its_new_life_whatever_is_handled_first() {
    let (created, deleted) = (Happened::Domain { created: true }, Happened::Domain { created: false });
    let joined = Happened::Room(RoomChange::Joined(users(&["carol"])));
    let history = [created.clone(), group(&["alice"]), deleted, created, group(&["bob"]), joined];
    let members = users(&["bob", "carol"]);
    let invited = members.iter().cloned().zip([ordinal(4), ordinal(5)]).collect();
    always_ends(&history, &End { life: Some(ordinal(3)), members: Some(members), invited }).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_a_domain_that_is_gone_whatever_is_handled_first() {
    let (created, deleted) = (Happened::Domain { created: true }, Happened::Domain { created: false });
    let history = [created.clone(), deleted.clone(), created, group(&["bob"]), deleted];
    always_ends(&history, &End { life: None, members: None, invited: BTreeSet::new() }).await;
}
