//! The port to the table that says what should be.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use super::{
    model::{ClaimTarget, Creation, DomainRegister, DomainState, LedgerKey, MemberRecord, RoomEvent, RoomState, Scope},
    ordinal::Ordinal,
};
use crate::address::{RoomJid, UserJid};

/// Why the ledger did not answer, and what to do. Retry helps: whatever was asked is idempotent.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the ledger cannot be used: {0}")]
pub struct LedgerError(pub String);

/// What should be, of every room: never what is.
///
/// # Layout
/// One partition per room, `room#<JID>`, with items of three kinds:
/// - `end`: the newest destruction; written if newer;
/// - `creation#<ordinal>#<chunk>`: kind, name, owner, participants, and how many chunks there are. A list
///   goes into as many chunks as its size asks for (an item has at most 400 KB), and a creation counts for
///   readers when all its chunks are there. Until then its writer is not done, so its event comes again.
///   Chunk 0 is written last, and is the first to go when the creation is forgotten. It also has the claim, and
///   `announced` once the invitations were sent: a bit for each participant who was not invited, in the order of their
///   JIDs. With `announced_for` they were sent for that older event;
/// - `member#<JID>`: `joined`, `parted` (`LEFT` is a reserved word), `invited`, each written if newer and by itself, and the claim.
///
/// One partition per domain, `domain#<name>`, with its `registers`. A read takes the room's partition, or
/// `end` and the creations (which lie next to each other) and the named members of it, and the domain's
/// registers. Members of the room's own domain are written without it, which halves most lists.
///
/// Ordinals sort as they compare, numbers before text: both parts of the version are padded to 20 digits.
///
/// Every item says when it was last changed, `written`, by its writer's clock. Nothing expires by itself;
/// [`LedgerMaintenance::prune`] says what is forgotten, and `retention.rs` why that changes nothing.
///
/// # Consistency
/// Each read of an item is consistent: it sees every write that was answered before the read began. The
/// reads of one call need not be atomic together, nor do the writes, since all of it only grows. Creations are read in
/// ascending order: who misses one that was forgotten because a newer one covers it then meets the newer one.
pub trait Ledger {
    /// Notes `events` of `room`, each where it is newer than what is there. Idempotent.
    ///
    /// # Errors
    /// [`LedgerError`]; any part may have been written.
    fn record(&self, room: &RoomJid, events: &[RoomEvent]) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Notes that each of these became a member of `room` by the event beside them, where it is newer than what is there,
    /// and with the same write claims their invitation until `until`, if no claim on it ends after `now`. Whether it is
    /// due is not looked at: who claims like this reads afterwards, and gives back what is not.
    ///
    /// # Errors
    /// [`LedgerError`]; any part may have been written, and claims may stand until they expire.
    fn join(
        &self,
        room: &RoomJid,
        joined: &BTreeMap<UserJid, Ordinal>,
        now: SystemTime,
        until: SystemTime,
    ) -> impl Future<Output = Result<BTreeMap<UserJid, Joining>, LedgerError>> + Send;

    /// What is recorded of `room`, as far as `scope` goes.
    ///
    /// # Errors
    /// [`LedgerError`], also if an item cannot be read; nothing was changed.
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

    /// The registers of `domain`.
    ///
    /// # Errors
    /// [`LedgerError`], also if the item cannot be read; nothing was changed.
    fn domain(&self, domain: &str) -> impl Future<Output = Result<DomainState, LedgerError>> + Send;

    /// Claims the invitations of `target` until `until`; whether that succeeded. One conditional write: it
    /// fails if another claim ends after `now`, or if the invitations were made: for a member, if `invited` is
    /// newer than `ended_at`; for a creation, if it was announced.
    ///
    /// # Errors
    /// [`LedgerError`]; the claim may have been made, and then stands until it expires.
    fn claim(
        &self,
        room: &RoomJid,
        target: &ClaimTarget,
        ended_at: Option<&Ordinal>,
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
        target: &ClaimTarget,
        until: SystemTime,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Notes that `user` was invited for the event `since`, if that is newer, and ends the claim.
    ///
    /// # Errors
    /// [`LedgerError`]; they may be invited again.
    fn mark_invited(
        &self,
        room: &RoomJid,
        user: &UserJid,
        since: &Ordinal,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Notes that the participants of `creation` were invited, save those of them in `except`, unless that was
    /// noted before, and ends the claim. One write, however many they are.
    ///
    /// # Errors
    /// [`LedgerError`]; they may be invited again.
    fn mark_announced(
        &self,
        room: &RoomJid,
        creation: &Ordinal,
        except: &BTreeSet<UserJid>,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Notes that each of `users` was invited for the event `since`, where that is newer. Unlike
    /// [`Ledger::mark_invited`] it leaves their claims: who notes this did not send anything.
    ///
    /// # Errors
    /// [`LedgerError`]; of some it may be noted.
    fn note_invited(
        &self,
        room: &RoomJid,
        users: &BTreeSet<UserJid>,
        since: &Ordinal,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Has the creation `heir` take an older creation's announcement over: its participants, save those excepted, were
    /// invited for the event `since`. Whether it did: not if it is gone or was announced, or if a claim on it ends after
    /// `now`.
    ///
    /// # Errors
    /// [`LedgerError`]; it may have done so.
    fn take_over_announcement(
        &self,
        room: &RoomJid,
        heir: Heir<'_>,
        since: &Ordinal,
        now: SystemTime,
    ) -> impl Future<Output = Result<bool, LedgerError>> + Send;

    /// Forgets the creation of `room` at `at` if it is as it was `read`; whether it did: not if it was announced since
    /// then, or if a claim on it ends after `now`. Whoever calls this answers for what is lost with it.
    ///
    /// # Errors
    /// [`LedgerError`]; it may be forgotten.
    fn forget_creation(
        &self,
        room: &RoomJid,
        at: &Ordinal,
        read: &Creation,
        now: SystemTime,
    ) -> impl Future<Output = Result<bool, LedgerError>> + Send;
}

/// What came of noting that someone joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joining {
    /// Their record after that.
    pub record: MemberRecord,
    /// Whether their invitation was claimed with it.
    pub claimed: bool,
}

/// The creation that takes an announcement over.
#[derive(Debug, Clone, Copy)]
pub struct Heir<'a> {
    /// When it happened.
    pub at: &'a Ordinal,
    /// Its participants.
    pub participants: &'a BTreeSet<UserJid>,
    /// Those of them whom that announcement did not invite.
    pub except: &'a BTreeSet<UserJid>,
}

/// What a scheduled look at everything needs of the ledger beside [`Ledger`].
pub trait LedgerMaintenance {
    /// What is on record behind `after` (from the beginning without), each once, in an order of the ledger's
    /// own: at least `limit` of it, or all there is. Nothing at all means that the walk is over. What comes
    /// or goes meanwhile may be missed. Reads the whole table once, so it costs a read unit for each 4 KB on
    /// record.
    ///
    /// An item that cannot be read is logged and left out.
    ///
    /// # Errors
    /// [`LedgerError`]; retry helps.
    fn walk(
        &self,
        after: Option<&LedgerKey>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<LedgerKey>, LedgerError>> + Send;

    /// Where the last walk stopped for lack of time; `None` if it ended.
    ///
    /// # Errors
    /// [`LedgerError`]; retry helps.
    fn cursor(&self) -> impl Future<Output = Result<Option<LedgerKey>, LedgerError>> + Send;

    /// Notes where a walk stops, or with `None` that it ended.
    ///
    /// # Errors
    /// [`LedgerError`]; the next walk then repeats this one's part.
    fn set_cursor(&self, after: Option<&LedgerKey>) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Forgets what can no longer make a difference for `room`; returns how many things that were. To be
    /// called when the XMPP server agrees with the ledger about the room.
    ///
    /// Only what was not written for 30 days can go: lists of lives that have ended, records of members
    /// who left (or whose joining was before the room's end) and whom no living list names. The room's end
    /// goes last, and only an hour after a prune that found nothing else.
    ///
    /// # Errors
    /// [`LedgerError`]; some may be forgotten. Retry helps.
    fn prune(&self, room: &RoomJid, now: SystemTime) -> impl Future<Output = Result<usize, LedgerError>> + Send;

    /// The same for the registers of `domain`, if it was deleted last. To be called only if a walk that began
    /// at `now` met no room of the domain.
    ///
    /// # Errors
    /// [`LedgerError`]; retry helps.
    fn prune_domain(&self, domain: &str, now: SystemTime) -> impl Future<Output = Result<usize, LedgerError>> + Send;
}
