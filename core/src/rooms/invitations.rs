//! Invitations: once per spell of membership, and at least once.
//!
//! A handler claims, reads again, sends, waits for the bounces, and marks. A claim expires, so a crash
//! between claim and mark costs a repeated invitation at worst and never a lost one: as long as a claim of someone
//! else stands, the event fails and comes again.
//!
//! Two kinds of claim may cover one member: her own, and that of a creation that lists her. Of two handlers
//! that claim differently both read after they claimed, so at least one sees the other's claim, and whoever
//! sees one leaves that member alone. Should both do so, the retry sorts it out.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use futures::future::try_join_all;
use tokio::time::Instant;

use super::{
    EXPIRY_GRACE, Invitation, Ledger, Ordinal, Reconciler, RoomServer, RoomState, Scope, Ticket,
    reconcile::{Failures, ReconcileError, in_time, within},
};
use crate::{
    address::{RoomJid, UserJid},
    telemetry::Metric,
};

/// How long a claim stands at most. It ends when nothing that its handler sent can take effect any more: no two handlers
/// that live send the same, and what a dead one claimed does not wait for longer than its function had.
pub const CLAIM: Duration = Duration::from_mins(2);

/// Time kept for marking what was sent: what is not marked is sent again.
const MARKING: Duration = Duration::from_secs(2);

/// Claims and marks that are under way at a time.
const ACCESSES_AT_A_TIME: usize = 30;

/// How sending ended.
pub(super) enum Sent {
    /// Whatever could be sent is sent and marked.
    Done,
    /// The scope changed meanwhile; nothing was sent since.
    Changed(RoomState),
}

/// Sends what is due in `scope`, given that the server agrees with `state`.
pub(super) async fn send_due<L: Ledger + Sync, S: RoomServer + Sync>(
    reconciler: &Reconciler<L, S>,
    room: &RoomJid,
    scope: &Scope,
    mut state: RoomState,
    failures: &mut Failures,
    deadline: Instant,
) -> Result<Sent, ReconcileError> {
    // Who was refused is no member yet; who bounced is not tried twice in one pass.
    let due = |state: &RoomState, failures: &Failures| {
        let all = state.invitations_due(scope).into_iter();
        all.filter(|(user, _)| !failures.contains_key(user)).collect::<Vec<_>>()
    };
    let send_by = deadline.checked_sub(MARKING).unwrap_or(deadline);
    loop {
        let wanted = due(&state, failures);
        if wanted.is_empty() {
            return Ok(Sent::Done);
        }
        in_time(send_by)?;
        let now = (reconciler.clock)();
        let left = deadline.saturating_duration_since(Instant::now()) + EXPIRY_GRACE;
        let mut claims = Claims { reconciler, room, until: now + left.min(CLAIM), deadline, held: Vec::new() };
        let tickets = claims.take(&state, scope, &wanted, now).await?;
        let again = within(deadline, reconciler.ledger.read(room, scope)).await?;
        let Some(spec) = again.room().filter(|_| again.agrees_with(&state)) else {
            claims.release().await?;
            return Ok(Sent::Changed(again));
        };
        let sendable: Vec<Invitation> = due(&again, failures)
            .into_iter()
            .filter(|(user, _)| !claims.rivalled(&again, user, now))
            .filter_map(|(to, since)| match tickets.get(&to).filter(|ticket| claims.held.contains(ticket))? {
                Ticket::Member(_) => Some(Invitation { to, since }),
                // As it will be marked: that covers no spell which a later creation begins.
                Ticket::Creation(at) => Some(Invitation { to, since: at.clone() }),
            })
            .collect();
        if sendable.is_empty() {
            claims.release().await?;
            Metric::LedgerConflicts.add(1);
            let left = due(&again, failures).into_iter();
            failures.extend(left.map(|(user, _)| (user.clone(), ReconcileError::InvitationClaimed(user))));
            return Ok(Sent::Done);
        }
        if let Err(late) = in_time(send_by) {
            claims.release().await?;
            return Err(late);
        }
        let bounced = match reconciler.server.invite(room, spec.kind, &sendable, send_by).await {
            Ok(bounced) => bounced,
            Err(error) => {
                Metric::InvitationsFailed.add(sendable.len());
                for Invitation { to, .. } in &sendable {
                    tracing::warn!(error = %error, "Failed to send invite to MUC {room} to user {to}");
                }
                // A claim that is not given back expires. What the server said decides when the event may come again.
                let _ = claims.release().await;
                return Err(error.into());
            }
        };
        let mut sent: BTreeMap<UserJid, Ordinal> = sendable.into_iter().map(|one| (one.to, one.since)).collect();
        Metric::InvitationsFailed.add(bounced.len());
        for refusal in bounced {
            let user = refusal.user;
            tracing::warn!(error = %refusal.error, "Failed to send invite to MUC {room} to user {user}");
            // What no retry helps counts as sent: more cannot be done for her.
            if refusal.error.is_retryable() {
                sent.remove(&user);
                failures.insert(user, refusal.error.into());
            }
        }
        claims.mark(&again, &tickets, &sent).await?;
        if wanted.iter().all(|(user, _)| sent.contains_key(user) || failures.contains_key(user)) {
            return Ok(Sent::Done);
        }
        state = within(deadline, reconciler.ledger.read(room, scope)).await?;
        if !state.agrees_with(&again) {
            return Ok(Sent::Changed(state));
        }
    }
}

/// The claims of one round.
struct Claims<'a, L, S> {
    reconciler: &'a Reconciler<L, S>,
    room: &'a RoomJid,
    until: SystemTime,
    deadline: Instant,
    held: Vec<Ticket>,
}

impl<L: Ledger + Sync, S: RoomServer + Sync> Claims<'_, L, S> {
    /// Claims what `wanted` needs; returns which ticket covers whom, claimed or not.
    async fn take(
        &mut self,
        state: &RoomState,
        scope: &Scope,
        wanted: &[(UserJid, Ordinal)],
        now: SystemTime,
    ) -> Result<BTreeMap<UserJid, Ticket>, ReconcileError> {
        let (mut tickets, mut to_claim) = (BTreeMap::new(), BTreeMap::new());
        for (user, _) in wanted {
            let listed = state.unannounced(user).next().filter(|_| *scope == Scope::Whole);
            let ticket = listed.map_or_else(|| Ticket::Member(user.clone()), |(at, _)| Ticket::Creation(at.clone()));
            to_claim.entry(ticket.clone()).or_insert_with(|| state.interrupted(user));
            tickets.insert(user.clone(), ticket);
        }
        let ledger = &self.reconciler.ledger;
        let claims = to_claim.into_iter().map(async |(ticket, interrupted)| {
            let claim = ledger.claim(self.room, &ticket, interrupted, now, self.until);
            Ok(within(self.deadline, claim).await?.then_some(ticket))
        });
        let claimed = some_at_a_time(claims).await?;
        self.held = claimed.into_iter().flatten().collect();
        Ok(tickets)
    }

    /// Whether someone else's claim covers `user`.
    fn rivalled(&self, state: &RoomState, user: &UserJid, now: SystemTime) -> bool {
        let live = |claimed: Option<SystemTime>| claimed.is_some_and(|until| until > now);
        let own = state.members.get(user).is_some_and(|record| live(record.claimed));
        let others_creation = state
            .unannounced(user)
            .any(|(at, creation)| live(creation.claimed) && !self.held.contains(&Ticket::Creation(at.clone())));
        (own && !self.held.contains(&Ticket::Member(user.clone()))) || others_creation
    }

    /// Marks what was sent, and gives back the claims of what was not.
    async fn mark(
        self,
        state: &RoomState,
        tickets: &BTreeMap<UserJid, Ticket>,
        sent: &BTreeMap<UserJid, Ordinal>,
    ) -> Result<(), ReconcileError> {
        let ledger = &self.reconciler.ledger;
        let marks = self.held.iter().map(async |ticket| match ticket {
            Ticket::Member(user) => match sent.get(user) {
                Some(since) => within(self.deadline, ledger.mark_invited(self.room, user, since)).await,
                None => within(self.deadline, ledger.release(self.room, ticket, self.until)).await,
            },
            Ticket::Creation(at) => {
                let uninvited = |user: &&UserJid| !(sent.contains_key(*user) && tickets.get(*user) == Some(ticket));
                let listed = state.creations.get(at).into_iter().flat_map(|creation| &creation.participants);
                let except: BTreeSet<UserJid> = listed.filter(uninvited).cloned().collect();
                within(self.deadline, ledger.mark_announced(self.room, at, &except)).await
            }
        });
        some_at_a_time(marks).await.map(drop)
    }

    async fn release(self) -> Result<(), ReconcileError> {
        let ledger = &self.reconciler.ledger;
        let releases =
            self.held.iter().map(|ticket| within(self.deadline, ledger.release(self.room, ticket, self.until)));
        some_at_a_time(releases).await.map(drop)
    }
}

/// What all of `accesses` to the ledger bring, a few of them under way at a time.
async fn some_at_a_time<T>(
    accesses: impl Iterator<Item = impl Future<Output = Result<T, ReconcileError>>>,
) -> Result<Vec<T>, ReconcileError> {
    let (mut accesses, mut all) = (accesses.peekable(), Vec::new());
    while accesses.peek().is_some() {
        all.extend(try_join_all(accesses.by_ref().take(ACCESSES_AT_A_TIME)).await?);
    }
    Ok(all)
}
