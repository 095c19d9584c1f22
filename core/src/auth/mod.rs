//! Who the caller is: access tokens, the `chat` capability, and the login tokens handed out for it.

mod caller;
mod claims;
mod introspection;
mod jwks;
mod jwt;
mod login_token;
mod ring_provider;

use serde_json::Value;

pub use self::{
    caller::{Caller, Denied},
    claims::{Identity, TokenError},
    login_token::{LoginToken, LoginTokens, MintError},
};
use self::{claims::Claims, introspection::Introspection, jwt::Jwt};
use crate::{
    config::{Auth, Scheme},
    tls::Tls,
};

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
    /// [`TokenError::Invalid`] when the caller needs another token, [`TokenError::Unavailable`] when the issuer was needed and
    /// did not answer: a retry may help.
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
