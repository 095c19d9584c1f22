//! The border to the table that says what should be.

use std::{collections::BTreeSet, time::SystemTime};

use super::{Ordinal, RoomKind, RoomState};
use crate::address::{RoomJid, UserJid};

/// An event about one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomEvent {
    /// Its place among all events.
    pub at: Ordinal,
    /// What the room is for.
    pub kind: RoomKind,
    /// What happened.
    pub change: Change,
}

/// What an event says about its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The room was created. It stays what it is if it exists.
    Created {
        /// Its name, for people.
        name: Option<String>,
        /// Its owner.
        owner: Option<UserJid>,
        /// Its members.
        participants: BTreeSet<UserJid>,
    },
    /// The room was destroyed.
    Destroyed,
    /// These became members.
    Joined(BTreeSet<UserJid>),
    /// These ceased to be members.
    Left(BTreeSet<UserJid>),
}

/// How much of a room is read and made to agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The end of the room, every creation, every member's record.
    Whole,
    /// The end of the room, every creation, the records of these members.
    Members(BTreeSet<UserJid>),
}

/// Which of a domain's registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainRegister {
    /// Its newest creation.
    Created,
    /// Its newest deletion.
    Deleted,
}

/// Whose invitations a claim is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ticket {
    /// One member's.
    Member(UserJid),
    /// Those of all participants of the creation, so that a room of 1,000 costs one claim and not as many.
    Creation(Ordinal),
}

/// Why the ledger did not answer. Retry helps: whatever was asked is idempotent.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the ledger did not answer ({0}); see that its table exists and is not throttled, a retry may succeed")]
pub struct LedgerError(pub String);

/// What should be, of every room: never what is.
///
/// # Layout
/// One partition per room, its JID, with items of three kinds:
/// - `end`: the newest destruction; written if newer;
/// - `creation#<ordinal>#<chunk>`: kind, name, owner, participants, and how many chunks there are. A list
///   goes into as many chunks as its size asks for (an item has at most 400 KB), and a creation counts for
///   readers when all its chunks are there. Until then its writer is not done, so its event comes again.
///   Chunk 0 also has the claim, and `announced` once the invitations were sent;
/// - `member#<JID>`: `joined`, `left`, `invited`, each written if newer and by itself, and the claim.
///
/// One partition per domain, with its registers. A read takes the room's partition, or `end`, the creations
/// and the named members of it, and the domain's registers.
///
/// Ordinals have to sort as they compare, numbers before text: a sort key or a condition on them wants
/// both parts of the version padded to 20 digits.
///
/// # Consistency
/// Each read of an item is consistent: it sees every write that was answered before the read began. The
/// reads of one call need not be atomic together, nor do the writes, since all of it only grows.
pub trait Ledger {
    /// Notes `events` of `room`, each where it is newer than what is there. Idempotent.
    ///
    /// # Errors
    /// [`LedgerError`]; any part may have been written.
    fn record(&self, room: &RoomJid, events: &[RoomEvent]) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// What is recorded of `room`, as far as `scope` goes.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn read(&self, room: &RoomJid, scope: &Scope) -> impl Future<Output = Result<RoomState, LedgerError>> + Send;

    /// Raises a register of `domain` to `at`, if that is newer. Idempotent.
    ///
    /// # Errors
    /// [`LedgerError`]; it may have been written.
    fn raise_domain(
        &self,
        domain: &str,
        register: DomainRegister,
        at: &Ordinal,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// A register of `domain`.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn domain(
        &self,
        domain: &str,
        register: DomainRegister,
    ) -> impl Future<Output = Result<Option<Ordinal>, LedgerError>> + Send;

    /// Claims the invitations of `ticket` until `until`; whether that succeeded. One conditional write: it
    /// fails if another claim ends after `now`, or if the invitations were made: for a member, if `invited` is
    /// newer than `interrupted`; for a creation, if it was announced.
    ///
    /// # Errors
    /// [`LedgerError`]; the claim may have been made, and then stands until it expires.
    fn claim(
        &self,
        room: &RoomJid,
        ticket: &Ticket,
        interrupted: Option<&Ordinal>,
        now: SystemTime,
        until: SystemTime,
    ) -> impl Future<Output = Result<bool, LedgerError>> + Send;

    /// Gives back the claim that was made until `until`, if it is still that one.
    ///
    /// # Errors
    /// [`LedgerError`]; the claim may stand until it expires.
    fn release(
        &self,
        room: &RoomJid,
        ticket: &Ticket,
        until: SystemTime,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Notes that `user` was invited for the event `since`, if that is newer, and ends the claim.
    ///
    /// # Errors
    /// [`LedgerError`]; she may be invited again.
    fn mark_invited(
        &self,
        room: &RoomJid,
        user: &UserJid,
        since: &Ordinal,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Notes that the participants of `creation` were invited, save those in `except`, unless that was noted
    /// before, and ends the claim. One write, however many they are.
    ///
    /// # Errors
    /// [`LedgerError`]; they may be invited again.
    fn mark_announced(
        &self,
        room: &RoomJid,
        creation: &Ordinal,
        except: &BTreeSet<UserJid>,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;
}
