//! The `Authorization` header (RFC 6750, section 2.1).

use lambda_http::http::{HeaderMap, header::AUTHORIZATION};

/// Longest token looked at, in bytes: API Gateway lets 10,240 bytes of headers through, all together.
const MAX_TOKEN: usize = 10 * 1024;

/// Why a request carries no bearer token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BearerError {
    /// There is no header.
    #[error("the Authorization header is missing; send \"Authorization: Bearer <access token>\"")]
    Missing,
    /// There is a header, but not of this form.
    #[error("the Authorization header is malformed; send exactly one, as \"Authorization: Bearer <access token>\"")]
    Malformed,
    /// The token is longer than any that API Gateway lets through.
    #[error("the access token is longer than {MAX_TOKEN} bytes; have the issuer put fewer claims into it")]
    TooLong,
}

/// The bearer token of a request.
///
/// # Errors
/// [`BearerError`]. Two headers are malformed: it would be a guess which one another component on the
/// way has looked at.
pub(super) fn bearer_token(headers: &HeaderMap) -> Result<&str, BearerError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(BearerError::Missing)?;
    if values.next().is_some() {
        return Err(BearerError::Malformed);
    }
    let value = value.to_str().map_err(|_| BearerError::Malformed)?.trim_matches([' ', '\t']);
    let (scheme, token) = value.split_once(' ').ok_or(BearerError::Malformed)?;
    let token = token.trim_start_matches(' ');
    let unpadded = token.trim_end_matches('=');
    let is_b64token =
        !unpadded.is_empty() && unpadded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
    if !scheme.eq_ignore_ascii_case("Bearer") || !is_b64token {
        return Err(BearerError::Malformed);
    }
    if token.len() > MAX_TOKEN {
        return Err(BearerError::TooLong);
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Result<String, BearerError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        bearer_token(&headers).map(str::to_owned)
    }

    #[test]
    fn the_scheme_is_case_insensitive_and_outer_spaces_do_not_count() {
        for header in ["Bearer abc.d-e_f", "bearer abc.d-e_f", "BEARER  abc.d-e_f", " Bearer abc.d-e_f  "] {
            assert_eq!(parse(&[header]).unwrap(), "abc.d-e_f", "{header:?}");
        }
        assert_eq!(parse(&["Bearer YWJj=="]).unwrap(), "YWJj==");
    }

    #[test]
    fn anything_else_is_malformed() {
        assert_eq!(parse(&[]), Err(BearerError::Missing));
        let of_length = |bytes| format!("Bearer {}", "a".repeat(bytes));
        assert!(parse(&[&of_length(MAX_TOKEN)]).is_ok());
        assert_eq!(parse(&[&of_length(MAX_TOKEN + 1)]), Err(BearerError::TooLong));
        for header in
            ["", "Bearer", "Bearer ", "Basic YTpi", "abc", "Bearer a b", "Bearer a,Bearer b", "Bearer a=b", "Bearer ="]
        {
            assert_eq!(parse(&[header]), Err(BearerError::Malformed), "{header:?}");
        }
        assert_eq!(parse(&["Bearer a", "Bearer b"]), Err(BearerError::Malformed));
        assert_eq!(parse(&["Bearer a", "Bearer a"]), Err(BearerError::Malformed));
    }
}
