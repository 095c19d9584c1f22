//! A secret that may change while the process runs.

use std::{
    fmt::{self, Display},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};

use crate::clock::FreezeSafeInstant;

/// How old a value gets. What was changed where it is kept has to take effect within five minutes.
const MAX_AGE: Duration = Duration::from_mins(4);
/// A reading that failed is repeated no sooner.
const RETRY_PAUSE: Duration = Duration::from_secs(30);
/// Refusals cause a reading no more often: whoever refuses us for another reason does so at each call.
const REFUSAL_PAUSE: Duration = Duration::from_secs(5);
/// What a reading may take of the time of a call that waits for it: a REST call has 4.5 seconds for all it does.
const READ_LIMIT: Duration = Duration::from_secs(1);

/// A secret that is given once, or kept elsewhere, from where it is read again: when it has become old, and when somebody
/// refused it. Cheap to clone; clones share the value.
#[derive(Clone)]
pub struct RotatingSecret(Arc<Inner>);

enum Inner {
    Given(SecretString),
    Kept(Kept),
}

/// A secret that is kept elsewhere.
struct Kept {
    key: String,
    read: Box<dyn Fn() -> BoxFuture<'static, Result<SecretString, String>> + Send + Sync>,
    last: Mutex<Last>,
    /// Held by whoever reads.
    reading: tokio::sync::Mutex<()>,
}

/// What is known of a secret that is kept elsewhere.
#[derive(Clone)]
struct Last {
    value: SecretString,
    /// When it was asked for, with or without an answer.
    asked: FreezeSafeInstant,
    /// Whether an answer came.
    is_answered: bool,
    /// Whether the log says that none came.
    is_warned: bool,
    /// When it was asked for because of a refusal.
    asked_after_refusal: Option<FreezeSafeInstant>,
}

/// Why a secret is to be read again.
#[derive(Clone, Copy)]
enum Occasion<'a> {
    Age,
    Refusal(&'a SecretString),
}

impl RotatingSecret {
    /// One that `read` brings from where it is kept; `key` is the configuration's key that says where, for the log.
    ///
    /// # Errors
    /// What `read` ends with when it is called for the first time. If it fails later, the value from before stays in use.
    pub async fn kept<F, E>(key: String, read: impl Fn() -> F + Send + Sync + 'static) -> Result<Self, E>
    where
        F: Future<Output = Result<SecretString, E>> + Send + 'static,
        E: Display,
    {
        let last = Last {
            asked: FreezeSafeInstant::now(),
            value: Box::pin(read()).await?,
            is_answered: true,
            is_warned: false,
            asked_after_refusal: None,
        };
        let read = move || -> BoxFuture<'static, _> {
            let answer = read();
            Box::pin(async move { answer.await.map_err(|error| error.to_string()) })
        };
        let kept = Kept { key, read: Box::new(read), last: Mutex::new(last), reading: tokio::sync::Mutex::default() };
        Ok(Self(Arc::new(Inner::Kept(kept))))
    }

    /// The value, read again if it has become old.
    pub async fn current(&self) -> SecretString {
        match &*self.0 {
            Inner::Given(value) => value.clone(),
            Inner::Kept(kept) => kept.read_again(Occasion::Age).await,
        }
    }

    /// The value if it is another than `refused`, which somebody has just refused; read again if it is not.
    pub async fn changed_since(&self, refused: &SecretString) -> Option<SecretString> {
        let Inner::Kept(kept) = &*self.0 else { return None };
        let value = kept.read_again(Occasion::Refusal(refused)).await;
        (!is_same(&value, refused)).then_some(value)
    }

    /// What `attempt` brings with the value; if that is a refusal and the value turns out to have changed, what it brings
    /// with the new one.
    pub async fn attempt<T, F>(&self, attempt: impl Fn(SecretString) -> F, is_refusal: impl Fn(&T) -> bool) -> T
    where
        F: Future<Output = T>,
    {
        let value = self.current().await;
        let outcome = attempt(value.clone()).await;
        if !is_refusal(&outcome) {
            return outcome;
        }
        match self.changed_since(&value).await {
            Some(value) => attempt(value).await,
            None => outcome,
        }
    }

    /// Returns when the value is another than at the call: it is read as often as it has to be.
    pub async fn changed(&self) {
        let Inner::Kept(kept) = &*self.0 else { return std::future::pending().await };
        let known = kept.last().value.clone();
        loop {
            let due = kept.last().due_in();
            tokio::time::sleep(due).await;
            // Somebody else may have read it meanwhile.
            if !is_same(&self.current().await, &known) {
                return;
            }
        }
    }
}

impl Kept {
    /// The value, after a reading if there is occasion for one. One reads at a time; whoever comes meanwhile waits, and has what
    /// that brings.
    async fn read_again(&self, occasion: Occasion<'_>) -> SecretString {
        let _turn = self.reading.lock().await;
        let is_due = self.last().is_due(occasion);
        if is_due {
            self.read(occasion).await;
        }
        self.last().value.clone()
    }

    async fn read(&self, occasion: Occasion<'_>) {
        self.last().begin(occasion);
        let answer = tokio::time::timeout(READ_LIMIT, (self.read)()).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {READ_LIMIT:?}")));
        let mut last = self.last();
        match answer {
            Ok(value) => {
                if !is_same(&value, &last.value) {
                    tracing::info!(key = self.key, "A secret has changed; the new one is used");
                }
                (last.value, last.is_answered, last.is_warned) = (value, true, false);
            }
            Err(cause) if last.is_warned => tracing::debug!(key = self.key, cause, "A secret cannot be read yet"),
            Err(cause) => {
                last.is_warned = true;
                tracing::warn!(
                    key = self.key,
                    cause,
                    "A secret cannot be read again; the one from before is used, and reading it is tried again and again"
                );
            }
        }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Last {
    /// Whether there is occasion to read again.
    fn is_due(&self, occasion: Occasion<'_>) -> bool {
        match occasion {
            Occasion::Age => self.due_in().is_zero(),
            Occasion::Refusal(refused) => {
                let is_rested = |asked: FreezeSafeInstant| asked.elapsed() >= REFUSAL_PAUSE;
                is_same(&self.value, refused) && self.asked_after_refusal.is_none_or(is_rested)
            }
        }
    }

    /// When it has to be read again because of its age.
    fn due_in(&self) -> Duration {
        let limit = if self.is_answered { MAX_AGE } else { RETRY_PAUSE };
        limit.saturating_sub(self.asked.elapsed())
    }

    /// A reading begins, which may end without an answer, or be given up.
    fn begin(&mut self, occasion: Occasion<'_>) {
        (self.asked, self.is_answered) = (FreezeSafeInstant::now(), false);
        if let Occasion::Refusal(_) = occasion {
            self.asked_after_refusal = Some(self.asked);
        }
    }
}

fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

impl From<SecretString> for RotatingSecret {
    /// One that does not change.
    fn from(value: SecretString) -> Self {
        Self(Arc::new(Inner::Given(value)))
    }
}

impl From<&str> for RotatingSecret {
    /// One that does not change.
    fn from(value: &str) -> Self {
        SecretString::from(value).into()
    }
}

impl From<String> for RotatingSecret {
    /// One that does not change.
    fn from(value: String) -> Self {
        SecretString::from(value).into()
    }
}

impl fmt::Debug for RotatingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = match &*self.0 {
            Inner::Given(_) => None,
            Inner::Kept(kept) => Some(&kept.key),
        };
        f.debug_struct("RotatingSecret").field("key", &key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
