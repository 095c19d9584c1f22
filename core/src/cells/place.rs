//! Which tenant is on which cell, looked up once and kept.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::cell::Cell;
use crate::{
    clock::FreezeSafeInstant,
    ledger::{LedgerError, PlaceRegister},
};

/// How long a place is kept. A move waits for so long between closing the old cell and opening the new one, or else a login
/// could be sent to the old.
pub(super) const KEPT: Duration = Duration::from_mins(1);

/// Why it is not known where a tenant is.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PlaceError {
    /// It was not placed: none of its domain's events was handled yet.
    #[error("{0} is on no cell yet: its domain's creation has not been handled")]
    None(String),
    /// It is on a cell that the configuration does not know.
    #[error("{domain} is on the cell {cell}, which [[cells]] does not name; add it again, or move the tenant")]
    Unknown {
        /// The tenant.
        domain: String,
        /// The cell.
        cell: String,
    },
    /// There is no open cell to place it on.
    #[error("no cell is open, so {0} cannot be placed; open one of [[cells]]")]
    NoneOpen(String),
    /// The ledger did not answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The places that were looked up.
#[derive(Debug)]
pub(super) struct Places<P> {
    register: P,
    known: Mutex<HashMap<String, (String, FreezeSafeInstant)>>,
}

impl<P: PlaceRegister> Places<P> {
    pub(super) fn new(register: P) -> Self {
        Self { register, known: Mutex::default() }
    }

    /// The name of the cell that `domain` is on. That it is on none is not kept.
    pub(super) async fn find(&self, domain: &str) -> Result<Option<String>, PlaceError> {
        if let Some((cell, _)) = self.known().get(domain).filter(|(_, since)| since.elapsed() < KEPT) {
            return Ok(Some(cell.clone()));
        }
        let found = self.register.cell_of(domain).await?;
        if let Some(cell) = &found {
            self.keep(domain, cell);
        }
        Ok(found)
    }

    /// Places `domain` on the open one of `cells` that has fewest tenants for its weight.
    pub(super) async fn place(&self, domain: &str, cells: &[Cell]) -> Result<(), PlaceError> {
        let tenants = self.register.tenants().await?;
        let open = cells.iter().filter(|cell| cell.is_open);
        let roomiest = open.min_by(|one, other| share(one, &tenants).total_cmp(&share(other, &tenants)));
        let chosen = roomiest.ok_or_else(|| PlaceError::NoneOpen(domain.to_owned()))?;
        let cell = self.register.place(domain, &chosen.name).await?;
        tracing::info!(domain, cell, "Tenant is placed");
        self.keep(domain, &cell);
        Ok(())
    }

    /// Has the place of `domain` looked up anew.
    pub(super) fn forget(&self, domain: &str) {
        self.known().remove(domain);
    }

    fn keep(&self, domain: &str, cell: &str) {
        self.known().insert(domain.to_owned(), (cell.to_owned(), FreezeSafeInstant::now()));
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, (String, FreezeSafeInstant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Its tenants with one more, for each unit of its weight.
fn share(cell: &Cell, tenants: &BTreeMap<String, u64>) -> f64 {
    let count = tenants.get(&cell.name).copied().unwrap_or_default();
    f64::from(u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1)) / f64::from(cell.weight)
}
