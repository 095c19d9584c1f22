//! How long ago something was, in a process that Lambda may freeze at any moment.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A moment in a process that may be frozen, by two clocks: the monotonic one may stand still while a Lambda sandbox is frozen, the
/// wall clock may be set back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FreezeSafeInstant {
    monotonic: Instant,
    wall: SystemTime,
}

impl FreezeSafeInstant {
    pub(crate) fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// The time since, by the clock that shows more.
    pub(crate) fn elapsed(&self) -> Duration {
        self.monotonic.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }
}
