//! What the daemon tells CloudWatch, now and then; see docs/METRICS.md.

use std::{sync::Arc, time::Duration};

use sippo_xmpp_core::telemetry::{self, Metric};

use crate::health::Health;

/// The period of the alarms that look at it.
const EVERY: Duration = Duration::from_mins(1);

/// Writes the metrics at once and every minute, until dropped.
pub async fn report(health: Arc<Health>) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        Metric::BridgeConnected.set(if health.is_connected() { 1.0 } else { 0.0 });
        telemetry::flush().await;
    }
}
