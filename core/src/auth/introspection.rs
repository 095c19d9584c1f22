//! Opaque access tokens: the issuer is asked about them (RFC 7662).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ring::digest;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::claims::{Claims, TokenError, has_audience, unix_now};
use crate::{
    http::{self, HttpClient},
    tls::Tls,
};

/// How long one answer may take; leaves a REST call time for its own work.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Longest time an answer counts, in seconds: a revoked token is good no longer than this.
const MAX_AGE: u64 = 60;
/// A token's claims are far below this.
const MAX_SIZE: usize = 1 << 20;
/// Tokens remembered at a time: a few megabytes of claims at most, in a process that serves one call at a time.
const CAPACITY: usize = 1_000;

/// Asks one issuer.
#[derive(Debug)]
pub(super) struct Introspection {
    url: Url,
    client_id: String,
    client_secret: SecretString,
    audience: Vec<String>,
    http: HttpClient,
    /// Positive answers, by the token's SHA-256: tokens themselves are not kept.
    known: Mutex<HashMap<[u8; 32], Answer>>,
}

#[derive(Debug, Clone)]
struct Answer {
    claims: Claims,
    /// Unix time from which it counts no longer.
    until: u64,
}

impl Introspection {
    pub(super) fn new(url: Url, client_id: &str, client_secret: SecretString, audience: &[String], tls: Tls) -> Self {
        Self {
            url,
            client_id: client_id.to_owned(),
            client_secret,
            audience: audience.to_vec(),
            http: HttpClient::new(tls, TIMEOUT),
            known: Mutex::default(),
        }
    }

    /// The claims of `token`.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] when the caller needs another token, [`TokenError::Unavailable`] when the issuer was needed and
    /// did not answer.
    pub(super) async fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let fingerprint = fingerprint(token);
        if let Some(answer) = self.remembered(&fingerprint) {
            return Ok(answer);
        }
        let claims = self.ask(token).await?;
        let now = unix_now();
        let expires = self.check(&claims, now)?;
        let until = now.saturating_add(MAX_AGE).min(expires.unwrap_or(u64::MAX));
        self.remember(fingerprint, Answer { claims: claims.clone(), until }, now);
        Ok(claims)
    }

    async fn ask(&self, token: &str) -> Result<Claims, TokenError> {
        // RFC 6749, section 2.3.1 and appendix B: id and secret are form-encoded before they go into Basic.
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let request = self
            .http
            .get()
            .map_err(|error| TokenError::Unavailable(error.to_string()))?
            .post(self.url.clone())
            .basic_auth(encode(&self.client_id), Some(encode(self.client_secret.expose_secret())))
            .header(http::header::ACCEPT, "application/json")
            .form(&[("token", token), ("token_type_hint", "access_token")]);
        let body = http::fetch(request, MAX_SIZE).await.map_err(TokenError::Unavailable)?;
        serde_json::from_slice(&body).map_err(|error| TokenError::Unavailable(format!("not a JSON object: {error}")))
    }

    /// Checks an answer; `exp` when it has one.
    fn check(&self, claims: &Claims, now: u64) -> Result<Option<u64>, TokenError> {
        if claims.get("active") != Some(&Value::Bool(true)) {
            return Err(TokenError::invalid("the issuer says that the token is not active"));
        }
        let seconds = |name: &str| match claims.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_u64()
                .map(Some)
                .ok_or_else(|| TokenError::invalid(format!("the issuer's {name} is not a time"))),
        };
        let expires = seconds("exp")?;
        if expires.is_some_and(|expires| expires <= now) {
            return Err(TokenError::invalid("the token has expired"));
        }
        if seconds("nbf")?.is_some_and(|begins| begins > now.saturating_add(MAX_AGE)) {
            return Err(TokenError::invalid("the token is not valid yet"));
        }
        if !self.audience.is_empty() && !has_audience(claims, &self.audience) {
            return Err(TokenError::invalid("aud is not the configured audience"));
        }
        Ok(expires)
    }

    fn remembered(&self, fingerprint: &[u8; 32]) -> Option<Claims> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(fingerprint).filter(|answer| unix_now() < answer.until).map(|answer| answer.claims.clone())
    }

    fn remember(&self, fingerprint: [u8; 32], answer: Answer, now: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CAPACITY {
            known.retain(|_, answer| now < answer.until);
        }
        if known.len() >= CAPACITY {
            // Within a minute as many tokens as there is room for: forgetting costs a question each.
            known.clear();
        }
        known.insert(fingerprint, answer);
    }
}

fn fingerprint(token: &str) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    fingerprint
}
