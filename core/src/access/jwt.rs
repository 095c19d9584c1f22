//! JWT access tokens (RFC 7519), verified with the issuer's published keys.

use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, errors::ErrorKind};
use url::Url;

use super::{
    Claims, TokenError,
    jwks::{Jwks, Pace},
    ring_provider,
};
use crate::tls::Tls;

/// Difference of clocks that is forgiven, in seconds.
const LEEWAY: u64 = 30;

/// Verifies tokens of one issuer.
#[derive(Debug)]
pub(super) struct Jwt {
    issuer: String,
    audience: Vec<String>,
    keys: Jwks,
}

impl Jwt {
    pub(super) fn new(issuer: &str, audience: &[String], jwks_url: Url, tls: Tls) -> Self {
        Self::with_pace(issuer, audience, jwks_url, tls, Pace::default())
    }

    pub(super) fn with_pace(issuer: &str, audience: &[String], jwks_url: Url, tls: Tls, pace: Pace) -> Self {
        ring_provider::install();
        Self { issuer: issuer.to_owned(), audience: audience.to_vec(), keys: Jwks::new(jwks_url, tls, pace) }
    }

    /// The claims of `token`.
    ///
    /// # Errors
    /// [`TokenError`].
    pub(super) async fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let header = decode_header(token).map_err(|error| TokenError::invalid(format!("not a JWT: {error}")))?;
        if !ring_provider::ALGORITHMS.contains(&header.alg) {
            return Err(TokenError::invalid(format!("algorithm {:?} is not accepted", header.alg)));
        }
        // RFC 7515, section 4.1.11: what is marked critical has to be understood, and nothing is.
        if header.crit.is_some() {
            return Err(TokenError::invalid("the header has critical extensions"));
        }
        let kid = header.kid.as_deref();
        let keys = self.keys.find(kid, header.alg).await?.find(kid, header.alg);
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&self.audience);
        let mut failure = TokenError::invalid("no key of the issuer fits the header's kid and alg");
        for key in &keys {
            match check(token, key, &validation) {
                // The library takes a list that contains the issuer; RFC 7519, section 4.1.1, knows no lists.
                Ok(claims) if claims.get("iss").is_some_and(|issuer| !issuer.is_string()) => {
                    failure = TokenError::invalid("iss is not a string");
                }
                Ok(claims) => return Ok(claims),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

fn check(token: &str, key: &DecodingKey, validation: &Validation) -> Result<Claims, TokenError> {
    match decode::<Claims>(token, key, validation) {
        Ok(data) => Ok(data.claims),
        Err(error) => Err(TokenError::invalid(match error.kind() {
            ErrorKind::ExpiredSignature => "the token has expired".to_owned(),
            ErrorKind::ImmatureSignature => "the token is not valid yet".to_owned(),
            ErrorKind::InvalidSignature => "the signature does not verify".to_owned(),
            ErrorKind::InvalidIssuer => "iss is not the configured issuer".to_owned(),
            ErrorKind::InvalidAudience => "aud is not the configured audience".to_owned(),
            ErrorKind::MissingRequiredClaim(claim) => format!("the claim {claim} is missing"),
            _ => format!("not a valid JWT: {error}"),
        })),
    }
}

#[cfg(test)]
mod tests;
