//! All cells, and how a tenant's is found.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{
    cell::Cell,
    place::{PlaceError, Places},
};
use crate::ledger::PlaceRegister;

/// All cells, and which tenant is on which. Cheap to clone.
#[derive(Debug)]
pub struct Cells<P>(pub(super) Arc<All<P>>);

#[derive(Debug)]
pub(super) struct All<P> {
    pub(super) cells: Vec<Cell>,
    /// Without, all tenants are on the only cell.
    pub(super) places: Option<Places<P>>,
}

impl<P> Clone for Cells<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: PlaceRegister> Cells<P> {
    /// All tenants on one.
    #[must_use]
    pub fn only(cell: Cell) -> Self {
        Self(Arc::new(All { cells: vec![cell], places: None }))
    }

    /// Each tenant on the one that `register` says.
    #[must_use]
    pub fn several(cells: Vec<Cell>, register: P) -> Self {
        Self(Arc::new(All { cells, places: Some(Places::new(register)) }))
    }

    /// The cell that `domain` is on.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub async fn of(&self, domain: &str) -> Result<&Cell, PlaceError> {
        let Some(places) = &self.0.places else { return Ok(&self.0.cells[0]) };
        let name = places.find(domain).await?.ok_or_else(|| PlaceError::None(domain.to_owned()))?;
        self.named(domain, &name)
    }

    /// Does `work` on the cell of `domain`; once more, on another one, if the first said that it does not serve the domain and
    /// the domain turns out to have been moved.
    ///
    /// # Errors
    /// [`PlaceError`], or what `work` came to.
    pub async fn on_cell_of<'a, T, E>(
        &'a self,
        domain: &str,
        work: impl Fn(&'a Cell) -> BoxFuture<'a, Result<T, E>> + Send,
        is_elsewhere: impl Fn(&E) -> bool + Send,
    ) -> Result<Result<T, E>, PlaceError>
    where
        T: Send,
        E: Send,
    {
        let cell = self.of(domain).await?;
        let outcome = work(cell).await;
        let Some(places) = self.0.places.as_ref().filter(|_| outcome.as_ref().is_err_and(is_elsewhere)) else {
            return Ok(outcome);
        };
        places.forget(domain);
        let now = self.of(domain).await?;
        if now.name == cell.name { Ok(outcome) } else { Ok(work(now).await) }
    }

    fn named(&self, domain: &str, name: &str) -> Result<&Cell, PlaceError> {
        let cell = self.0.cells.iter().find(|cell| cell.name == name);
        cell.ok_or_else(|| PlaceError::Unknown { domain: domain.to_owned(), cell: name.to_owned() })
    }
}
