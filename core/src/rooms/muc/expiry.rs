//! Until when a request counts.
//!
//! Whoever gives up at a deadline closes the session, but what the server has received by then may lie in its queue, and
//! take effect when the server goes on: after newer requests, perhaps, on newer connections. So requests say
//! when they expire, and our modules refuse them later.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// How long after its deadline a request may still take effect: what the clocks of both sides may differ. No event may be
/// tried again sooner after a deadline that passed.
pub const EXPIRY_GRACE: Duration = Duration::from_secs(5);

/// When what has to be done by `deadline` expires, in seconds since the epoch of Unix.
pub(super) fn expires(deadline: Instant) -> u64 {
    let left = deadline.saturating_duration_since(Instant::now());
    (SystemTime::now() + left + EXPIRY_GRACE).duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
