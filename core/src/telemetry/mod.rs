//! Logging: winston's level names, JSON lines in Lambda, readable lines in a terminal.
//!
//! Only this project's own events are logged at the configured level; libraries are heard from
//! `warn` on. Some of them write whole requests, credentials included, at their finer levels.

mod level;
mod lines;

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

pub use self::level::{Format, Level};
use self::lines::{Lines, Style};
use crate::config::Log;

/// The targets that count as ours: the crates of this workspace.
const OWN: [&str; 4] = ["sippo_xmpp_core", "functions", "bridge", "sippo_xmpp"];

/// Starts logging to standard output. Later calls change nothing.
pub fn init(log: Log) {
    let style = match log.format {
        Format::Text => Style::Text,
        Format::Auto if io::stdout().is_terminal() => Style::Text,
        Format::Auto | Format::Json => Style::Json,
    };
    let own: LevelFilter = log.level.into();
    let targets = Targets::new().with_default(own.min(LevelFilter::WARN)).with_targets(OWN.map(|target| (target, own)));
    let _ = tracing_subscriber::registry().with(Lines::new(style, write_line).with_filter(targets)).try_init();
}

/// Prints why a process cannot start, or go on: in one write, for several may share a log.
#[must_use]
pub fn last_words(line: &str) -> ExitCode {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
    ExitCode::FAILURE
}

/// Writes whole lines: several processes may share one log file.
fn write_line(line: &str) {
    let mut out = io::stdout().lock();
    // A log that cannot be written has nowhere to be reported.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

use tracing_subscriber::Layer as _;
