//! The function's start and its invocations.

use std::{process::ExitCode, sync::Mutex, time::Duration};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use sippo_xmpp_core::{
    config::{Config, platform_file},
    lambda::{
        exit_code,
        invocation::{deadline, invocation},
    },
    telemetry,
};

use super::{event::AmazonMqEvent, handler::handle};
use crate::{dependencies::Dependencies, ignored::IgnoredEvents};

/// What is left of the function's time to report a failure.
const RESERVE: Duration = Duration::from_secs(2);

/// Runs the function until the process is ended. What keeps it from starting is printed as one line.
pub async fn run() -> ExitCode {
    let dependencies = match start().await {
        Ok(dependencies) => dependencies,
        Err(line) => return telemetry::exit_with_error(&line),
    };
    let dependencies = dependencies.as_ref();
    let ignored = Mutex::default();
    let ignored = &ignored;
    let handler = service_fn(move |event: LambdaEvent<AmazonMqEvent>| invoke(dependencies, ignored, event));
    exit_code(lambda_runtime::run(handler).await)
}

/// `None` when the service is disabled.
async fn start() -> Result<Option<Dependencies>, String> {
    let config = Config::load().map_err(|error| error.to_string())?;
    telemetry::init(config.log);
    let Some(service) = &config.service else {
        tracing::info!(
            "The service is disabled: {} has no section [xmpp]; every invocation fails",
            platform_file().display()
        );
        return Ok(None);
    };
    tracing::trace!("Connecting to message-broker");
    Dependencies::of(service).await.map(Some)
}

async fn invoke(
    dependencies: Option<&Dependencies>,
    ignored: &Mutex<IgnoredEvents>,
    event: LambdaEvent<AmazonMqEvent>,
) -> Result<(), Error> {
    // Nothing is lost: the event source keeps the messages and comes again.
    let Some(Dependencies { broker, queues, register, unknown_keys }) = dependencies else {
        let file = platform_file();
        return Err(
            format!("the service is disabled; add [xmpp] to {}, or disable the event source", file.display()).into()
        );
    };
    let (context, event) = (event.context, event.payload);
    let deadline = deadline(&context, RESERVE);
    // Boxed, for what it holds is large and would be moved about.
    let work = Box::pin(async {
        let handled = handle(event, queues, register, broker, *unknown_keys, ignored, deadline).await;
        handled.map(drop).inspect_err(|error| {
            tracing::error!(cause = %error, "The events of an invocation were not all taken; all come again");
        })
    });
    Ok(invocation(&context, &context.request_id, None, work).await?)
}
