//! The ledger in memory: for tests, and to measure the rest without a table.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use super::{
    model::{
        ClaimTarget, Creation, DomainRegister, DomainState, LedgerKey, MemberRecord, RoomChange, RoomEvent, RoomState,
        Scope,
    },
    ordinal::Ordinal,
    port::{Heir, Joining, Ledger, LedgerError, LedgerMaintenance},
    retention::{Pruning, RecordKey, TimestampedRoom, is_old, may_end},
};
use crate::address::{RoomJid, UserJid};

#[derive(Debug)]
struct Domain {
    state: DomainState,
    written: SystemTime,
    found_alone: Option<SystemTime>,
}

#[derive(Debug, Default)]
struct Tables {
    rooms: BTreeMap<RoomJid, TimestampedRoom>,
    domains: BTreeMap<String, Domain>,
    cursor: Option<LedgerKey>,
}

/// A ledger that ends with the process.
#[derive(Debug)]
pub struct MemoryLedger {
    tables: Mutex<Tables>,
    clock: fn() -> SystemTime,
}

impl Default for MemoryLedger {
    fn default() -> Self {
        Self::with_clock(SystemTime::now)
    }
}

impl MemoryLedger {
    /// With a clock of one's own, by which things grow old.
    #[must_use]
    pub fn with_clock(clock: fn() -> SystemTime) -> Self {
        Self { tables: Mutex::default(), clock }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Nothing in here panics halfway through a change.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is recorded of `room`; what `change` returns was written just now.
    fn change<T>(&self, room: &RoomJid, change: impl FnOnce(&mut RoomState) -> (T, Vec<RecordKey>)) -> T {
        let mut tables = self.tables();
        let recorded = tables.rooms.entry(room.clone()).or_default();
        let (outcome, written) = change(&mut recorded.state);
        if written.contains(&RecordKey::End) {
            recorded.found_alone = None;
        }
        recorded.written.extend(written.into_iter().map(|part| (part, (self.clock)())));
        if recorded.written.is_empty() {
            tables.rooms.remove(room);
        }
        outcome
    }
}

/// Raises `register` to `at` if that is newer; whether it is.
fn raise(register: &mut Option<Ordinal>, at: &Ordinal) -> bool {
    let is_newer = register.as_ref() < Some(at);
    if is_newer {
        *register = Some(at.clone());
    }
    is_newer
}

impl RoomState {
    /// Notes `event` where it is newer; returns what that changed.
    pub(crate) fn apply_event(&mut self, event: &RoomEvent) -> Vec<RecordKey> {
        match &event.change {
            RoomChange::Created { name, owner, participants } => {
                if self.creations.contains_key(&event.at) {
                    return Vec::new();
                }
                let creation = Creation {
                    kind: event.kind,
                    name: name.clone(),
                    owner: owner.clone(),
                    participants: participants.clone(),
                    announced: None,
                    announced_for: None,
                    claimed: None,
                };
                self.creations.insert(event.at.clone(), creation);
                vec![RecordKey::Creation(event.at.clone())]
            }
            RoomChange::Destroyed => {
                if raise(&mut self.destroyed, &event.at) {
                    vec![RecordKey::End]
                } else {
                    Vec::new()
                }
            }
            RoomChange::Joined(users) => {
                let mut joins = |user: &&UserJid| raise(&mut self.member(user).joined, &event.at);
                users.iter().filter(|user| joins(user)).cloned().map(RecordKey::Member).collect()
            }
            RoomChange::Left(users) => {
                let mut leaves = |user: &&UserJid| raise(&mut self.member(user).left, &event.at);
                users.iter().filter(|user| leaves(user)).cloned().map(RecordKey::Member).collect()
            }
        }
    }

    fn member(&mut self, user: &UserJid) -> &mut MemberRecord {
        self.members.entry(user.clone()).or_default()
    }

    /// The claim on `target`; `None` if there is no such record or creation.
    fn claimed(&mut self, target: &ClaimTarget) -> Option<&mut Option<SystemTime>> {
        match target {
            ClaimTarget::Member(user) => self.members.get_mut(user).map(|record| &mut record.claimed),
            ClaimTarget::Creation(at) => self.creations.get_mut(at).map(|creation| &mut creation.claimed),
        }
    }

    /// Whether the invitations of `target` were made, or can never be.
    fn is_made(&self, target: &ClaimTarget, ended_at: Option<&Ordinal>) -> bool {
        match target {
            ClaimTarget::Member(user) => {
                let invited = self.members.get(user).and_then(|record| record.invited.as_ref());
                invited.is_some_and(|at| Some(at) > ended_at)
            }
            ClaimTarget::Creation(at) => self.creations.get(at).is_none_or(|creation| creation.announced.is_some()),
        }
    }
}

fn record_key(target: &ClaimTarget) -> RecordKey {
    match target {
        ClaimTarget::Member(user) => RecordKey::Member(user.clone()),
        ClaimTarget::Creation(at) => RecordKey::Creation(at.clone()),
    }
}

impl Ledger for MemoryLedger {
    async fn record(&self, room: &RoomJid, events: &[RoomEvent]) -> Result<(), LedgerError> {
        self.change(room, |state| ((), events.iter().flat_map(|event| state.apply_event(event)).collect()));
        Ok(())
    }

    async fn join(
        &self,
        room: &RoomJid,
        joined: &BTreeMap<UserJid, Ordinal>,
        now: SystemTime,
        until: SystemTime,
    ) -> Result<BTreeMap<UserJid, Joining>, LedgerError> {
        Ok(self.change(room, |state| {
            let (mut joinings, mut written) = (BTreeMap::new(), Vec::new());
            for (user, at) in joined {
                let record = state.member(user);
                let is_newer = raise(&mut record.joined, at);
                let claimed = is_newer && record.claimed.is_none_or(|end| end <= now);
                if claimed {
                    record.claimed = Some(until);
                }
                written.extend(is_newer.then(|| RecordKey::Member(user.clone())));
                joinings.insert(user.clone(), Joining { record: record.clone(), claimed });
            }
            (joinings, written)
        }))
    }

    async fn read(&self, room: &RoomJid, scope: &Scope) -> Result<RoomState, LedgerError> {
        let tables = self.tables();
        let mut state = tables.rooms.get(room).map(|recorded| recorded.state.clone()).unwrap_or_default();
        state.domain_deleted = tables.domains.get(room.tenant()).and_then(|domain| domain.state.deleted.clone());
        if let Scope::Members(users) = scope {
            state.members.retain(|user, _| users.contains(user));
        }
        Ok(state)
    }

    async fn raise_domain(&self, domain: &str, register: DomainRegister, at: &Ordinal) -> Result<(), LedgerError> {
        let now = (self.clock)();
        let fresh = || Domain { state: DomainState::default(), written: now, found_alone: None };
        let mut tables = self.tables();
        let domain = tables.domains.entry(domain.to_owned()).or_insert_with(fresh);
        let register = match register {
            DomainRegister::Created => &mut domain.state.created,
            DomainRegister::Deleted => &mut domain.state.deleted,
            DomainRegister::Purged => &mut domain.state.purged,
        };
        if raise(register, at) {
            (domain.written, domain.found_alone) = (now, None);
        }
        Ok(())
    }

    async fn domain(&self, domain: &str) -> Result<DomainState, LedgerError> {
        Ok(self.tables().domains.get(domain).map(|domain| domain.state.clone()).unwrap_or_default())
    }

    async fn claim(
        &self,
        room: &RoomJid,
        target: &ClaimTarget,
        ended_at: Option<&Ordinal>,
        now: SystemTime,
        until: SystemTime,
    ) -> Result<bool, LedgerError> {
        Ok(self.change(room, |state| {
            if state.is_made(target, ended_at) {
                return (false, Vec::new());
            }
            if let ClaimTarget::Member(user) = target {
                state.member(user);
            }
            match state.claimed(target).filter(|claimed| claimed.is_none_or(|end| end <= now)) {
                Some(claimed) => *claimed = Some(until),
                None => return (false, Vec::new()),
            }
            (true, vec![record_key(target)])
        }))
    }

    async fn release(&self, room: &RoomJid, target: &ClaimTarget, until: SystemTime) -> Result<(), LedgerError> {
        self.change(room, |state| match state.claimed(target).filter(|claimed| **claimed == Some(until)) {
            Some(claimed) => {
                *claimed = None;
                ((), vec![record_key(target)])
            }
            None => ((), Vec::new()),
        });
        Ok(())
    }

    async fn mark_invited(&self, room: &RoomJid, user: &UserJid, since: &Ordinal) -> Result<(), LedgerError> {
        self.change(room, |state| {
            let record = state.member(user);
            raise(&mut record.invited, since);
            record.claimed = None;
            ((), vec![RecordKey::Member(user.clone())])
        });
        Ok(())
    }

    async fn mark_announced(
        &self,
        room: &RoomJid,
        creation: &Ordinal,
        except: &BTreeSet<UserJid>,
    ) -> Result<(), LedgerError> {
        self.change(room, |state| {
            let Some(found) = state.creations.get_mut(creation) else { return ((), Vec::new()) };
            let participants = &found.participants;
            found.announced.get_or_insert_with(|| except.intersection(participants).cloned().collect());
            found.claimed = None;
            ((), vec![RecordKey::Creation(creation.clone())])
        });
        Ok(())
    }

    async fn note_invited(
        &self,
        room: &RoomJid,
        users: &BTreeSet<UserJid>,
        since: &Ordinal,
    ) -> Result<(), LedgerError> {
        self.change(room, |state| {
            let mut is_news = |user: &&UserJid| raise(&mut state.member(user).invited, since);
            ((), users.iter().filter(|user| is_news(user)).cloned().map(RecordKey::Member).collect())
        });
        Ok(())
    }

    async fn take_over_announcement(
        &self,
        room: &RoomJid,
        heir: Heir<'_>,
        since: &Ordinal,
        now: SystemTime,
    ) -> Result<bool, LedgerError> {
        Ok(self.change(room, |state| {
            let free = |one: &&mut Creation| one.announced.is_none() && !one.is_claimed(now);
            let Some(found) = state.creations.get_mut(heir.at).filter(free) else { return (false, Vec::new()) };
            found.announced = Some(heir.except.intersection(&found.participants).cloned().collect());
            (found.announced_for, found.claimed) = (Some(since.clone()), None);
            (true, vec![RecordKey::Creation(heir.at.clone())])
        }))
    }

    async fn forget_creation(
        &self,
        room: &RoomJid,
        at: &Ordinal,
        read: &Creation,
        now: SystemTime,
    ) -> Result<bool, LedgerError> {
        let mut tables = self.tables();
        let Some(recorded) = tables.rooms.get_mut(room) else { return Ok(false) };
        let found = recorded.state.creations.get(at);
        let goes = found.is_some_and(|found| found.announced == read.announced && !found.is_claimed(now));
        if goes {
            recorded.forget(&RecordKey::Creation(at.clone()));
        }
        Ok(goes)
    }
}

impl LedgerMaintenance for MemoryLedger {
    async fn walk(&self, after: Option<&LedgerKey>, limit: usize) -> Result<Vec<LedgerKey>, LedgerError> {
        let tables = self.tables();
        let domains = tables.domains.keys().cloned().map(LedgerKey::Domain);
        let all = domains.chain(tables.rooms.keys().cloned().map(LedgerKey::Room));
        Ok(all.filter(|one| Some(one) > after).take(limit.max(1)).collect())
    }

    async fn cursor(&self) -> Result<Option<LedgerKey>, LedgerError> {
        Ok(self.tables().cursor.clone())
    }

    async fn set_cursor(&self, after: Option<&LedgerKey>) -> Result<(), LedgerError> {
        self.tables().cursor = after.cloned();
        Ok(())
    }

    async fn prune(&self, room: &RoomJid, now: SystemTime) -> Result<usize, LedgerError> {
        let mut tables = self.tables();
        let domain = tables.domains.get(room.tenant()).map(|domain| (domain.state.deleted.clone(), domain.written));
        let Some(recorded) = tables.rooms.get_mut(room) else { return Ok(0) };
        let seen = TimestampedRoom {
            state: RoomState {
                domain_deleted: domain.as_ref().and_then(|(deleted, _)| deleted.clone()),
                ..recorded.state.clone()
            },
            domain_written: domain.map(|(_, written)| written),
            ..recorded.clone()
        };
        let forgotten = match seen.prune(now) {
            Pruning::Forget(parts) => parts,
            Pruning::End => vec![RecordKey::End],
            Pruning::Mark => {
                recorded.found_alone.get_or_insert(now);
                Vec::new()
            }
        };
        for part in &forgotten {
            recorded.forget(part);
        }
        if recorded.written.is_empty() {
            tables.rooms.remove(room);
        }
        Ok(forgotten.len())
    }

    async fn prune_domain(&self, domain: &str, now: SystemTime) -> Result<usize, LedgerError> {
        let mut tables = self.tables();
        let Some(found) = tables.domains.get_mut(domain) else { return Ok(0) };
        if found.state.created >= found.state.deleted || !is_old(found.written, now) {
            return Ok(0);
        }
        if may_end(*found.found_alone.get_or_insert(now), now) {
            tables.domains.remove(domain);
            return Ok(1);
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{conformance, folding_conformance};

    #[tokio::test]
    async fn the_ledger_in_memory_conforms() {
        let ledger = MemoryLedger::with_clock(conformance::clock);
        conformance::run(&ledger).await;
        folding_conformance::run(&ledger).await;
    }
}
