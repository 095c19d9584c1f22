//! How much is measured: enough for figures, or just enough to see that all of it still works.

/// Counts of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Logins, each way.
    pub(crate) logins: usize,
    /// Rounds of pings, after one that warms up.
    pub(crate) rounds: usize,
    /// Pings of a round.
    pub(crate) pings: usize,
    /// Starts of each function, after one that warms up.
    pub(crate) starts: usize,
    /// Invocations of each function.
    pub(crate) calls: usize,
}

/// For figures: medians are steady.
pub(crate) const FULL: Scale = Scale { logins: 100, rounds: 9, pings: 4_000, starts: 30, calls: 1_000 };

/// For `scripts/bench --smoke`: all of the code runs, in seconds; the figures mean nothing.
pub(crate) const SMOKE: Scale = Scale { logins: 2, rounds: 1, pings: 300, starts: 1, calls: 5 };
