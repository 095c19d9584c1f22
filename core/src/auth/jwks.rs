//! The issuer's public keys (RFC 7517): fetched when needed, kept, and refreshed with restraint.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::claims::TokenError;
use crate::{
    clock::FreezeSafeInstant,
    http::{self, HttpClient},
    tls::Tls,
};

/// How long one fetch may take; leaves a REST call time for its own work.
const TIMEOUT: Duration = Duration::from_secs(2);
/// A key set of a thousand keys is far below this.
const MAX_SIZE: usize = 1 << 20;

/// How often the issuer is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefreshPolicy {
    /// Keys older than this are fetched anew.
    pub(super) refresh_after: Duration,
    /// Keys that could not be refreshed are used no longer than this.
    pub(super) expire_after: Duration,
    /// Least time between two fetches for an unknown `kid`, or after a failure.
    pub(super) cool_down: Duration,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            refresh_after: Duration::from_mins(10),
            expire_after: Duration::from_hours(24),
            cool_down: Duration::from_secs(10),
        }
    }
}

/// The key set of one issuer.
#[derive(Debug)]
pub(super) struct Jwks {
    url: Url,
    http: HttpClient,
    policy: RefreshPolicy,
    current: RwLock<Option<Arc<KeySet>>>,
    /// Held during a fetch: one at a time. When the last one began, and what kept it from succeeding.
    fetching: Mutex<Option<(FreezeSafeInstant, Option<String>)>>,
}

/// What the issuer published at a time.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
    fetched: FreezeSafeInstant,
}

#[derive(Debug)]
struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    public: DecodingKey,
}

impl Jwks {
    pub(super) fn new(url: Url, tls: Tls, policy: RefreshPolicy) -> Self {
        Self {
            url,
            http: HttpClient::new(tls, TIMEOUT),
            policy,
            current: RwLock::new(None),
            fetching: Mutex::new(None),
        }
    }

    /// Keys with one among them that may have signed a token with this header; if they have none, the issuer has none
    /// either.
    ///
    /// # Errors
    /// [`TokenError::Unavailable`] when there are no keys to look at, or none that fits and the issuer cannot be asked for
    /// more.
    pub(super) async fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Arc<KeySet>, TokenError> {
        let fits = |set: &KeySet| set.find(kid, algorithm).next().is_some();
        if let Some(set) = self.current()
            && set.fetched.elapsed() < self.policy.refresh_after
            && fits(&set)
        {
            return Ok(set);
        }
        let refreshed = self.refresh(fits).await;
        match (self.usable(), refreshed) {
            (Some(set), Ok(())) => Ok(set),
            (Some(set), Err(_)) if fits(&set) => Ok(set),
            (_, Err(cause)) => Err(TokenError::Unavailable(cause)),
            (None, Ok(())) => Err(TokenError::Unavailable("it has published no keys yet".to_owned())),
        }
    }

    /// Keys that were fetched after those that were `tried`; `None` when these were fetched a moment ago.
    ///
    /// # Errors
    /// [`TokenError::Unavailable`] when the issuer cannot be asked.
    pub(super) async fn newer(&self, tried: &Arc<KeySet>) -> Result<Option<Arc<KeySet>>, TokenError> {
        let is_other = |set: &KeySet| !std::ptr::eq(set, Arc::as_ptr(tried));
        self.refresh(is_other).await.map_err(TokenError::Unavailable)?;
        Ok(self.current().filter(|set| is_other(set)))
    }

    fn current(&self) -> Option<Arc<KeySet>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn usable(&self) -> Option<Arc<KeySet>> {
        self.current().filter(|set| set.fetched.elapsed() < self.policy.expire_after)
    }

    /// Fetches the keys unless another call just did: for whoever wants `enough` of them. What kept the last fetch from
    /// succeeding is an error.
    async fn refresh(&self, enough: impl Fn(&KeySet) -> bool) -> Result<(), String> {
        let mut last = self.fetching.lock().await;
        if let Some(set) = self.current()
            && set.fetched.elapsed() < self.policy.refresh_after
            && enough(&set)
        {
            return Ok(()); // somebody else's fetch brought it while we waited
        }
        if let Some((began, failure)) = &*last
            && began.elapsed() < self.policy.cool_down
        {
            return failure.clone().map_or(Ok(()), Err);
        }
        let began = FreezeSafeInstant::now();
        // Noted before the fetch: if the caller gives up in the middle, the next one still waits its turn.
        *last = Some((began, Some("an earlier request for its keys was given up".to_owned())));
        match self.fetch().await {
            Ok(keys) => {
                *last = Some((began, None));
                let set = Arc::new(KeySet { keys, fetched: FreezeSafeInstant::now() });
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(set);
                Ok(())
            }
            Err(cause) => {
                tracing::warn!(
                    error = cause,
                    url = %self.url,
                    keys_kept = self.usable().is_some(),
                    "Failed to fetch the token issuer's keys; see that [auth] jwksUrl is right and answers"
                );
                *last = Some((began, Some(cause.clone())));
                Err(cause)
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Key>, String> {
        let body = match self.url.to_file_path() {
            Ok(path) if self.url.scheme() == "file" => std::fs::read(path).map_err(|error| error.to_string())?,
            _ => self.download().await?,
        };
        let set: Published = serde_json::from_slice(&body).map_err(|error| format!("not a JWK set: {error}"))?;
        let keys: Vec<_> = set.keys.into_iter().filter_map(Key::from_json).collect();
        if keys.is_empty() { Err("the JWK set holds no key for RS256, ES256 or EdDSA".to_owned()) } else { Ok(keys) }
    }

    async fn download(&self) -> Result<Vec<u8>, String> {
        let client = self.http.get().map_err(|error| error.to_string())?;
        http::fetch(client.get(self.url.clone()), MAX_SIZE).await
    }
}

/// Keys one by one, so that one the library does not know cannot spoil the others.
#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

impl KeySet {
    /// The keys that may have signed a token with this header. Without `kid`, all of the algorithm.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &DecodingKey> {
        let fits = move |key: &&Key| key.algorithm == algorithm && (kid.is_none() || key.kid.as_deref() == kid);
        self.keys.iter().filter(fits).map(|key| &key.public)
    }
}

impl Key {
    /// `None` for a key that is not for signatures of an accepted algorithm. The algorithm is the
    /// key's, never the token's.
    fn from_json(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let algorithm = match (&jwk.algorithm, jwk.common.key_algorithm) {
            (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
            (AlgorithmParameters::EllipticCurve(ec), None | Some(KeyAlgorithm::ES256))
                if ec.curve == EllipticCurve::P256 =>
            {
                Algorithm::ES256
            }
            (AlgorithmParameters::OctetKeyPair(okp), None | Some(KeyAlgorithm::EdDSA))
                if okp.curve == EllipticCurve::Ed25519 =>
            {
                Algorithm::EdDSA
            }
            _ => return None,
        };
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        let public = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { kid: jwk.common.key_id, algorithm, public })
    }
}
