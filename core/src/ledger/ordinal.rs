//! The place of an event among all events.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::events::Version;

/// When an event happened, as far as order goes: its version; ties by the event's id.
///
/// The bridge never gives one version twice. The id decides all the same should a restored table have
/// made it do so: every handler then still picks the same winner.
///
/// Written as `epoch.counter/id`. Nothing bounds an event's id; one of more than [`MAX_EVENT`] bytes stands
/// as its hash, so that an ordinal fits into the keys of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ordinal {
    /// The event's version.
    pub version: Version,
    /// The event's id.
    pub event: Arc<str>,
}

/// Longest event id of an ordinal, in bytes: a quarter of what a table's sort key may have, which holds version
/// and prefix as well.
pub const MAX_EVENT: usize = 256;

/// Not `epoch.counter/id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an ordinal is written as epoch.counter/id, with an id that is not empty")]
pub struct OrdinalError;

impl Ordinal {
    /// Of the event `event` with the given version.
    #[must_use]
    pub fn new(version: Version, event: &str) -> Self {
        if event.len() <= MAX_EVENT {
            return Self { version, event: event.into() };
        }
        let hash = ring::digest::digest(&ring::digest::SHA256, event.as_bytes());
        Self { version, event: format!("sha256:{}", URL_SAFE_NO_PAD.encode(hash)).into() }
    }
}

impl Ordinal {
    /// As the XMPP server gets it: `epoch.counter/id`, the id in hexadecimal digits, which have the order of the bytes. Ids come
    /// from outside and may hold what XML cannot.
    #[must_use]
    pub fn on_wire(&self) -> String {
        let nibbles = self.event.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
        let id: String = nibbles.filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect();
        format!("{}/{id}", self.version)
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
    fn a_long_id_stands_as_its_hash() {
        let of = |event: &str| Ordinal::new(Version { epoch: 1, counter: 1 }, event);
        let longest = "x".repeat(MAX_EVENT);
        assert_eq!(*of(&longest).event, *longest);
        let (one, other) = (of(&format!("{longest}y")), of(&format!("{longest}z")));
        assert!(one.event.len() <= MAX_EVENT && one != other);
        assert_eq!(one.to_string().parse(), Ok(one));
    }

    #[test]
    fn nothing_else_is_an_ordinal() {
        for text in ["", "/", "1.2", "1.2/", "/a", "1/a"] {
            assert_eq!(text.parse::<Ordinal>(), Err(OrdinalError), "{text}");
        }
    }
}
