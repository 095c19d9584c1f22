//! Who keeps a secret, such as AWS Secrets Manager.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use secrecy::SecretString;

use crate::secret::RotatingSecret;

/// Hands out a secret that can be changed, and counts how often it is asked.
#[derive(Debug, Clone)]
pub struct SecretKeeper(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    value: &'static str,
    asked: usize,
    fails: bool,
    takes: Duration,
}

impl SecretKeeper {
    /// One that keeps `value` and answers at once.
    #[must_use]
    pub fn of(value: &'static str) -> Self {
        Self(Arc::new(Mutex::new(State { value, asked: 0, fails: false, takes: Duration::ZERO })))
    }

    /// The secret as a process gets it at its start.
    ///
    /// # Errors
    /// While the keeper fails.
    pub async fn secret(&self) -> Result<RotatingSecret, &'static str> {
        let keeper = self.clone();
        RotatingSecret::kept("[test] secretArn".to_owned(), move || keeper.clone().answer()).await
    }

    async fn answer(self) -> Result<SecretString, &'static str> {
        let takes = {
            let mut state = self.state();
            state.asked += 1;
            state.takes
        };
        tokio::time::sleep(takes).await;
        let state = self.state();
        if state.fails { Err("not today") } else { Ok(state.value.into()) }
    }

    /// Keeps another value from now on.
    pub fn change(&self, value: &'static str) {
        self.state().value = value;
    }

    /// Whether it fails from now on.
    pub fn fail(&self, fails: bool) {
        self.state().fails = fails;
    }

    /// How long an answer takes from now on.
    pub fn take(&self, time: Duration) {
        self.state().takes = time;
    }

    /// How often it was asked.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.state().asked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
