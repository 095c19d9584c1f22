//! Who takes a tenant from cell to cell.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::server::MoveServer;
use crate::{
    cells::{KEPT, KEPT_BRIEFLY},
    hosts::{Counts, HostChange, HostsError},
    ledger::{LedgerError, MoveStep, Moving, Place, PlaceRegister},
};

/// What clocks may differ by, and what a request may be on its way for.
const MARGIN: Duration = Duration::from_secs(2);

/// Time between two questions whether a cell is done with something.
const PAUSE: Duration = Duration::from_millis(100);

/// Time kept for what is under way when no more is begun.
const RESERVE: Duration = Duration::from_millis(500);

/// How long a cell should be busy with a page: others wait so long.
const SLICE: f64 = 0.03;

const FEWEST_ROWS: u32 = 10;
const MOST_ROWS: u32 = 1000;

/// Records that are counted at a time, at most; a cell stops when its slice is over.
const COUNTED_ROWS: u32 = 2000;

/// Why a move does not get on.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The tenant has no place.
    #[error("{0} is on no cell; publish domain.created, or say on which it is with scripts/cells place")]
    NoPlace(String),
    /// There is no such cell.
    #[error("there is no cell {0}; see [[cells]] for those there are")]
    NoCell(String),
    /// It is there already.
    #[error("{0} is on {1} already")]
    There(String, String),
    /// It moves to another cell.
    #[error("{0} moves to {1}; wait for its end, or take it back with scripts/cells move --cancel")]
    Busy(String, String),
    /// A cell has it in a state that does not fit.
    #[error(
        "{domain} cannot be moved: it is {state:?} on {cell}; \"other\" is one that its configuration names, or without a \
         database (STORAGE)"
    )]
    Unfit {
        /// The tenant.
        domain: String,
        /// The cell.
        cell: String,
        /// What it is there.
        state: String,
    },
    /// It does not move, or cannot be taken back any more.
    #[error("{0} is on {1}, and has no move that could be taken back; to have it elsewhere, move it there")]
    NotMoving(String, String),
    /// The copy is not what was copied.
    #[error(
        "the copy of {domain} is not what was copied: {source_counts:?} on {source_cell}, {target_counts:?} on {target_cell}; \
         it stays closed: take the move back with scripts/cells move --cancel, and look into both XMPP servers' logs"
    )]
    Differs {
        /// The tenant.
        domain: String,
        /// Where it is.
        source_cell: String,
        /// What it has there.
        source_counts: Box<Counts>,
        /// Where it goes.
        target_cell: String,
        /// What it has there.
        target_counts: Box<Counts>,
    },
    /// A cell did not do it; a retry goes on, once the cause is mended.
    #[error(transparent)]
    Cell(#[from] HostsError),
    /// The ledger did not answer; a retry goes on.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Moves tenants.
#[derive(Debug)]
pub struct Mover<R, S> {
    register: R,
    server: S,
}

impl<R: PlaceRegister + Sync, S: MoveServer + Sync> Mover<R, S> {
    /// Between the cells of `server`.
    #[must_use]
    pub fn new(register: R, server: S) -> Self {
        Self { register, server }
    }

    /// Begins to move `domain` to the cell `to`. One that is begun already is not begun again.
    ///
    /// # Errors
    /// [`MoveError`]; nothing has changed for the tenant.
    pub async fn begin(&self, domain: &str, to: &str) -> Result<(), MoveError> {
        if !self.server.knows(to) {
            return Err(MoveError::NoCell(to.to_owned()));
        }
        loop {
            let was = self.place(domain).await?;
            match &was.moving {
                Some(moving) if goes_to(&was, moving) == to => return Ok(()),
                Some(moving) => return Err(MoveError::Busy(domain.to_owned(), goes_to(&was, moving).to_owned())),
                None if was.cell == to => return Err(MoveError::There(domain.to_owned(), to.to_owned())),
                None => {}
            }
            self.check(domain, &was.cell, &["served", "absent"]).await?;
            self.check(domain, to, &["absent", "incoming", "moved", "discarded"]).await?;
            // First, so that whoever goes on with moves that were begun knows of it.
            self.register.note_move(domain, true).await?;
            let moving = moving(MoveStep::Waiting, to);
            let now = Place { cell: was.cell.clone(), number: was.number + 1, moving: Some(moving) };
            if self.register.change(domain, &was, &now).await? {
                // Whoever ended the move before may just have noted that there is none.
                self.register.note_move(domain, true).await?;
                tracing::info!(domain, from = was.cell, to, number = now.number, "Move begins");
                return Ok(());
            }
        }
    }

    /// Takes the move of `domain` back, as long as the tenant is not opened on the other cell; [`go_on`](Self::go_on) does it.
    ///
    /// # Errors
    /// [`MoveError`].
    pub async fn cancel(&self, domain: &str) -> Result<(), MoveError> {
        loop {
            let was = self.place(domain).await?;
            let other = match &was.moving {
                Some(moving) if matches!(moving.step, MoveStep::Waiting | MoveStep::Copying) => moving.other.clone(),
                Some(moving) if matches!(moving.step, MoveStep::Thawing | MoveStep::Discarding) => return Ok(()),
                _ => return Err(MoveError::NotMoving(domain.to_owned(), was.cell)),
            };
            let now = Place { moving: Some(moving(MoveStep::Thawing, &other)), ..was.clone() };
            if self.register.change(domain, &was, &now).await? {
                tracing::info!(domain, from = was.cell, to = other, "Move is taken back");
                return Ok(());
            }
        }
    }

    /// Goes on with the move of `domain` as far as there is time; whether it is over.
    ///
    /// # Errors
    /// [`MoveError`]: what was done is done, and a retry goes on from there.
    pub async fn go_on(&self, domain: &str, deadline: Instant) -> Result<bool, MoveError> {
        let deadline = deadline - RESERVE;
        loop {
            let place = self.place(domain).await?;
            let Some(moving) = place.moving.clone() else {
                self.register.note_move(domain, false).await?;
                return Ok(true);
            };
            let run = Run { mover: self, domain, place, moving, deadline };
            if !Box::pin(run.step()).await? {
                return Ok(false);
            }
        }
    }

    /// What keeps a tenant from being moved is better known before it is closed.
    async fn check(&self, domain: &str, cell: &str, states: &[&str]) -> Result<(), MoveError> {
        let state = self.server.state(cell, domain).await?.state;
        if states.contains(&state.as_str()) {
            return Ok(());
        }
        Err(MoveError::Unfit { domain: domain.to_owned(), cell: cell.to_owned(), state })
    }

    async fn place(&self, domain: &str) -> Result<Place, MoveError> {
        self.register.place_of(domain).await?.ok_or_else(|| MoveError::NoPlace(domain.to_owned()))
    }
}

/// Where a tenant will be when its move is over.
fn goes_to<'a>(place: &'a Place, moving: &'a Moving) -> &'a str {
    match moving.step {
        MoveStep::Waiting | MoveStep::Copying => &moving.other,
        MoveStep::Opening | MoveStep::Purging | MoveStep::Thawing | MoveStep::Discarding => &place.cell,
    }
}

fn moving(step: MoveStep, other: &str) -> Moving {
    Moving { step, other: other.to_owned(), since: unix_now() }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A mover at a step.
struct Run<'a, R, S> {
    mover: &'a Mover<R, S>,
    domain: &'a str,
    place: Place,
    moving: Moving,
    deadline: Instant,
}

impl<R: PlaceRegister + Sync, S: MoveServer + Sync> Run<'_, R, S> {
    /// Does it; whether the next one may follow, or the time is over.
    async fn step(self) -> Result<bool, MoveError> {
        let (here, other) = (self.place.cell.clone(), self.moving.other.clone());
        match self.moving.step {
            MoveStep::Waiting => {
                Ok(self.wait_since(KEPT + MARGIN).await && self.next(&here, Some((MoveStep::Copying, &other))).await?)
            }
            MoveStep::Copying => {
                let is_copied = self.wait_since(KEPT_BRIEFLY + MARGIN).await
                    && self.bring(&here, "frozen", Value::Null, String::new()).await?
                    && self.copy(&here, &other).await?
                    && self.compare(&here, &other).await?;
                Ok(is_copied && self.next(&other, Some((MoveStep::Opening, &here))).await?)
            }
            MoveStep::Opening => {
                let is_open = self.bring(&here, "opened", Value::Null, String::new()).await?;
                Ok(is_open && self.next(&here, Some((MoveStep::Purging, &other))).await?)
            }
            MoveStep::Purging => {
                let untold = self.mover.server.tell(self.domain).await;
                if !untold.is_empty() {
                    tracing::warn!(domain = self.domain, ?untold, "Cells do not know yet where the tenant is");
                    return Ok(false);
                }
                let uploads = self.mover.server.state(&here, self.domain).await?.uploads;
                Ok(self.bring(&other, "moved", Value::Null, uploads).await? && self.next(&here, None).await?)
            }
            MoveStep::Thawing => {
                let is_served = self.bring(&here, "served", Value::Null, String::new()).await?;
                Ok(is_served && self.next(&here, Some((MoveStep::Discarding, &other))).await?)
            }
            MoveStep::Discarding => {
                let is_gone = self.bring(&other, "discarded", Value::Null, String::new()).await?;
                Ok(is_gone && self.next(&here, None).await?)
            }
        }
    }

    /// Waits until the step has lasted for so long; false if there is no time for that.
    async fn wait_since(&self, lasting: Duration) -> bool {
        let lasted = Duration::from_secs(unix_now().saturating_sub(self.moving.since));
        let left = lasting.saturating_sub(lasted);
        if Instant::now() + left >= self.deadline {
            tokio::time::sleep_until(self.deadline).await;
            return false;
        }
        sleep(left).await;
        true
    }

    /// Has the ledger know the next step, or that there is none. Another mover may have done so: then that is what goes on.
    async fn next(&self, cell: &str, step: Option<(MoveStep, &str)>) -> Result<bool, MoveError> {
        let moving = step.map(|(step, other)| moving(step, other));
        let (domain, number) = (self.domain, self.place.number);
        let now = Place { cell: cell.to_owned(), number, moving };
        if self.mover.register.change(domain, &self.place, &now).await? {
            let step = step.map_or("over", |(step, _)| step.name());
            tracing::info!(domain, cell, other = self.moving.other, number, step, "Move gets on");
        }
        Ok(true)
    }

    /// Brings the tenant into a state on a cell; false if there is no time for that.
    async fn bring(&self, cell: &str, state: &'static str, entry: Value, uploads: String) -> Result<bool, MoveError> {
        let change = HostChange { number: self.place.number, state, entry, uploads };
        while Instant::now() < self.deadline {
            if self.mover.server.change(cell, self.domain, &change).await? {
                return Ok(true);
            }
            sleep(PAUSE).await;
        }
        Ok(false)
    }

    /// Brings all pages over; false if there is no time for that.
    async fn copy(&self, source: &str, target: &str) -> Result<bool, MoveError> {
        let server = &self.mover.server;
        let entry = server.state(source, self.domain).await?.entry;
        if !self.bring(target, "incoming", entry, String::new()).await? {
            return Ok(false);
        }
        let state = server.state(target, self.domain).await?;
        let (mut cursor, last, mut rows) = (state.cursor, state.last, 200);
        while cursor != last {
            if Instant::now() >= self.deadline {
                return Ok(false);
            }
            let page = server.page(source, self.domain, &cursor, rows).await?;
            let put = server.put_page(target, self.domain, self.place.number, &page).await?;
            rows = paced(rows, put.seconds);
            cursor = put.cursor;
        }
        Ok(true)
    }

    /// Counts at both ends; false if there is no time for that.
    async fn compare(&self, source: &str, target: &str) -> Result<bool, MoveError> {
        let (Some(there), Some(here)) = tokio::try_join!(self.count(source), self.count(target))? else {
            return Ok(false);
        };
        if there != here {
            return Err(MoveError::Differs {
                domain: self.domain.to_owned(),
                source_cell: source.to_owned(),
                source_counts: Box::new(there),
                target_cell: target.to_owned(),
                target_counts: Box::new(here),
            });
        }
        let Counts { rows, messages, files, bytes, .. } = here;
        tracing::info!(domain = self.domain, rows, messages, files, bytes, "Move: both cells have the same");
        Ok(true)
    }

    async fn count(&self, cell: &str) -> Result<Option<Counts>, MoveError> {
        let (mut all, mut after) = (Counts::default(), String::new());
        let last = self.mover.server.state(cell, self.domain).await?.last;
        while after != last {
            if Instant::now() >= self.deadline {
                return Ok(None);
            }
            let (counts, next) = self.mover.server.count(cell, self.domain, &after, COUNTED_ROWS).await?;
            all.add(&counts);
            after = next;
        }
        Ok(Some(all))
    }
}

/// How many rows the next page may have, when the last one of so many took so many seconds to write.
fn paced(rows: u32, seconds: f64) -> u32 {
    let wanted = if seconds > SLICE {
        rows / 2
    } else if seconds < SLICE / 2.0 {
        rows + rows / 2
    } else {
        rows
    };
    wanted.clamp(FEWEST_ROWS, MOST_ROWS)
}
