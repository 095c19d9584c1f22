//! Virtual hosts in memory.

use std::{collections::BTreeSet, sync::Mutex};

use crate::{domains::HostServer, hosts::HostsError, ledger::Ordinal};

/// The virtual hosts that there are.
#[derive(Debug, Default)]
pub struct FakeHosts(Mutex<BTreeSet<String>>);

impl FakeHosts {
    /// Whether `domain` is served.
    #[must_use]
    pub fn has(&self, domain: &str) -> bool {
        self.0.lock().unwrap().contains(domain)
    }

    /// Loses all of them.
    pub fn wipe(&self) {
        self.0.lock().unwrap().clear();
    }
}

impl HostServer for &FakeHosts {
    async fn create(&self, domain: &str, _: &Ordinal) -> Result<(), HostsError> {
        self.0.lock().unwrap().insert(domain.to_owned());
        Ok(())
    }

    async fn delete(&self, domain: &str, _: &Ordinal) -> Result<(), HostsError> {
        self.0.lock().unwrap().remove(domain);
        Ok(())
    }
}
