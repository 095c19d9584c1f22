//! Whether the broker is there, and hands out what waits.

use std::time::Duration;

use futures::{FutureExt as _, future::BoxFuture};

use super::end::SessionEnd;
use crate::broker::{Broker, BrokerError, QueueStatus, with_deadline};

/// How often the broker has to show that it is there, and how long it may take.
pub(super) const EVERY: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(10);

/// The question on its way, and what the last answer showed.
#[derive(Default)]
pub(super) struct Probe<'a> {
    pub(super) answer: Option<BoxFuture<'a, Result<QueueStatus, BrokerError>>>,
    /// Deliveries at the last answer that found messages waiting while nothing was in hand.
    idle_at: Option<u64>,
}

/// What the session has when an answer comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct InHand {
    /// It has an epoch.
    pub(super) active: bool,
    /// Nothing is in flight, and it is not about to stop.
    pub(super) idle: bool,
    /// Deliveries since its beginning.
    pub(super) deliveries: u64,
}

impl<'a> Probe<'a> {
    pub(super) fn start(&mut self, broker: &'a impl Broker) {
        self.answer = Some(with_deadline(LIMIT, broker.queue_status()).boxed());
    }

    /// An active consumer that has nothing in hand and gets nothing, though messages wait, has stalled. So has one that
    /// nobody is active beside.
    pub(super) fn on_answer(
        &mut self,
        answer: Result<QueueStatus, BrokerError>,
        in_hand: InHand,
    ) -> Result<(), SessionEnd> {
        self.answer = None;
        let QueueStatus { messages, active } = answer?;
        let should_get = messages > 0 && (in_hand.active || active == 0);
        let idle = should_get && in_hand.idle;
        if idle && self.idle_at == Some(in_hand.deliveries) {
            return Err(SessionEnd::Stalled);
        }
        self.idle_at = idle.then_some(in_hand.deliveries);
        Ok(())
    }
}
