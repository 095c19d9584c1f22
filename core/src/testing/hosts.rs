//! Virtual hosts in memory.

use std::{collections::BTreeSet, sync::Mutex};

use crate::{domains::HostServer, hosts::HostsError, ledger::Ordinal};

/// The virtual hosts that there are.
#[derive(Debug, Default)]
pub struct FakeHosts {
    served: Mutex<BTreeSet<String>>,
    away: Mutex<BTreeSet<String>>,
}

impl FakeHosts {
    /// Whether `domain` is served.
    #[must_use]
    pub fn has(&self, domain: &str) -> bool {
        self.served.lock().unwrap().contains(domain)
    }

    /// Lets the XMPP server of `domain`, one of several, answer nothing any more.
    pub fn leave(&self, domain: &str) {
        self.away.lock().unwrap().insert(domain.to_owned());
    }

    /// Loses all of them.
    pub fn wipe(&self) {
        self.served.lock().unwrap().clear();
    }
}

impl HostServer for &FakeHosts {
    async fn away(&self, domain: &str) -> Option<String> {
        self.away.lock().unwrap().contains(domain).then(|| "elsewhere".to_owned())
    }

    async fn create(&self, domain: &str, _: &Ordinal) -> Result<(), HostsError> {
        self.served.lock().unwrap().insert(domain.to_owned());
        Ok(())
    }

    async fn delete(&self, domain: &str, _: &Ordinal) -> Result<(), HostsError> {
        self.served.lock().unwrap().remove(domain);
        Ok(())
    }
}
