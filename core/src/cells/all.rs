//! All cells, and how a tenant's is found.

use std::sync::Arc;

use futures::future::{BoxFuture, join_all};

use super::{
    cell::Cell,
    place::{PlaceError, Places},
    routes::Routes,
};
use crate::{hosts::HostsError, ledger::PlaceRegister};

/// All cells, and which tenant is on which. Cheap to clone.
#[derive(Debug)]
pub struct Cells<P>(pub(super) Arc<All<P>>);

#[derive(Debug)]
pub(super) struct All<P> {
    pub(super) cells: Vec<Cell>,
    /// Without, all tenants are on the only cell.
    pub(super) places: Option<Places<P>>,
    pub(super) routes: Routes,
}

/// A cell that was not told something, and why.
#[derive(Debug)]
pub struct Untold {
    /// Its name.
    pub cell: String,
    /// What its hosts API came to.
    pub error: HostsError,
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
        Self(Arc::new(All { cells: vec![cell], places: None, routes: Routes::default() }))
    }

    /// Each tenant on the one that `register` says.
    #[must_use]
    pub fn several(cells: Vec<Cell>, register: P) -> Self {
        Self(Arc::new(All { cells, places: Some(Places::new(register)), routes: Routes::default() }))
    }

    /// The cell that `domain` is on.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub async fn of(&self, domain: &str) -> Result<&Cell, PlaceError> {
        let Some(places) = &self.0.places else { return Ok(&self.0.cells[0]) };
        let place = places.find(domain).await?.ok_or_else(|| PlaceError::None(domain.to_owned()))?;
        if !place.is_served() {
            return Err(PlaceError::Moving(domain.to_owned()));
        }
        self.named(domain, &place.cell)
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
        places.look_up_anew(domain);
        let now = self.of(domain).await?;
        if now.name == cell.name { Ok(outcome) } else { Ok(work(now).await) }
    }

    /// Tells all cells which of them `domain` is on, and the one that it is on where all other tenants are: whoever was beside
    /// it as a guest, or in whose rooms its users are, may be beside it no longer. To be called whenever a tenant has moved,
    /// once it is served at its new place; as often as one likes. Until then what others' users and rooms send to it waits, or
    /// comes back as unreachable.
    ///
    /// The result names the cells that could not be told, for which it has to be called again. With one cell there is nothing
    /// to tell.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub async fn announce(&self, domain: &str) -> Result<Vec<Untold>, PlaceError> {
        let Some(places) = &self.0.places else { return Ok(Vec::new()) };
        places.look_up_anew(domain);
        let now = self.of(domain).await?;
        let told = self.0.cells.iter().map(async |cell| {
            let told = cell.hosts.set_routes(&now.name, &[domain]).await;
            let told = told.map_err(|error| Untold { cell: cell.name.clone(), error });
            if cell.name == now.name {
                return told;
            }
            let beside = cell.hosts.list().await.map_err(|error| Untold { cell: cell.name.clone(), error });
            let beside = beside?;
            let beside: Vec<&str> = beside.iter().map(String::as_str).filter(|other| *other != domain).collect();
            let known = now.hosts.set_routes(&cell.name, &beside).await;
            told.and(known.map_err(|error| Untold { cell: now.name.clone(), error }))
        });
        Ok(join_all(told).await.into_iter().filter_map(Result::err).collect())
    }

    /// The cell of this name.
    #[must_use]
    pub fn cell(&self, name: &str) -> Option<&Cell> {
        self.0.cells.iter().find(|cell| cell.name == name)
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Cell] {
        &self.0.cells
    }

    /// Where places are kept; nowhere, where there is one cell.
    #[must_use]
    pub fn register(&self) -> Option<&P> {
        self.0.places.as_ref().map(|places| &places.register)
    }

    /// The open cell with most room for a tenant of the cell `but`.
    ///
    /// # Errors
    /// [`PlaceError::Ledger`].
    pub async fn roomiest_but(&self, but: &str) -> Result<Option<&Cell>, PlaceError> {
        match &self.0.places {
            Some(places) => places.roomiest(&self.0.cells, Some(but)).await,
            None => Ok(None),
        }
    }

    fn named(&self, domain: &str, name: &str) -> Result<&Cell, PlaceError> {
        self.cell(name).ok_or_else(|| PlaceError::Unknown { domain: domain.to_owned(), cell: name.to_owned() })
    }
}
