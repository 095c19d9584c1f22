//! Places in memory, for tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use super::{
    places::{CellRecord, CellState, Place, PlaceRegister},
    port::LedgerError,
};

/// Places in memory, and how often one was looked up.
#[derive(Debug, Default)]
pub struct MemoryPlaces {
    kept: Mutex<Kept>,
    is_away: bool,
}

#[derive(Debug, Default)]
struct Kept {
    places: BTreeMap<String, Place>,
    moves: BTreeSet<String>,
    states: BTreeMap<String, CellState>,
    /// Cells' numbers of tenants that were corrected, instead of what is counted.
    corrected: BTreeMap<String, u64>,
    looked_up: u32,
}

impl MemoryPlaces {
    /// One that cannot be read.
    #[must_use]
    pub fn away() -> Self {
        Self { is_away: true, ..Self::default() }
    }

    /// How often a place was looked up.
    #[must_use]
    pub fn looked_up(&self) -> u32 {
        self.with(|kept| kept.looked_up)
    }

    /// Sets a place, whatever it was.
    pub fn put(&self, domain: &str, place: Place) {
        self.with(|kept| kept.places.insert(domain.to_owned(), place));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        work(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl PlaceRegister for &MemoryPlaces {
    async fn place_of(&self, domain: &str) -> Result<Option<Place>, LedgerError> {
        if self.is_away {
            return Err(LedgerError("injected".to_owned()));
        }
        Ok(self.with(|kept| {
            kept.looked_up += 1;
            kept.places.get(domain).cloned()
        }))
    }

    async fn place(&self, domain: &str, cell: &str) -> Result<String, LedgerError> {
        Ok(self.with(|kept| kept.places.entry(domain.to_owned()).or_insert_with(|| Place::at(cell)).cell.clone()))
    }

    async fn change(&self, domain: &str, was: &Place, now: &Place) -> Result<bool, LedgerError> {
        Ok(self.with(|kept| {
            let is_so = kept.places.get(domain) == Some(was);
            if is_so {
                kept.places.insert(domain.to_owned(), now.clone());
            }
            is_so
        }))
    }

    async fn moves(&self) -> Result<Vec<String>, LedgerError> {
        Ok(self.with(|kept| kept.moves.iter().cloned().collect()))
    }

    async fn note_move(&self, domain: &str, is_under_way: bool) -> Result<(), LedgerError> {
        self.with(|kept| {
            if is_under_way {
                kept.moves.insert(domain.to_owned())
            } else {
                kept.moves.remove(domain)
            };
        });
        Ok(())
    }

    async fn cells(&self) -> Result<BTreeMap<String, CellRecord>, LedgerError> {
        Ok(self.with(|kept| {
            let mut records: BTreeMap<String, CellRecord> = BTreeMap::new();
            for place in kept.places.values() {
                records.entry(place.cell.clone()).or_default().tenants += 1;
            }
            for (cell, state) in &kept.states {
                records.entry(cell.clone()).or_default().state = Some(*state);
            }
            for (cell, tenants) in &kept.corrected {
                records.entry(cell.clone()).or_default().tenants = *tenants;
            }
            records
        }))
    }

    async fn recount(&self, cell: &str, was: u64, now: u64) -> Result<bool, LedgerError> {
        let is_so = self.cells().await?.get(cell).map_or(0, |record| record.tenants) == was;
        if is_so {
            self.with(|kept| kept.corrected.insert(cell.to_owned(), now));
        }
        Ok(is_so)
    }

    async fn set_state(&self, cell: &str, state: CellState) -> Result<(), LedgerError> {
        self.with(|kept| kept.states.insert(cell.to_owned(), state));
        Ok(())
    }
}
