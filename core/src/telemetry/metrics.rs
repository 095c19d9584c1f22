//! Metrics, as lines of CloudWatch's embedded metric format: no call to CloudWatch, no agent.
//!
//! Each metric has the dimension `service`, and those about one of several XMPP servers `cell` besides, its name; no other, for
//! a metric costs by the number of its dimensions' values. What they are and which alarms look at them: docs/METRICS.md.

use std::sync::OnceLock;

use metrics::Unit;
use metrics_cloudwatch_embedded::{Builder, Collector};

/// The namespace of all metrics.
const NAMESPACE: &str = "SippoXmpp";

/// The dimension of what is about one of several XMPP servers.
const CELL: &str = "cell";

static COLLECTOR: OnceLock<&'static Collector> = OnceLock::new();

macro_rules! metrics {
    ($($(#[$doc:meta])* $metric:ident: $name:literal, $unit:ident;)+) => {
        /// What is counted and measured.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Metric {
            $($(#[$doc])* $metric,)+
        }

        impl Metric {
            const ALL: [Self; [$(Self::$metric),+].len()] = [$(Self::$metric),+];

            /// Its name in CloudWatch.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$metric => $name,)+
                }
            }

            const fn unit(self) -> Unit {
                match self {
                    $(Self::$metric => Unit::$unit,)+
                }
            }
        }
    };
}

// One row for each: its name in CloudWatch and its unit, as docs/METRICS.md has them.
metrics! {
    /// REST calls answered.
    Requests: "requests", Count;
    /// Those answered with 4xx.
    RequestRefusals: "request_refusals", Count;
    /// Those answered with 5xx.
    RequestFailures: "request_failures", Count;
    /// From the start of a REST call to its answer, in milliseconds.
    RequestLatency: "request_latency", Milliseconds;
    /// Sessions opened with the XMPP server.
    XmppConnects: "xmpp_connects", Count;
    /// Attempts to open one that failed.
    XmppConnectFailures: "xmpp_connect_failures", Count;
    /// Requests made to one of several XMPP servers.
    CellRequests: "cell_requests", Count;
    /// Those that it did not answer.
    CellFailures: "cell_failures", Count;
    /// Requests that were refused because it did not answer others.
    CellRefusals: "cell_refusals", Count;
    /// How often it was left alone from then on for a while.
    CellAway: "cell_away", Count;
    /// Events that are done.
    EventsHandled: "events_handled", Count;
    /// Of those, the ones that a newer event had overtaken.
    EventsStale: "events_stale", Count;
    /// Events given back to their queue.
    EventsFailed: "events_failed", Count;
    /// Parts of events that could not be read and were left out.
    EventPartsLeftOut: "event_parts_left_out", Count;
    /// Events sent to the dead letters.
    EventsDead: "events_dead", Count;
    /// From the bridge's stamp to the effect, in milliseconds.
    EventLag: "event_lag", Milliseconds;
    /// Events in one invocation.
    BatchSize: "batch_size", Count;
    /// Invitations that could not be delivered.
    InvitationsFailed: "invitations_failed", Count;
    /// Rounds and claims that were lost to another handler.
    LedgerConflicts: "ledger_conflicts", Count;
    /// Rooms and domains that a resync could not make agree.
    ResyncFailed: "resync_failed", Count;
    /// Runs of resync that ended before its walk did.
    ResyncUnfinished: "resync_unfinished", Count;
    /// Messages taken from the broker.
    BridgeIn: "bridge_in", Count;
    /// Messages that SQS has accepted.
    BridgeOut: "bridge_out", Count;
    /// Messages put into the broker's dead letters.
    BridgeDead: "bridge_dead", Count;
    /// Messages of routing keys that are not ours, ignored.
    BridgeIgnored: "bridge_ignored", Count;
    /// 1 for a bridge that the broker has keep its dead letters, else 0.
    BridgeBlocked: "bridge_blocked", Count;
    /// 1 for a bridge that has a session with the broker, else 0.
    BridgeConnected: "bridge_connected", Count;
}

impl Metric {
    /// Counts `many` more of a count.
    pub fn add(self, many: usize) {
        metrics::counter!(self.name()).increment(many as u64);
    }

    /// Counts `many` more of what is about one of several XMPP servers.
    pub fn add_of_cell(self, cell: &str, many: usize) {
        metrics::counter!(self.name(), CELL => cell.to_owned()).increment(many as u64);
    }

    /// Notes a measured value, one of several that an invocation may have; at most 100 between two flushes ([`super::flush`]).
    pub fn observe(self, value: f64) {
        metrics::histogram!(self.name()).record(value);
    }

    /// Says how much there is now; it is told with every flush from then on ([`super::flush`]).
    pub fn set(self, value: f64) {
        metrics::gauge!(self.name()).set(value);
    }
}

/// Starts to collect for `service`; without this nothing is. Later calls change nothing.
pub(super) fn init(service: String) {
    if COLLECTOR.get().is_some() {
        return;
    }
    let collector = Builder::new().cloudwatch_namespace(NAMESPACE).with_dimension("service", service).init();
    let Ok(collector) = collector else { return };
    for metric in Metric::ALL {
        // The collector keeps one unit for a name, whatever its kind.
        metrics::describe_counter!(metric.name(), metric.unit(), "");
    }
    // A log line like all others, for whoever reads those.
    collector.set_property("level", "info").set_property("message", "Metrics");
    if let Ok(function) = std::env::var("AWS_LAMBDA_FUNCTION_NAME") {
        collector.set_property("function_name", function);
    }
    let _ = COLLECTOR.set(collector);
}

/// Writes what was collected since the last time as a line for all, and one for each cell; no line if that is nothing.
pub(super) fn flush(write: impl Fn(&str)) {
    let Some(collector) = COLLECTOR.get() else { return };
    collector.set_property("timestamp", super::log_layer::now());
    let mut line = Vec::new();
    if collector.flush(&mut line).is_ok()
        && let Ok(line) = std::str::from_utf8(&line)
    {
        line.split_inclusive('\n').for_each(write);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn a_flush_writes_a_line_of_the_embedded_metric_format_for_all_and_one_for_each_cell() {
        init("chat".to_owned());
        Metric::Requests.add(2);
        Metric::RequestLatency.observe(12.5);
        Metric::CellRequests.add_of_cell("eu-1", 3);
        let written = RefCell::new(Vec::new());
        let write = |line: &str| written.borrow_mut().push(line.to_owned());
        flush(write);
        flush(write);
        let lines = written.into_inner();
        assert_eq!(lines.len(), 2, "{lines:?}");
        let of_cell: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!((&of_cell["service"], &of_cell["cell"]), (&"chat".into(), &"eu-1".into()));
        assert_eq!(of_cell["cell_requests"], 3);
        let dimensions = &of_cell["_aws"]["CloudWatchMetrics"][0]["Dimensions"];
        assert_eq!(*dimensions, serde_json::json!([["service", "cell"]]));
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert!(lines[0].ends_with("}\n"));
        assert_eq!(line["service"], "chat");
        assert_eq!((&line["level"], &line["message"]), (&"info".into(), &"Metrics".into()));
        assert!(line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')));
        assert_eq!((&line["requests"], &line["request_latency"]), (&2.into(), &serde_json::json!([12.5])));
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], NAMESPACE);
        assert_eq!(directive["Dimensions"], serde_json::json!([["service"]]));
        let units = serde_json::json!([
            {"Name": "request_latency", "Unit": "Milliseconds"}, {"Name": "requests", "Unit": "Count"}
        ]);
        let mut metrics = directive["Metrics"].as_array().unwrap().clone();
        metrics.sort_by_key(|metric| metric["Name"].as_str().unwrap().to_owned());
        assert_eq!(serde_json::Value::from(metrics), units);
    }

    #[test]
    fn every_metric_is_in_the_document_of_metrics() {
        let document = include_str!("../../../docs/METRICS.md");
        for metric in Metric::ALL {
            let unit = if metric.unit() == Unit::Milliseconds { "Milliseconds" } else { "Count" };
            let row = format!("| `{}` | {unit} |", metric.name());
            assert!(document.contains(&row), "docs/METRICS.md lacks a row {row}");
        }
    }
}
