//! Where tenants are, of several cells: one fact for each, set by its first event and changed only by a move.

use std::{collections::BTreeMap, fmt};

use aws_sdk_dynamodb::types::AttributeValue;

use super::port::LedgerError;
use crate::table::{Item, Key, Table, Update, number, text};

/// Where a tenant is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The name of its cell.
    pub cell: String,
    /// The number of its newest move; 0 before the first. Cells do nothing for an older one.
    pub number: u64,
    /// What that move has come to, until it is over.
    pub moving: Option<Moving>,
}

/// What a move has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moving {
    /// What is to be done next.
    pub step: MoveStep,
    /// The other cell: where it goes, or, once it is there, where it came from.
    pub other: String,
    /// Since when this is the step, in seconds of the Unix epoch.
    pub since: u64,
}

/// A step of a move, by what is to be done in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MoveStep {
    /// Wait until no process keeps the place as that of a tenant that stays. Served as before.
    Waiting,
    /// Stop the tenant on its cell, and bring a copy to the other one. Not served.
    Copying,
    /// Open the copy: the tenant's cell is the new one by now. Not served.
    Opening,
    /// Remove what is left on the other cell. Served.
    Purging,
    /// Serve the tenant again where it was: the move was taken back. Not served.
    Thawing,
    /// Remove the copy that the other cell has. Served.
    Discarding,
}

impl MoveStep {
    const ALL: [Self; 6] =
        [Self::Waiting, Self::Copying, Self::Opening, Self::Purging, Self::Thawing, Self::Discarding];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Copying => "copying",
            Self::Opening => "opening",
            Self::Purging => "purging",
            Self::Thawing => "thawing",
            Self::Discarding => "discarding",
        }
    }

    /// Whether the tenant is served meanwhile.
    #[must_use]
    pub fn is_served(self) -> bool {
        matches!(self, Self::Waiting | Self::Purging | Self::Discarding)
    }
}

impl Place {
    /// Of a tenant that stays where it is.
    #[must_use]
    pub fn at(cell: &str) -> Self {
        Self { cell: cell.to_owned(), number: 0, moving: None }
    }

    /// Whether the cell serves the tenant.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.moving.as_ref().is_none_or(|moving| moving.step.is_served())
    }
}

/// What an operator has said of a cell, over what the configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellState {
    /// It takes new tenants.
    Open,
    /// It takes no new tenants.
    Closed,
    /// The same, and those that it has move elsewhere.
    Draining,
}

impl CellState {
    const ALL: [Self; 3] = [Self::Open, Self::Closed, Self::Draining];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Draining => "draining",
        }
    }
}

/// What is on record of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CellRecord {
    /// Tenants that were placed there, about: it guides where the next ones go, and who dies between placing and counting
    /// leaves one out.
    pub tenants: u64,
    /// What an operator has said, if anything.
    pub state: Option<CellState>,
}

/// The port to where places are kept.
pub trait PlaceRegister {
    /// Where `domain` is, if it has been placed.
    ///
    /// # Errors
    /// [`LedgerError`]; retry helps.
    fn place_of(&self, domain: &str) -> impl Future<Output = Result<Option<Place>, LedgerError>> + Send;

    /// Places `domain` on `cell` unless it has a place; the cell that it is on then. One conditional write.
    ///
    /// # Errors
    /// [`LedgerError`]; it may have been placed.
    fn place(&self, domain: &str, cell: &str) -> impl Future<Output = Result<String, LedgerError>> + Send;

    /// Changes the place of `domain` from `was` to `now`, by one conditional write; whether it was so. Who changes the cell
    /// changes the cells' numbers, too.
    ///
    /// # Errors
    /// [`LedgerError`]; it may have been changed.
    fn change(&self, domain: &str, was: &Place, now: &Place) -> impl Future<Output = Result<bool, LedgerError>> + Send;

    /// The tenants whose move was begun and is not over; maybe some whose is.
    ///
    /// # Errors
    /// [`LedgerError`]; retry helps.
    fn moves(&self) -> impl Future<Output = Result<Vec<String>, LedgerError>> + Send;

    /// Notes that a move of `domain` begins, or is over.
    ///
    /// # Errors
    /// [`LedgerError`]; retry helps.
    fn note_move(&self, domain: &str, is_under_way: bool) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// What is on record of each cell of which anything is.
    ///
    /// # Errors
    /// [`LedgerError`]; retry helps.
    fn cells(&self) -> impl Future<Output = Result<BTreeMap<String, CellRecord>, LedgerError>> + Send;

    /// Corrects the number of a cell's tenants from `was`, unless that has changed; whether it has not.
    ///
    /// # Errors
    /// [`LedgerError`]; it may have been corrected.
    fn recount(&self, cell: &str, was: u64, now: u64) -> impl Future<Output = Result<bool, LedgerError>> + Send;

    /// Notes what an operator says of a cell.
    ///
    /// # Errors
    /// [`LedgerError`]; retry helps.
    fn set_state(&self, cell: &str, state: CellState) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

/// The register in the ledger's table: `domain#<name>` / `place` for each tenant, `cells` / `<name>` for each cell, and
/// `moves` / `<name>` for each tenant that moves.
#[derive(Clone)]
pub struct DynamoPlaces(Table);

const CELLS: &str = "cells";
const MOVES: &str = "moves";

/// Any item, or none.
const ALWAYS: &str = "attribute_not_exists(pk) OR attribute_exists(pk)";

impl DynamoPlaces {
    /// In `table`.
    #[must_use]
    pub fn new(table: Table) -> Self {
        Self(table)
    }

    async fn count(&self, cell: &str, change: &'static str) -> Result<(), LedgerError> {
        let values = vec![(":one", number(1_u64))];
        let update = Update { key: Key::new(CELLS, cell), change, condition: ALWAYS.into(), values };
        self.0.update(&update).await?;
        Ok(())
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

/// Placing a tenant anew would leave its data behind on a cell that nobody asks any more, so a place that cannot be read is
/// an error.
fn read_place(item: &Item) -> Result<Place, LedgerError> {
    let cell = item.text("cell")?.ok_or_else(|| item.fault("cell is missing"))?.to_owned();
    let moving = match (item.text("move_step")?, item.text("move_other")?) {
        (None, _) => None,
        (Some(name), Some(other)) => {
            let step = MoveStep::ALL.into_iter().find(|step| step.name() == name);
            let step = step.ok_or_else(|| item.fault("move_step is unknown"))?;
            Some(Moving { step, other: other.to_owned(), since: item.number("move_since")?.unwrap_or_default() })
        }
        (Some(_), None) => return Err(item.fault("move_other is missing").into()),
    };
    Ok(Place { cell, number: item.number("move_number")?.unwrap_or_default(), moving })
}

/// What a change is written by: the condition that the place is as it was, and what it is now.
fn change_of(domain: &str, was: &Place, now: &Place) -> Update {
    let mut values: Vec<(&'static str, AttributeValue)> =
        vec![(":was", text(&was.cell)), (":now", text(&now.cell)), (":number", number(now.number))];
    let numbered = if was.number == 0 { "attribute_not_exists(move_number)" } else { "move_number = :before" };
    let mut condition = format!("cell = :was AND {numbered}");
    if was.number != 0 {
        values.push((":before", number(was.number)));
    }
    match &was.moving {
        None => condition.push_str(" AND attribute_not_exists(move_step)"),
        Some(moving) => {
            condition.push_str(" AND move_step = :step");
            values.push((":step", text(moving.step.name())));
        }
    }
    let change = match &now.moving {
        None => "SET cell = :now, move_number = :number REMOVE move_step, move_other, move_since",
        Some(moving) => {
            values.push((":next", text(moving.step.name())));
            values.push((":other", text(&moving.other)));
            values.push((":since", number(moving.since)));
            "SET cell = :now, move_number = :number, move_step = :next, move_other = :other, move_since = :since"
        }
    };
    Update { key: place_key(domain), change, condition: condition.into(), values }
}

impl PlaceRegister for DynamoPlaces {
    async fn place_of(&self, domain: &str) -> Result<Option<Place>, LedgerError> {
        self.0.get(&place_key(domain)).await?.as_ref().map(read_place).transpose()
    }

    async fn place(&self, domain: &str, cell: &str) -> Result<String, LedgerError> {
        let mut item = place_key(domain).attributes();
        item.insert("cell".to_owned(), text(cell));
        if !self.0.put_new(item).await? {
            let placed = self.place_of(domain).await?.map(|place| place.cell);
            return placed.ok_or_else(|| LedgerError(format!("the place of {domain} came and went; try again")));
        }
        self.count(cell, "ADD tenants :one").await?;
        Ok(cell.to_owned())
    }

    async fn change(&self, domain: &str, was: &Place, now: &Place) -> Result<bool, LedgerError> {
        let is_changed = self.0.update(&change_of(domain, was, now)).await?;
        if is_changed && was.cell != now.cell {
            self.count(&now.cell, "ADD tenants :one").await?;
            let values = vec![(":one", number(1_u64))];
            let (key, condition) = (Key::new(CELLS, &was.cell), "tenants >= :one".into());
            self.0.update(&Update { key, change: "SET tenants = tenants - :one", condition, values }).await?;
        }
        Ok(is_changed)
    }

    async fn moves(&self) -> Result<Vec<String>, LedgerError> {
        self.0.query(MOVES, None).await?.iter().map(|item| Ok(item.key()?.sk)).collect()
    }

    async fn note_move(&self, domain: &str, is_under_way: bool) -> Result<(), LedgerError> {
        let key = Key::new(MOVES, domain);
        if is_under_way {
            self.0.put_new(key.attributes()).await?;
        } else {
            self.0.delete_if(&key, ALWAYS, Vec::new()).await?;
        }
        Ok(())
    }

    async fn cells(&self) -> Result<BTreeMap<String, CellRecord>, LedgerError> {
        let record = |item: &Item| {
            let said = item.text("said")?;
            let state = said.and_then(|said| CellState::ALL.into_iter().find(|state| state.name() == said));
            Ok((item.key()?.sk, CellRecord { tenants: item.number("tenants")?.unwrap_or_default(), state }))
        };
        self.0.query(CELLS, None).await?.iter().map(record).collect()
    }

    async fn recount(&self, cell: &str, was: u64, now: u64) -> Result<bool, LedgerError> {
        let unchanged = if was == 0 { "attribute_not_exists(tenants) OR tenants = :was" } else { "tenants = :was" };
        let values = vec![(":was", number(was)), (":now", number(now))];
        let key = Key::new(CELLS, cell);
        let update = Update { key, change: "SET tenants = :now", condition: unchanged.into(), values };
        Ok(self.0.update(&update).await?)
    }

    async fn set_state(&self, cell: &str, state: CellState) -> Result<(), LedgerError> {
        let values = vec![(":said", text(state.name()))];
        let update =
            Update { key: Key::new(CELLS, cell), change: "SET said = :said", condition: ALWAYS.into(), values };
        self.0.update(&update).await?;
        Ok(())
    }
}
