//! Whether a token is an access token at all: issuers sign others with the same keys, for the same audience.

use serde_json::Value;

use super::claims::{Claims, TokenError};

/// What marks an access token as one, in lower case: RFC 9068 (`at+jwt`), RFC 6749 (`Bearer`), RFC 8693 (the URN), and
/// issuers' own words.
const ACCESS: [&str; 9] = [
    "at+jwt",
    "application/at+jwt",
    "jwt",
    "application/jwt",
    "bearer",
    "access",
    "access_token",
    "accesstoken",
    "urn:ietf:params:oauth:token-type:access_token",
];

/// Claims that say what kind of token one is: of Keycloak (`typ`), Cognito (`token_use`), introspection (RFC 7662) and others
/// (`token_type`).
const MARKS: [&str; 3] = ["typ", "token_use", "token_type"];

/// Claims that no bearer's access token has, and what they are the mark of.
const FOREIGN: [(&str, &str); 5] = [
    ("events", "a logout token or another security event (RFC 8417)"),
    ("cnf", "a token bound to its sender (RFC 7800), which a bearer may not use"),
    ("at_hash", "an ID token (OpenID Connect Core, section 3.1.3.6)"),
    ("c_hash", "an ID token (OpenID Connect Core, section 3.3.2.11)"),
    ("s_hash", "an ID token (Financial-grade API 1.0, part 2, section 5.1)"),
];

/// Refuses what its header (`typ`, RFC 7515, section 4.1.9) or its claims mark as another token than an access token. Marks
/// that are in `also_accepted`, in whatever case, count as an access token's.
///
/// # Errors
/// [`TokenError::Invalid`].
pub(super) fn ensure_access_token(
    header_type: Option<&str>,
    claims: &Claims,
    also_accepted: &[String],
) -> Result<(), TokenError> {
    let is_access = |mark: &str| {
        ACCESS.iter().any(|known| mark.eq_ignore_ascii_case(known))
            || also_accepted.iter().any(|known| mark.eq_ignore_ascii_case(known))
    };
    let refuse = |place: &str, mark: &str| {
        let mark: String = mark.chars().take(60).collect();
        Err(TokenError::invalid(format!("{place} is {mark:?}, not an access token's; see [auth] tokenTypes")))
    };
    if let Some(mark) = header_type
        && !is_access(mark)
    {
        return refuse("typ of the header", mark);
    }
    for name in MARKS {
        match claims.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::String(mark)) if is_access(mark) => {}
            Some(Value::String(mark)) => return refuse(name, mark),
            Some(_) => return Err(TokenError::invalid(format!("{name} is not a string"))),
        }
    }
    match FOREIGN.iter().find(|(name, _)| claims.get(*name).is_some_and(|value| !value.is_null())) {
        Some((name, what)) => Err(TokenError::invalid(format!("the claim {name} marks {what}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(header: Option<&str>, claims: Value, also: &[&str]) -> Result<(), String> {
        let Value::Object(claims) = claims else { panic!("{claims}") };
        let also: Vec<String> = also.iter().map(|&one| one.to_owned()).collect();
        ensure_access_token(header, &claims, &also).map_err(|error| error.to_string())
    }

    #[test]
    fn access_tokens_of_known_issuers_are_taken() {
        for header in [None, Some("JWT"), Some("at+jwt"), Some("application/at+JWT")] {
            for claims in [
                json!({}),
                json!({"typ": "Bearer"}),
                json!({"token_use": "access"}),
                json!({"token_type": "Bearer", "typ": null, "cnf": null}),
                json!({"token_type": "access_token"}),
                json!({"token_type": "urn:ietf:params:oauth:token-type:access_token"}),
                // Access tokens of some issuers have these as well as ID tokens.
                json!({"nonce": "abc", "auth_time": 1, "scope": "openid offline_access"}),
            ] {
                assert_eq!(judge(header, claims.clone(), &[]), Ok(()), "{header:?} {claims}");
            }
        }
    }

    #[test]
    fn all_others_are_refused() {
        for header in ["logout+jwt", "dpop+jwt", "secevent+jwt", "token-introspection+jwt", "at+jwt; v=1", "ID", ""] {
            assert!(judge(Some(header), json!({}), &[]).is_err(), "{header}");
        }
        for claims in [
            json!({"typ": "ID"}),
            json!({"typ": "Refresh"}),
            json!({"typ": "Offline"}),
            json!({"typ": "Logout"}),
            json!({"typ": "DPoP"}),
            json!({"token_use": "id"}),
            json!({"token_use": "refresh_token"}),
            json!({"token_type": "refresh_token"}),
            json!({"token_type": "N_A"}),
            json!({"typ": ["Bearer"]}),
            json!({"cnf": {"jkt": "abc"}}),
            json!({"events": {}}),
            json!({"at_hash": "abc"}),
            json!({"s_hash": "abc"}),
            json!({"token_type": "urn:ietf:params:oauth:token-type:refresh_token"}),
            json!({"token_type": "DPoP"}),
        ] {
            assert!(judge(Some("JWT"), claims.clone(), &[]).is_err(), "{claims}");
        }
    }

    #[test]
    fn an_issuers_own_mark_is_configured() {
        let claims = json!({"token_type": "urn:example:session"});
        let refused = judge(Some("vnd.example"), claims.clone(), &["urn:example:session"]).unwrap_err();
        assert!(refused.contains("tokenTypes") && refused.contains("vnd.example"), "{refused}");
        assert_eq!(judge(Some("VND.example"), claims, &["urn:example:session", "vnd.example"]), Ok(()));
        assert!(judge(None, json!({"cnf": {}}), &["cnf"]).is_err());
    }
}
