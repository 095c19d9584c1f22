//! How to log: level and format, by the names that the platform's configuration has for them.

use std::str::FromStr;

use tracing_subscriber::filter::LevelFilter;

/// How to log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Log {
    /// Least severe level that is logged.
    pub level: Level,
    /// The shape of a line.
    pub format: Format,
}

/// A level of winston's, which the platform's configuration uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something was given up or looks wrong.
    Warn,
    /// Start and stop.
    #[default]
    Info,
    /// Between info and debug; this service logs nothing there.
    Verbose,
    /// What is received and done.
    Debug,
    /// Everything; tracing's TRACE.
    Silly,
}

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "error" => Self::Error,
            "warn" => Self::Warn,
            "info" => Self::Info,
            "verbose" => Self::Verbose,
            "debug" => Self::Debug,
            "silly" => Self::Silly,
            _ => return Err(()),
        })
    }
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::ERROR,
            Level::Warn => Self::WARN,
            Level::Info | Level::Verbose => Self::INFO,
            Level::Debug => Self::DEBUG,
            Level::Silly => Self::TRACE,
        }
    }
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Text in a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// `time level: message key=value …`.
    Text,
}

impl FromStr for Format {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "auto" => Self::Auto,
            "json" => Self::Json,
            "text" => Self::Text,
            _ => return Err(()),
        })
    }
}
