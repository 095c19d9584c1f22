//! Who the caller is: access tokens, the `chat` capability, and the login tokens handed out for it.

mod caller;
mod claims;
mod introspection;
mod jwks;
mod jwt;
mod login_token;
mod ring_provider;
mod token_kind;

pub use self::{
    caller::{Caller, Denied},
    claims::{Identity, IllTyped, TokenError},
    login_token::{LoginToken, LoginTokens, MintError},
};
use self::{
    claims::{ClaimNames, Claims},
    introspection::Introspection,
    jwt::Jwt,
};
use crate::{
    config::{Auth, ConfigError, Scheme},
    tls::Tls,
};

/// Without this capability a user has no chat at all.
const CHAT: &str = "chat";

/// Verifies access tokens of the configured issuers.
#[derive(Debug)]
pub struct AccessTokens {
    issuers: Vec<Issuer>,
}

/// Who issues access tokens, and for whom.
#[derive(Debug)]
struct Issuer {
    verifier: Verifier,
    names: ClaimNames,
    /// The domains that it may speak for; all when empty.
    domains: Vec<String>,
}

#[derive(Debug)]
enum Verifier {
    Jwt(Jwt),
    Introspection(Introspection),
}

impl Issuer {
    async fn new(auth: &Auth, tls: &Tls) -> Result<Self, ConfigError> {
        let (types, tls) = (&auth.token_types, tls.clone());
        let verifier = match &auth.scheme {
            Scheme::Jwt { issuer, audience, jwks_url } => {
                Verifier::Jwt(Jwt::new(issuer, audience, types, jwks_url.clone(), tls))
            }
            Scheme::Introspection { url, client_id, client_secret, audience } => {
                let client_secret = client_secret.resolve().await?;
                let introspection = Introspection::new(url.clone(), client_id, client_secret, audience, types, tls);
                Verifier::Introspection(introspection)
            }
        };
        let names = ClaimNames {
            username: auth.username_claim.clone(),
            domain: auth.domain_claim.clone(),
            capabilities: auth.capabilities_claim.clone(),
        };
        Ok(Self { verifier, names, domains: auth.domains.clone() })
    }

    async fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        let claims = match &self.verifier {
            Verifier::Jwt(jwt) => jwt.verify(token).await?,
            Verifier::Introspection(introspection) => introspection.verify(token).await?,
        };
        let domain = self.names.domain(&claims);
        let is_its_own = |domain: &String| self.domains.is_empty() || self.domains.contains(domain);
        let is_from_its_issuer = matches!(&domain, Ok(Some(domain)) if is_its_own(domain));
        let (username, may_chat) = (self.names.username(&claims), self.names.grant(&claims, CHAT));
        Ok(Identity { username, domain, may_chat, is_from_its_issuer })
    }
}

impl AccessTokens {
    /// For the configured issuers, which are asked for the first time when a token comes.
    ///
    /// # Errors
    /// [`ConfigError`] when Secrets Manager does not hand out what is kept there; a new start may help.
    pub async fn new(issuers: &[Auth], tls: &Tls) -> Result<Self, ConfigError> {
        let issuers = futures::future::try_join_all(issuers.iter().map(|auth| Issuer::new(auth, tls))).await?;
        Ok(Self { issuers })
    }

    /// The identity that a valid token speaks for.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] when the caller needs another token, [`TokenError::Unavailable`] when the issuer was needed and
    /// did not answer: a retry may help.
    pub async fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        let issuer = self.issuer_of(unverified_claims(token).as_ref());
        issuer.ok_or_else(|| TokenError::invalid("iss is none of the configured issuers"))?.verify(token).await
    }

    /// The user name that a token claims, for the log of its refusal: nothing vouches for it.
    #[must_use]
    pub fn unverified_user(&self, token: &str) -> Option<String> {
        let claims = unverified_claims(token)?;
        let names = &self.issuer_of(Some(&claims)).or(self.issuers.first())?.names;
        let user = match (names.username(&claims).ok()??, names.domain(&claims)) {
            (user, Ok(Some(domain))) => format!("{user}@{domain}"),
            (user, _) => user,
        };
        Some(user.chars().take(200).collect())
    }

    /// Whose token it may be. Of several issuers the one that it names, else the one of opaque tokens: no other is ever
    /// shown it.
    fn issuer_of(&self, claims: Option<&Claims>) -> Option<&Issuer> {
        if let [only] = &self.issuers[..] {
            return Some(only);
        }
        let named = claims.and_then(|claims| claims.get("iss")?.as_str());
        let is_named = |issuer: &&Issuer| matches!(&issuer.verifier, Verifier::Jwt(jwt) if Some(jwt.issuer()) == named);
        let is_opaque = |issuer: &&Issuer| matches!(issuer.verifier, Verifier::Introspection(_));
        self.issuers.iter().find(is_named).or_else(|| self.issuers.iter().find(is_opaque))
    }
}

/// What a JWT says, whoever has signed it.
fn unverified_claims(token: &str) -> Option<Claims> {
    jsonwebtoken::dangerous::insecure_decode_claims(token).ok()
}
