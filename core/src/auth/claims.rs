//! What access tokens say, and why one is refused.

use serde_json::{Map, Value};

/// The claims of a verified access token.
pub(super) type Claims = Map<String, Value>;

/// Why an access token was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The token is no good; the caller needs another one.
    #[error("{0}")]
    Invalid(String),
    /// The issuer could not be asked; a retry may help.
    #[error("the token issuer did not answer ({0}); see that it runs and that [auth] names its address")]
    Unavailable(String),
}

impl TokenError {
    pub(super) fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid(reason.into())
    }
}

/// What a valid access token says of its bearer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The unescaped username.
    pub username: Option<String>,
    /// The domain.
    pub domain: Option<String>,
    /// Whether `chat` is among the capabilities.
    pub may_chat: bool,
}

/// Whether `claims` hold for one of `accepted` audiences; `aud` is a string or an array (RFC 7519, section 4.1.3).
pub(super) fn has_audience(claims: &Claims, accepted: &[String]) -> bool {
    let is_accepted = |value: &Value| value.as_str().is_some_and(|text| accepted.iter().any(|one| one == text));
    match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(is_accepted),
        Some(one) => is_accepted(one),
        None => false,
    }
}

/// Seconds since 1970, as tokens count.
pub(super) fn unix_now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}
