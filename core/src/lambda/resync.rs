//! The scheduled function that repairs what the XMPP server lost.

use std::{process::ExitCode, sync::Arc};

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    invocation::{deadline, invocation},
    sqs::RESERVE,
    start::{self, Dependencies},
};
use crate::{
    cells::Cells,
    domains::HostServer,
    ledger::{Ledger, LedgerError, LedgerMaintenance, PlaceRegister},
    resync::{Report, Resync},
    rooms::RoomServer,
    telemetry::{self, Metric},
};

/// The key of an invocation that is to go on with a walk that was begun, and to begin none (`template.yaml` has it).
const ONLY_UNFINISHED: &str = "onlyUnfinished";

/// Runs the function until the process is ended; whatever invokes it, the whole ledger is meant. What keeps it from starting is
/// printed as one line.
pub async fn run() -> ExitCode {
    let dependencies = match Dependencies::load().await {
        Ok(Some(dependencies)) => dependencies,
        Ok(None) => return disabled().await,
        Err(line) => return telemetry::exit_with_error(&line),
    };
    let cells = dependencies.cells().await;
    let adapters = Arc::new((dependencies.reconciler(cells.clone()).await, cells));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "Function started");
    let outcome = lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
        let adapters = adapters.clone();
        async move {
            let context = event.context;
            let only_unfinished = event.payload.get(ONLY_UNFINISHED) == Some(&Value::Bool(true));
            // Boxed, for what it holds is large and would be moved about.
            let resync = Box::pin(async {
                let resync = Resync::new(&adapters.0, &adapters.1);
                let report = Box::pin(walk(&resync, deadline(&context, RESERVE), only_unfinished)).await;
                if let Ok(Some(Report { complete: true, .. })) = &report {
                    survey(&adapters.1).await;
                }
                log(report)
            });
            invocation(&context, &context.request_id, None, resync).await
        }
    }))
    .await;
    start::exit_code(outcome)
}

/// Walks, or only goes on with a walk that was begun; then there is no report when there is none.
async fn walk<L, S, H>(
    resync: &Resync<'_, L, S, H>,
    deadline: Instant,
    only_unfinished: bool,
) -> Result<Option<Report>, LedgerError>
where
    L: Ledger + LedgerMaintenance + Sync,
    S: RoomServer + Sync,
    H: HostServer + Sync,
{
    if only_unfinished && !resync.is_under_way().await? {
        return Ok(None);
    }
    resync.run(deadline).await.map(Some)
}

/// Looks whether tenants are where they should be; what is not is logged and counted.
async fn survey<P: PlaceRegister + Sync + Send>(cells: &Cells<P>) {
    match cells.survey().await {
        Ok(survey) => Metric::ResyncFailed.add(survey.misplaced + survey.unanswered),
        Err(error) => {
            Metric::ResyncFailed.add(1);
            tracing::warn!(%error, "Tenants and their places could not be compared; the next resync tries again");
        }
    }
}

/// Logs and counts what came of it. What is an error is one of the invocation, too, so that the alarm on those goes off.
fn log(outcome: Result<Option<Report>, LedgerError>) -> Result<Report, String> {
    let report = match outcome {
        Ok(Some(report)) => report,
        Ok(None) => return Ok(Report { complete: true, ..Report::default() }),
        Err(error) => {
            Metric::ResyncUnfinished.add(1);
            tracing::error!(%error, "Resync ended early; the next one goes on");
            return Err(error.to_string());
        }
    };
    Metric::ResyncFailed.add(report.failed);
    Metric::ResyncUnfinished.add(usize::from(!report.complete));
    tracing::info!(?report, "Resync ended");
    if !report.advanced {
        let line = "Resync does not get on: what it looks at is not answered in its time";
        tracing::error!(?report, "{line}");
        return Err(line.to_owned());
    }
    Ok(report)
}

/// Nothing is to be repaired for a service that is off.
async fn disabled() -> ExitCode {
    let nothing = |_: LambdaEvent<Value>| async { Ok::<_, std::convert::Infallible>(Report::default()) };
    start::exit_code(lambda_runtime::run(service_fn(nothing)).await)
}
