//! Where tenants are, of several cells: one fact for each, set by its first event and changed only by a move.

use std::{collections::BTreeMap, fmt};

use super::port::LedgerError;
use crate::table::{Key, Table, Update, number, text};

/// The port to where places are kept.
pub trait PlaceRegister {
    /// The name of the cell that `domain` is on, if it has been placed.
    ///
    /// # Errors
    /// [`LedgerError`]; retry helps.
    fn cell_of(&self, domain: &str) -> impl Future<Output = Result<Option<String>, LedgerError>> + Send;

    /// Places `domain` on `cell` unless it has a place; the cell that it is on then. One conditional write.
    ///
    /// # Errors
    /// [`LedgerError`]; it may have been placed.
    fn place(&self, domain: &str, cell: &str) -> impl Future<Output = Result<String, LedgerError>> + Send;

    /// How many tenants were placed on each cell that any was placed on: about so many, for it guides where the next ones
    /// go, and who dies between placing and counting leaves one out.
    ///
    /// # Errors
    /// [`LedgerError`]; retry helps.
    fn tenants(&self) -> impl Future<Output = Result<BTreeMap<String, u64>, LedgerError>> + Send;
}

/// The register in the ledger's table: `domain#<name>` / `place` for each tenant, `cells` / `<name>` for each cell's number.
#[derive(Clone)]
pub struct DynamoPlaces(Table);

const COUNTS: &str = "cells";

impl DynamoPlaces {
    /// In `table`.
    #[must_use]
    pub fn new(table: Table) -> Self {
        Self(table)
    }
}

impl fmt::Debug for DynamoPlaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DynamoPlaces")
    }
}

fn place_key(domain: &str) -> Key {
    Key::new(format!("domain#{domain}"), "place")
}

impl PlaceRegister for DynamoPlaces {
    async fn cell_of(&self, domain: &str) -> Result<Option<String>, LedgerError> {
        let Some(item) = self.0.get(&place_key(domain)).await? else { return Ok(None) };
        // Placing it anew would leave its data behind on a cell that nobody asks any more.
        let cell = item.text("cell")?.ok_or_else(|| item.fault("cell is missing"))?;
        Ok(Some(cell.to_owned()))
    }

    async fn place(&self, domain: &str, cell: &str) -> Result<String, LedgerError> {
        let mut item = place_key(domain).attributes();
        item.insert("cell".to_owned(), text(cell));
        if !self.0.put_new(item).await? {
            let placed = self.cell_of(domain).await?;
            return placed.ok_or_else(|| LedgerError(format!("the place of {domain} came and went; try again")));
        }
        let values = vec![(":one", number(1_u64))];
        let condition = "attribute_not_exists(pk) OR attribute_exists(pk)".into();
        let count = Update { key: Key::new(COUNTS, cell), change: "ADD tenants :one", condition, values };
        self.0.update(&count).await?;
        Ok(cell.to_owned())
    }

    async fn tenants(&self) -> Result<BTreeMap<String, u64>, LedgerError> {
        let count = |item: &crate::table::Item| Ok((item.key()?.sk, item.number("tenants")?.unwrap_or_default()));
        self.0.query(COUNTS, None).await?.iter().map(count).collect()
    }
}
