//! The bridge as a function, on Amazon MQ's event source.

use std::{process::ExitCode, time::Duration};

use bridge::{
    amazon_mq::{AmazonMqEvent, handle},
    link::Place,
    queues::Sqs,
};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use sippo_xmpp_core::{
    aws, config::Config, events::DynamoEpochs, lambda::invocation::invocation, table::Table, telemetry,
};
use tokio::time::Instant;

/// One call to the register, the SDK's own retries included.
const REGISTER_LIMIT: Duration = Duration::from_secs(5);

/// What is left of the function's time to report a failure.
const RESERVE: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => telemetry::last_words(&line),
    }
}

async fn run() -> Result<(), String> {
    let config = Config::load().map_err(|error| error.to_string())?;
    telemetry::init(config.log);
    let parts = match &config.service {
        None => {
            tracing::info!("The service is disabled: config/wac.ini has no section [xmpp]; every invocation fails");
            None
        }
        Some(service) => {
            tracing::trace!("Connecting to message-broker");
            let queues = Sqs::new(service.events.queues().map_err(|error| error.to_string())?).await;
            let table = Table::new(&aws::sdk_config(REGISTER_LIMIT).await, &service.events.table);
            let place = Place::of(service).await.map_err(|error| error.to_string())?;
            Some((queues, DynamoEpochs::new(table), place))
        }
    };
    let parts = &parts;
    let handler = service_fn(move |event: LambdaEvent<AmazonMqEvent>| async move {
        // Nothing is lost: the event source keeps the messages and comes again.
        let Some((queues, register, place)) = parts else {
            return Err(Error::from(
                "the service is disabled; add [xmpp] to config/wac.ini, or disable the event source",
            ));
        };
        let (context, event) = (event.context, event.payload);
        let left = context.deadline().duration_since(std::time::SystemTime::now()).unwrap_or_default();
        let deadline = Instant::now() + left.saturating_sub(RESERVE);
        // Boxed, for what it holds is large and would be moved about.
        let work = Box::pin(handle(event, queues, register, place, deadline));
        let handled = invocation(&context, &context.request_id, None, work).await;
        handled.map(drop).map_err(|error| {
            tracing::error!(cause = %error, "The events of an invocation were not all taken; all come again");
            Error::from(error.to_string())
        })
    });
    let outcome = lambda_runtime::run(handler).await;
    outcome.map_err(|error| format!("the Lambda runtime ended ({error}); start the function anew"))
}
