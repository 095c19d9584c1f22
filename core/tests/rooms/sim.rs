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
    ledger::{Creation, Ledger, LedgerError, MemoryLedger, Ordinal, RoomEvent, RoomState, Scope},
    rooms::{CLAIM, ReconcileError, Reconciler, Refusal, ServerError},
    testing::{AllBookmarks, MucRoom, MucService, RoomRequest, RoomScript},
};
use tokio::time::Instant;

use crate::{
    history::History,
    scripted::{Access, LedgerScript, Scripted},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    FailuresAndCrashes,
}

/// Whether creations that newer ones cover are forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folding {
    Off,
    On,
}

/// What there is at the end.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) rooms: BTreeMap<RoomJid, MucRoom>,
    pub(crate) bookmarks: AllBookmarks,
    pub(crate) invitations: Vec<(RoomJid, UserJid, Ordinal)>,
    /// Those that were not taken back.
    pub(crate) waiting: BTreeSet<(RoomJid, UserJid, Ordinal)>,
    pub(crate) steps: u32,
    /// How many creations were forgotten.
    pub(crate) folded: u32,
}

type Reply = Arc<Mutex<Option<Result<(), ServerError>>>>;

struct InFlight {
    handler: u32,
    room: RoomJid,
    request: RoomRequest,
    reply: Reply,
}

struct World {
    rng: fastrand::Rng,
    failures: u32,
    muc: MucService,
    in_flight: Vec<InFlight>,
    folding: Folding,
    folded: u32,
}

impl World {
    /// Whether the next thing fails.
    fn fails(&mut self) -> bool {
        let fails = self.failures > 0 && self.rng.u8(..12) == 0;
        self.failures -= u32::from(fails);
        fails
    }

    /// The server gets to one of the requests, in any order among handlers.
    fn deliver(&mut self) {
        let index = self.rng.usize(..self.in_flight.len());
        let InFlight { room, request, reply, .. } = self.in_flight.swap_remove(index);
        let lost = || Err(ServerError::Unavailable("injected".to_owned()));
        let outcome = match (self.fails(), self.rng.u8(..3)) {
            (true, 0) => lost(),
            (true, 1) => self.muc.apply_in_part(&room, request).and_then(|()| lost()),
            (true, _) => self.muc.apply(&room, request).and_then(|()| lost()),
            (false, _) => self.muc.apply(&room, request),
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

impl RoomScript for SimServer {
    async fn answer(&self, room: &RoomJid, request: RoomRequest, _: Instant) -> Result<Vec<Refusal>, ServerError> {
        let reply = Reply::default();
        let request = InFlight { handler: self.handler, room: room.clone(), request, reply: reply.clone() };
        lock(&self.world).in_flight.push(request);
        poll_fn(|_| reply.lock().unwrap().take().map_or(Poll::Pending, Poll::Ready)).await.map(|()| Vec::new())
    }
}

/// A pause around every access, reads in pieces, and failures.
struct Interleaved(Shared);

impl Interleaved {
    /// Another handler may run here.
    async fn pause(&self) -> Result<(), LedgerError> {
        let mut paused = false;
        poll_fn(|_| if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }).await;
        if lock(&self.0).fails() { Err(LedgerError("injected".to_owned())) } else { Ok(()) }
    }
}

impl LedgerScript for Interleaved {
    async fn before(&self, _: Access) -> Result<(), LedgerError> {
        self.pause().await
    }

    async fn after(&self, access: Access) -> Result<(), LedgerError> {
        match access {
            Access::Record | Access::Join(_) | Access::Claim | Access::Forget => self.pause().await,
            _ => Ok(()),
        }
    }

    async fn read(&self, inner: &MemoryLedger, room: &RoomJid, scope: &Scope) -> Result<RoomState, LedgerError> {
        self.pause().await?;
        let first = inner.read(room, scope).await?;
        self.pause().await?;
        let second = inner.read(room, scope).await?;
        self.pause().await?;
        let mut world = lock(&self.0);
        let rng = &mut world.rng;
        // Creations one after the other, the oldest first.
        let read_first = rng.usize(..=second.creations.len());
        let border = second.creations.keys().nth(read_first).cloned();
        let mut creations: BTreeMap<Ordinal, Creation> = first.creations;
        if let Some(border) = border {
            creations.retain(|at, _| *at < border);
            creations.extend(second.creations.into_iter().filter(|(at, _)| *at >= border));
        }
        let members = if rng.bool() { first.members } else { second.members };
        let destroyed = if rng.bool() { first.destroyed } else { second.destroyed };
        Ok(RoomState { members, creations, destroyed, domain_deleted: second.domain_deleted })
    }

    fn folds(&self) -> bool {
        lock(&self.0).folding == Folding::On
    }

    fn forgot(&self) {
        lock(&self.0).folded += 1;
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

/// A run: messages that wait, handlers at work, and the dead, whose messages come again.
struct Simulation<'a> {
    history: &'a History,
    rng: fastrand::Rng,
    world: Shared,
    ledger: Arc<MemoryLedger>,
    crashes: u32,
    /// Messages to be handled, by the place of their event in the history. A duplicate is a message of its own.
    pending: Vec<usize>,
    active: Vec<Handler>,
    dead: Vec<(u32, Vec<usize>)>,
}

/// Delivers the events of `history`, some of them twice, until every message is done.
///
/// A message that failed or whose handler died comes again, once no request of that handler can still take effect.
pub(crate) fn run(history: &History, seed: u64, trouble: Trouble, folding: Folding) -> Result<End, String> {
    // Deadlines want a timer; none of them ever passes.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _entered = runtime.enter();
    let mut simulation = Simulation::new(history, seed, trouble, folding);
    for steps in 0..100_000 {
        simulation.bring_back_messages_of_the_dead();
        if simulation.is_over() {
            let mut world = lock(&simulation.world);
            let MucService { rooms, bookmarks, invitations, waiting, .. } = std::mem::take(&mut world.muc);
            return Ok(End { rooms, bookmarks, invitations, waiting, steps, folded: world.folded });
        }
        simulation.step(steps);
    }
    Err("the messages never come to an end".to_owned())
}

impl<'a> Simulation<'a> {
    fn new(history: &'a History, seed: u64, trouble: Trouble, folding: Folding) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x9e37_79b9_7f4a_7c15);
        let (crashes, failures) = match trouble {
            Trouble::None => (0, 0),
            Trouble::FailuresAndCrashes => (rng.u32(..4), rng.u32(..4)),
        };
        let (muc, in_flight) = (MucService::default(), Vec::new());
        let world = World { rng: rng.fork(), failures, muc, in_flight, folding, folded: 0 };
        let pending = (0..history.0.len()).flat_map(|i| vec![i; 1 + usize::from(rng.u8(..4) == 0)]).collect();
        let (active, dead) = (Vec::new(), Vec::new());
        let (world, ledger) = (Arc::new(Mutex::new(world)), Arc::default());
        Self { history, rng, world, ledger, crashes, pending, active, dead }
    }

    /// Once none of their handler's requests is left.
    fn bring_back_messages_of_the_dead(&mut self) {
        let Self { dead, pending, world, .. } = self;
        dead.retain(|(id, messages)| {
            let waits = lock(world).in_flight.iter().any(|request| request.handler == *id);
            if !waits {
                pending.extend(messages);
            }
            waits
        });
    }

    fn is_over(&self) -> bool {
        self.pending.is_empty() && self.active.is_empty() && self.dead.is_empty()
    }

    fn step(&mut self, number: u32) {
        let requests = lock(&self.world).in_flight.len();
        match self.rng.u8(..10) {
            0..=1 if self.active.len() < 3 && !self.pending.is_empty() => {
                if self.active.is_empty() {
                    // Nobody alive holds a claim: let those of the dead expire.
                    SECONDS.set(SECONDS.get() + CLAIM.as_secs() + 1);
                }
                let handler = self.start(number);
                self.active.push(handler);
            }
            2..=4 if requests > 0 => lock(&self.world).deliver(),
            5 if self.crashes > 0 && !self.active.is_empty() && self.rng.u8(..8) == 0 => self.crash(),
            _ if !self.active.is_empty() => self.poll(),
            _ => {}
        }
    }

    /// A handler for a random message, and perhaps others of its room.
    fn start(&mut self, id: u32) -> Handler {
        let Self { history, rng, pending, .. } = self;
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
        let ledger = Scripted { inner: self.ledger.clone(), script: Interleaved(self.world.clone()) };
        let server = SimServer { world: self.world.clone(), handler: id };
        let reconciler = Reconciler::with_clock(ledger, server, clock);
        let events: Vec<RoomEvent> = messages.iter().map(|message| history.0[*message].1.clone()).collect();
        let deadline = Instant::now() + Duration::from_hours(1);
        let future = Box::pin(async move { reconciler.apply(&room, &events, deadline).await });
        Handler { id, messages, future }
    }

    /// Lets a handler die. Its last request may be lost, or may still arrive.
    fn crash(&mut self) {
        self.crashes -= 1;
        let Handler { id, messages, .. } = self.active.swap_remove(self.rng.usize(..self.active.len()));
        let arrives = self.rng.bool();
        lock(&self.world).in_flight.retain(|request| request.handler != id || arrives);
        self.dead.push((id, messages));
    }

    /// Lets a handler go on.
    fn poll(&mut self) {
        let index = self.rng.usize(..self.active.len());
        let polled = self.active[index].future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(results) = polled {
            let messages = self.active.swap_remove(index).messages;
            let failed = messages.iter().zip(results).filter(|(_, result)| result.is_err());
            self.pending.extend(failed.map(|(message, _)| *message));
        }
    }
}
