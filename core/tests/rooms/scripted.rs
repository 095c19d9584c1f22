//! The ledger in memory with what a test has happen around each access: the one place that hands everything on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::SystemTime,
};

use sippo_xmpp_core::{
    address::{RoomJid, UserJid},
    ledger::{
        ClaimTarget, Creation, DomainRegister, DomainState, Heir, Joining, Ledger, LedgerError, MemoryLedger, Ordinal,
        RoomEvent, RoomState, Scope,
    },
};

/// What a room's record is asked for. A record of several events, or for several users, is one access for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Record,
    /// So many join at once.
    Join(usize),
    Claim,
    Release,
    MarkInvited,
    MarkAnnounced,
    NoteInvited,
    TakeOver,
    Forget,
}

/// What happens around each access.
pub(crate) trait LedgerScript: Sync {
    fn before(&self, access: Access) -> impl Future<Output = Result<(), LedgerError>> + Send;

    fn after(&self, _access: Access) -> impl Future<Output = Result<(), LedgerError>> + Send {
        async { Ok(()) }
    }

    fn read(
        &self,
        inner: &MemoryLedger,
        room: &RoomJid,
        scope: &Scope,
    ) -> impl Future<Output = Result<RoomState, LedgerError>> + Send {
        inner.read(room, scope)
    }

    /// Whether creations may be forgotten.
    fn folds(&self) -> bool {
        true
    }

    /// A creation was forgotten.
    fn forgot(&self) {}
}

/// The ledger, as its script has it.
#[derive(Default)]
pub(crate) struct Scripted<S> {
    pub(crate) inner: Arc<MemoryLedger>,
    pub(crate) script: S,
}

impl<S: LedgerScript> Scripted<S> {
    async fn around<T>(
        &self,
        access: Access,
        does: impl Future<Output = Result<T, LedgerError>> + Send,
    ) -> Result<T, LedgerError> {
        self.script.before(access).await?;
        let outcome = does.await?;
        self.script.after(access).await?;
        Ok(outcome)
    }
}

impl<S: LedgerScript> Ledger for Scripted<S> {
    async fn record(&self, room: &RoomJid, events: &[RoomEvent]) -> Result<(), LedgerError> {
        for event in events {
            self.script.before(Access::Record).await?;
            self.inner.record(room, std::slice::from_ref(event)).await?;
        }
        self.script.after(Access::Record).await
    }

    async fn join(
        &self,
        room: &RoomJid,
        joined: &BTreeMap<UserJid, Ordinal>,
        now: SystemTime,
        until: SystemTime,
    ) -> Result<BTreeMap<UserJid, Joining>, LedgerError> {
        self.around(Access::Join(joined.len()), self.inner.join(room, joined, now, until)).await
    }

    async fn read(&self, room: &RoomJid, scope: &Scope) -> Result<RoomState, LedgerError> {
        self.script.read(&self.inner, room, scope).await
    }

    async fn raise_domain(&self, domain: &str, register: DomainRegister, at: &Ordinal) -> Result<(), LedgerError> {
        self.inner.raise_domain(domain, register, at).await
    }

    async fn domain(&self, domain: &str) -> Result<DomainState, LedgerError> {
        self.inner.domain(domain).await
    }

    async fn claim(
        &self,
        room: &RoomJid,
        target: &ClaimTarget,
        ended_at: Option<&Ordinal>,
        now: SystemTime,
        until: SystemTime,
    ) -> Result<bool, LedgerError> {
        self.around(Access::Claim, self.inner.claim(room, target, ended_at, now, until)).await
    }

    async fn release(&self, room: &RoomJid, target: &ClaimTarget, until: SystemTime) -> Result<(), LedgerError> {
        self.around(Access::Release, self.inner.release(room, target, until)).await
    }

    async fn mark_invited(&self, room: &RoomJid, user: &UserJid, since: &Ordinal) -> Result<(), LedgerError> {
        self.around(Access::MarkInvited, self.inner.mark_invited(room, user, since)).await
    }

    async fn mark_announced(
        &self,
        room: &RoomJid,
        creation: &Ordinal,
        except: &BTreeSet<UserJid>,
    ) -> Result<(), LedgerError> {
        self.around(Access::MarkAnnounced, self.inner.mark_announced(room, creation, except)).await
    }

    async fn note_invited(
        &self,
        room: &RoomJid,
        users: &BTreeSet<UserJid>,
        since: &Ordinal,
    ) -> Result<(), LedgerError> {
        for user in users {
            let one = BTreeSet::from([user.clone()]);
            self.around(Access::NoteInvited, self.inner.note_invited(room, &one, since)).await?;
        }
        Ok(())
    }

    async fn take_over_announcement(
        &self,
        room: &RoomJid,
        heir: Heir<'_>,
        since: &Ordinal,
        now: SystemTime,
    ) -> Result<bool, LedgerError> {
        let does =
            async { Ok(self.script.folds() && self.inner.take_over_announcement(room, heir, since, now).await?) };
        self.around(Access::TakeOver, does).await
    }

    async fn forget_creation(
        &self,
        room: &RoomJid,
        at: &Ordinal,
        read: &Creation,
        now: SystemTime,
    ) -> Result<bool, LedgerError> {
        let does = async {
            let gone = self.script.folds() && self.inner.forget_creation(room, at, read, now).await?;
            if gone {
                self.script.forgot();
            }
            Ok(gone)
        };
        self.around(Access::Forget, does).await
    }
}
