//! The broker's URL, which may be kept in Secrets Manager and change there.

use std::sync::Mutex;

use secrecy::{ExposeSecret, SecretString};
use sippo_xmpp_core::config::{Broker, ConfigError};
use tokio::time::{Duration, Instant};

/// How old a URL from Secrets Manager gets. What was changed there has to take effect within five minutes.
const MAX_AGE: Duration = Duration::from_mins(4);

/// Where the URL comes from.
pub trait UrlSource: Sync {
    /// Whether it can be another when it is read again.
    fn may_change(&self) -> bool;

    /// Reads it.
    fn read(&self) -> impl Future<Output = Result<SecretString, ConfigError>> + Send;
}

impl UrlSource for Broker {
    fn may_change(&self) -> bool {
        self.has_url_secret()
    }

    fn read(&self) -> impl Future<Output = Result<SecretString, ConfigError>> + Send {
        self.resolve_url()
    }
}

/// The URL as it was read last.
#[derive(Debug)]
pub struct BrokerUrl<S> {
    source: S,
    last: Mutex<Last>,
}

#[derive(Debug, Clone)]
struct Last {
    url: SecretString,
    /// When it was asked for, with or without an answer.
    asked: Instant,
}

impl<S: UrlSource> BrokerUrl<S> {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// [`ConfigError`] when there is no usable URL.
    pub async fn new(source: S) -> Result<Self, ConfigError> {
        let url = Box::pin(source.read()).await?;
        Ok(Self { source, last: Mutex::new(Last { url, asked: Instant::now() }) })
    }

    /// The URL, read again if it is too old. An old one is better than none.
    pub async fn current(&self) -> SecretString {
        let Last { url, asked } = self.last();
        if asked.elapsed() >= MAX_AGE {
            let _ = self.changed_since(&url).await;
        }
        self.last().url
    }

    /// Reads it again. Gives it if it is another than `known`.
    pub async fn changed_since(&self, known: &SecretString) -> Option<SecretString> {
        if !self.source.may_change() {
            return None;
        }
        // Boxed, for what it holds is large and would be moved about.
        match Box::pin(self.source.read()).await {
            Ok(url) => *self.lock() = Last { url, asked: Instant::now() },
            Err(error) => {
                self.lock().asked = Instant::now();
                tracing::warn!(cause = %error, "The broker's URL cannot be read again; the one from before is used");
            }
        }
        let url = self.last().url;
        (url.expose_secret() != known.expose_secret()).then_some(url)
    }

    /// Returns when the URL is another than it was at the call; it is looked for as often as it has to be.
    pub async fn changed(&self) {
        if !self.source.may_change() {
            return std::future::pending().await;
        }
        let known = self.last().url;
        loop {
            let asked = self.last().asked;
            tokio::time::sleep_until(asked + MAX_AGE).await;
            // Somebody else may have asked meanwhile.
            if self.current().await.expose_secret() != known.expose_secret() {
                return;
            }
        }
    }

    fn last(&self) -> Last {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    };

    use super::*;

    /// Gives `first` until it is told to give another, and counts how often it is asked.
    #[derive(Clone, Default)]
    struct Secret {
        value: Arc<AtomicU32>,
        asked: Arc<AtomicU32>,
    }

    impl UrlSource for Secret {
        fn may_change(&self) -> bool {
            true
        }

        async fn read(&self) -> Result<SecretString, ConfigError> {
            self.asked.fetch_add(1, Relaxed);
            Ok(SecretString::from(format!("amqp://user:{}@host", self.value.load(Relaxed))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_seen_within_five_minutes() {
        let secret = Secret::default();
        let url = BrokerUrl::new(secret.clone()).await.unwrap();
        let began = Instant::now();
        let change = async {
            tokio::time::sleep(Duration::from_mins(61)).await;
            secret.value.store(1, Relaxed);
        };
        tokio::join!(url.changed(), change);
        assert!(began.elapsed() < Duration::from_mins(61 + 5), "{:?}", began.elapsed());
        assert!(secret.asked.load(Relaxed) < 20, "not asked for all the time");
        assert!(url.current().await.expose_secret().contains(":1@"));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_refusal_it_is_read_at_once() {
        let secret = Secret::default();
        let url = BrokerUrl::new(secret.clone()).await.unwrap();
        let old = url.current().await;
        assert!(url.changed_since(&old).await.is_none());
        secret.value.store(1, Relaxed);
        assert!(url.current().await.expose_secret().contains(":0@"), "nobody had a reason to ask");
        assert!(url.changed_since(&old).await.unwrap().expose_secret().contains(":1@"));
    }
}
