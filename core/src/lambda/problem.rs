//! Errors as answers: `application/problem+json` (RFC 9457).

use lambda_http::{
    Body, Response,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use serde_json::json;

use super::bearer::BearerError;
use crate::{
    auth::{Denied, MintError, TokenError},
    cells::PlaceError,
    chat_list::ChatListError,
    room_list::RoomListError,
};

/// An error that the caller is told.
#[derive(Debug)]
pub(super) struct Problem {
    /// Last part of the type URI.
    name: &'static str,
    status: StatusCode,
    title: &'static str,
    detail: String,
    header: Option<(HeaderName, HeaderValue)>,
}

/// The challenge of a call without credentials (RFC 6750, section 3).
const CHALLENGE: &str = r#"Bearer realm="Users""#;
/// The challenge of a call whose token is no good.
const INVALID_TOKEN: &str = r#"Bearer realm="Users", error="invalid_token""#;
/// After how many seconds a call that failed for a passing reason may be tried again.
const RETRY_SECONDS: &str = "2";

impl Problem {
    fn domain_not_served(detail: String) -> Self {
        Self::new("domain-not-served", StatusCode::FORBIDDEN, "The domain is not served", detail)
    }

    fn xmpp_unavailable() -> Self {
        Self::unavailable(
            "xmpp-unavailable",
            "The XMPP server is unavailable",
            "the chat service cannot do this at the moment; try again later".to_owned(),
        )
    }

    fn new(name: &'static str, status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self { name, status, title, detail: detail.into(), header: None }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// Nothing is served at this path.
    pub(super) fn not_found() -> Self {
        Self::new(
            "not-found",
            StatusCode::NOT_FOUND,
            "Not found",
            "nothing is served at this path; see the API's documentation",
        )
    }

    /// The service is switched off.
    pub(super) fn disabled() -> Self {
        Self::new(
            "service-disabled",
            StatusCode::NOT_FOUND,
            "The chat service is disabled",
            "the platform's wac.ini has no section [xmpp]; the operator enables the service by adding it",
        )
    }

    /// The path is served, but not for this method.
    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        Self::new(
            "method-not-allowed",
            StatusCode::METHOD_NOT_ALLOWED,
            "Method not allowed",
            format!("this path takes {allow}"),
        )
        .with(ALLOW, HeaderValue::from_static(allow))
    }

    /// `:jid` is not the JID of a user.
    pub(super) fn bad_jid(cause: impl std::fmt::Display) -> Self {
        Self::new(
            "jid-invalid",
            StatusCode::BAD_REQUEST,
            "Not the JID of a user",
            format!("the last part of the path cannot be a contact: {cause}; give localpart@domain, percent-encoded"),
        )
    }

    fn unavailable(name: &'static str, title: &'static str, detail: String) -> Self {
        Self::new(name, StatusCode::SERVICE_UNAVAILABLE, title, detail)
            .with(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS))
    }

    /// Why the caller may not do this at all (403); `None` for every other problem.
    pub(super) fn refusal(&self) -> Option<&str> {
        (self.status == StatusCode::FORBIDDEN).then_some(self.detail.as_str())
    }

    /// As an answer; `request_id` becomes the problem's `instance`.
    pub(super) fn into_response(self, request_id: &str) -> Response<Body> {
        let body = json!({
            "type": format!("urn:sippo-xmpp:problem:{}", self.name),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "instance": request_id,
        });
        let mut response = Response::new(Body::Text(body.to_string()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<BearerError> for Problem {
    fn from(error: BearerError) -> Self {
        Self::new("unauthorized", StatusCode::UNAUTHORIZED, "An access token is required", error.to_string())
            .with(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE))
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            // Why a token is refused helps who forges one; the log has it.
            TokenError::Invalid(_) => Self::new(
                "invalid-token",
                StatusCode::UNAUTHORIZED,
                "The access token is not valid",
                "the access token is not valid here or no longer; obtain a new one",
            )
            .with(WWW_AUTHENTICATE, HeaderValue::from_static(INVALID_TOKEN)),
            TokenError::Unavailable(_) => Self::unavailable(
                "issuer-unavailable",
                "The token issuer is unavailable",
                "the access token cannot be checked at the moment; try again later".to_owned(),
            ),
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let (name, title) = match denied {
            Denied::CapabilityRequired | Denied::CapabilitiesIllTyped(_) => {
                ("capability-required", "A capability is required")
            }
            Denied::IdentityMissing(_) | Denied::IdentityIllTyped(_) => {
                ("identity-missing", "The access token names nobody")
            }
            Denied::UsernameNotCanonical(..) => ("username-not-canonical", "The user name is not canonical"),
            Denied::DomainNotServed | Denied::DomainNotCanonical(_) | Denied::IssuerOfOthers => {
                ("domain-not-served", "The domain is not served")
            }
        };
        Self::new(name, StatusCode::FORBIDDEN, title, denied.to_string())
    }
}

impl From<MintError> for Problem {
    fn from(error: MintError) -> Self {
        Self::new("jid-too-long", StatusCode::FORBIDDEN, "The JID is too long", error.to_string())
    }
}

impl From<PlaceError> for Problem {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::None(domain) => Self::domain_not_served(format!(
                "the domain {domain} is not served by the XMPP server; it has to be created on the platform first"
            )),
            PlaceError::Moving(domain) => Self::unavailable(
                "tenant-moves",
                "The domain moves to another XMPP server",
                format!("the domain {domain} moves to another XMPP server, and is served again soon; try again later"),
            ),
            other => {
                tracing::error!(error = %other, "It is not known on which cell the caller's domain is");
                Self::xmpp_unavailable()
            }
        }
    }
}

impl From<ChatListError> for Problem {
    fn from(error: ChatListError) -> Self {
        let detail = error.to_string();
        match error {
            ChatListError::Full => Self::new("list-full", StatusCode::CONFLICT, "The chat list is full", detail),
            ChatListError::Contact(_) => Self::bad_jid("the XMPP server does not take it"),
            ChatListError::DomainNotServed(_) => Self::domain_not_served(detail),
            ChatListError::Unavailable(_) => Self::xmpp_unavailable(),
        }
    }
}

impl From<RoomListError> for Problem {
    fn from(error: RoomListError) -> Self {
        match error {
            RoomListError::DomainNotServed(_) => Self::domain_not_served(error.to_string()),
            RoomListError::Unavailable(_) => Self::xmpp_unavailable(),
        }
    }
}
