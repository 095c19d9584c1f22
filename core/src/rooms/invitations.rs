//! Invitations: once per spell of membership, and at least once.
//!
//! A handler claims, reads, sends, waits for the bounces, and marks. A claim expires, so a crash
//! between claim and mark costs a repeated invitation at worst and never a lost one: as long as a claim of someone
//! else stands, the event fails and comes again. Claims are made before the read that has to be there in any case, the
//! one after the server agrees; those of members who join alone, with the very write that notes it.
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
    model::RoomSpec,
    server::{Invitation, RoomServer, ServerError},
};
use crate::{
    address::{RoomJid, UserJid},
    ledger::{ClaimTarget, Ledger, Ordinal, RoomState, Scope},
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

/// Members with a claim each who are invited in one round. What a round has done stays done: of a list that is too
/// long for the time of one handler, the next one does the rest.
pub(super) const ROUND: usize = 200;

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

impl<'a, L: Ledger + Sync, S: RoomServer + Sync> InvitationSender<'a, L, S> {
    /// No claims yet.
    pub(super) fn claims(&self) -> Claims<'a, L> {
        let now = (self.clock)();
        let left = self.deadline.saturating_duration_since(Instant::now()) + EXPIRY_GRACE;
        let until = now + left.min(CLAIM);
        let (held, targets) = (BTreeSet::new(), BTreeMap::new());
        Claims { ledger: self.ledger, room: self.room, deadline: self.deadline, now, until, held, targets }
    }

    /// Claims what is due by `state`, as far as it is not claimed. The server agrees with `state`, except as to those in
    /// `failures`; whether it still is as it was has to be read after this.
    pub(super) async fn claim_due(
        &self,
        claims: &mut Claims<'a, L>,
        state: &RoomState,
        failures: &Failures,
    ) -> Result<(), ReconcileError> {
        let wanted = self.due(state, failures);
        if !wanted.is_empty() {
            ensure_time_left(self.send_by())?;
        }
        claims.cover(state, &wanted, self.scope).await
    }

    /// Sends what is due by `state`, which was read after `claims` were made.
    pub(super) async fn send_due(
        &self,
        claims: &mut Claims<'a, L>,
        mut state: RoomState,
        failures: &mut Failures,
    ) -> Result<SendOutcome, ReconcileError> {
        loop {
            let began = Instant::now();
            let due = self.due(&state, failures);
            let Some(spec) = state.room().filter(|_| !due.is_empty()) else { return Ok(SendOutcome::Done) };
            let sendable = claims.sendable(&state, &due);
            if sendable.is_empty() {
                Metric::LedgerConflicts.add(1);
                failures
                    .extend(due.into_iter().map(|(user, _)| (user.clone(), ReconcileError::InvitationClaimed(user))));
                return Ok(SendOutcome::Done);
            }
            ensure_time_left(self.send_by())?;
            let sent = self.send(&spec, sendable, failures).await?;
            claims.mark(&state, &sent).await?;
            if due.iter().all(|(user, _)| sent.contains_key(user) || failures.contains_key(user)) {
                return Ok(SendOutcome::Done);
            }
            // A round that is given up in the middle only keeps others from what it has claimed.
            ensure_time_left(self.send_by().checked_sub(began.elapsed()).unwrap_or(began))?;
            self.claim_due(claims, &state, failures).await?;
            let again = self.read().await?;
            if !again.same_desired_state(&state) {
                return Ok(SendOutcome::Changed(again));
            }
            state = again;
        }
    }

    /// Time is kept for marking what was sent.
    fn send_by(&self) -> Instant {
        self.deadline.checked_sub(MARKING).unwrap_or(self.deadline)
    }

    async fn read(&self) -> Result<RoomState, ReconcileError> {
        with_deadline(self.deadline, self.ledger.read(self.room, self.scope)).await
    }

    /// Who was refused is no member yet; who bounced is not tried twice in one pass.
    fn due(&self, state: &RoomState, failures: &Failures) -> Vec<(UserJid, Ordinal)> {
        let all = state.invitations_due(self.scope).into_iter();
        all.filter(|(user, _)| !failures.contains_key(user)).collect()
    }

    /// Sends `invitations`; returns those that were sent, or that no retry helps.
    async fn send(
        &self,
        spec: &RoomSpec,
        invitations: Vec<Invitation>,
        failures: &mut Failures,
    ) -> Result<BTreeMap<UserJid, Ordinal>, ServerError> {
        let room = self.room;
        let bounced = match self.server.invite(room, spec, &invitations, self.send_by()).await {
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

/// The claims of one handler. Whoever made some gives them back at the end, see [`Claims::release`].
pub(super) struct Claims<'a, L> {
    ledger: &'a L,
    room: &'a RoomJid,
    deadline: Instant,
    /// When they were made.
    pub(super) now: SystemTime,
    /// When they end.
    pub(super) until: SystemTime,
    /// Those that succeeded, and were not marked or given back.
    held: BTreeSet<ClaimTarget>,
    /// Which claim covers whom, whether it succeeded or not.
    targets: BTreeMap<UserJid, ClaimTarget>,
}

impl<L: Ledger + Sync> Claims<'_, L> {
    /// Takes in that `user`'s invitation was claimed.
    pub(super) fn hold(&mut self, user: UserJid) {
        let target = ClaimTarget::Member(user.clone());
        self.held.insert(target.clone());
        self.targets.insert(user, target);
    }

    /// Takes the claims that are held out of `state`: they keep only others from what they are for.
    pub(super) fn take_out(&self, state: &mut RoomState) {
        for target in &self.held {
            if let ClaimTarget::Creation(at) = target
                && let Some(creation) = state.creations.get_mut(at)
            {
                creation.claimed = None;
            }
        }
    }

    /// Claims what `wanted` needs and is not held: of members with a claim each [`ROUND`] at most, those last for whom a
    /// claim has failed or, by `state`, somebody else holds one. A handler that died between two rounds may have left as
    /// many, and nobody waits for these behind them.
    async fn cover(
        &mut self,
        state: &RoomState,
        wanted: &[(UserJid, Ordinal)],
        scope: &Scope,
    ) -> Result<(), ReconcileError> {
        let (mut to_claim, mut alone) = (BTreeMap::new(), 0);
        let mut by_turn: Vec<&UserJid> = wanted.iter().map(|(user, _)| user).collect();
        by_turn.sort_by_cached_key(|user| {
            let has_failed = self.targets.contains_key(*user) && !self.covers(state, user);
            (has_failed, self.rivalled(state, user))
        });
        for user in by_turn {
            if self.covers(state, user) {
                continue;
            }
            let listed = state.unannounced(user).next().filter(|_| *scope == Scope::Whole);
            let target =
                listed.map_or_else(|| ClaimTarget::Member(user.clone()), |(at, _)| ClaimTarget::Creation(at.clone()));
            alone += usize::from(matches!(target, ClaimTarget::Member(_)));
            if alone > ROUND && matches!(target, ClaimTarget::Member(_)) {
                continue;
            }
            self.targets.insert(user.clone(), target.clone());
            if !self.held.contains(&target) {
                to_claim.entry(target).or_insert_with(|| state.membership_ended_at(user));
            }
        }
        let claims = to_claim.into_iter().map(async |(target, ended_at)| {
            let claim = self.ledger.claim(self.room, &target, ended_at, self.now, self.until);
            Ok(with_deadline(self.deadline, claim).await?.then_some(target))
        });
        let claimed = some_at_a_time(claims).await?;
        self.held.extend(claimed.into_iter().flatten());
        Ok(())
    }

    /// Whether a claim of ours is made for `user`, for the spell that they are in by `state`: one that was made for a
    /// creation does not reach into a spell which began after that.
    fn covers(&self, state: &RoomState, user: &UserJid) -> bool {
        let reaches = |target: &ClaimTarget| match target {
            ClaimTarget::Member(_) => true,
            ClaimTarget::Creation(claimed) => state.unannounced(user).any(|(at, _)| at == claimed),
        };
        self.targets.get(user).is_some_and(|target| self.held.contains(target) && reaches(target))
    }

    /// Those of `due` whom a claim of ours covers, and nobody else's.
    fn sendable(&self, state: &RoomState, due: &[(UserJid, Ordinal)]) -> Vec<Invitation> {
        let ours = due.iter().filter(|(user, _)| self.covers(state, user) && !self.rivalled(state, user));
        ours.filter_map(|(to, since)| {
            let since = match self.targets.get(to)? {
                ClaimTarget::Member(_) => since,
                // As it will be marked: that covers no spell which a later creation begins.
                ClaimTarget::Creation(at) => at,
            };
            Some(Invitation { to: to.clone(), since: since.clone() })
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
    async fn mark(&mut self, state: &RoomState, sent: &BTreeMap<UserJid, Ordinal>) -> Result<(), ReconcileError> {
        let held = std::mem::take(&mut self.held);
        let marks = held.iter().map(async |target| match target {
            ClaimTarget::Member(user) => match sent.get(user) {
                Some(since) => with_deadline(self.deadline, self.ledger.mark_invited(self.room, user, since)).await,
                None => with_deadline(self.deadline, self.ledger.release(self.room, target, self.until)).await,
            },
            ClaimTarget::Creation(at) => {
                let invited = |user: &UserJid| sent.contains_key(user) && self.targets.get(user) == Some(target);
                let listed = || state.creations.get(at).into_iter().flat_map(|creation| &creation.participants);
                if !listed().any(invited) {
                    return with_deadline(self.deadline, self.ledger.release(self.room, target, self.until)).await;
                }
                let except: BTreeSet<UserJid> = listed().filter(|user| !invited(user)).cloned().collect();
                with_deadline(self.deadline, self.ledger.mark_announced(self.room, at, &except)).await
            }
        });
        some_at_a_time(marks).await.map(drop)
    }

    /// Gives back what is held. Best effort: a claim that is not given back expires.
    pub(super) async fn release(self) {
        let releases = self
            .held
            .iter()
            .map(|target| with_deadline(self.deadline, self.ledger.release(self.room, target, self.until)));
        let _ = some_at_a_time(releases).await;
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
