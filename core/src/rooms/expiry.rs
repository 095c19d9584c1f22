//! Until when a request counts.
//!
//! Whoever gives up at a deadline closes the session, but what the server has received by then may lie in its queue, and
//! take effect when the server goes on: after newer requests, perhaps, on newer connections. So requests say
//! when they expire, and our modules refuse them later.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// How long after its deadline a request may still take effect: what the clocks of both sides may differ.
pub const EXPIRY_GRACE: Duration = Duration::from_secs(5);

/// How long a request counts at most, whatever its deadline: an event whose request was lost with a connection need not wait
/// as long as its handler might have. A server that has not come to it by then is overloaded, and sheds it.
const LIFE: Duration = Duration::from_secs(20);

/// When nothing that was sent up to now, to be done by `deadline`, can take effect any more. No event may be tried again
/// sooner after a request that was not answered.
#[must_use]
pub fn expired_by(deadline: Instant) -> Instant {
    deadline.min(Instant::now() + LIFE) + EXPIRY_GRACE
}

/// When what is sent now, to be done by `deadline`, expires, in seconds since the epoch of Unix.
pub(super) fn expires(deadline: Instant) -> u64 {
    let left = expired_by(deadline).saturating_duration_since(Instant::now());
    (SystemTime::now() + left).duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
