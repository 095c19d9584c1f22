//! Cross-origin calls from the operator's web clients (the Fetch standard's CORS protocol).
//!
//! Done here, not by API Gateway: so the local stack answers as the deployed one does, from the same
//! configuration.

use lambda_http::{
    Body, Response,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
        },
    },
};

use crate::config;

/// Which origins may call.
#[derive(Debug, Clone, Default)]
pub(super) struct Cors {
    /// Origins; `*` stands for any.
    allowed: Vec<String>,
    /// The request headers that pages may send, as the answer to a preflight lists them.
    headers: Option<HeaderValue>,
}

impl Cors {
    /// As the configuration has it.
    pub(super) fn new(config: &config::Cors) -> Self {
        let headers = HeaderValue::try_from(config.allowed_headers.join(", ")).ok();
        Self { allowed: config.allowed_origins.clone(), headers }
    }

    /// The answer to a preflight for a path that takes `methods`.
    pub(super) fn preflight(&self, request: &HeaderMap, methods: &'static str) -> Response<Body> {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::NO_CONTENT;
        if self.allowed_origin(request).is_some() {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
            headers.extend(self.headers.clone().map(|names| (ACCESS_CONTROL_ALLOW_HEADERS, names)));
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
        response
    }

    /// Adds what every answer to a page needs.
    pub(super) fn add_headers(&self, request: &HeaderMap, response: &mut Response<Body>) {
        if self.allowed.is_empty() {
            return;
        }
        let headers = response.headers_mut();
        // The answer differs by origin, also when this one is not allowed.
        headers.append(VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = self.allowed_origin(request) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after, www-authenticate"));
        }
    }

    fn allowed_origin(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = request.get(ORIGIN)?;
        let text = origin.to_str().ok()?;
        self.allowed.iter().any(|allowed| allowed == "*" || allowed == text).then(|| origin.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origin: &str) -> Cors {
        let allowed_headers = ["authorization", "traceparent"].map(str::to_owned).to_vec();
        Cors::new(&config::Cors { allowed_origins: vec![origin.to_owned()], allowed_headers })
    }

    fn from(origin: &str) -> HeaderMap {
        HeaderMap::from_iter([(ORIGIN, origin.parse().unwrap())])
    }

    #[test]
    fn only_allowed_origins_are_told_so() {
        let cors = cors("https://chat.example.com");
        let allowed = from("https://chat.example.com");
        let mut response = cors.preflight(&allowed, "GET");
        cors.add_headers(&allowed, &mut response);
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "https://chat.example.com");
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_METHODS], "GET");
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_HEADERS], "authorization, traceparent");
        for other in ["https://chat.example.com.evil.test", "null", "http://chat.example.com", "*"] {
            let mut response = cors.preflight(&from(other), "GET");
            cors.add_headers(&from(other), &mut response);
            assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), "{other}");
            assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_METHODS), "{other}");
            assert_eq!(response.headers()[VARY], "Origin");
        }
    }
}
