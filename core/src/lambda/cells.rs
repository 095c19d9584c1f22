//! The function for operators of several cells: tenants are moved, cells opened, closed and drained.

use std::{collections::BTreeSet, process::ExitCode, sync::Arc, time::Duration};

use lambda_runtime::{LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    invocation::{deadline, invocation},
    sqs::RESERVE,
    start::{self, Dependencies},
};
use crate::{
    cells::{Cells, PlaceError},
    hosts::HostsError,
    ledger::{CellState, DynamoPlaces, LedgerError, PlaceRegister},
    moves::{MoveError, Mover},
    telemetry,
};

/// Tenants of a cell that is drained whose moves are begun at a time: what they wait for passes for all of them together.
const BEGUN_AT_A_TIME: usize = 20;

/// No further tenant is looked at when less is left.
const LEAST: Duration = Duration::from_secs(1);

/// What it is invoked for. Nothing, or what a schedule sends, means that it goes on with what was begun.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Order {
    /// Move a tenant.
    Move {
        /// Its domain.
        domain: String,
        /// The cell's name.
        to: String,
    },
    /// Take a tenant's move back.
    Cancel(String),
    /// Close a cell, and move all its tenants elsewhere.
    Drain(String),
    /// Have a cell take new tenants.
    Open(String),
    /// Have it take none.
    Close(String),
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    /// Nothing is left to be done.
    complete: bool,
    /// Tenants whose moves have come to their end.
    moved: Vec<String>,
    /// Tenants whose moves go on when the function is invoked again.
    moving: Vec<String>,
    /// Why one of these does not get on.
    failed: Vec<String>,
}

/// Why nothing was begun.
#[derive(Debug, thiserror::Error)]
enum OrderError {
    #[error(
        "this is no order ({0}); send {{\"move\":{{\"domain\":…,\"to\":…}}}}, {{\"cancel\":DOMAIN}}, \
         {{\"drain\":CELL}}, {{\"open\":CELL}}, {{\"close\":CELL}}, or {{}} to go on"
    )]
    Unknown(String),
    #[error("there is one XMPP server, and all tenants are there; name several as [[cells]] first")]
    OneCell,
    #[error("there is no cell {0}; see [[cells]] for those there are")]
    NoCell(String),
    #[error(transparent)]
    Move(#[from] MoveError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Hosts(#[from] HostsError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Runs the function until the process is ended. What keeps it from starting is printed as one line.
pub async fn run() -> ExitCode {
    let dependencies = match Dependencies::load().await {
        Ok(Some(dependencies)) => dependencies,
        Ok(None) => return disabled().await,
        Err(line) => return telemetry::exit_with_error(&line),
    };
    let cells = Arc::new(dependencies.cells().await);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "Function started");
    let outcome = lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
        let cells = cells.clone();
        async move {
            let context = event.context;
            let deadline = deadline(&context, RESERVE);
            let work = Box::pin(async move {
                let outcome = match read(event.payload) {
                    Ok(order) => handle(&cells, order, deadline).await,
                    Err(error) => Err(error),
                };
                outcome.map_err(|error| {
                    tracing::error!(%error, "What was asked of the cells was not done");
                    error.to_string()
                })
            });
            invocation(&context, &context.request_id, None, work).await
        }
    }))
    .await;
    start::exit_code(outcome)
}

/// The order of an invocation, if it has one.
fn read(payload: Value) -> Result<Option<Order>, OrderError> {
    let is_empty = payload.is_null() || payload.as_object().is_some_and(serde_json::Map::is_empty);
    let is_scheduled = payload.get("source").is_some_and(|source| source == "aws.events");
    if is_empty || is_scheduled {
        return Ok(None);
    }
    serde_json::from_value(payload).map(Some).map_err(|error| OrderError::Unknown(error.to_string()))
}

async fn handle(cells: &Cells<DynamoPlaces>, order: Option<Order>, deadline: Instant) -> Result<Outcome, OrderError> {
    let Some(register) = cells.register() else {
        return if order.is_none() {
            Ok(Outcome { complete: true, ..Outcome::default() })
        } else {
            Err(OrderError::OneCell)
        };
    };
    let mover = Mover::new(register.clone(), cells.clone());
    let only = match order {
        Some(Order::Move { domain, to }) => {
            mover.begin(&domain, &to).await?;
            Some(domain)
        }
        Some(Order::Cancel(domain)) => {
            mover.cancel(&domain).await?;
            Some(domain)
        }
        Some(Order::Open(cell)) => return say(cells, register, &cell, CellState::Open).await,
        Some(Order::Close(cell)) => return say(cells, register, &cell, CellState::Closed).await,
        Some(Order::Drain(cell)) => {
            say(cells, register, &cell, CellState::Draining).await?;
            None
        }
        None => None,
    };
    let mut outcome = Outcome::default();
    let has_more = only.is_none() && begin_draining(cells, register, &mover, &mut outcome).await?;
    let begun = match only {
        Some(domain) => vec![domain],
        None => register.moves().await?,
    };
    for domain in begun {
        if Instant::now() + LEAST >= deadline {
            outcome.moving.push(domain);
            continue;
        }
        match mover.go_on(&domain, deadline).await {
            Ok(true) => outcome.moved.push(domain),
            Ok(false) => outcome.moving.push(domain),
            Err(error) => {
                tracing::warn!(domain, %error, "Move does not get on; the next run tries again");
                outcome.failed.push(error.to_string());
                outcome.moving.push(domain);
            }
        }
    }
    outcome.complete = outcome.moving.is_empty() && outcome.failed.is_empty() && !has_more;
    Ok(outcome)
}

async fn say(
    cells: &Cells<DynamoPlaces>,
    register: &DynamoPlaces,
    cell: &str,
    state: CellState,
) -> Result<Outcome, OrderError> {
    if cells.cell(cell).is_none() {
        return Err(OrderError::NoCell(cell.to_owned()));
    }
    register.set_state(cell, state).await?;
    tracing::info!(cell, state = state.name(), "Cell is set");
    Ok(Outcome { complete: true, ..Outcome::default() })
}

/// Begins moves of tenants of cells that are drained; whether there are any that are not begun, or cannot be.
async fn begin_draining(
    cells: &Cells<DynamoPlaces>,
    register: &DynamoPlaces,
    mover: &Mover<DynamoPlaces, Cells<DynamoPlaces>>,
    outcome: &mut Outcome,
) -> Result<bool, OrderError> {
    let records = register.cells().await?;
    let under_way: BTreeSet<String> = register.moves().await?.into_iter().collect();
    let (mut has_more, mut begun) = (false, under_way.len());
    for cell in cells.all() {
        if records.get(&cell.name).and_then(|record| record.state) != Some(CellState::Draining) {
            continue;
        }
        for domain in cell.hosts.list().await? {
            // Some may be there that are placed elsewhere, or nowhere: those are resync's.
            let place = register.place_of(&domain).await?;
            if under_way.contains(&domain) || place.is_none_or(|place| place.cell != cell.name) {
                continue;
            }
            if begun >= BEGUN_AT_A_TIME {
                has_more = true;
                break;
            }
            let Some(to) = cells.roomiest_but(&cell.name).await? else {
                return Err(PlaceError::NoneOpen(domain).into());
            };
            match mover.begin(&domain, &to.name).await {
                Ok(()) => begun += 1,
                Err(error) => {
                    tracing::warn!(domain, %error, "Move cannot begin; the next run tries again");
                    outcome.failed.push(error.to_string());
                }
            }
        }
    }
    Ok(has_more)
}

/// Nothing is to be moved for a service that is off.
async fn disabled() -> ExitCode {
    let nothing = |_: LambdaEvent<Value>| async { Ok::<_, std::convert::Infallible>(Outcome::default()) };
    start::exit_code(lambda_runtime::run(service_fn(nothing)).await)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_order_is_read_a_schedule_means_to_go_on_and_anything_else_is_refused() {
        let order = read(json!({"move": {"domain": "a.test", "to": "two"}})).unwrap();
        assert!(matches!(order, Some(Order::Move { domain, to }) if domain == "a.test" && to == "two"));
        assert!(matches!(read(json!({"cancel": "a.test"})), Ok(Some(Order::Cancel(_)))));
        assert!(matches!(read(json!({"drain": "one"})), Ok(Some(Order::Drain(_)))));
        assert!(matches!(read(json!({"open": "one"})), Ok(Some(Order::Open(_)))));
        assert!(matches!(read(json!({"close": "one"})), Ok(Some(Order::Close(_)))));
        for nothing in [json!(null), json!({}), json!({"source": "aws.events", "detail": {}})] {
            assert!(matches!(read(nothing), Ok(None)));
        }
        for wrong in [json!("move"), json!({"mvoe": {}}), json!({"move": {"domain": "a.test"}}), json!([1])] {
            assert!(read(wrong).unwrap_err().to_string().contains("this is no order"));
        }
    }
}
