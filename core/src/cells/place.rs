//! Which tenant is on which cell, looked up once and kept.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::cell::Cell;
use crate::{
    clock::FreezeSafeInstant,
    ledger::{CellState, LedgerError, Place, PlaceRegister},
};

/// How long a place is kept. A move waits for so long before anything else is done: then nobody keeps it any more as
/// that of a tenant that stays, or else a login could be sent to the old cell.
pub const KEPT: Duration = Duration::from_secs(15);

/// How long the place of a tenant that moves is kept.
pub const KEPT_BRIEFLY: Duration = Duration::from_secs(1);

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
    /// It goes from cell to cell; retry helps, when it is there.
    #[error("{0} moves to another cell; try again when it is there (scripts/cells lists it)")]
    Moving(String),
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
    pub(super) register: P,
    known: Mutex<HashMap<String, (Place, FreezeSafeInstant)>>,
}

impl<P: PlaceRegister> Places<P> {
    pub(super) fn new(register: P) -> Self {
        Self { register, known: Mutex::default() }
    }

    /// Where `domain` is. That it is nowhere is not kept.
    pub(super) async fn find(&self, domain: &str) -> Result<Option<Place>, PlaceError> {
        if let Some((place, _)) = self.known().get(domain).filter(|(place, since)| since.elapsed() < kept(place)) {
            return Ok(Some(place.clone()));
        }
        let found = self.register.place_of(domain).await?;
        if let Some(place) = &found {
            self.known().insert(domain.to_owned(), (place.clone(), FreezeSafeInstant::now()));
        }
        Ok(found)
    }

    /// Places `domain` on the open one of `cells` that has fewest tenants for its weight.
    pub(super) async fn place(&self, domain: &str, cells: &[Cell]) -> Result<(), PlaceError> {
        let chosen = self.roomiest(cells, None).await?.ok_or_else(|| PlaceError::NoneOpen(domain.to_owned()))?;
        let cell = self.register.place(domain, &chosen.name).await?;
        tracing::info!(domain, cell, "Tenant is placed");
        Ok(())
    }

    /// The open one of `cells` that has fewest tenants for its weight, and is not `but`.
    pub(super) async fn roomiest<'a>(
        &self,
        cells: &'a [Cell],
        but: Option<&str>,
    ) -> Result<Option<&'a Cell>, PlaceError> {
        let records = self.register.cells().await?;
        let record = |cell: &Cell| records.get(&cell.name).copied().unwrap_or_default();
        let open = cells.iter().filter(|cell| {
            let is_open = record(cell).state.map_or(cell.is_open, |state| state == CellState::Open);
            is_open && but != Some(cell.name.as_str())
        });
        let share = |cell: &Cell| share(cell, record(cell).tenants);
        Ok(open.min_by(|one, other| share(one).total_cmp(&share(other))))
    }

    /// Has the place of `domain` looked up anew.
    pub(super) fn look_up_anew(&self, domain: &str) {
        self.known().remove(domain);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, (Place, FreezeSafeInstant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kept(place: &Place) -> Duration {
    if place.moving.is_some() { KEPT_BRIEFLY } else { KEPT }
}

/// Its tenants with one more, for each unit of its weight.
fn share(cell: &Cell, tenants: u64) -> f64 {
    f64::from(u32::try_from(tenants).unwrap_or(u32::MAX).saturating_add(1)) / f64::from(cell.weight)
}
