//! Tenants come and go: what the broker's events say about domains, and how the XMPP server is made to agree.
//!
//! The same argument as for rooms (`rooms/reconcile.rs`): note, read, make the server agree, read again. A domain
//! should be there if its newest creation is newer than its newest deletion.
//!
//! A deletion that is handled late, after the creation that follows it, finds a virtual host which should be there,
//! with the data of the tenant who should be gone. So what a deletion ends is purged once, whatever followed: the register
//! [`DomainRegister::Purged`] says up to which deletion that was done. A host carries its life, the creation it was made by, and
//! a deletion takes no newer life: one that comes late or once more, after a crash before the register rose, finds nothing to do
//! where the next life has begun on the server.
//!
//! What was stored on a host that runs on from the deleted life, because the creation was handled first, is of both lives. Chat
//! lists, bookmarks, messages and files do not say of which, so they go: that nothing is left of the deleted tenant comes first.
//! What the ledger knows comes back, or stays: rooms are made anew, and an invitation says since when its membership is, so the
//! purge spares those that are newer than the deletion; they are sent only once.
//!
//! Rooms that were made since go with the purge, also those whose events were handled before the domain's own. Nobody who finds
//! the register risen can tell whether there were any. So no event of a domain that should be there and was ever deleted is done
//! before all its rooms are restored from the ledger.

use std::{future, pin::pin};

use futures::{StreamExt, stream};
use jid::DomainPart;
use tokio::time::Instant;

use crate::{
    hosts::{Hosts, HostsError},
    ledger::{DomainRegister, DomainState, Ledger, LedgerError, LedgerKey, LedgerMaintenance, Ordinal},
    rooms::{ReconcileError, Reconciler, RoomServer},
};

/// Most rounds of one pass. A pass that meets nobody else needs one, and each further one means that another event of the
/// domain came meanwhile: a domain for which they keep coming must not keep its handler, and the batch, for good.
const MAX_ROUNDS: u32 = 16;

/// What is read of the ledger at a time when rooms are restored: a page is some kilobytes, and is restored before the
/// next is read.
const PAGE: usize = 200;

/// Rooms that are restored at a time: enough to hide the ledger's round trips, few enough that the XMPP server, which
/// does one thing at a time, has time for others.
const ROOMS_AT_A_TIME: usize = 8;

/// An event about a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainEvent {
    /// Its place among all events.
    pub at: Ordinal,
    /// Whether the domain was created; else it was deleted.
    pub created: bool,
}

/// Why an event about a domain is not done; a retry helps, once the cause is mended.
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    /// The hosts API did not do it.
    #[error(transparent)]
    Hosts(#[from] HostsError),
    /// The ledger did not answer, there was no time left, or the domain's rooms could not be restored.
    #[error(transparent)]
    Rooms(#[from] ReconcileError),
    /// The domain is on record since before tenants were placed on one of several XMPP servers.
    #[error("{0} is on record and on no cell; say on which it is with scripts/cells place")]
    NoPlace(String),
    /// The domain's events came faster than it could be made to agree.
    #[error("the domain kept changing for {MAX_ROUNDS} rounds; a retry takes it up again")]
    Busy,
}

impl From<LedgerError> for DomainError {
    fn from(error: LedgerError) -> Self {
        Self::Rooms(error.into())
    }
}

impl DomainError {
    /// Whether a request is left that may still take effect.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        match self {
            // Given up in the middle.
            Self::Hosts(HostsError::Unavailable(_)) | Self::Rooms(ReconcileError::OutOfTime) => true,
            Self::Rooms(error) => error.is_unanswered(),
            Self::Hosts(_) | Self::NoPlace(_) | Self::Busy => false,
        }
    }
}

/// The XMPP server's virtual hosts, as far as events change them. All calls are idempotent.
pub trait HostServer {
    /// Whether it is known on which XMPP server `domain` is. Where there is only one, it always is.
    fn has_place(&self, _domain: &str) -> impl Future<Output = Result<bool, HostsError>> + Send {
        future::ready(Ok(true))
    }

    /// The name of the XMPP server that `domain` is on, if it is one of several and did not answer others.
    fn away(&self, _domain: &str) -> impl Future<Output = Option<String>> + Send {
        future::ready(None)
    }

    /// Chooses an XMPP server for `domain`, of which nothing is on any.
    fn place(&self, _domain: &str) -> impl Future<Output = Result<(), HostsError>> + Send {
        future::ready(Ok(()))
    }

    /// The virtual host and its `conference.` component are live. One that has to be made gets this `life`, its creation's
    /// place; one that is there keeps what it has.
    fn create(&self, domain: &str, life: &Ordinal) -> impl Future<Output = Result<(), HostsError>> + Send;

    /// There is no virtual host of a life that is not newer than `ended`: both are gone, sessions closed, data purged but for
    /// invitations of memberships that began after `ended`. One that does not say its life is older than any deletion.
    fn delete(&self, domain: &str, ended: &Ordinal) -> impl Future<Output = Result<(), HostsError>> + Send;
}

impl HostServer for Hosts {
    async fn create(&self, domain: &str, life: &Ordinal) -> Result<(), HostsError> {
        Hosts::create(self, domain, &life.on_wire()).await
    }

    async fn delete(&self, domain: &str, ended: &Ordinal) -> Result<(), HostsError> {
        Hosts::delete(self, domain, &ended.on_wire()).await
    }
}

/// Makes virtual hosts what their events say.
#[derive(Debug)]
pub struct Domains<'a, L, S, H> {
    reconciler: &'a Reconciler<L, S>,
    hosts: &'a H,
}

/// The creation by which the domain should be there, if it should.
fn life(state: &DomainState) -> Option<&Ordinal> {
    state.created.as_ref().filter(|created| Some(*created) > state.deleted.as_ref())
}

impl<'a, L: Ledger + LedgerMaintenance + Sync, S: RoomServer + Sync, H: HostServer + Sync> Domains<'a, L, S, H> {
    /// Rooms are restored by `reconciler`, whose ledger has the domains too.
    pub fn new(reconciler: &'a Reconciler<L, S>, hosts: &'a H) -> Self {
        Self { reconciler, hosts }
    }

    /// [`HostServer::away`].
    pub(crate) async fn away(&self, domain: &str) -> Option<String> {
        self.hosts.away(domain).await
    }

    /// Handles `events` of `domain`. Idempotent; safe to run concurrently with itself.
    ///
    /// # Errors
    /// [`DomainError`]: the events have to come again.
    pub async fn apply(
        &self,
        domain: &DomainPart,
        events: &[DomainEvent],
        deadline: Instant,
    ) -> Result<(), DomainError> {
        with_deadline(deadline, self.pass(domain.as_str(), events, deadline)).await
    }

    /// Makes the virtual host of `domain` anew if it should be there. One that should not be there is left alone: a deletion that
    /// was handled has taken it away, so someone has made it by hand since.
    ///
    /// # Errors
    /// [`DomainError`]; the next resync tries again.
    pub async fn repair(&self, domain: &str, deadline: Instant) -> Result<(), DomainError> {
        let repair = async {
            if let Some(life) = life(&self.reconciler.ledger().domain(domain).await?) {
                self.hosts.create(domain, life).await?;
            }
            Ok(())
        };
        with_deadline(deadline, repair).await
    }

    /// Sees that the domain has a place, before anything is noted of it: who finds it on record and without one knows that it
    /// was there before there were places.
    async fn settle(&self, domain: &str) -> Result<(), DomainError> {
        if self.hosts.has_place(domain).await? {
            return Ok(());
        }
        if self.reconciler.ledger().domain(domain).await? != DomainState::default() {
            return Err(DomainError::NoPlace(domain.to_owned()));
        }
        Ok(self.hosts.place(domain).await?)
    }

    async fn pass(&self, domain: &str, events: &[DomainEvent], deadline: Instant) -> Result<(), DomainError> {
        self.settle(domain).await?;
        for event in events {
            let register = if event.created { DomainRegister::Created } else { DomainRegister::Deleted };
            self.reconciler.ledger().raise_domain(domain, register, &event.at).await?;
        }
        let mut state = self.reconciler.ledger().domain(domain).await?;
        for _ in 0..MAX_ROUNDS {
            self.make_agree(domain, &state).await?;
            let again = self.reconciler.ledger().domain(domain).await?;
            if (&again.created, &again.deleted) == (&state.created, &state.deleted) {
                let to_restore = life(&state).is_some() && state.deleted.is_some();
                return if to_restore { self.restore_rooms(domain, deadline).await } else { Ok(()) };
            }
            state = again;
        }
        Err(DomainError::Busy)
    }

    async fn make_agree(&self, domain: &str, state: &DomainState) -> Result<(), DomainError> {
        let purge = state.deleted.as_ref().filter(|deleted| Some(*deleted) > state.purged.as_ref());
        let life = life(state);
        if let Some(deleted) = state.deleted.as_ref().filter(|_| purge.is_some() || life.is_none()) {
            self.hosts.delete(domain, deleted).await?;
        }
        if let Some(life) = life {
            self.hosts.create(domain, life).await?;
        }
        if let Some(deleted) = purge {
            self.reconciler.ledger().raise_domain(domain, DomainRegister::Purged, deleted).await?;
        }
        Ok(())
    }

    /// Makes the rooms anew that went with a purge. This reads the whole ledger; domains seldom come back.
    ///
    /// One room that cannot be restored keeps no other from it.
    async fn restore_rooms(&self, domain: &str, deadline: Instant) -> Result<(), DomainError> {
        let ledger = self.reconciler.ledger();
        let (mut after, mut failure) = (None, None::<ReconcileError>);
        loop {
            let page = ledger.walk(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return failure.map_or(Ok(()), |error| Err(error.into())) };
            after = Some(last.clone());
            let rooms = page.iter().filter_map(|record| match record {
                LedgerKey::Room(room) if room.tenant() == domain => Some(room),
                _ => None,
            });
            let repairs = rooms.map(|room| self.reconciler.repair(room, deadline));
            let outcomes: Vec<_> = stream::iter(repairs).buffer_unordered(ROOMS_AT_A_TIME).collect().await;
            // Of several the one that says most: after it the event must not come again too soon.
            failure =
                outcomes.into_iter().filter_map(Result::err).chain(failure).max_by_key(ReconcileError::is_unanswered);
        }
    }
}

async fn with_deadline<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, DomainError>>,
) -> Result<T, DomainError> {
    let work = pin!(work);
    tokio::time::timeout_at(deadline, work).await.unwrap_or(Err(DomainError::Rooms(ReconcileError::OutOfTime)))
}

#[cfg(test)]
mod tests;
