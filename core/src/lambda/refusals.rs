//! Log lines about callers who may not use chat: enough to find out why one of them cannot, too few to fill a log with.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    address::UserJid,
    auth::{Denied, Identity},
};

/// Lines that one process writes within [`PERIOD`].
const MOST: u32 = 30;

/// How long a budget of lines lasts.
const PERIOD: Duration = Duration::from_mins(1);

/// Longest name that a line quotes, in characters.
const MAX_NAME: usize = 200;

/// Logs refusals within its budget.
#[derive(Debug)]
pub(super) struct Refusals(Mutex<Budget>);

#[derive(Debug)]
struct Budget {
    began: Instant,
    spent: u32,
    unlogged: u32,
}

impl Default for Refusals {
    fn default() -> Self {
        Self(Mutex::new(Budget { began: Instant::now(), spent: 0, unlogged: 0 }))
    }
}

impl Refusals {
    /// Logs that `identity`, whose token is valid, was `denied`.
    pub(super) fn log(&self, identity: &Identity, denied: &Denied) {
        let Some(unlogged) = self.spend(Instant::now()) else { return };
        let name = |claim: &Option<String>| claim.as_deref().unwrap_or("-").chars().take(MAX_NAME).collect::<String>();
        let (username, domain) = (identity.username.as_ref().map(name), identity.domain.as_ref().map(name));
        let (username, domain) = (username.unwrap_or_default(), domain.unwrap_or_default());
        tracing::warn!(username, domain, reason = %denied, unlogged, "A caller with a valid access token may not use chat");
    }

    /// Logs that a caller who is let in, and whom the span names, was refused all the same.
    pub(super) fn log_caller(&self, jid: &UserJid, reason: &str) {
        let Some(unlogged) = self.spend(Instant::now()) else { return };
        tracing::warn!(domain = %jid.domain(), reason, unlogged, "A caller with a valid access token may not use chat");
    }

    /// One line of the budget, if there is one left: how many were not written since the last.
    fn spend(&self, now: Instant) -> Option<u32> {
        let mut budget = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(budget.began) >= PERIOD {
            (budget.began, budget.spent) = (now, 0);
        }
        if budget.spent == MOST {
            budget.unlogged += 1;
            return None;
        }
        budget.spent += 1;
        Some(std::mem::take(&mut budget.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_logged_is_counted() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        assert!((0..MOST).all(|_| refusals.spend(now) == Some(0)));
        assert_eq!(refusals.spend(now), None);
        assert_eq!(refusals.spend(now), None);
        assert_eq!(refusals.spend(now + PERIOD), Some(2));
        assert_eq!(refusals.spend(now + PERIOD), Some(0));
    }
}
