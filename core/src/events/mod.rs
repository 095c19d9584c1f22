//! Broker events: what the platform tells, and in which order.

mod version;

pub use self::version::{Version, VersionError};
