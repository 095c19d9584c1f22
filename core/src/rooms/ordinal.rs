//! The place of an event among all events.

use std::{fmt, str::FromStr, sync::Arc};

use crate::events::Version;

/// When an event happened, as far as order goes: its version; ties by the event's id.
///
/// The bridge never gives one version twice. The id decides all the same should a restored table have
/// made it do so: every handler then still picks the same winner.
///
/// Written as `epoch.counter/id`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ordinal {
    /// The event's version.
    pub version: Version,
    /// The event's id.
    pub event: Arc<str>,
}

/// Not `epoch.counter/id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an ordinal is written as epoch.counter/id, with an id that is not empty")]
pub struct OrdinalError;

impl Ordinal {
    /// Of the event `event` with the given version.
    #[must_use]
    pub fn new(version: Version, event: &str) -> Self {
        Self { version, event: event.into() }
    }
}

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.version, self.event)
    }
}

impl FromStr for Ordinal {
    type Err = OrdinalError;

    fn from_str(text: &str) -> Result<Self, OrdinalError> {
        match text.split_once('/') {
            Some((version, event)) if !event.is_empty() => {
                Ok(Self::new(version.parse().map_err(|_| OrdinalError)?, event))
            }
            _ => Err(OrdinalError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_decides_and_then_the_id() {
        let parse = |text: &str| text.parse::<Ordinal>().unwrap();
        assert!(parse("1.9/z") < parse("1.10/a"));
        assert!(parse("1.9/a") < parse("1.9/b"));
        assert_eq!(parse("1.9/a/b").to_string(), "1.9/a/b");
    }

    #[test]
    fn nothing_else_is_an_ordinal() {
        for text in ["", "/", "1.2", "1.2/", "/a", "1/a"] {
            assert_eq!(text.parse::<Ordinal>(), Err(OrdinalError), "{text}");
        }
    }
}
