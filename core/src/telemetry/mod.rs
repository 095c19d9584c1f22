//! Logging: winston's level names, JSON lines in Lambda, readable lines in a terminal.
//!
//! Only this project's own events are logged at the configured level; libraries are heard from
//! `warn` on. Some of them write whole requests, credentials included, at their finer levels.

#[cfg(any(test, feature = "testing"))]
pub mod hooks;
mod join;
mod level;
mod log_layer;
mod metrics;
#[cfg(feature = "otel")]
mod otel;
pub mod trace;
pub(crate) mod xray;

#[cfg(feature = "otel")]
use std::time::Duration;
use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use tracing_subscriber::{
    Layer, Registry,
    filter::{LevelFilter, Targets},
    layer::{Identity, SubscriberExt},
    util::SubscriberInitExt,
};

pub use self::{
    join::join,
    level::{Format, Level, Log},
    metrics::Metric,
};
use self::{
    log_layer::{LogLayer, Style},
    xray::Subsegments,
};

/// The variable that names the service, as Powertools for AWS Lambda has it: the name of the stack.
const SERVICE: &str = "POWERTOOLS_SERVICE_NAME";

/// The targets that count as ours: the crates of this workspace.
const OWN: [&str; 4] = ["sippo_xmpp_core", "functions", "bridge", "sippo_xmpp"];

/// Starts logging to standard output, and metrics too where lines are JSON: a terminal wants none. Later calls change nothing.
pub fn init(log: Log) {
    start(log, |_: &str| None::<Identity>);
}

/// As [`init`], and spans go to the collector that the environment names, if it does: through the HTTP client that `client`
/// makes, whose exchanges end within the given time.
#[cfg(feature = "otel")]
pub fn init_with_spans<C>(log: Log, client: impl FnOnce(Duration) -> Result<C, String>)
where
    C: opentelemetry_http::HttpClient + 'static,
{
    start(log, |service: &str| {
        otel::layer(service, client).unwrap_or_else(|fault| {
            // There is no log yet.
            let _ = exit_with_error(&fault);
            None
        })
    });
}

fn start<L>(log: Log, spans: impl FnOnce(&str) -> Option<L>)
where
    L: Layer<Registry> + Send + Sync + 'static,
{
    let style = match log.format {
        Format::Text => Style::Text,
        Format::Auto if io::stdout().is_terminal() => Style::Text,
        Format::Auto | Format::Json => Style::Json,
    };
    let own: LevelFilter = log.level.into();
    let targets = Targets::new()
        .with_default(own.min(LevelFilter::WARN))
        // Says once more, as an error each, what it gives back as errors: also that an exchange is not there yet.
        .with_target("lapin", LevelFilter::OFF)
        .with_targets(OWN.map(|target| (target, own)));
    let service = std::env::var(SERVICE).unwrap_or_else(|_| "sippo-xmpp".to_owned());
    if style == Style::Json {
        metrics::init(service.clone());
    }
    let spans = spans(&service).with_filter(targets.clone());
    let daemon = xray::daemon_address().and_then(|address| Subsegments::to(&address).ok());
    let lines = LogLayer::new(style, service, write_line).with_filter(targets.clone());
    let registry = tracing_subscriber::registry().with(spans).with(lines).with(daemon.with_filter(targets));
    let _ = registry.try_init();
}

/// Hands out what was collected since the last time; to be called when an invocation ends, or now and then.
#[cfg_attr(not(feature = "otel"), expect(clippy::unused_async, reason = "metrics are written at once; spans are sent"))]
pub async fn flush() {
    metrics::flush(write_line);
    #[cfg(feature = "otel")]
    otel::flush().await;
}

/// Prints why a process cannot start, or go on: in one write, for several may share a log.
#[must_use]
pub fn exit_with_error(line: &str) -> ExitCode {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
    ExitCode::FAILURE
}

/// Writes whole lines: several processes may share one log file.
fn write_line(line: &str) {
    let mut out = io::stdout().lock();
    // A log that cannot be written has nowhere to be reported.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}
