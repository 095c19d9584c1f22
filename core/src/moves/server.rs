//! The port to the cells, as far as a move is concerned.

use crate::{
    cells::Cells,
    hosts::{Counts, HostChange, HostState, Hosts, HostsError, PageOutcome},
    ledger::PlaceRegister,
};

/// Cells that a tenant goes from and to. All calls may come again.
pub trait MoveServer {
    /// Whether there is a cell of this name.
    fn knows(&self, cell: &str) -> bool;

    /// How it is with `domain` on `cell`.
    fn state(&self, cell: &str, domain: &str) -> impl Future<Output = Result<HostState, HostsError>> + Send;

    /// Brings `domain` into a state on `cell`; whether it is so already.
    fn change(
        &self,
        cell: &str,
        domain: &str,
        change: &HostChange,
    ) -> impl Future<Output = Result<bool, HostsError>> + Send;

    /// The records behind the cursor `after`.
    fn page(
        &self,
        cell: &str,
        domain: &str,
        after: &str,
        rows: u32,
    ) -> impl Future<Output = Result<Vec<u8>, HostsError>> + Send;

    /// Writes a page.
    fn put_page(
        &self,
        cell: &str,
        domain: &str,
        number: u64,
        page: &[u8],
    ) -> impl Future<Output = Result<PageOutcome, HostsError>> + Send;

    /// Counts records behind the cursor `after`, and up to which.
    fn count(
        &self,
        cell: &str,
        domain: &str,
        after: &str,
        rows: u32,
    ) -> impl Future<Output = Result<(Counts, String), HostsError>> + Send;

    /// Tells all cells where `domain` is now; the cells that could not be told.
    fn tell(&self, domain: &str) -> impl Future<Output = Vec<String>> + Send;
}

impl<P: PlaceRegister> Cells<P> {
    fn hosts_of(&self, cell: &str) -> Result<&Hosts, HostsError> {
        let found = self.cell(cell).ok_or_else(|| {
            HostsError::Place(format!("the configuration has no cell {cell}; add it to [[cells]] again"))
        });
        found.map(|cell| &cell.hosts)
    }
}

impl<P: PlaceRegister + Send + Sync> MoveServer for Cells<P> {
    fn knows(&self, cell: &str) -> bool {
        self.cell(cell).is_some()
    }

    async fn state(&self, cell: &str, domain: &str) -> Result<HostState, HostsError> {
        self.hosts_of(cell)?.move_state(domain).await
    }

    async fn change(&self, cell: &str, domain: &str, change: &HostChange) -> Result<bool, HostsError> {
        self.hosts_of(cell)?.change(domain, change).await
    }

    async fn page(&self, cell: &str, domain: &str, after: &str, rows: u32) -> Result<Vec<u8>, HostsError> {
        self.hosts_of(cell)?.page(domain, after, rows).await
    }

    async fn put_page(&self, cell: &str, domain: &str, number: u64, page: &[u8]) -> Result<PageOutcome, HostsError> {
        self.hosts_of(cell)?.put_page(domain, number, page).await
    }

    async fn count(&self, cell: &str, domain: &str, after: &str, rows: u32) -> Result<(Counts, String), HostsError> {
        self.hosts_of(cell)?.count(domain, after, rows).await
    }

    async fn tell(&self, domain: &str) -> Vec<String> {
        match self.announce(domain).await {
            // One that refuses knows of no other cells, and needs not be told.
            Ok(untold) => {
                let untold = untold.into_iter().filter(|one| !matches!(one.error, HostsError::Refused { .. }));
                untold.map(|one| format!("{}: {}", one.cell, one.error)).collect()
            }
            Err(error) => vec![error.to_string()],
        }
    }
}
