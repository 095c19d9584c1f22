//! Spans to an OpenTelemetry collector over OTLP/HTTP, such as the Lambda layer of AWS Distro for OpenTelemetry.
//!
//! With the feature `otel` and where `OTEL_EXPORTER_OTLP_ENDPOINT` names the collector; the SDK's other variables count too
//! (`OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS` …). What of the platform's events is sampled is the
//! platform's decision: the flags of `traceparent` say so.
//!
//! The SDK's own processors send from a thread of theirs, or block this one. A function is frozen between invocations, so it
//! sends what has ended when an invocation ends ([`flush`]).

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider},
};
use opentelemetry_http::HttpClient;
use opentelemetry_otlp::{RetryPolicy, SpanExporter as OtlpExporter, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SdkTracer, SdkTracerProvider, Span as SdkSpan, SpanData, SpanExporter, SpanProcessor},
};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
use tracing_subscriber::registry::LookupSpan;

use super::trace::TraceContext;

/// The variables that name a collector.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// Sending holds up the answer, so it has this long: within what every invocation keeps in reserve.
const LIMIT: Duration = Duration::from_millis(300);

/// Spans that wait to be sent; more are dropped.
const MAX_WAITING: usize = 2_048;

static ENDED: OnceLock<Ended> = OnceLock::new();

/// Keeps the spans that have ended until they are sent.
#[derive(Debug, Clone)]
struct Ended {
    spans: Arc<Mutex<Vec<SpanData>>>,
    exporter: Arc<OtlpExporter>,
}

impl SpanProcessor for Ended {
    fn on_start(&self, _: &mut SdkSpan, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.len() < MAX_WAITING && span.span_context.is_sampled() {
            spans.push(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The layer that makes spans for the collector, which `client` reaches within a time; none where no collector is named.
///
/// # Errors
/// One line: spans are not exported, but nothing else suffers.
pub(super) fn layer<S, C>(
    service: &str,
    client: impl FnOnce(Duration) -> Result<C, String>,
) -> Result<Option<OpenTelemetryLayer<S, SdkTracer>>, String>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    C: HttpClient + 'static,
{
    if !ENDPOINTS.iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok(None);
    }
    let exporter = client(LIMIT)
        .and_then(|client| exporter(service, client))
        .map_err(|cause| format!("spans are not exported: {cause}; see the variables OTEL_EXPORTER_OTLP_…"))?;
    let ended = Ended { spans: Arc::default(), exporter: Arc::new(exporter) };
    let provider = SdkTracerProvider::builder().with_resource(resource(service)).with_span_processor(ended.clone());
    let _ = ENDED.set(ended);
    let tracer = provider.build().tracer("sippo-xmpp");
    Ok(Some(tracing_opentelemetry::layer().with_tracer(tracer).with_threads(false).with_tracked_inactivity(false)))
}

fn exporter(service: &str, client: impl HttpClient + 'static) -> Result<OtlpExporter, String> {
    // One attempt, which the client limits: by itself it would go on for seconds, as long as the collector likes.
    let builder = OtlpExporter::builder().with_http().with_http_client(client);
    let builder = builder.with_retry_policy(RetryPolicy::disabled());
    let mut exporter = builder.build().map_err(|error| error.to_string())?;
    exporter.set_resource(&resource(service));
    Ok(exporter)
}

/// `OTEL_SERVICE_NAME` goes before `service`.
fn resource(service: &str) -> Resource {
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(_) => Resource::builder().build(),
        Err(_) => Resource::builder().with_service_name(service.to_owned()).build(),
    }
}

/// Sends what has ended. What cannot be sent is lost: no event waits for its telemetry.
pub(super) async fn flush() {
    let Some(ended) = ENDED.get() else { return };
    let spans = std::mem::take(&mut *ended.spans.lock().unwrap_or_else(PoisonError::into_inner));
    if spans.is_empty() {
        return;
    }
    if let Err(cause) = ended.exporter.export(spans).await {
        tracing::warn!(%cause, "Spans were lost; see that the collector which OTEL_EXPORTER_OTLP_ENDPOINT names is there");
    }
}

/// Has `span` exported as a child of `parent`, else of the span around it; where it then is. `None` where nothing is exported.
pub(super) fn adopt(span: &Span, parent: Option<TraceContext>) -> Option<TraceContext> {
    ENDED.get()?;
    if let Some(parent) = parent {
        let (trace, id) = (TraceId::from(parent.trace), SpanId::from(parent.span));
        let flags = if parent.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
        let context = SpanContext::new(trace, id, flags, true, TraceState::default());
        // It fails for a span that is not exported; then the next line finds nothing.
        let _ = span.set_parent(Context::new().with_remote_span_context(context));
    }
    let context = span.context();
    let own = context.span().span_context().clone();
    own.is_valid().then(|| TraceContext {
        trace: u128::from_be_bytes(own.trace_id().to_bytes()),
        span: u64::from_be_bytes(own.span_id().to_bytes()),
        sampled: own.is_sampled(),
    })
}
