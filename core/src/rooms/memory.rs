//! The ledger in memory: for tests, and to measure the rest without a table.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use super::{Change, Creation, DomainRegister, Ledger, LedgerError, Ordinal, RoomEvent, RoomState, Scope, Ticket};
use crate::address::{RoomJid, UserJid};

#[derive(Debug, Default)]
struct Tables {
    rooms: BTreeMap<RoomJid, RoomState>,
    created: BTreeMap<String, Ordinal>,
    deleted: BTreeMap<String, Ordinal>,
}

/// A ledger that ends with the process.
#[derive(Debug, Default)]
pub struct MemoryLedger(Mutex<Tables>);

impl MemoryLedger {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Nothing in here panics halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn raise(register: &mut Option<Ordinal>, at: &Ordinal) {
    if register.as_ref() < Some(at) {
        *register = Some(at.clone());
    }
}

impl RoomState {
    /// Notes `event` where it is newer.
    pub(super) fn note(&mut self, event: &RoomEvent) {
        match &event.change {
            Change::Created { name, owner, participants } => {
                self.creations.entry(event.at.clone()).or_insert_with(|| Creation {
                    kind: event.kind,
                    name: name.clone(),
                    owner: owner.clone(),
                    participants: participants.clone(),
                    announced: None,
                    claimed: None,
                });
            }
            Change::Destroyed => raise(&mut self.destroyed, &event.at),
            Change::Joined(users) => {
                for user in users {
                    raise(&mut self.members.entry(user.clone()).or_default().joined, &event.at);
                }
            }
            Change::Left(users) => {
                for user in users {
                    raise(&mut self.members.entry(user.clone()).or_default().left, &event.at);
                }
            }
        }
    }

    /// The claim on `ticket`; `None` if there is no such creation.
    fn claimed(&mut self, ticket: &Ticket) -> Option<&mut Option<SystemTime>> {
        match ticket {
            Ticket::Member(user) => Some(&mut self.members.entry(user.clone()).or_default().claimed),
            Ticket::Creation(at) => self.creations.get_mut(at).map(|creation| &mut creation.claimed),
        }
    }
}

impl Ledger for MemoryLedger {
    async fn record(&self, room: &RoomJid, events: &[RoomEvent]) -> Result<(), LedgerError> {
        let mut tables = self.tables();
        let state = tables.rooms.entry(room.clone()).or_default();
        for event in events {
            state.note(event);
        }
        Ok(())
    }

    async fn read(&self, room: &RoomJid, scope: &Scope) -> Result<RoomState, LedgerError> {
        let tables = self.tables();
        let mut state = tables.rooms.get(room).cloned().unwrap_or_default();
        state.domain_deleted = tables.deleted.get(room.tenant()).cloned();
        if let Scope::Members(users) = scope {
            state.members.retain(|user, _| users.contains(user));
        }
        Ok(state)
    }

    async fn raise_domain(&self, domain: &str, register: DomainRegister, at: &Ordinal) -> Result<(), LedgerError> {
        let mut tables = self.tables();
        let registers = match register {
            DomainRegister::Created => &mut tables.created,
            DomainRegister::Deleted => &mut tables.deleted,
        };
        let value = registers.entry(domain.to_owned()).or_insert_with(|| at.clone());
        if *value < *at {
            *value = at.clone();
        }
        Ok(())
    }

    async fn domain(&self, domain: &str, register: DomainRegister) -> Result<Option<Ordinal>, LedgerError> {
        let tables = self.tables();
        let registers = match register {
            DomainRegister::Created => &tables.created,
            DomainRegister::Deleted => &tables.deleted,
        };
        Ok(registers.get(domain).cloned())
    }

    async fn claim(
        &self,
        room: &RoomJid,
        ticket: &Ticket,
        interrupted: Option<&Ordinal>,
        now: SystemTime,
        until: SystemTime,
    ) -> Result<bool, LedgerError> {
        let mut tables = self.tables();
        let state = tables.rooms.entry(room.clone()).or_default();
        let made = match ticket {
            Ticket::Member(user) => state
                .members
                .get(user)
                .and_then(|record| record.invited.as_ref())
                .is_some_and(|at| Some(at) > interrupted),
            Ticket::Creation(at) => state.creations.get(at).is_none_or(|creation| creation.announced.is_some()),
        };
        let Some(claimed) = state.claimed(ticket).filter(|claimed| !made && claimed.is_none_or(|end| end <= now))
        else {
            return Ok(false);
        };
        *claimed = Some(until);
        Ok(true)
    }

    async fn release(&self, room: &RoomJid, ticket: &Ticket, until: SystemTime) -> Result<(), LedgerError> {
        let mut tables = self.tables();
        let state = tables.rooms.entry(room.clone()).or_default();
        if let Some(claimed) = state.claimed(ticket).filter(|claimed| **claimed == Some(until)) {
            *claimed = None;
        }
        Ok(())
    }

    async fn mark_invited(&self, room: &RoomJid, user: &UserJid, since: &Ordinal) -> Result<(), LedgerError> {
        let mut tables = self.tables();
        let record = tables.rooms.entry(room.clone()).or_default().members.entry(user.clone()).or_default();
        raise(&mut record.invited, since);
        record.claimed = None;
        Ok(())
    }

    async fn mark_announced(
        &self,
        room: &RoomJid,
        creation: &Ordinal,
        except: &BTreeSet<UserJid>,
    ) -> Result<(), LedgerError> {
        let mut tables = self.tables();
        if let Some(creation) = tables.rooms.entry(room.clone()).or_default().creations.get_mut(creation) {
            creation.announced.get_or_insert_with(|| except.clone());
            creation.claimed = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_ledger_in_memory_conforms() {
        crate::rooms::conformance::run(&MemoryLedger::default()).await;
    }
}
