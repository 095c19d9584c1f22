//! The versions that a session gives to its deliveries, in the broker's order.

use lapin::message::Delivery;
use sippo_xmpp_core::{events::Version, ledger::EpochRegister};

use super::end::SessionEnd;

/// What a session knows of the order of its deliveries.
pub(super) struct Order {
    /// The register, as it was before consuming.
    seen: u64,
    /// The newest version given.
    version: Option<Version>,
    fresh_seen: bool,
}

impl Order {
    pub(super) fn new(seen: u64) -> Self {
        Self { seen, version: None, fresh_seen: false }
    }

    /// The session's epoch; `None` before the first delivery.
    pub(super) fn epoch(&self) -> Option<u64> {
        self.version.map(|version| version.epoch)
    }

    /// The version of the delivery that comes now. The first delivery proves that this is the active consumer: it
    /// takes the epoch then, if nobody has taken one since this session began to consume.
    pub(super) async fn next(
        &mut self,
        delivery: &Delivery,
        register: &(impl EpochRegister + Sync),
    ) -> Result<Version, SessionEnd> {
        // What came back belongs before what is fresh: a new session gets it in order again.
        if delivery.redelivered && self.fresh_seen {
            return Err(SessionEnd::Disorder);
        }
        self.fresh_seen |= !delivery.redelivered;
        let version = if let Some(Version { epoch, counter }) = self.version {
            Version { epoch, counter: counter + 1 }
        } else {
            if !register.advance(self.seen).await? {
                return Err(SessionEnd::EpochTaken);
            }
            Version { epoch: self.seen + 1, counter: 1 }
        };
        self.version = Some(version);
        Ok(version)
    }
}
