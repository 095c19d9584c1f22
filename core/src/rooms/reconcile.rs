//! The loop that makes the XMPP server agree with the ledger.
//!
//! For the events of one room that were delivered together, stale ones included:
//! 1. note them in the ledger;
//! 2. read what should be, in their scope;
//! 3. make the server agree, and claim the invitations that are due;
//! 4. read again; if anything in the scope changed, go to 3 with what was read;
//! 5. send the invitations, and forget the creations that newer ones cover (`folding.rs`).
//!
//! Why it converges: take the last request about a member (or about the room) that reached the server. Its
//! handler read again afterwards and saw no change; had it crashed instead, its events would have come
//! again and sent a later request. So the newest event was noted either before its first read, and then
//! that is what was applied, or after its second, and then that event's own handler applied later, which
//! contradicts. This needs that no handler returns with an unanswered request, and that an event
//! does not come again while a request of its last attempt may still take effect.
//!
//! Scopes: a creation or a destruction looks at the whole room, since it changes what every older
//! record is worth; a late destruction may have to take out those who belonged to the earlier life only. Joining and leaving
//! look at their member, and neither make nor destroy the room. If it is missing though it
//! should be there, the event fails and comes again: were the scope to widen instead, a stale request of a handler that
//! then dies could make a room anew after its destruction, and the event's next attempt, with no room to
//! look at, would not destroy it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use tokio::time::Instant;

use super::{
    deadline::{ensure_time_left, with_deadline},
    error::{Failures, MAX_ROUNDS, ReconcileError},
    folding::{Fold, fold},
    invitations::{Claims, InvitationSender, ROUND, SendOutcome},
    model::{Grant, Membership},
    server::{Refusal, Revocation, RoomServer, ServerError},
};
use crate::{
    address::{RoomJid, UserJid},
    ledger::{Ledger, Ordinal, RoomChange, RoomEvent, RoomKind, RoomState, Scope},
    telemetry::Metric,
};

/// Makes rooms what their events say.
#[derive(Debug, Clone)]
pub struct Reconciler<L, S> {
    ledger: L,
    server: S,
    /// The wall clock, by which claims expire.
    clock: fn() -> SystemTime,
}

impl<L: Ledger + Sync, S: RoomServer + Sync> Reconciler<L, S> {
    /// On the given ledger and server.
    #[must_use]
    pub fn new(ledger: L, server: S) -> Self {
        Self::with_clock(ledger, server, SystemTime::now)
    }

    /// The same, with a wall clock of one's own.
    #[must_use]
    pub fn with_clock(ledger: L, server: S, clock: fn() -> SystemTime) -> Self {
        Self { ledger, server, clock }
    }

    /// What should be, as this reconciler reads it.
    pub fn ledger(&self) -> &L {
        &self.ledger
    }

    /// Handles `events` of `room` in one pass; the results are in the order of the events.
    ///
    /// Idempotent; safe to run concurrently with itself. What is not done by `deadline` fails, and so do the
    /// events of a member for whom the server refused, but not those of the others.
    ///
    /// # Errors
    /// [`ReconcileError`], for each event that has to come again.
    pub async fn apply(
        &self,
        room: &RoomJid,
        events: &[RoomEvent],
        deadline: Instant,
    ) -> Vec<Result<(), ReconcileError>> {
        let outcome = self.pass(room, events, scope_of(events), deadline).await;
        let of_event = |event: &RoomEvent| match (&outcome, &event.change) {
            (Err(error), _) => Err(error.clone()),
            (Ok(failures), RoomChange::Created { .. } | RoomChange::Destroyed) => prefer_retryable(failures.values()),
            (Ok(failures), RoomChange::Joined(users) | RoomChange::Left(users)) => {
                prefer_retryable(users.iter().filter_map(|user| failures.get(user)))
            }
        };
        events.iter().map(of_event).collect()
    }

    /// Makes the server agree with what is recorded of `room` as a whole, without an event of it: restores what
    /// the server lost, takes out who should not be there. Leaves alone what nothing is recorded of.
    ///
    /// # Errors
    /// [`ReconcileError`]; of several members' the one that a retry helps.
    pub async fn repair(&self, room: &RoomJid, deadline: Instant) -> Result<(), ReconcileError> {
        prefer_retryable(self.pass(room, &[], Scope::Whole, deadline).await?.values())
    }

    async fn pass(
        &self,
        room: &RoomJid,
        events: &[RoomEvent],
        scope: Scope,
        deadline: Instant,
    ) -> Result<Failures, ReconcileError> {
        let sender = InvitationSender {
            ledger: &self.ledger,
            server: &self.server,
            clock: self.clock,
            room,
            scope: &scope,
            deadline,
        };
        let mut claims = sender.claims();
        let outcome = self.rounds(&sender, &mut claims, events).await;
        claims.release().await;
        outcome
    }

    async fn rounds<'a>(
        &'a self,
        sender: &InvitationSender<'a, L, S>,
        claims: &mut Claims<'a, L>,
        events: &[RoomEvent],
    ) -> Result<Failures, ReconcileError> {
        let InvitationSender { room, scope, deadline, .. } = *sender;
        let read = || with_deadline(deadline, self.ledger.read(room, scope));
        let mut state = if let Some(joined) = joinings(events) {
            self.join(room, &joined, claims, deadline).await?
        } else {
            if !events.is_empty() {
                with_deadline(deadline, self.ledger.record(room, events)).await?;
            }
            read().await?
        };
        let destroyed = events.iter().find(|event| event.change == RoomChange::Destroyed).map(|event| event.kind);
        for _ in 0..MAX_ROUNDS {
            ensure_time_left(deadline)?;
            let mut failures = match self.make_agree(room, &state, scope, destroyed, deadline).await {
                Err(ServerError::RoomMissing) if *scope == Scope::Whole => {
                    state = read().await?;
                    continue;
                }
                other => other?,
            };
            sender.claim_due(claims, &state, &failures).await?;
            let mut again = read().await?;
            if again.same_desired_state(&state) {
                claims.take_out(&mut again);
                let folds = if *scope == Scope::Whole { again.folds((self.clock)()) } else { Vec::new() };
                match sender.send_due(claims, again, &mut failures).await? {
                    SendOutcome::Done => {
                        self.fold(room, &folds, deadline).await;
                        if failures.is_empty() {
                            Metric::EventsStale.add(events.iter().filter(|event| state.has_overtaken(event)).count());
                        }
                        return Ok(failures);
                    }
                    SendOutcome::Changed(newer) => again = newer,
                }
            }
            Metric::LedgerConflicts.add(1);
            state = again;
        }
        Err(ReconcileError::Busy)
    }

    /// Notes that people joined, and reads what should be. Their records and claims come with the same writes.
    async fn join(
        &self,
        room: &RoomJid,
        joined: &BTreeMap<UserJid, Ordinal>,
        claims: &mut Claims<'_, L>,
        deadline: Instant,
    ) -> Result<RoomState, ReconcileError> {
        let joinings = self.ledger.join(room, joined, claims.now, claims.until);
        let joinings = with_deadline(deadline, joinings).await?;
        let nobody = Scope::Members(BTreeSet::new());
        let claimed = joinings.iter().filter(|(_, joining)| joining.claimed);
        claimed.for_each(|(user, _)| claims.hold(user.clone()));
        let mut state = with_deadline(deadline, self.ledger.read(room, &nobody)).await?;
        state.members = joinings.into_iter().map(|(user, joining)| (user, joining.record)).collect();
        Ok(state)
    }

    /// Best effort: the events are done, and the next handler of a creation folds what is left.
    async fn fold(&self, room: &RoomJid, folds: &[Fold], deadline: Instant) {
        if let Err(error) = fold(&self.ledger, room, folds, (self.clock)(), deadline).await {
            tracing::debug!(%room, %error, "Creations that newer ones cover are left for the next handler to fold");
        }
    }

    /// Step 3.
    async fn make_agree(
        &self,
        room: &RoomJid,
        state: &RoomState,
        scope: &Scope,
        destroyed: Option<RoomKind>,
        deadline: Instant,
    ) -> Result<Failures, ServerError> {
        let (spec, ended) = (state.room(), state.ended());
        let Some(spec) = spec else {
            if let (Scope::Whole, Some(ended)) = (scope, ended) {
                if destroyed == Some(RoomKind::Conference) {
                    tracing::trace!("Destroying MUC {room}");
                }
                self.server.destroy(room, ended, deadline).await?;
            }
            return Ok(Failures::new());
        };
        let users: BTreeSet<&UserJid> = match scope {
            Scope::Whole => {
                self.server.ensure(room, &spec, ended, deadline).await?;
                state.recorded()
            }
            Scope::Members(users) => users.iter().collect(),
        };
        let (mut grants, mut revocations) = (Vec::<(UserJid, Grant)>::new(), Vec::new());
        for user in users {
            match state.membership(user) {
                Membership::In(grant) => grants.push((user.clone(), grant)),
                Membership::Out => {
                    let ended = state.membership_ended_at(user).cloned();
                    revocations.push(Revocation { user: user.clone(), ended });
                }
            }
        }
        let mut failures = Failures::new();
        if !grants.is_empty() {
            add_refusals(&mut failures, self.server.grant(room, &grants, ended, deadline).await?);
        }
        if !revocations.is_empty() {
            add_refusals(&mut failures, self.revoke(room, &revocations, deadline).await?);
        }
        Ok(failures)
    }

    /// Takes people out of the room, and logs for whom that failed.
    async fn revoke(
        &self,
        room: &RoomJid,
        revocations: &[Revocation],
        deadline: Instant,
    ) -> Result<Vec<Refusal>, ServerError> {
        for Revocation { user, .. } in revocations {
            tracing::debug!("Kicking {user} from {room}");
        }
        let outcome = self.server.revoke(room, revocations, deadline).await;
        let warn = |member: &UserJid, error: &ServerError| {
            tracing::warn!("Failed to revoke group membership of {member} from {room}: {error}");
        };
        match &outcome {
            Ok(refusals) => refusals.iter().for_each(|refusal| warn(&refusal.user, &refusal.error)),
            // Not these members' failure: the room is not there yet.
            Err(ServerError::RoomMissing) => {}
            Err(error) => revocations.iter().for_each(|one| warn(&one.user, error)),
        }
        outcome
    }
}

fn add_refusals(failures: &mut Failures, refusals: Vec<Refusal>) {
    failures.extend(refusals.into_iter().map(|refusal| (refusal.user, refusal.error.into())));
}

/// The error to report of several: one that a retry helps, as long as there is one.
fn prefer_retryable<'a>(errors: impl Iterator<Item = &'a ReconcileError>) -> Result<(), ReconcileError> {
    errors.max_by_key(|error| error.is_retryable()).cloned().map_or(Ok(()), Err)
}

/// Who joined by which of `events`, the newest each, if nothing else happened and they are few enough to be invited in
/// one round.
fn joinings(events: &[RoomEvent]) -> Option<BTreeMap<UserJid, Ordinal>> {
    let mut joined = BTreeMap::new();
    for event in events {
        let RoomChange::Joined(users) = &event.change else { return None };
        for user in users {
            let newest = joined.entry(user.clone()).or_insert_with(|| event.at.clone());
            *newest = event.at.clone().max(newest.clone());
        }
    }
    (1..=ROUND).contains(&joined.len()).then_some(joined)
}

fn scope_of(events: &[RoomEvent]) -> Scope {
    let mut members = BTreeSet::new();
    for event in events {
        match &event.change {
            RoomChange::Created { .. } | RoomChange::Destroyed => return Scope::Whole,
            RoomChange::Joined(users) | RoomChange::Left(users) => members.extend(users.iter().cloned()),
        }
    }
    Scope::Members(members)
}
