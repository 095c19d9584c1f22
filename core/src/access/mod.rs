//! Who the caller is: access tokens, the `chat` capability, and the login tokens handed out for it.

mod bearer;
mod caller;
mod introspection;
mod jwks;
mod jwt;
mod login_token;
mod ring_provider;

use serde_json::{Map, Value};

pub use self::{
    bearer::{BearerError, bearer_token},
    caller::{Caller, Denied},
    login_token::{LoginToken, LoginTokens, MintError},
};
use self::{introspection::Introspection, jwt::Jwt};
use crate::{
    config::{Auth, Scheme},
    tls::Tls,
};

/// The claims of a verified access token.
type Claims = Map<String, Value>;

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
    fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid(reason.into())
    }
}

/// Verifies access tokens of the configured kind.
#[derive(Debug)]
pub struct AccessTokens {
    verifier: Verifier,
    names: ClaimNames,
}

#[derive(Debug)]
enum Verifier {
    Jwt(Jwt),
    Introspection(Introspection),
}

/// What the claims are called that say who the caller is.
#[derive(Debug, Clone)]
struct ClaimNames {
    username: String,
    domain: String,
    capabilities: String,
}

impl AccessTokens {
    /// For the configured issuer, which is asked for the first time when a token comes.
    #[must_use]
    pub fn new(auth: &Auth, tls: &Tls) -> Self {
        let verifier = match &auth.scheme {
            Scheme::Jwt { issuer, audience, jwks_url } => {
                Verifier::Jwt(Jwt::new(issuer, audience, jwks_url.clone(), tls.clone()))
            }
            Scheme::Introspection { url, client_id, client_secret, audience } => Verifier::Introspection(
                Introspection::new(url.clone(), client_id, client_secret.clone(), audience, tls.clone()),
            ),
        };
        let names = ClaimNames {
            username: auth.username_claim.clone(),
            domain: auth.domain_claim.clone(),
            capabilities: auth.capabilities_claim.clone(),
        };
        Self { verifier, names }
    }

    /// The identity that a valid token speaks for.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        let claims = match &self.verifier {
            Verifier::Jwt(jwt) => jwt.verify(token).await?,
            Verifier::Introspection(introspection) => introspection.verify(token).await?,
        };
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let capabilities = claims.get(&self.names.capabilities).and_then(Value::as_array);
        Ok(Identity {
            username: text(&self.names.username),
            domain: text(&self.names.domain),
            may_chat: capabilities.is_some_and(|all| all.iter().any(|one| one.as_str() == Some("chat"))),
        })
    }

    /// The user name that a token claims, for the log of its refusal: nothing vouches for it.
    #[must_use]
    pub fn unverified_user(&self, token: &str) -> Option<String> {
        let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let user = match (text(&self.names.username)?, text(&self.names.domain)) {
            (user, Some(domain)) => format!("{user}@{domain}"),
            (user, None) => user.to_owned(),
        };
        Some(user.chars().take(200).collect())
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
fn has_audience(claims: &Claims, accepted: &[String]) -> bool {
    let is_accepted = |value: &Value| value.as_str().is_some_and(|text| accepted.iter().any(|one| one == text));
    match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(is_accepted),
        Some(one) => is_accepted(one),
        None => false,
    }
}

/// Seconds since 1970, as tokens count.
fn unix_now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}
