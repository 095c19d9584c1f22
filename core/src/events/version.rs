//! The order of a broker's events, as far as it ever matters.

use std::{fmt, str::FromStr};

/// Grows strictly in broker order: the epoch with each session of the bridge, the counter within it.
///
/// Written as `epoch.counter`, both decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The bridge's session.
    pub epoch: u64,
    /// The event's place in it.
    pub counter: u64,
}

/// Not `epoch.counter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version is written as epoch.counter, two decimal numbers")]
pub struct VersionError;

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.counter)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        // Only the form that Display writes: a sign or a leading zero would make two texts of one version.
        let number = |digits: &str| match digits.as_bytes() {
            [b'0'] => Some(0),
            [b'1'..=b'9', ..] => digits.parse().ok(),
            _ => None,
        };
        let (epoch, counter) = text.split_once('.').ok_or(VersionError)?;
        Ok(Self { epoch: number(epoch).ok_or(VersionError)?, counter: number(counter).ok_or(VersionError)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_epoch_first() {
        let parse = |text: &str| text.parse::<Version>().unwrap();
        assert!(parse("1.18446744073709551615") < parse("2.0"));
        assert!(parse("2.9") < parse("2.10"));
        assert_eq!(parse("7.42").to_string(), "7.42");
    }

    #[test]
    fn nothing_else_is_a_version() {
        for text in ["", ".", "1", "1.", ".1", "1.2.3", "01.2", "1.02", "+1.2", "-1.2", "1.a", "1.18446744073709551616"]
        {
            assert_eq!(text.parse::<Version>(), Err(VersionError), "{text}");
        }
    }
}
