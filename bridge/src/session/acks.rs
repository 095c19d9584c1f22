//! Acknowledgements, each behind a fence: a consistent read of the register must still show the session's epoch.

use std::time::Duration;

use futures::{FutureExt as _, future::BoxFuture};
use sippo_xmpp_core::ledger::{EpochError, EpochRegister};
use tokio::time::Instant;

use crate::{backoff, broker::PREFETCH, prefix::AckPrefix};

/// Acknowledgements are put together for so long, unless many are due: each asks the register.
const PAUSE: Duration = Duration::from_millis(50);
const MANY: usize = PREFETCH as usize / 2;

/// Waits before the register is asked again.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What may be acknowledged, and when.
#[derive(Default)]
pub(super) struct Acks<'a> {
    pub(super) prefix: AckPrefix,
    /// When the register is asked, if it is not being asked already.
    pub(super) due: Option<Instant>,
    pub(super) fence: Option<BoxFuture<'a, Fence>>,
    failures: u32,
}

/// A read of the register for acknowledging up to a tag.
pub(super) struct Fence {
    pub(super) up_to: u64,
    pub(super) newest: Result<u64, EpochError>,
}

impl<'a> Acks<'a> {
    /// To be called when more may be acknowledged, at once when `hurried`.
    pub(super) fn schedule<R: EpochRegister + Sync>(&mut self, register: &'a R, hurried: bool) {
        if self.prefix.ready().is_none() || self.fence.is_some() {
            return;
        }
        if self.prefix.ready_count() >= MANY || hurried {
            self.raise_fence(register);
        } else if self.due.is_none() {
            self.due = Some(Instant::now() + PAUSE);
        }
    }

    /// Asks the register. What is acknowledged by the answer is fixed here: all of it was delivered before
    /// the read, so the read tells whether a newer epoch was there when it was.
    pub(super) fn raise_fence<R: EpochRegister + Sync>(&mut self, register: &'a R) {
        self.due = None;
        let Some(up_to) = self.prefix.ready().filter(|_| self.fence.is_none()) else { return };
        let failures = self.failures;
        self.fence = Some(
            async move {
                if failures > 0 {
                    tokio::time::sleep(backoff::wait(failures, FIRST_WAIT, LONGEST_WAIT)).await;
                }
                Fence { up_to, newest: register.current().await }
            }
            .boxed(),
        );
    }

    /// The register answered.
    pub(super) fn fence_held(&mut self) {
        self.failures = 0;
    }

    /// The register did not answer: it is asked again.
    pub(super) fn fence_failed<R: EpochRegister + Sync>(&mut self, register: &'a R) {
        self.failures += 1;
        self.raise_fence(register);
    }
}
