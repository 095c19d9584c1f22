//! Opaque access tokens: the issuer is asked about them (RFC 7662).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ring::digest;
use secrecy::{ExposeSecret, SecretString};
use serde::de::IgnoredAny;
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::{
    claims::{Claims, TokenError, ensure_in_time, has_audience, unix_now},
    token_kind::ensure_access_token,
};
use crate::{
    cause::root_cause,
    http::{self, HttpClient, Response, StatusCode},
    secret::RotatingSecret,
    tls::Tls,
};

/// How long one answer may take; leaves a REST call time for its own work.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Longest time an answer counts, in seconds: a revoked token is good no longer than this.
const MAX_AGE: u64 = 60;
/// A token's claims are far below this.
const MAX_SIZE: usize = 1 << 20;
/// How long a negative answer counts, in seconds: who repeats a token that is no good does not hammer the issuer, and one
/// that becomes good in a moment is good soon.
const REFUSAL_AGE: u64 = 5;
/// Tokens remembered at a time, of either kind: a few megabytes of claims at most, in a process that serves one call at a
/// time.
const CAPACITY: usize = 1_000;

/// Asks one issuer.
#[derive(Debug)]
pub(super) struct Introspection {
    url: Url,
    client_id: String,
    client_secret: RotatingSecret,
    audience: Vec<String>,
    token_types: Vec<String>,
    http: HttpClient,
    /// Claims of good tokens.
    accepted: Remembered<Claims>,
    /// Why others are none. Apart, so that made-up tokens cannot crowd out good ones.
    refused: Remembered<String>,
}

/// What was found out about tokens lately, by the token's SHA-256: tokens themselves are not kept.
#[derive(Debug)]
struct Remembered<T>(Mutex<HashMap<[u8; 32], (T, u64)>>);

impl Introspection {
    /// Tokens that are marked with one of `token_types` are accepted beside those that are marked as usual.
    pub(super) fn new(
        url: Url,
        client_id: &str,
        client_secret: RotatingSecret,
        audience: &[String],
        token_types: &[String],
        tls: Tls,
    ) -> Self {
        Self {
            url,
            client_id: client_id.to_owned(),
            client_secret,
            audience: audience.to_vec(),
            token_types: token_types.to_vec(),
            http: HttpClient::new(tls, TIMEOUT),
            accepted: Remembered(Mutex::default()),
            refused: Remembered(Mutex::default()),
        }
    }

    /// The claims of `token`.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] when the caller needs another token, [`TokenError::Unavailable`] when the issuer was needed and
    /// did not answer.
    pub(super) async fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let (fingerprint, now) = (fingerprint(token), unix_now());
        if let Some(claims) = self.accepted.get(&fingerprint, now) {
            return Ok(claims);
        }
        if let Some(reason) = self.refused.get(&fingerprint, now) {
            return Err(TokenError::Invalid(reason));
        }
        let answer = self.ask(token).await;
        let now = unix_now();
        match answer.and_then(|claims| Ok((self.check(&claims, now)?, claims))) {
            Ok((expires, claims)) => {
                let until = now.saturating_add(MAX_AGE).min(expires.unwrap_or(u64::MAX));
                self.accepted.put(fingerprint, claims.clone(), until, now);
                Ok(claims)
            }
            Err(error) => {
                if let TokenError::Invalid(reason) = &error {
                    self.refused.put(fingerprint, reason.clone(), now.saturating_add(REFUSAL_AGE), now);
                }
                Err(error)
            }
        }
    }

    async fn ask(&self, token: &str) -> Result<Claims, TokenError> {
        let exchange = async {
            let attempt = |secret| self.send(token, secret);
            http::success(self.client_secret.attempt(attempt, is_refusal).await?, MAX_SIZE).await
        };
        // All together: a second attempt must not take time that the call needs for its own work.
        let body = tokio::time::timeout(TIMEOUT, exchange).await;
        let body = body.unwrap_or_else(|_| Err(format!("no answer within {TIMEOUT:?}")));
        claims_of(&body.map_err(TokenError::Unavailable)?)
    }

    async fn send(&self, token: &str, client_secret: SecretString) -> Result<Response, String> {
        // RFC 6749, section 2.3.1 and appendix B: id and secret are form-encoded before they go into Basic.
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let request = self
            .http
            .get()
            .map_err(|error| error.to_string())?
            .post(self.url.clone())
            .basic_auth(encode(&self.client_id), Some(encode(client_secret.expose_secret())))
            .header(http::header::ACCEPT, "application/json")
            .form(&[("token", token), ("token_type_hint", "access_token")]);
        http::send(request).await.map_err(|error| root_cause(&error))
    }

    /// Checks an answer; `exp` when it has one.
    fn check(&self, claims: &Claims, now: u64) -> Result<Option<u64>, TokenError> {
        if claims.get("active") != Some(&Value::Bool(true)) {
            return Err(TokenError::invalid("the issuer says that the token is not active"));
        }
        let expires = ensure_in_time(claims, now, 0)?;
        if !self.audience.is_empty() && !has_audience(claims, &self.audience) {
            return Err(TokenError::invalid("aud is not the configured audience"));
        }
        ensure_access_token(None, claims, &self.token_types)?;
        Ok(expires)
    }
}

impl<T: Clone> Remembered<T> {
    fn get(&self, fingerprint: &[u8; 32], now: u64) -> Option<T> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(fingerprint).filter(|(_, until)| now < *until).map(|(answer, _)| answer.clone())
    }

    /// Keeps `answer` until that Unix time.
    fn put(&self, fingerprint: [u8; 32], answer: T, until: u64, now: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CAPACITY {
            known.retain(|_, (_, until)| now < *until);
        }
        if known.len() >= CAPACITY {
            // Within a minute as many tokens as there is room for: forgetting costs a question each.
            known.clear();
        }
        known.insert(fingerprint, (answer, until));
    }
}

/// The claims that an answer says. Of those of a JWT it is the token's fault if a value is such that nobody can take it in
/// (`1e400`, half of a surrogate pair), so it is here.
fn claims_of(answer: &[u8]) -> Result<Claims, TokenError> {
    serde_json::from_slice(answer).map_err(|error| {
        let is_json = serde_json::from_slice::<IgnoredAny>(answer).is_ok();
        if error.is_syntax() && is_json {
            return TokenError::invalid(format!("the issuer's answer has a value that cannot be read: {error}"));
        }
        TokenError::Unavailable(format!("not a JSON object: {error}"))
    })
}

/// Whether the issuer may have refused the client: an error `invalid_client` comes with 401 or 400 (RFC 6749, section 5.2), from
/// some with 403.
fn is_refusal(answer: &Result<Response, String>) -> bool {
    let statuses = [StatusCode::UNAUTHORIZED, StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN];
    answer.as_ref().is_ok_and(|answer| statuses.contains(&answer.status()))
}

fn fingerprint(token: &str) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    fingerprint
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use sippo_xmpp_doubles::{HttpAnswer, HttpFake};

    use super::*;
    use crate::testing::SecretKeeper;

    /// What an issuer brings that has given the client a new secret, and refuses others with `status`.
    async fn verify_after_a_change(status: u16) -> Result<Claims, TokenError> {
        let expected = format!("Basic {}", BASE64_STANDARD.encode("chat:new"));
        let issuer = HttpFake::answering(move |request| {
            let is_right = request.header("authorization") == Some(expected.as_str());
            HttpAnswer::Close(if is_right { 200 } else { status }, r#"{"active":true}"#.to_owned())
        })
        .await;
        let keeper = SecretKeeper::of("old");
        let secret = keeper.secret().await.unwrap();
        keeper.change("new");
        Introspection::new(issuer.url.clone(), "chat", secret, &[], &[], Tls::new(None)).verify("opaque").await
    }

    #[test]
    fn a_value_that_nobody_can_read_is_the_tokens_fault_and_no_json_is_the_issuers() {
        for odd in
            [r#"{"active":true,"exp":1e400}"#, r#"{"active":true,"nbf":-1e400}"#, r#"{"active":true,"a":"\ud800"}"#]
        {
            assert!(matches!(claims_of(odd.as_bytes()), Err(TokenError::Invalid(_))), "{odd}");
        }
        for none in ["", "null", "[1e400]", "[]", "<html>", r#"{"active":true"#, r#"{"active":true}}"#] {
            assert!(matches!(claims_of(none.as_bytes()), Err(TokenError::Unavailable(_))), "{none}");
        }
        assert_eq!(claims_of(br#"{"active":true,"exp":1e300}"#).unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_client_secret_that_was_changed_is_taken_at_the_first_refusal() {
        for status in [401, 400, 403] {
            assert!(verify_after_a_change(status).await.is_ok(), "{status}");
        }
        assert!(verify_after_a_change(500).await.is_err(), "that is no refusal");
    }
}
