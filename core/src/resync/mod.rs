//! Repairs what the XMPP server lost: after it was restored from a backup, wiped, or changed by hand.
//!
//! Walks over all that is on record and makes the server agree, as an event of each room and domain would. Rooms, members and
//! hosts without a record are never touched: people make those by hand. What can no longer make a difference is forgotten on
//! the way.
//!
//! A walk that does not end in one invocation's time leaves a cursor, and the next one goes on from there. A second schedule
//! invokes it for nothing else, so that a walk of any length ends soon.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use futures::{StreamExt, stream};
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    address::RoomJid,
    domains::{Domains, HostServer},
    ledger::{Ledger, LedgerError, LedgerKey, LedgerMaintenance},
    rooms::{EXPIRY_GRACE, ReconcileError, Reconciler, RoomServer, expired_by},
};

#[cfg(test)]
mod tests;

/// What is read of the ledger at a time: a page is some kilobytes, and a walk stops between two of them.
const PAGE: usize = 200;

/// Rooms, or domains, that are repaired at a time: enough to hide the ledger's round trips, few enough that the XMPP
/// server, which does one thing at a time, has time for others.
const AT_A_TIME: usize = 8;

/// The time that one room or domain may take: a room that hangs must not keep the walk from the others, but while the XMPP
/// server purges a tenant it answers nobody.
const LIMIT: Duration = Duration::from_mins(1);

/// Time kept for the work that is under way when no more is begun.
const RESERVE: Duration = Duration::from_secs(3);

/// Time kept for a second look at a room whose request was not answered ([`Resync::repair_room`]).
const SECOND_LOOK: Duration = Duration::from_secs(EXPIRY_GRACE.as_secs() + 10);

/// What became of one invocation.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Domains on record that were looked at.
    pub domains: usize,
    /// Rooms on record that were looked at.
    pub rooms: usize,
    /// Domains and rooms that could not be made to agree: they are in the log, and the next walk tries again.
    pub failed: usize,
    /// Things on record that were forgotten.
    pub forgotten: usize,
    /// Whether the walk came to its end; else the next invocation goes on.
    pub complete: bool,
    /// Whether this invocation got the walk any further.
    pub advanced: bool,
}

/// Makes the XMPP server agree with the whole ledger.
#[derive(Debug)]
pub struct Resync<'a, L, S, H> {
    reconciler: &'a Reconciler<L, S>,
    domains: Domains<'a, L, S, H>,
}

/// Until when things are looked at: at first, and once more.
#[derive(Debug, Clone, Copy)]
struct Limits {
    first: Instant,
    last: Instant,
}

/// Which domains were seen, each with whether a room of it was.
type Seen = BTreeMap<String, bool>;

/// XMPP servers of several of which it was told that they do not answer.
type Told = BTreeSet<String>;

impl<'a, L, S, H> Resync<'a, L, S, H>
where
    L: Ledger + LedgerMaintenance + Sync,
    S: RoomServer + Sync,
    H: HostServer + Sync,
{
    /// With the ledger and the server of `reconciler`.
    #[must_use]
    pub fn new(reconciler: &'a Reconciler<L, S>, hosts: &'a H) -> Self {
        Self { reconciler, domains: Domains::new(reconciler, hosts) }
    }

    /// Goes on where the last walk stopped, as far as there is time until `deadline`: half a minute at least, or nothing
    /// that is not answered is looked at again.
    ///
    /// # Errors
    /// [`LedgerError`]; retry helps. What was repaired is repaired.
    pub async fn run(&self, deadline: Instant) -> Result<Report, LedgerError> {
        let ledger = self.reconciler.ledger();
        let begun = SystemTime::now();
        let start = ledger.cursor().await?;
        let (mut after, from_the_beginning) = (start.clone(), start.is_none());
        let (mut report, mut seen, mut told) = (Report::default(), Seen::new(), Told::new());
        let has_time = deadline.saturating_duration_since(Instant::now()) > 2 * SECOND_LOOK;
        let limits = Limits { first: if has_time { deadline - SECOND_LOOK } else { deadline }, last: deadline };
        while Instant::now() + RESERVE < limits.first {
            let page = ledger.walk(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else {
                report.complete = true;
                break;
            };
            let last = last.clone();
            self.repair(page, &mut report, (&mut seen, &mut told), limits).await;
            if Instant::now() >= limits.first {
                // What was not done in time is taken up again.
                break;
            }
            after = Some(last);
        }
        report.advanced = report.complete || after != start;
        if report.complete {
            if from_the_beginning {
                report.forgotten += self.forget_domains(&seen, begun).await?;
            }
            ledger.set_cursor(None).await?;
        } else {
            ledger.set_cursor(after.as_ref()).await?;
        }
        Ok(report)
    }

    /// Whether a walk was begun that did not come to its end yet.
    ///
    /// # Errors
    /// [`LedgerError`]; retry helps.
    pub async fn is_under_way(&self) -> Result<bool, LedgerError> {
        Ok(self.reconciler.ledger().cursor().await?.is_some())
    }

    /// Domains first: a room can only be where its host is.
    async fn repair(
        &self,
        page: Vec<LedgerKey>,
        report: &mut Report,
        (seen, told): (&mut Seen, &mut Told),
        limits: Limits,
    ) {
        let (mut domains, mut rooms) = (BTreeSet::new(), Vec::new());
        for record in page {
            match record {
                LedgerKey::Domain(domain) => drop(domains.insert(domain)),
                LedgerKey::Room(room) => rooms.push(room),
            }
        }
        domains.extend(rooms.iter().map(|room| room.tenant().to_owned()));
        let left_out = self.left_out(&domains, told).await;
        report.failed += left_out.len() + rooms.iter().filter(|room| left_out.contains(room.tenant())).count();
        domains.retain(|domain| !left_out.contains(domain));
        domains.retain(|domain| !seen.contains_key(domain));
        let repairs = domains.iter().map(|domain| self.repair_domain(domain, limits.first));
        let outcomes: Vec<bool> = stream::iter(repairs).buffer_unordered(AT_A_TIME).collect().await;
        report.domains += outcomes.len();
        report.failed += outcomes.iter().filter(|is_done| !**is_done).count();
        seen.extend(domains.into_iter().map(|domain| (domain, false)));
        // Its server may have stopped to answer just now.
        let tenants = rooms.iter().map(|room| room.tenant().to_owned()).filter(|domain| !left_out.contains(domain));
        let silent = self.left_out(&tenants.collect(), told).await;
        for room in &rooms {
            seen.insert(room.tenant().to_owned(), true);
        }
        report.failed += rooms.iter().filter(|room| silent.contains(room.tenant())).count();
        rooms.retain(|room| !left_out.contains(room.tenant()) && !silent.contains(room.tenant()));
        let repairs = rooms.iter().map(|room| self.repair_room(room, limits));
        let outcomes: Vec<Option<usize>> = stream::iter(repairs).buffer_unordered(AT_A_TIME).collect().await;
        report.rooms += outcomes.len();
        report.failed += outcomes.iter().filter(|outcome| outcome.is_none()).count();
        report.forgotten += outcomes.into_iter().flatten().sum::<usize>();
    }

    /// Those of `domains` whose XMPP server is one of several and does not answer: what is asked of it would hold up the others'
    /// tenants.
    async fn left_out(&self, domains: &BTreeSet<String>, told: &mut Told) -> BTreeSet<String> {
        let mut left_out = BTreeSet::new();
        for domain in domains {
            let Some(cell) = self.domains.away(domain).await else { continue };
            left_out.insert(domain.clone());
            if told.insert(cell.clone()) {
                tracing::warn!(
                    cell,
                    "Cell does not answer, and resync leaves its tenants out; once it does, invoke resync again"
                );
            }
        }
        left_out
    }

    /// Whether it was done.
    async fn repair_domain(&self, domain: &str, deadline: Instant) -> bool {
        let outcome = self.domains.repair(domain, deadline.min(Instant::now() + LIMIT)).await;
        if let Err(error) = &outcome {
            tracing::warn!(domain, %error, "Domain could not be repaired; the next resync tries again");
        }
        outcome.is_ok()
    }

    /// How many things were forgotten; `None` if it failed.
    ///
    /// What an event's handler leaves unanswered its event makes good when it comes again. Nothing of a resync comes again
    /// soon, so a grant that takes effect late could outlive the leaving that was handled meanwhile: the room is looked at
    /// once more when nothing of the first attempt can take effect any longer.
    async fn repair_room(&self, room: &RoomJid, limits: Limits) -> Option<usize> {
        let deadline = limits.first.min(Instant::now() + LIMIT);
        let mut outcome = self.reconciler.repair(room, deadline).await;
        let expired = expired_by(deadline);
        if outcome.as_ref().is_err_and(ReconcileError::is_unanswered) && expired < limits.last {
            tokio::time::sleep_until(expired).await;
            outcome = self.reconciler.repair(room, limits.last.min(Instant::now() + LIMIT)).await;
        }
        if let Err(error) = outcome {
            tracing::warn!(%room, %error, "Room could not be repaired; the next resync tries again");
            return None;
        }
        match self.reconciler.ledger().prune(room, SystemTime::now()).await {
            Ok(forgotten) => Some(forgotten),
            Err(error) => {
                tracing::warn!(%room, %error, "What is past could not be forgotten; the next resync tries again");
                None
            }
        }
    }

    /// A domain without rooms on record, in a walk that met everything.
    async fn forget_domains(&self, seen: &Seen, begun: SystemTime) -> Result<usize, LedgerError> {
        let mut forgotten = 0;
        for (domain, has_rooms) in seen {
            if !has_rooms {
                forgotten += self.reconciler.ledger().prune_domain(domain, begun).await?;
            }
        }
        Ok(forgotten)
    }
}
