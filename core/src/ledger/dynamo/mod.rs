//! The ledger on DynamoDB.
//!
//! What the operations cost, in units of DynamoDB (a write unit: 1 KB, a consistent read unit: 4 KB):
//! - a creation: one write of as many units as its list has KB, for as many as fit into a chunk;
//! - joining or leaving: a write unit a member, all at once; a joining's brings a claim and the record as well; of more
//!   than [`LOOK_UP`] who are noted at a time, a read unit each before it;
//! - a read: the room's creations and end in one query, the members' records in batches of 100.

mod folding;
#[cfg(any(test, feature = "testing"))]
pub mod hooks;
mod joining;
mod layout;
mod maintenance;
mod reading;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::SystemTime,
};

use aws_sdk_dynamodb::types::AttributeValue;
use futures::{StreamExt, TryStreamExt, stream, try_join};

use self::{
    layout::{bits, chunk_key, chunks, domain_key, end_key, member_key, nanoseconds, room_pk, seconds, short},
    reading::{Read, Reading, ordinal},
};
use super::{
    model::{ClaimTarget, Creation, DomainRegister, DomainState, RoomChange, RoomEvent, RoomState, Scope},
    ordinal::Ordinal,
    port::{Heir, Joining, Ledger, LedgerError},
};
use crate::{
    address::{RoomJid, UserJid},
    table::{Attributes, CONCURRENCY, Key, Table, TableError, Update, bytes, number, text},
};

/// Nobody's claim ends after `:from`.
const FREE: &str = "(attribute_not_exists(claimed) OR claimed <= :from)";

/// Of more members than these it is looked up who is on record already: whoever could not note all of a long list in time
/// leaves the rest to the event's next attempt, which must not begin from the start.
const LOOK_UP: usize = 100;

/// The ledger in a table that functions share.
#[derive(Clone)]
pub struct DynamoLedger {
    table: Table,
    clock: fn() -> SystemTime,
}

impl fmt::Debug for DynamoLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DynamoLedger")
    }
}

impl From<TableError> for LedgerError {
    fn from(error: TableError) -> Self {
        Self(error.to_string())
    }
}

impl DynamoLedger {
    /// In `table`.
    #[must_use]
    pub fn new(table: Table) -> Self {
        Self::with_clock(table, SystemTime::now)
    }

    /// The same, with a clock of one's own, by which things grow old.
    #[must_use]
    pub fn with_clock(table: Table, clock: fn() -> SystemTime) -> Self {
        Self { table, clock }
    }

    fn now(&self) -> AttributeValue {
        number(seconds((self.clock)()))
    }

    async fn read_all(&self, room: &RoomJid, scope: &Scope) -> Result<Read, TableError> {
        let pk = room_pk(room);
        let mut keys = vec![domain_key(room.tenant())];
        let last = match scope {
            Scope::Whole => None,
            Scope::Members(users) => {
                keys.extend(users.iter().map(|user| member_key(room, user)));
                // Creations and the end lie before it, members behind.
                Some(layout::END)
            }
        };
        let (items, others) = try_join!(self.table.query(&pk, last), self.table.get_many(&keys))?;
        let mut reading = Reading::of(room);
        items.into_iter().chain(others).try_for_each(|item| reading.take(item))?;
        reading.end()
    }

    /// Notes a creation: the other chunks first, then, if it is not there, chunk 0.
    async fn create(&self, room: &RoomJid, event: &RoomEvent, creation: New<'_>) -> Result<(), TableError> {
        let lists = chunks(creation.participants, room);
        let count = lists.len();
        let mut items = lists.into_iter().enumerate().map(|(chunk, list)| {
            let mut item = chunk_key(room, &event.at, chunk).attributes();
            item.insert("written".to_owned(), self.now());
            if !list.is_empty() {
                item.insert("participants".to_owned(), AttributeValue::Ss(list));
            }
            item
        });
        let mut first: Attributes = items.next().expect("there is a first chunk");
        first.insert("chunks".to_owned(), number(count as u64));
        first.insert("kind".to_owned(), text(event.kind.reason()));
        first.extend(creation.name.iter().map(|name| ("name".to_owned(), text(*name))));
        first.extend(creation.owner.iter().map(|owner| ("owner".to_owned(), text(short(owner, room)))));
        let rest: Vec<Attributes> = items.collect();
        if !rest.is_empty() {
            self.table.put_many(rest).await?;
        }
        self.table.put_new(first).await.map(drop)
    }

    /// What of `noted` is not on record yet; all of it where looking costs more than writing.
    async fn not_on_record<'a>(&self, room: &RoomJid, noted: Noted<'a>) -> Result<Noted<'a>, TableError> {
        if noted.len() <= LOOK_UP {
            return Ok(noted);
        }
        let keys: Vec<Key> = noted.keys().map(|user| member_key(room, user)).collect();
        let mut reading = Reading::of(room);
        self.table.get_many(&keys).await?.into_iter().try_for_each(|item| reading.take(item))?;
        let recorded = reading.end()?.recorded.state.members;
        let newer = |(user, (joined, left)): (&'a UserJid, (Option<&'a Ordinal>, Option<&'a Ordinal>))| {
            let Some(known) = recorded.get(user) else { return (user, (joined, left)) };
            (
                user,
                (
                    joined.filter(|at| known.joined.as_ref() < Some(at)),
                    left.filter(|at| known.left.as_ref() < Some(at)),
                ),
            )
        };
        Ok(noted.into_iter().map(newer).collect())
    }

    /// Raises an ordinal of the item `key`, if `at` is newer.
    fn raise(&self, key: Key, register: Register, at: &Ordinal) -> Update {
        let (change, condition) = match register {
            Register::Destroyed => (
                "SET destroyed = :at, written = :now REMOVE swept",
                "attribute_not_exists(destroyed) OR destroyed < :at",
            ),
            Register::Joined => ("SET joined = :at, written = :now", "attribute_not_exists(joined) OR joined < :at"),
            // LEFT is a reserved word.
            Register::Left => ("SET parted = :at, written = :now", "attribute_not_exists(parted) OR parted < :at"),
            Register::Invited => {
                ("SET invited = :at, written = :now", "attribute_not_exists(invited) OR invited < :at")
            }
            Register::DomainCreated => {
                ("SET created = :at, written = :now REMOVE swept", "attribute_not_exists(created) OR created < :at")
            }
            Register::DomainDeleted => {
                ("SET deleted = :at, written = :now REMOVE swept", "attribute_not_exists(deleted) OR deleted < :at")
            }
            Register::DomainPurged => {
                ("SET purged = :at, written = :now", "attribute_not_exists(purged) OR purged < :at")
            }
        };
        let values = vec![(":at", text(layout::written_ordinal(at))), (":now", self.now())];
        Update { key, change, condition: condition.into(), values }
    }
}

/// When users joined and left at last, as the events to be noted say.
type Noted<'a> = BTreeMap<&'a UserJid, (Option<&'a Ordinal>, Option<&'a Ordinal>)>;

/// What a creation says.
struct New<'a> {
    name: Option<&'a str>,
    owner: Option<&'a UserJid>,
    participants: &'a BTreeSet<UserJid>,
}

#[derive(Debug, Clone, Copy)]
enum Register {
    Destroyed,
    Joined,
    Left,
    Invited,
    DomainCreated,
    DomainDeleted,
    DomainPurged,
}

impl Ledger for DynamoLedger {
    async fn record(&self, room: &RoomJid, events: &[RoomEvent]) -> Result<(), LedgerError> {
        let (mut end, mut members, mut creations) = (None, Noted::new(), Vec::new());
        for event in events {
            let at = Some(&event.at);
            match &event.change {
                RoomChange::Created { name, owner, participants } => {
                    let new = New { name: name.as_deref(), owner: owner.as_ref(), participants };
                    creations.push(self.create(room, event, new));
                }
                RoomChange::Destroyed => end = end.max(at),
                RoomChange::Joined(users) => users.iter().for_each(|user| {
                    let joined = &mut members.entry(user).or_default().0;
                    *joined = at.max(*joined);
                }),
                RoomChange::Left(users) => users.iter().for_each(|user| {
                    let left = &mut members.entry(user).or_default().1;
                    *left = at.max(*left);
                }),
            }
        }
        let members = self.not_on_record(room, members).await?;
        let mut updates: Vec<Update> = Vec::with_capacity(members.len() + 1);
        updates.extend(end.map(|at| self.raise(end_key(room), Register::Destroyed, at)));
        for (user, (joined, left)) in members {
            let raise = |register, at| self.raise(member_key(room, user), register, at);
            updates.extend(joined.map(|at| raise(Register::Joined, at)));
            updates.extend(left.map(|at| raise(Register::Left, at)));
        }
        // Creations one by one, so that a batch of large ones does not take the partition's throughput at once.
        let creations = async {
            for creation in creations {
                creation.await?;
            }
            Ok(())
        };
        try_join!(creations, self.table.update_all(updates))?;
        Ok(())
    }

    async fn join(
        &self,
        room: &RoomJid,
        joined: &BTreeMap<UserJid, Ordinal>,
        now: SystemTime,
        until: SystemTime,
    ) -> Result<BTreeMap<UserJid, Joining>, LedgerError> {
        let joinings = stream::iter(joined.clone()).map(async |(user, at)| {
            let joining = self.join_one(room, &user, &at, now, until).await?;
            Ok::<_, TableError>((user, joining))
        });
        Ok(joinings.buffer_unordered(CONCURRENCY).try_collect().await?)
    }

    async fn read(&self, room: &RoomJid, scope: &Scope) -> Result<RoomState, LedgerError> {
        Ok(self.read_all(room, scope).await?.recorded.state)
    }

    async fn raise_domain(&self, domain: &str, register: DomainRegister, at: &Ordinal) -> Result<(), LedgerError> {
        let register = match register {
            DomainRegister::Created => Register::DomainCreated,
            DomainRegister::Deleted => Register::DomainDeleted,
            DomainRegister::Purged => Register::DomainPurged,
        };
        self.table.update(&self.raise(domain_key(domain), register, at)).await?;
        Ok(())
    }

    async fn domain(&self, domain: &str) -> Result<DomainState, LedgerError> {
        let Some(item) = self.table.get(&domain_key(domain)).await? else { return Ok(DomainState::default()) };
        Ok(DomainState {
            created: ordinal(&item, "created")?,
            deleted: ordinal(&item, "deleted")?,
            purged: ordinal(&item, "purged")?,
        })
    }

    async fn claim(
        &self,
        room: &RoomJid,
        target: &ClaimTarget,
        ended_at: Option<&Ordinal>,
        now: SystemTime,
        until: SystemTime,
    ) -> Result<bool, LedgerError> {
        let mut values =
            vec![(":now", self.now()), (":from", number(nanoseconds(now))), (":until", number(nanoseconds(until)))];
        let condition = match (target, ended_at) {
            (ClaimTarget::Creation(_), _) => {
                format!("attribute_exists(pk) AND attribute_not_exists(announced) AND {FREE}")
            }
            (ClaimTarget::Member(_), None) => format!("attribute_not_exists(invited) AND {FREE}"),
            (ClaimTarget::Member(_), Some(ended_at)) => {
                values.push((":interrupted", text(layout::written_ordinal(ended_at))));
                format!("(attribute_not_exists(invited) OR invited <= :interrupted) AND {FREE}")
            }
        };
        let change = "SET claimed = :until, written = :now";
        let update = Update { key: target_key(room, target), change, condition: condition.into(), values };
        Ok(self.table.update(&update).await?)
    }

    async fn release(&self, room: &RoomJid, target: &ClaimTarget, until: SystemTime) -> Result<(), LedgerError> {
        let values = vec![(":now", self.now()), (":until", number(nanoseconds(until)))];
        let (change, condition) = ("REMOVE claimed SET written = :now", "claimed = :until".into());
        self.table.update(&Update { key: target_key(room, target), change, condition, values }).await?;
        Ok(())
    }

    async fn mark_invited(&self, room: &RoomJid, user: &UserJid, since: &Ordinal) -> Result<(), LedgerError> {
        let values = vec![(":now", self.now()), (":since", text(layout::written_ordinal(since)))];
        let change = "SET invited = :since, written = :now REMOVE claimed";
        let condition = "attribute_not_exists(invited) OR invited < :since".into();
        let key = member_key(room, user);
        if !self.table.update(&Update { key: key.clone(), change, condition, values }).await? {
            self.end_claim(key).await?;
        }
        Ok(())
    }

    async fn mark_announced(
        &self,
        room: &RoomJid,
        creation: &Ordinal,
        except: &BTreeSet<UserJid>,
    ) -> Result<(), LedgerError> {
        // No bits at all if nobody is excepted, which saves looking up who the participants are.
        let mut excepted = Vec::new();
        if !except.is_empty() {
            let read = self.read_all(room, &Scope::Members(BTreeSet::new())).await?;
            let Some(creation) = read.recorded.state.creations.get(creation) else { return Ok(()) };
            excepted = bits(&creation.participants, except);
        }
        let key = chunk_key(room, creation, 0);
        let values = vec![(":now", self.now()), (":bits", bytes(excepted))];
        let change = "SET announced = :bits, written = :now REMOVE claimed";
        let condition = "attribute_exists(pk) AND attribute_not_exists(announced)".into();
        if !self.table.update(&Update { key: key.clone(), change, condition, values }).await? {
            self.end_claim(key).await?;
        }
        Ok(())
    }

    async fn note_invited(
        &self,
        room: &RoomJid,
        users: &BTreeSet<UserJid>,
        since: &Ordinal,
    ) -> Result<(), LedgerError> {
        let raise = |user: &UserJid| self.raise(member_key(room, user), Register::Invited, since);
        Ok(self.table.update_all(users.iter().map(raise).collect()).await?)
    }

    async fn take_over_announcement(
        &self,
        room: &RoomJid,
        heir: Heir<'_>,
        since: &Ordinal,
        now: SystemTime,
    ) -> Result<bool, LedgerError> {
        Ok(self.table.update(&self.taking_over(room, heir, since, now)).await?)
    }

    async fn forget_creation(
        &self,
        room: &RoomJid,
        at: &Ordinal,
        read: &Creation,
        now: SystemTime,
    ) -> Result<bool, LedgerError> {
        Ok(self.forget_list(room, at, read, now).await?)
    }
}

impl DynamoLedger {
    async fn end_claim(&self, key: Key) -> Result<(), TableError> {
        let values = vec![(":now", self.now())];
        let (change, condition) = ("REMOVE claimed SET written = :now", "attribute_exists(claimed)".into());
        self.table.update(&Update { key, change, condition, values }).await.map(drop)
    }
}

fn target_key(room: &RoomJid, target: &ClaimTarget) -> Key {
    match target {
        ClaimTarget::Member(user) => member_key(room, user),
        ClaimTarget::Creation(at) => chunk_key(room, at, 0),
    }
}
