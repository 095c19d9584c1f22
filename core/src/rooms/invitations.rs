//! Invitations: once per spell of membership, and at least once.
//!
//! A handler claims, reads again, sends, waits for the bounces, and marks. A claim expires, so a crash
//! between claim and mark costs a repeated invitation at worst and never a lost one: as long as a claim of someone
//! else stands, the event fails and comes again.
//!
//! Two kinds of claim may cover one member: their own, and that of a creation that lists them. Of two handlers
//! that claim differently both read after they claimed, so at least one sees the other's claim, and whoever
//! sees one leaves that member alone. Should both do so, the retry sorts it out.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use futures::future::try_join_all;
use tokio::time::Instant;

use super::{
    deadline::{ensure_time_left, with_deadline},
    error::{Failures, ReconcileError},
    expiry::EXPIRY_GRACE,
    server::{Invitation, RoomServer, ServerError},
};
use crate::{
    address::{RoomJid, UserJid},
    ledger::{ClaimTarget, Ledger, Ordinal, RoomKind, RoomState, Scope},
    telemetry::Metric,
};

/// How long a claim stands at most. It ends when nothing that its handler sent can take effect any more: no two handlers
/// that live send the same, and what a dead one claimed does not wait for longer than its function had.
pub const CLAIM: Duration = Duration::from_mins(2);

/// Time kept for marking what was sent: what is not marked is sent again. One write takes
/// milliseconds; a large room's are several, one after the other.
const MARKING: Duration = Duration::from_secs(2);

/// Claims and marks that are under way at a time. All have items of one room, so of one partition, which takes 1,000
/// write units a second: more at a time would only be throttled.
const ACCESSES_AT_A_TIME: usize = 30;

/// How sending ended.
pub(super) enum SendOutcome {
    /// Whatever could be sent is sent and marked.
    Done,
    /// The scope changed meanwhile; nothing was sent since.
    Changed(RoomState),
}

/// Sends the invitations of a room that are due in a scope.
pub(super) struct InvitationSender<'a, L, S> {
    pub(super) ledger: &'a L,
    pub(super) server: &'a S,
    /// The wall clock, by which claims expire.
    pub(super) clock: fn() -> SystemTime,
    pub(super) room: &'a RoomJid,
    pub(super) scope: &'a Scope,
    pub(super) deadline: Instant,
}

impl<L: Ledger + Sync, S: RoomServer + Sync> InvitationSender<'_, L, S> {
    /// Sends what is due, given that the server agrees with `state`.
    pub(super) async fn send_due(
        &self,
        mut state: RoomState,
        failures: &mut Failures,
    ) -> Result<SendOutcome, ReconcileError> {
        let send_by = self.deadline.checked_sub(MARKING).unwrap_or(self.deadline);
        loop {
            let wanted = self.due(&state, failures);
            if wanted.is_empty() {
                return Ok(SendOutcome::Done);
            }
            ensure_time_left(send_by)?;
            let claims = self.claim(&state, &wanted).await?;
            let again = self.read().await?;
            let Some(spec) = again.room().filter(|_| again.same_desired_state(&state)) else {
                claims.release().await?;
                return Ok(SendOutcome::Changed(again));
            };
            let sendable = claims.sendable(&again, self.due(&again, failures));
            if sendable.is_empty() {
                claims.release().await?;
                Metric::LedgerConflicts.add(1);
                let left = self.due(&again, failures).into_iter();
                failures.extend(left.map(|(user, _)| (user.clone(), ReconcileError::InvitationClaimed(user))));
                return Ok(SendOutcome::Done);
            }
            if let Err(late) = ensure_time_left(send_by) {
                claims.release().await?;
                return Err(late);
            }
            let sent = match self.send(spec.kind, sendable, failures, send_by).await {
                Ok(sent) => sent,
                Err(error) => {
                    // A claim that is not given back expires. What the server said decides when the event may come again.
                    let _ = claims.release().await;
                    return Err(error.into());
                }
            };
            claims.mark(&again, &sent).await?;
            if wanted.iter().all(|(user, _)| sent.contains_key(user) || failures.contains_key(user)) {
                return Ok(SendOutcome::Done);
            }
            state = self.read().await?;
            if !state.same_desired_state(&again) {
                return Ok(SendOutcome::Changed(state));
            }
        }
    }

    async fn read(&self) -> Result<RoomState, ReconcileError> {
        with_deadline(self.deadline, self.ledger.read(self.room, self.scope)).await
    }

    /// Who was refused is no member yet; who bounced is not tried twice in one pass.
    fn due(&self, state: &RoomState, failures: &Failures) -> Vec<(UserJid, Ordinal)> {
        let all = state.invitations_due(self.scope).into_iter();
        all.filter(|(user, _)| !failures.contains_key(user)).collect()
    }

    /// Claims what `wanted` needs.
    async fn claim(&self, state: &RoomState, wanted: &[(UserJid, Ordinal)]) -> Result<Claims<'_, L>, ReconcileError> {
        let now = (self.clock)();
        let left = self.deadline.saturating_duration_since(Instant::now()) + EXPIRY_GRACE;
        let until = now + left.min(CLAIM);
        let (mut targets, mut to_claim) = (BTreeMap::new(), BTreeMap::new());
        for (user, _) in wanted {
            let listed = state.unannounced(user).next().filter(|_| *self.scope == Scope::Whole);
            let target =
                listed.map_or_else(|| ClaimTarget::Member(user.clone()), |(at, _)| ClaimTarget::Creation(at.clone()));
            to_claim.entry(target.clone()).or_insert_with(|| state.membership_ended_at(user));
            targets.insert(user.clone(), target);
        }
        let claims = to_claim.into_iter().map(async |(target, ended_at)| {
            let claim = self.ledger.claim(self.room, &target, ended_at, now, until);
            Ok(with_deadline(self.deadline, claim).await?.then_some(target))
        });
        let held = some_at_a_time(claims).await?.into_iter().flatten().collect();
        Ok(Claims { ledger: self.ledger, room: self.room, deadline: self.deadline, now, until, held, targets })
    }

    /// Sends `invitations`; returns those that were sent, or that no retry helps.
    async fn send(
        &self,
        kind: RoomKind,
        invitations: Vec<Invitation>,
        failures: &mut Failures,
        send_by: Instant,
    ) -> Result<BTreeMap<UserJid, Ordinal>, ServerError> {
        let room = self.room;
        let bounced = match self.server.invite(room, kind, &invitations, send_by).await {
            Ok(bounced) => bounced,
            Err(error) => {
                Metric::InvitationsFailed.add(invitations.len());
                for Invitation { to, .. } in &invitations {
                    tracing::warn!(error = %error, "Failed to send invite to MUC {room} to user {to}");
                }
                return Err(error);
            }
        };
        let mut sent: BTreeMap<UserJid, Ordinal> = invitations.into_iter().map(|one| (one.to, one.since)).collect();
        Metric::InvitationsFailed.add(bounced.len());
        for refusal in bounced {
            let user = refusal.user;
            tracing::warn!(error = %refusal.error, "Failed to send invite to MUC {room} to user {user}");
            // What no retry helps counts as sent: more cannot be done for them.
            if refusal.error.is_retryable() {
                sent.remove(&user);
                failures.insert(user, refusal.error.into());
            }
        }
        Ok(sent)
    }
}

/// The claims of one round.
struct Claims<'a, L> {
    ledger: &'a L,
    room: &'a RoomJid,
    deadline: Instant,
    /// When they were made.
    now: SystemTime,
    /// When they end.
    until: SystemTime,
    /// Those that succeeded.
    held: Vec<ClaimTarget>,
    /// Which claim covers whom, whether it succeeded or not.
    targets: BTreeMap<UserJid, ClaimTarget>,
}

impl<L: Ledger + Sync> Claims<'_, L> {
    /// Those of `due` whom a claim of ours covers, and nobody else's.
    fn sendable(&self, state: &RoomState, due: Vec<(UserJid, Ordinal)>) -> Vec<Invitation> {
        due.into_iter()
            .filter(|(user, _)| !self.rivalled(state, user))
            .filter_map(|(to, since)| match self.targets.get(&to).filter(|target| self.held.contains(target))? {
                ClaimTarget::Member(_) => Some(Invitation { to, since }),
                // As it will be marked: that covers no spell which a later creation begins.
                ClaimTarget::Creation(at) => Some(Invitation { to, since: at.clone() }),
            })
            .collect()
    }

    /// Whether someone else's claim covers `user`.
    fn rivalled(&self, state: &RoomState, user: &UserJid) -> bool {
        let live = |claimed: Option<SystemTime>| claimed.is_some_and(|until| until > self.now);
        let own = state.members.get(user).is_some_and(|record| live(record.claimed));
        let others_creation = state
            .unannounced(user)
            .any(|(at, creation)| live(creation.claimed) && !self.held.contains(&ClaimTarget::Creation(at.clone())));
        (own && !self.held.contains(&ClaimTarget::Member(user.clone()))) || others_creation
    }

    /// Marks what was sent, and gives back the claims of what was not.
    async fn mark(self, state: &RoomState, sent: &BTreeMap<UserJid, Ordinal>) -> Result<(), ReconcileError> {
        let marks = self.held.iter().map(async |target| match target {
            ClaimTarget::Member(user) => match sent.get(user) {
                Some(since) => with_deadline(self.deadline, self.ledger.mark_invited(self.room, user, since)).await,
                None => with_deadline(self.deadline, self.ledger.release(self.room, target, self.until)).await,
            },
            ClaimTarget::Creation(at) => {
                let uninvited =
                    |user: &&UserJid| !(sent.contains_key(*user) && self.targets.get(*user) == Some(target));
                let listed = state.creations.get(at).into_iter().flat_map(|creation| &creation.participants);
                let except: BTreeSet<UserJid> = listed.filter(uninvited).cloned().collect();
                with_deadline(self.deadline, self.ledger.mark_announced(self.room, at, &except)).await
            }
        });
        some_at_a_time(marks).await.map(drop)
    }

    async fn release(self) -> Result<(), ReconcileError> {
        let releases = self
            .held
            .iter()
            .map(|target| with_deadline(self.deadline, self.ledger.release(self.room, target, self.until)));
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
