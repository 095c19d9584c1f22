//! What fails again and again is logged now and then, not every time.

use std::time::{Duration, Instant};

/// Between two lines about failures of one kind.
const PAUSE: Duration = Duration::from_secs(30);

/// Failures of one kind, since the last line about them.
#[derive(Debug, Default)]
pub(crate) struct LogThrottle {
    last: Option<Instant>,
    unlogged: u64,
}

impl LogThrottle {
    /// Counts a failure. `Some` when it is time for a line: with the number of failures since the last.
    pub(crate) fn count(&mut self) -> Option<u64> {
        self.unlogged += 1;
        if self.last.is_some_and(|last| last.elapsed() < PAUSE) {
            return None;
        }
        self.last = Some(Instant::now());
        Some(std::mem::take(&mut self.unlogged))
    }
}
