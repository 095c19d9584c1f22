//! One line for each function.

use serde_json::Value;

use super::{Starts, Work, cases::Case};
use crate::{
    function::Memory,
    scale::Scale,
    stats::{median, percentile},
};

/// What was measured of a function.
pub(crate) struct Row<'a> {
    pub(crate) case: &'a Case,
    /// Start → first answer.
    pub(super) starts: Starts,
    /// After many such answers.
    pub(crate) idle: Memory,
    /// After as many with work.
    pub(super) busy: Option<Work>,
}

/// Prints all; the first row is what the others are compared with.
pub(crate) fn print(rows: &[Row], sizes: &Value, scale: Scale) {
    let Scale { starts, calls, .. } = scale;
    println!(
        "functions: process start → first answer, ms, median (p95) of {starts} in turn, how many times hello-world's,"
    );
    println!(
        "  and ms of CPU; resident MB (peak) after {calls} such answers, and with work; ms of CPU each with work; MB of the binary, and zipped"
    );
    println!(
        "  {:31} {:18} {:>14} {:>5} {:>6} {:>12} {:>12} {:>6} {:>7} {:>6}",
        "function", "first answer", "start", "times", "CPU", "memory", "at work", "CPU", "binary", "zipped"
    );
    let least = median(&rows[0].starts.passed);
    for row in rows {
        let start = median(&row.starts.passed);
        println!(
            "  {:31} {:18} {:>14} {:5.1} {:6.2} {:>12} {:>12} {:>6} {:>7} {:>6}",
            row.case.name,
            row.case.what,
            format!("{start:.2} ({:.2})", percentile(&row.starts.passed, 0.95)),
            start / least,
            median(&row.starts.cpu),
            shown(row.idle),
            row.busy.map_or_else(|| "-".to_owned(), |work| shown(work.memory)),
            row.busy.map_or_else(|| "-".to_owned(), |work| format!("{:.2}", work.cpu)),
            size(&sizes[&row.case.name][0]),
            size(&sizes[&row.case.name][1]),
        );
    }
}

fn shown(memory: Memory) -> String {
    format!("{:.1} ({:.1})", memory.now, memory.peak)
}

#[expect(clippy::cast_precision_loss, reason = "bytes")]
fn size(bytes: &Value) -> String {
    bytes.as_u64().map_or_else(|| "-".to_owned(), |bytes| format!("{:.2}", bytes as f64 / 1e6))
}
