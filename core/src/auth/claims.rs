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

/// A claim of another type than it has to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the claim {claim} is {found} and not {wanted}; see the issuer's claims and [auth] {key}")]
pub struct IllTyped {
    /// The claim's name, or the path to it.
    pub claim: String,
    /// The key of `[auth]` that names it.
    pub key: &'static str,
    /// What it should be.
    pub wanted: &'static str,
    /// What it is.
    pub found: &'static str,
}

/// What a valid access token says of its bearer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The unescaped username.
    pub username: Result<Option<String>, IllTyped>,
    /// The domain.
    pub domain: Result<Option<String>, IllTyped>,
    /// Whether `chat` is among the capabilities.
    pub may_chat: Result<bool, IllTyped>,
    /// Whether the issuer may speak for that domain.
    pub is_from_its_issuer: bool,
}

/// What the claims are called that say who the caller is: each a name, or a path such as `realm_access.roles`.
#[derive(Debug, Clone)]
pub(super) struct ClaimNames {
    pub(super) username: String,
    pub(super) domain: String,
    pub(super) capabilities: String,
}

impl ClaimNames {
    pub(super) fn username(&self, claims: &Claims) -> Result<Option<String>, IllTyped> {
        text(claims, &self.username, "usernameClaim")
    }

    pub(super) fn domain(&self, claims: &Claims) -> Result<Option<String>, IllTyped> {
        text(claims, &self.domain, "domainClaim")
    }

    /// Whether `capability` is among those that `claims` grant: an array of strings, or one string of words.
    pub(super) fn grant(&self, claims: &Claims, capability: &str) -> Result<bool, IllTyped> {
        let ill_typed = |found: &Value| IllTyped {
            claim: self.capabilities.clone(),
            key: "capabilitiesClaim",
            wanted: "an array of strings or a string of words",
            found: type_of(found),
        };
        match find(claims, &self.capabilities) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::String(words)) => Ok(words.split_ascii_whitespace().any(|word| word == capability)),
            Some(list @ Value::Array(all)) => match all.iter().any(|one| one.as_str() == Some(capability)) {
                false if !all.iter().all(Value::is_string) => Err(ill_typed(list)),
                granted => Ok(granted),
            },
            Some(other) => Err(ill_typed(other)),
        }
    }
}

fn text(claims: &Claims, name: &str, key: &'static str) -> Result<Option<String>, IllTyped> {
    match find(claims, name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(IllTyped { claim: name.to_owned(), key, wanted: "a string", found: type_of(other) }),
    }
}

/// The claim at `path`. A claim may have dots in its name (`https://example.com/roles`), so the whole is looked for first.
pub(super) fn find<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    claims.get(path).or_else(|| {
        path.match_indices('.').find_map(|(dot, _)| {
            let inner = claims.get(&path[..dot])?.as_object()?;
            find(inner, &path[dot + 1..])
        })
    })
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array of something else",
        Value::Object(_) => "an object",
    }
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

/// Difference of clocks that is forgiven, in seconds: machines that keep time by NTP differ by far less.
pub(super) const LEEWAY: u64 = 30;

/// Looks whether a token is in its time at `now` (RFC 7519, sections 4.1.4 and 4.1.5); `exp` when it has one, after which it
/// counts for `grace` seconds.
///
/// # Errors
/// [`TokenError::Invalid`] when it has expired, is not valid yet, or says no times.
pub(super) fn ensure_in_time(claims: &Claims, now: u64, grace: u64) -> Result<Option<u64>, TokenError> {
    let expires = time(claims, "exp")?;
    if expires.is_some_and(|expires| expires.saturating_add(grace) <= now) {
        return Err(TokenError::invalid("the token has expired"));
    }
    if time(claims, "nbf")?.is_some_and(|begins| begins > now.saturating_add(LEEWAY)) {
        return Err(TokenError::invalid("the token is not valid yet"));
    }
    Ok(expires)
}

/// The time that a claim says (RFC 7519, section 2, `NumericDate`), in whole seconds since 1970: any number, however large,
/// small or written. A fraction does not count.
///
/// # Errors
/// [`TokenError::Invalid`] when it is no number.
fn time(claims: &Claims, name: &str) -> Result<Option<u64>, TokenError> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is out of range saturates")]
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_u64()
            .or_else(|| value.as_f64().map(|seconds| seconds.floor() as u64))
            .map(Some)
            .ok_or_else(|| TokenError::invalid(format!("{name} is {} and not a time", type_of(value)))),
    }
}

/// Seconds since 1970, as tokens count.
pub(super) fn unix_now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        let Value::Object(claims) = value else { panic!("{value}") };
        claims
    }

    fn names(capabilities: &str) -> ClaimNames {
        let (username, domain) = ("preferred_username".to_owned(), "domain".to_owned());
        ClaimNames { username, domain, capabilities: capabilities.to_owned() }
    }

    #[test]
    fn a_path_leads_into_objects_and_a_name_may_have_dots() {
        let claims = claims(json!({
            "realm_access": {"roles": ["chat"]}, "https://a.test/roles": ["chat"], "a.b": {"c": ["chat"]}, "a": {"b": 1},
        }));
        for (path, found) in [
            ("realm_access.roles", true),
            ("https://a.test/roles", true),
            ("a.b.c", true),
            ("realm_access.groups", false),
            ("realm_access.roles.chat", false),
            ("realm_access", true),
            ("roles", false),
            ("", false),
            (".", false),
        ] {
            assert_eq!(find(&claims, path).is_some(), found, "{path}");
        }
    }

    #[test]
    fn capabilities_are_a_list_or_words() {
        for (capabilities, granted) in [
            (json!(["audio", "chat"]), true),
            (json!("chat"), true),
            (json!("audio chat"), true),
            (json!("chats achat"), false),
            (json!(["audio chat"]), false),
            (json!([]), false),
            (json!(null), false),
            (json!(["chat", 5]), true),
        ] {
            let claims = claims(json!({"capabilities": capabilities}));
            assert_eq!(names("capabilities").grant(&claims, "chat"), Ok(granted), "{claims:?}");
        }
        for (odd, found) in [
            (json!(5), "a number"),
            (json!({"chat": true}), "an object"),
            (json!(true), "a boolean"),
            (json!([5]), "an array of something else"),
        ] {
            let error = names("c").grant(&claims(json!({"c": odd})), "chat").unwrap_err();
            assert!(error.to_string().starts_with(&format!("the claim c is {found} and not")), "{error}");
            assert!(error.to_string().ends_with("[auth] capabilitiesClaim"), "{error}");
        }
    }

    #[test]
    fn times_are_numbers_with_or_without_a_fraction() {
        let claims = claims(json!({"whole": 7, "half": 7.5, "exponent": 1.9e9, "text": "7", "before": -1.0,
            "long before": -7, "late": 1e300, "later": 18_446_744_073_709_551_616_f64}));
        assert_eq!(time(&claims, "whole").unwrap(), Some(7));
        assert_eq!(time(&claims, "half").unwrap(), Some(7));
        assert_eq!(time(&claims, "exponent").unwrap(), Some(1_900_000_000));
        assert_eq!(time(&claims, "before").unwrap(), Some(0));
        assert_eq!(time(&claims, "long before").unwrap(), Some(0));
        assert_eq!(time(&claims, "late").unwrap(), Some(u64::MAX));
        assert_eq!(time(&claims, "later").unwrap(), Some(u64::MAX));
        assert_eq!(time(&claims, "none").unwrap(), None);
        assert!(time(&claims, "text").is_err());
    }
}
