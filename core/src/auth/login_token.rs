//! Login tokens: short-lived proof, for the XMPP server, of who logs in.
//!
//! A JWT (RFC 7519), HS256, which `mod_auth_sippo` checks without asking anyone: both sides derive
//! the key from the admin token.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{hkdf, hmac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::claims::unix_now;
use crate::{address::UserJid, secret::RotatingSecret};

/// What the key is for (RFC 5869, section 3.2); `mod_auth_sippo` derives with the same.
const INFO: &[u8] = b"sippo-xmpp login token v1";

/// Prosody refuses passwords of 1,024 bytes and more.
const MAX_TOKEN: usize = 1_023;

/// Why no token could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// User name and domain together do not fit.
    #[error("the user name and domain are too long together for a login token of {MAX_TOKEN} bytes; shorten one")]
    TooLong,
}

/// A login token, not to be logged.
#[derive(Debug)]
pub struct LoginToken {
    /// The SASL PLAIN password.
    pub token: SecretString,
    /// When it ends, RFC 3339, UTC.
    pub expires_at: String,
}

/// Makes login tokens.
#[derive(Debug)]
pub struct LoginTokens {
    admin_token: RotatingSecret,
    ttl: Duration,
}

impl LoginTokens {
    /// Tokens that the XMPP server with the same `admin_token` accepts for `ttl`.
    #[must_use]
    pub fn new(admin_token: RotatingSecret, ttl: Duration) -> Self {
        Self { admin_token, ttl }
    }

    /// A token with which `user` can log in, and nobody else.
    ///
    /// # Errors
    /// [`MintError::TooLong`]: no retry helps, the JID stays too long.
    pub async fn mint(&self, user: &UserJid) -> Result<LoginToken, MintError> {
        let expires = unix_now().saturating_add(self.ttl.as_secs());
        let claims = json!({ "sub": user.as_str(), "aud": user.domain().as_str(), "exp": expires });
        let signed = format!(
            "{}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#),
            BASE64_URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature =
            BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&key(&self.admin_token.current().await), signed.as_bytes()));
        let token = format!("{signed}.{signature}");
        if token.len() > MAX_TOKEN {
            return Err(MintError::TooLong);
        }
        let expires_at = i64::try_from(expires)
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .and_then(|time| time.format(&Rfc3339).ok())
            .expect("a time within a day from now has an RFC 3339 form");
        Ok(LoginToken { token: token.into(), expires_at })
    }
}

/// The key that both sides derive. That takes microseconds, so nobody keeps one that may be an old token's.
fn key(admin_token: &SecretString) -> hmac::Key {
    let mut key = [0; 32];
    hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
        .extract(admin_token.expose_secret().as_bytes())
        .expand(&[INFO], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key))
        .expect("HKDF-SHA256 yields 32 bytes");
    hmac::Key::new(hmac::HMAC_SHA256, &key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SecretKeeper;

    /// Computed apart from this code: two HMACs in Python for HKDF, a third for the signature.
    #[test]
    fn the_key_is_the_one_both_sides_derive() {
        let tag = hmac::sign(&key(&"0123456789abcdef0123456789abcdef".into()), b"probe");
        assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(tag), "Fc0EGtIeeSn6_VY8nnmCHmW6rsbq9M16uMBtCO0CCOU");
    }

    #[tokio::test]
    async fn tokens_fit_and_do_not_show_in_debug_output() {
        let tokens = LoginTokens::new("a".repeat(32).into(), Duration::from_mins(5));
        let longest =
            UserJid::of_username(&"@".repeat(66), &format!("{}.test", "a.".repeat(90).trim_end_matches('.'))).unwrap();
        let token = tokens.mint(&longest).await.unwrap();
        assert!(token.token.expose_secret().len() <= MAX_TOKEN);
        assert!(token.expires_at.ends_with('Z') && token.expires_at.len() == 20, "{}", token.expires_at);
        assert!(!format!("{token:?} {tokens:?}").contains(token.token.expose_secret()));
        let too_long =
            UserJid::of_username(&"a".repeat(200), &format!("{}.test", "a.".repeat(124).trim_end_matches('.')))
                .unwrap();
        assert_eq!(tokens.mint(&too_long).await.unwrap_err(), MintError::TooLong);
    }
    /// Whether the XMPP server with that admin token takes `token`.
    fn is_of(token: &LoginToken, admin_token: &str) -> bool {
        let (signed, signature) = token.token.expose_secret().rsplit_once('.').unwrap();
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        hmac::verify(&key(&admin_token.into()), signed.as_bytes(), &signature).is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn five_minutes_after_the_admin_token_was_changed_no_token_is_of_the_old_one() {
        let (old, new) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
        let keeper = SecretKeeper::of(old);
        let tokens = LoginTokens::new(keeper.secret().await.unwrap(), Duration::from_mins(5));
        let user = UserJid::canonical("ann@example.test").unwrap();
        assert!(is_of(&tokens.mint(&user).await.unwrap(), old));
        keeper.change(new);
        tokio::time::advance(Duration::from_mins(5)).await;
        assert!(is_of(&tokens.mint(&user).await.unwrap(), new));
    }
}
