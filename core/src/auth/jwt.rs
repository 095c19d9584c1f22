//! JWT access tokens (RFC 7519), verified with the issuer's published keys.

use jsonwebtoken::{
    DecodingKey, Validation, decode, decode_header,
    errors::{Error, ErrorKind},
};
use url::Url;

use super::{
    claims::{Claims, LEEWAY, TokenError, ensure_in_time, unix_now},
    jwks::{Jwks, RefreshPolicy},
    ring_provider,
    token_kind::ensure_access_token,
};
use crate::tls::Tls;

/// Verifies tokens of one issuer.
#[derive(Debug)]
pub(super) struct Jwt {
    issuer: String,
    audience: Vec<String>,
    token_types: Vec<String>,
    keys: Jwks,
}

impl Jwt {
    /// Tokens that are marked with one of `token_types` are accepted beside those that are marked as usual.
    pub(super) fn new(issuer: &str, audience: &[String], token_types: &[String], jwks_url: Url, tls: Tls) -> Self {
        let keys = Jwks::new(jwks_url, tls, RefreshPolicy::default());
        Self { token_types: token_types.to_vec(), ..Self::with_keys(issuer, audience, keys) }
    }

    fn with_keys(issuer: &str, audience: &[String], keys: Jwks) -> Self {
        ring_provider::install();
        Self { issuer: issuer.to_owned(), audience: audience.to_vec(), token_types: Vec::new(), keys }
    }

    /// Who signs the tokens: the claim `iss`.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The claims of `token`, an access token.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] when the caller needs another token, [`TokenError::Unavailable`] when the issuer was needed and
    /// did not answer.
    pub(super) async fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let (header_type, claims) = self.verify_signed(token).await?;
        let expires = ensure_in_time(&claims, unix_now(), LEEWAY)?;
        expires.ok_or_else(|| TokenError::invalid("the claim exp is missing"))?;
        ensure_access_token(header_type.as_deref(), &claims, &self.token_types)?;
        Ok(claims)
    }

    /// `typ` of the header and the claims of `token`, whatever kind of token it is and whenever it is valid.
    async fn verify_signed(&self, token: &str) -> Result<(Option<String>, Claims), TokenError> {
        let header = decode_header(token).map_err(|error| TokenError::invalid(format!("not a JWT: {error}")))?;
        if !ring_provider::ALGORITHMS.contains(&header.alg) {
            return Err(TokenError::invalid(format!("algorithm {:?} is not accepted", header.alg)));
        }
        // RFC 7515, section 4.1.11: what is marked critical has to be understood, and nothing is.
        if header.crit.is_some() {
            return Err(TokenError::invalid("the header has critical extensions"));
        }
        let mut validation = Validation::new(header.alg);
        // Times are looked at as those of introspection's answers are: the library refuses some numbers.
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["iss", "aud"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&self.audience);
        let kid = header.kid.as_deref();
        let set = self.keys.find(kid, header.alg).await?;
        let mut keys = set.find(kid, header.alg).peekable();
        if keys.peek().is_none() {
            return Err(TokenError::invalid("no key of the issuer fits the header's kid and alg"));
        }
        if let Some(claims) = check(token, keys, &validation)? {
            return Ok((header.typ, claims));
        }
        // Perhaps there are new keys: without a kid the token does not tell, nor does it if the issuer uses one again.
        let claims = match self.keys.newer(&set).await {
            Ok(Some(set)) => check(token, set.find(kid, header.alg), &validation)?,
            // Whose signature it is, nobody can say.
            Err(unavailable) if kid.is_none() => return Err(unavailable),
            Ok(None) | Err(_) => None,
        };
        let claims = claims.ok_or_else(|| TokenError::invalid("the signature does not verify"))?;
        Ok((header.typ, claims))
    }
}

/// The claims of `token`; `None` when its signature is by none of `keys`.
fn check<'a>(
    token: &str,
    keys: impl Iterator<Item = &'a DecodingKey>,
    validation: &Validation,
) -> Result<Option<Claims>, TokenError> {
    let mut failure = None;
    for key in keys {
        match decode::<Claims>(token, key, validation) {
            // The library takes a list that contains the issuer; RFC 7519, section 4.1.1, knows no lists.
            Ok(data) if data.claims.get("iss").is_some_and(|issuer| !issuer.is_string()) => {
                failure = Some(TokenError::invalid("iss is not a string"));
            }
            Ok(data) => return Ok(Some(data.claims)),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => {}
            Err(error) => failure = Some(invalid(&error)),
        }
    }
    failure.map_or(Ok(None), Err)
}

fn invalid(error: &Error) -> TokenError {
    TokenError::invalid(match error.kind() {
        ErrorKind::InvalidIssuer => "iss is not the configured issuer".to_owned(),
        ErrorKind::InvalidAudience => "aud is not the configured audience".to_owned(),
        ErrorKind::MissingRequiredClaim(claim) => format!("the claim {claim} is missing"),
        _ => format!("not a valid JWT: {error}"),
    })
}

#[cfg(test)]
mod tests;
