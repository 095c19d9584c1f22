//! The simulation: a room server, troubles with it and with the ledger, and a scheduler.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use sippo_xmpp_core::{
    address::{RoomJid, UserJid},
    ledger::{
        ClaimTarget, DomainRegister, DomainState, Ledger, LedgerError, MemoryLedger, Ordinal, RoomEvent, RoomKind,
        RoomState, Scope,
    },
    rooms::{CLAIM, Grant, Invitation, ReconcileError, Reconciler, Refusal, RoomServer, RoomSpec, ServerError},
};
use tokio::time::Instant;

use crate::history::{History, Role};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    FailuresAndCrashes,
}

#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) life: Ordinal,
    pub(crate) roles: BTreeMap<UserJid, Role>,
}

/// What there is at the end.
pub(crate) struct End {
    pub(crate) rooms: BTreeMap<RoomJid, Room>,
    pub(crate) invitations: Vec<(RoomJid, UserJid, Ordinal)>,
    pub(crate) steps: u32,
}

#[derive(Debug, Clone)]
enum Request {
    Ensure(RoomSpec, Option<Ordinal>),
    Destroy(Ordinal),
    Grant(Vec<(UserJid, Grant)>, Option<Ordinal>),
    Revoke(Vec<UserJid>),
    Invite(Vec<Invitation>),
}

type Reply = Arc<Mutex<Option<Result<(), ServerError>>>>;

struct InFlight {
    handler: u32,
    room: RoomJid,
    request: Request,
    reply: Reply,
}

struct World {
    rng: fastrand::Rng,
    failures: u32,
    rooms: BTreeMap<RoomJid, Room>,
    invitations: Vec<(RoomJid, UserJid, Ordinal)>,
    in_flight: Vec<InFlight>,
}

impl World {
    /// Whether the next thing fails.
    fn fails(&mut self) -> bool {
        let fails = self.failures > 0 && self.rng.u8(..12) == 0;
        self.failures -= u32::from(fails);
        fails
    }

    fn apply(&mut self, room: &RoomJid, request: Request) -> Result<(), ServerError> {
        match request {
            Request::Ensure(spec, ended) => {
                if self.rooms.get(room).is_none_or(|found| Some(&found.life) <= ended.as_ref()) {
                    self.rooms.insert(room.clone(), Room { life: spec.life, roles: BTreeMap::new() });
                }
            }
            Request::Destroy(ended) => self.rooms.retain(|name, found| name != room || found.life > ended),
            Request::Grant(grants, ended) => {
                let found = self.rooms.get_mut(room).filter(|found| Some(&found.life) > ended.as_ref());
                let roles = &mut found.ok_or(ServerError::RoomMissing)?.roles;
                for (user, grant) in grants {
                    match grant {
                        Grant::Owner => roles.insert(user, Role::Owner),
                        Grant::AtLeastMember => Some(*roles.entry(user).or_insert(Role::Member)),
                        Grant::ExactlyMember => roles.insert(user, Role::Member),
                    };
                }
            }
            Request::Revoke(users) => {
                let roles = &mut self.rooms.get_mut(room).ok_or(ServerError::RoomMissing)?.roles;
                roles.retain(|user, _| !users.contains(user));
            }
            Request::Invite(all) => {
                self.invitations.extend(all.into_iter().map(|one| (room.clone(), one.to, one.since)));
            }
        }
        Ok(())
    }

    /// The server gets to one of the requests, in any order among handlers.
    fn deliver(&mut self) {
        let index = self.rng.usize(..self.in_flight.len());
        let InFlight { room, request, reply, .. } = self.in_flight.swap_remove(index);
        let lost = || Err(ServerError::Unavailable("injected".to_owned()));
        let outcome = match (self.fails(), self.rng.bool()) {
            (true, true) => lost(),
            (true, false) => self.apply(&room, request).and_then(|()| lost()),
            (false, _) => self.apply(&room, request),
        };
        *reply.lock().unwrap() = Some(outcome);
    }
}

type Shared = Arc<Mutex<World>>;

fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap()
}

struct SimServer {
    world: Shared,
    handler: u32,
}

impl SimServer {
    async fn ask(&self, room: &RoomJid, request: Request) -> Result<(), ServerError> {
        let reply = Reply::default();
        let request = InFlight { handler: self.handler, room: room.clone(), request, reply: reply.clone() };
        lock(&self.world).in_flight.push(request);
        poll_fn(|_| reply.lock().unwrap().take().map_or(Poll::Pending, Poll::Ready)).await
    }
}

impl RoomServer for SimServer {
    async fn ensure(
        &self,
        room: &RoomJid,
        spec: &RoomSpec,
        ended: Option<&Ordinal>,
        _: Instant,
    ) -> Result<(), ServerError> {
        self.ask(room, Request::Ensure(spec.clone(), ended.cloned())).await
    }

    async fn destroy(&self, room: &RoomJid, ended: &Ordinal, _: Instant) -> Result<(), ServerError> {
        self.ask(room, Request::Destroy(ended.clone())).await
    }

    async fn grant(
        &self,
        room: &RoomJid,
        grants: &[(UserJid, Grant)],
        ended: Option<&Ordinal>,
        _: Instant,
    ) -> Result<Vec<Refusal>, ServerError> {
        self.ask(room, Request::Grant(grants.to_vec(), ended.cloned())).await.map(|()| Vec::new())
    }

    async fn revoke(&self, room: &RoomJid, users: &[UserJid], _: Instant) -> Result<Vec<Refusal>, ServerError> {
        self.ask(room, Request::Revoke(users.to_vec())).await.map(|()| Vec::new())
    }

    async fn invite(
        &self,
        room: &RoomJid,
        _: RoomKind,
        invitations: &[Invitation],
        _: Instant,
    ) -> Result<Vec<Refusal>, ServerError> {
        self.ask(room, Request::Invite(invitations.to_vec())).await.map(|()| Vec::new())
    }
}

/// The ledger in memory, with a pause around every access, reads and writes in pieces, and failures.
struct SimLedger {
    world: Shared,
    inner: Arc<MemoryLedger>,
}

impl SimLedger {
    /// Another handler may run here.
    async fn pause(&self) -> Result<(), LedgerError> {
        let mut paused = false;
        poll_fn(|_| if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }).await;
        if lock(&self.world).fails() { Err(LedgerError("injected".to_owned())) } else { Ok(()) }
    }
}

impl Ledger for SimLedger {
    async fn record(&self, room: &RoomJid, events: &[RoomEvent]) -> Result<(), LedgerError> {
        for event in events {
            self.pause().await?;
            self.inner.record(room, std::slice::from_ref(event)).await?;
        }
        self.pause().await
    }

    async fn read(&self, room: &RoomJid, scope: &Scope) -> Result<RoomState, LedgerError> {
        self.pause().await?;
        let members_first = lock(&self.world).rng.bool();
        let first = self.inner.read(room, scope).await?;
        self.pause().await?;
        let second = self.inner.read(room, scope).await?;
        let (members, rest) = if members_first { (first, second) } else { (second, first) };
        self.pause().await?;
        Ok(RoomState { members: members.members, ..rest })
    }

    async fn raise_domain(&self, domain: &str, register: DomainRegister, at: &Ordinal) -> Result<(), LedgerError> {
        self.inner.raise_domain(domain, register, at).await
    }

    async fn domain(&self, domain: &str) -> Result<DomainState, LedgerError> {
        self.inner.domain(domain).await
    }

    async fn claim(
        &self,
        room: &RoomJid,
        target: &ClaimTarget,
        ended_at: Option<&Ordinal>,
        now: SystemTime,
        until: SystemTime,
    ) -> Result<bool, LedgerError> {
        self.pause().await?;
        let claimed = self.inner.claim(room, target, ended_at, now, until).await?;
        self.pause().await?;
        Ok(claimed)
    }

    async fn release(&self, room: &RoomJid, target: &ClaimTarget, until: SystemTime) -> Result<(), LedgerError> {
        self.pause().await?;
        self.inner.release(room, target, until).await
    }

    async fn mark_invited(&self, room: &RoomJid, user: &UserJid, since: &Ordinal) -> Result<(), LedgerError> {
        self.pause().await?;
        self.inner.mark_invited(room, user, since).await
    }

    async fn mark_announced(
        &self,
        room: &RoomJid,
        creation: &Ordinal,
        except: &BTreeSet<UserJid>,
    ) -> Result<(), LedgerError> {
        self.pause().await?;
        self.inner.mark_announced(room, creation, except).await
    }
}

thread_local! {
    static SECONDS: Cell<u64> = const { Cell::new(0) };
}

fn clock() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(SECONDS.get())
}

type Outcome = Vec<Result<(), ReconcileError>>;

struct Handler {
    id: u32,
    messages: Vec<usize>,
    future: Pin<Box<dyn Future<Output = Outcome>>>,
}

/// Delivers the events of `history`, some of them twice, until every message is done.
///
/// A message that failed or whose handler died comes again, once no request of that handler can still take
/// effect. A duplicate is a message of its own.
pub(crate) fn run(history: &History, seed: u64, trouble: Trouble) -> Result<End, String> {
    // Deadlines want a timer; none of them ever passes.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _entered = runtime.enter();
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x9e37_79b9_7f4a_7c15);
    let (mut crashes, failures) = match trouble {
        Trouble::None => (0, 0),
        Trouble::FailuresAndCrashes => (rng.u32(..4), rng.u32(..4)),
    };
    let world =
        World { rng: rng.fork(), failures, rooms: BTreeMap::new(), invitations: Vec::new(), in_flight: Vec::new() };
    let world: Shared = Arc::new(Mutex::new(world));
    let inner = Arc::new(MemoryLedger::default());
    let mut pending: Vec<usize> =
        (0..history.0.len()).flat_map(|i| vec![i; 1 + usize::from(rng.u8(..4) == 0)]).collect();
    let (mut active, mut dead) = (Vec::<Handler>::new(), Vec::<(u32, Vec<usize>)>::new());
    for steps in 0..100_000 {
        let requests = lock(&world).in_flight.len();
        dead.retain(|(id, messages)| {
            let waits = lock(&world).in_flight.iter().any(|request| request.handler == *id);
            if !waits {
                pending.extend(messages);
            }
            waits
        });
        if pending.is_empty() && active.is_empty() && dead.is_empty() {
            let mut world = lock(&world);
            let (rooms, invitations) = (std::mem::take(&mut world.rooms), std::mem::take(&mut world.invitations));
            return Ok(End { rooms, invitations, steps });
        }
        match rng.u8(..10) {
            0..=1 if active.len() < 3 && !pending.is_empty() => {
                if active.is_empty() {
                    // Nobody alive holds a claim: let those of the dead expire.
                    SECONDS.set(SECONDS.get() + CLAIM.as_secs() + 1);
                }
                active.push(start(history, &mut pending, &mut rng, steps, &world, &inner));
            }
            2..=4 if requests > 0 => lock(&world).deliver(),
            5 if crashes > 0 && !active.is_empty() && rng.u8(..8) == 0 => {
                crashes -= 1;
                let Handler { id, messages, .. } = active.swap_remove(rng.usize(..active.len()));
                // Its last request may be lost, or may still arrive.
                let arrives = rng.bool();
                lock(&world).in_flight.retain(|request| request.handler != id || arrives);
                dead.push((id, messages));
            }
            _ if !active.is_empty() => {
                let index = rng.usize(..active.len());
                let polled = active[index].future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                if let Poll::Ready(results) = polled {
                    let messages = active.swap_remove(index).messages;
                    let failed = messages.iter().zip(results).filter(|(_, result)| result.is_err());
                    pending.extend(failed.map(|(message, _)| *message));
                }
            }
            _ => {}
        }
    }
    Err("the messages never come to an end".to_owned())
}

/// A handler for a random message, and perhaps others of its room.
fn start(
    history: &History,
    pending: &mut Vec<usize>,
    rng: &mut fastrand::Rng,
    id: u32,
    world: &Shared,
    inner: &Arc<MemoryLedger>,
) -> Handler {
    rng.shuffle(pending);
    let mut messages = vec![pending.pop().expect("there is a message")];
    let room = history.0[messages[0]].0.clone();
    pending.retain(|message| {
        let taken = messages.len() < 3 && history.0[*message].0 == room && rng.u8(..3) == 0;
        if taken {
            messages.push(*message);
        }
        !taken
    });
    let ledger = SimLedger { world: world.clone(), inner: inner.clone() };
    let reconciler = Reconciler::with_clock(ledger, SimServer { world: world.clone(), handler: id }, clock);
    let events: Vec<RoomEvent> = messages.iter().map(|message| history.0[*message].1.clone()).collect();
    let deadline = Instant::now() + Duration::from_hours(1);
    let future = Box::pin(async move { reconciler.apply(&room, &events, deadline).await });
    Handler { id, messages, future }
}
