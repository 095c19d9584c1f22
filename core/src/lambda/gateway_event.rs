//! The gateway's event, put into the one shape that the rest relies on: a path that is
//! percent-encoded exactly once, whoever invoked us.
//!
//! API Gateway's HTTP API decodes the path before it invokes; cargo lambda hands it on as it came.
//! And `lambda_http` builds a URI from path, query and `Host` and ends the process when one of them
//! holds what a URI cannot: no caller may do that to us.

use lambda_http::{aws_lambda_events::apigw::ApiGatewayV2httpRequest, http::header::HOST};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// What may stand in a path as it is (RFC 3986, section 3.3), `/` included and `%` not.
const DECODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b'@')
    .remove(b':')
    .remove(b'!')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b'=');

/// What cannot stand in a URI even where it claims to be encoded already.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'?')
    .add(b'#');

/// Normalises `event` in place.
pub(super) fn normalise(event: &mut ApiGatewayV2httpRequest) {
    // API Gateway names the account that the API belongs to; cargo lambda has none.
    let set = if event.request_context.account_id.is_some() { DECODED } else { ENCODED };
    let path = event.raw_path.as_deref().unwrap_or_default();
    let stage = event.request_context.stage.as_deref().filter(|stage| *stage != "$default");
    let path = stage
        .and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage))
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(path);
    let mut path = utf8_percent_encode(path, set).to_string();
    if !path.starts_with('/') {
        path.insert(0, '/');
    }
    event.raw_path = Some(path);
    event.request_context.stage = None;
    // Neither is used by any endpoint.
    event.raw_query_string = None;
    event.headers.remove(HOST);
    event.request_context.domain_name = None;
}

#[cfg(test)]
mod tests {
    use lambda_http::{Request, RequestExt, request::LambdaRequest};

    use super::*;

    fn path_of(raw: &str, account: Option<&str>, stage: Option<&str>) -> String {
        let mut event = ApiGatewayV2httpRequest::default();
        event.raw_path = Some(raw.to_owned());
        event.request_context.account_id = account.map(str::to_owned);
        event.request_context.stage = stage.map(str::to_owned);
        event.raw_query_string = Some("a b=\u{fc}%".to_owned());
        event.headers.insert(HOST, "not a host".parse().unwrap());
        normalise(&mut event);
        Request::from(LambdaRequest::ApiGatewayV2(event)).raw_http_path().to_owned()
    }

    #[test]
    fn a_decoded_path_is_encoded_again() {
        let account = Some("123456789012");
        assert_eq!(path_of("/list/100%25@x", account, None), "/list/100%2525@x");
        assert_eq!(path_of(r"/list/d\27a b@x/ü?#", account, Some("$default")), "/list/d%5C27a%20b@x/%C3%BC%3F%23");
        assert_eq!(path_of("/prod/list", account, Some("prod")), "/list");
        assert_eq!(path_of("/produce/list", account, Some("prod")), "/produce/list");
    }

    #[test]
    fn an_encoded_path_stays_as_it_is() {
        assert_eq!(path_of("/list/100%2525@x%2Fphone", None, None), "/list/100%2525@x%2Fphone");
        assert_eq!(path_of("/list/a b\u{0}ü|", None, None), "/list/a%20b%00%C3%BC%7C");
        assert_eq!(path_of("/list/../login/%2e%2e", None, None), "/list/../login/%2e%2e");
        assert_eq!(path_of("", None, None), "/");
        assert_eq!(path_of("no-slash", None, None), "/no-slash");
    }
}
