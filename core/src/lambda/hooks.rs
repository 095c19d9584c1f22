//! What tests outside of this crate need of how requests are read.

use lambda_http::{
    Request, RequestExt,
    aws_lambda_events::apigw::ApiGatewayV2httpRequest,
    http::{HeaderMap, HeaderValue, header::AUTHORIZATION},
    request::LambdaRequest,
};

use super::{bearer, gateway_event, routes};
use crate::address::UserJid;

/// The path that a request has which the gateway hands over with this path; of API Gateway, which has an account, or of
/// cargo lambda.
#[must_use]
pub fn path(raw: &str, query: &str, has_account: bool, stage: Option<&str>) -> String {
    let mut event = ApiGatewayV2httpRequest::default();
    event.raw_path = Some(raw.to_owned());
    event.raw_query_string = Some(query.to_owned());
    event.request_context.account_id = has_account.then(|| "123456789012".to_owned());
    event.request_context.stage = stage.map(str::to_owned);
    gateway_event::normalise(&mut event);
    Request::from(LambdaRequest::ApiGatewayV2(event)).raw_http_path().to_owned()
}

/// Whether something is served at `path`, and the contact that it names if it is an entry of the chat list.
#[must_use]
pub fn contact(path: &str) -> (bool, Option<Result<UserJid, String>>) {
    let found = routes::Path::parse(path);
    let contact = found.and_then(routes::Path::contact);
    (found.is_some(), contact.map(|contact| contact.map_err(std::borrow::Cow::into_owned)))
}

/// The bearer token of a request with these `Authorization` headers, or why there is none. `None` if no request can have them.
#[must_use]
pub fn bearer_token(headers: &[Vec<u8>]) -> Option<Result<String, String>> {
    let mut map = HeaderMap::new();
    for header in headers {
        map.append(AUTHORIZATION, HeaderValue::from_bytes(header).ok()?);
    }
    Some(bearer::bearer_token(&map).map(str::to_owned).map_err(|error| error.to_string()))
}
