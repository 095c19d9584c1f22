//! The scheduled function that repairs what the XMPP server lost.

use std::{process::ExitCode, sync::Arc};

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

use super::{
    invocation::{deadline, invocation},
    sqs::RESERVE,
    start::{self, Dependencies},
};
use crate::{
    resync::{Report, Resync},
    telemetry::{self, Metric},
};

/// Runs the function until the process is ended; whatever invokes it, the whole ledger is meant. What keeps it from starting is
/// printed as one line.
pub async fn run() -> ExitCode {
    let dependencies = match Dependencies::load().await {
        Ok(Some(dependencies)) => dependencies,
        Ok(None) => return disabled().await,
        Err(line) => return telemetry::exit_with_error(&line),
    };
    let adapters = Arc::new((dependencies.reconciler().await, dependencies.hosts()));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "Function started");
    let outcome = lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
        let adapters = adapters.clone();
        async move {
            let context = event.context;
            // Boxed, for what it holds is large and would be moved about.
            let resync = Box::pin(async {
                let report = Box::pin(Resync::new(&adapters.0, &adapters.1).run(deadline(&context, RESERVE))).await;
                match &report {
                    Ok(report) => {
                        Metric::ResyncFailed.add(report.failed);
                        tracing::info!(?report, "Resync ended");
                    }
                    Err(error) => tracing::error!(%error, "Resync ended early; the next one goes on"),
                }
                report.map_err(|error| error.to_string())
            });
            invocation(&context, &context.request_id, None, resync).await
        }
    }))
    .await;
    start::exit_code(outcome)
}

/// Nothing is to be repaired for a service that is off.
async fn disabled() -> ExitCode {
    let nothing = |_: LambdaEvent<Value>| async { Ok::<_, std::convert::Infallible>(Report::default()) };
    start::exit_code(lambda_runtime::run(service_fn(nothing)).await)
}
