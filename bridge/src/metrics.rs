//! What the daemon reports to CloudWatch, now and then; see docs/METRICS.md.

use std::{sync::Arc, time::Duration};

use sippo_xmpp_core::telemetry::{self, Metric};
use tokio::time::Instant;

use crate::health::Health;

/// The period of the alarms that look at it.
const EVERY: Duration = Duration::from_mins(1);

/// By then a bridge that starts is connected, if it can be.
const FIRST: Duration = Duration::from_secs(5);

/// Writes the metrics every minute, until dropped.
pub async fn report(health: Arc<Health>) {
    let mut ticks = tokio::time::interval_at(Instant::now() + FIRST, EVERY);
    loop {
        ticks.tick().await;
        Metric::BridgeConnected.set(if health.state().is_connected() { 1.0 } else { 0.0 });
        Metric::BridgeBlocked.set(if health.is_blocked() { 1.0 } else { 0.0 });
        telemetry::flush().await;
    }
}
