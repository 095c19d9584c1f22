//! An event function: configuration, adapters, runtime.

use std::{process::ExitCode, sync::Arc, time::Duration};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use lambda_runtime::{LambdaEvent, service_fn};

use super::{batch::Worker, queue::SqsQueue};
use crate::lambda::{
    invocation::{deadline, invocation},
    start::{self, Dependencies},
};
use crate::{
    cells::Cells,
    events::EventType,
    ledger::{DynamoLedger, DynamoPlaces},
    rooms::Reconciler,
    telemetry,
};

/// What is left of an invocation's time when work on its batch ends: for dead letters, for telling the queue when to try again,
/// and for the answer.
pub(in crate::lambda) const RESERVE: Duration = Duration::from_millis(1_500);

/// Runs the function of `event_type` until the process is ended. What keeps it from starting is printed
/// as one line.
pub async fn run(event_type: EventType) -> ExitCode {
    let worker = match build(event_type).await {
        Ok(worker) => worker.map(Arc::new),
        Err(line) => return telemetry::exit_with_error(&line),
    };
    tracing::info!(function = event_type.function(), version = env!("CARGO_PKG_VERSION"), "Function started");
    let outcome = lambda_runtime::run(service_fn(|event: LambdaEvent<SqsEvent>| {
        let worker = worker.clone();
        async move {
            let (context, records) = (event.context, event.payload.records);
            let failed = match worker {
                Some(worker) => {
                    let work = worker.handle(records, deadline(&context, RESERVE));
                    invocation(&context, &context.request_id, None, work).await
                }
                // Nothing is lost: the queue keeps what is reported as failed.
                None => records.into_iter().filter_map(|record| record.message_id).collect(),
            };
            Ok::<_, std::convert::Infallible>(response(failed))
        }
    }))
    .await;
    start::exit_code(outcome)
}

type FunctionWorker = Worker<DynamoLedger, Cells<DynamoPlaces>, Cells<DynamoPlaces>, SqsQueue>;

/// The adapters; none when the service is disabled. Connects nowhere yet.
async fn build(event_type: EventType) -> Result<Option<FunctionWorker>, String> {
    let Some(dependencies) = Dependencies::load().await? else { return Ok(None) };
    let queues = dependencies.service.events.queues().map_err(|error| error.to_string())?;
    let cells = dependencies.cells().await;
    Ok(Some(Worker {
        reconciler: dependencies.reconciler(cells.clone()).await,
        hosts: cells,
        queue: SqsQueue::new(queues, event_type).await,
        tenancy: dependencies.tenancy(),
        longest_wait: queues.longest_retry_wait,
    }))
}

impl Dependencies {
    /// Rooms on the configured ledger and XMPP servers.
    pub(in crate::lambda) async fn reconciler(
        &self,
        cells: Cells<DynamoPlaces>,
    ) -> Reconciler<DynamoLedger, Cells<DynamoPlaces>> {
        Reconciler::new(DynamoLedger::new(self.table().await), cells)
    }
}

/// A partial batch response: the queue deletes all but these.
fn response(failed: Vec<String>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed
        .into_iter()
        .map(|id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        })
        .collect();
    response
}
