//! What every invocation has around its work: a span with the keys that log lines share, its trace, and its metrics.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use lambda_runtime::Context;
use tokio::time::Instant;
use tracing::{Instrument as _, field::Empty};

use crate::telemetry::{
    self,
    trace::{self, TraceContext},
};

/// When work has to end so that the invocation ends in time, with `reserve` for what follows it.
#[must_use]
pub fn deadline(context: &Context, reserve: Duration) -> Instant {
    let left = context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now() + left.saturating_sub(reserve)
}

/// Runs `work` as the invocation of `context`, in a span that is part of `parent`'s trace, else of X-Ray's, else of a new one.
/// `request_id` is what log lines name it by. When it has ended, its metrics are written.
///
/// The keys are those of Powertools for AWS Lambda.
pub async fn invocation<T>(
    context: &Context,
    request_id: &str,
    parent: Option<TraceContext>,
    work: impl Future<Output = T>,
) -> T {
    static WARM: AtomicBool = AtomicBool::new(false);
    let xray = context.xray_trace_id.as_deref();
    let known = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let span = tracing::error_span!(
        "invocation",
        function_request_id = request_id,
        function_name = known(&context.env_config.function_name),
        function_memory_size = Some(context.env_config.memory).filter(|size| *size > 0),
        cold_start = !WARM.swap(true, Ordering::Relaxed),
        function_arn = known(&context.invoked_function_arn),
        xray_trace_id = xray.and_then(|header| trace::xray_field(header, "Root")),
        user = Empty,
        status = Empty,
    );
    telemetry::join(&span, parent.or_else(|| TraceContext::from_xray(xray?)));
    if let Some(header) = xray {
        telemetry::xray::report(&span, header);
    }
    let outcome = work.instrument(span).await;
    telemetry::flush().await;
    outcome
}
