//! Which cells have been told where a tenant is, so that they are told once.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use super::cell::Cell;
use crate::hosts::HostsError;

/// What this process has told: who, of which domain, that it is where.
#[derive(Debug, Default)]
pub(super) struct Routes(Mutex<HashSet<(String, String, String)>>);

impl Routes {
    /// Whether `told` knows from this process that `domain` is on `cell`.
    pub(super) fn has(&self, told: &Cell, domain: &str, cell: &Cell) -> bool {
        let key = (told.name.clone(), domain.to_owned(), cell.name.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&key)
    }

    /// Tells `told` that `domain` is on `cell`.
    ///
    /// # Errors
    /// [`HostsError`].
    pub(super) async fn tell(&self, told: &Cell, domain: &str, cell: &Cell) -> Result<(), HostsError> {
        told.hosts.set_routes(&cell.name, &[domain]).await?;
        let key = (told.name.clone(), domain.to_owned(), cell.name.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        Ok(())
    }
}
