//! HTTP calls to the hosts API, the token issuer and AWS.

use std::{sync::OnceLock, time::Duration};

pub(crate) use reqwest::{Error, Method, Response, StatusCode, header};
use rustls::ClientConfig;

use crate::{
    cause::root_cause,
    telemetry::trace,
    tls::{Tls, TlsError},
};

/// An HTTP client that is made when first used: most invocations need none.
#[derive(Debug)]
pub(crate) struct HttpClient {
    tls: Tls,
    limit: Limit,
    client: OnceLock<reqwest::Client>,
}

/// What must not take longer.
#[derive(Debug)]
enum Limit {
    Exchange(Duration),
    Connect(Duration),
}

impl HttpClient {
    /// With `timeout` for a whole exchange. Redirects are not followed: credentials go nowhere else.
    pub(crate) fn new(tls: Tls, timeout: Duration) -> Self {
        Self { tls, limit: Limit::Exchange(timeout), client: OnceLock::new() }
    }

    /// With `timeout` for making a connection only, for whoever calls limits the rest; and without the proxy that the
    /// environment may name.
    pub(crate) fn direct(tls: Tls, timeout: Duration) -> Self {
        Self { tls, limit: Limit::Connect(timeout), client: OnceLock::new() }
    }

    /// The client.
    ///
    /// # Errors
    /// [`TlsError`] when TLS cannot be set up; no retry helps.
    pub(crate) fn get(&self) -> Result<&reqwest::Client, TlsError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(ClientConfig::clone(&*self.tls.config()?))
            .redirect(reqwest::redirect::Policy::none());
        let builder = match self.limit {
            Limit::Exchange(timeout) => builder.timeout(timeout),
            Limit::Connect(timeout) => builder.connect_timeout(timeout).no_proxy(),
        };
        let client = builder.build().expect("a client with a ready TLS configuration needs nothing that can fail");
        Ok(self.client.get_or_init(|| client))
    }
}

/// Sends `request`, which has to be idempotent, as part of the trace that the caller works in.
///
/// Once more if the connection broke: one that was kept may have died while the process was frozen, which shows when it is
/// used.
///
/// # Errors
/// As [`reqwest::RequestBuilder::send`].
pub(crate) async fn send(request: reqwest::RequestBuilder) -> reqwest::Result<reqwest::Response> {
    let request = match trace::current() {
        Some(context) => request.header(trace::TRACEPARENT, context.to_string()),
        None => request,
    };
    let again = request.try_clone();
    match (request.send().await, again) {
        (Err(error), Some(again)) if error.is_request() && !error.is_timeout() && !error.is_connect() => {
            again.send().await
        }
        (outcome, _) => outcome,
    }
}

/// What `request`, sent as by [`send`], brings: the body of an answer that is no error, of at most so many bytes.
///
/// # Errors
/// What kept it from coming.
pub(crate) async fn fetch(request: reqwest::RequestBuilder, max: usize) -> Result<Vec<u8>, String> {
    success(send(request).await.map_err(|error| root_cause(&error))?, max).await
}

/// The body, of at most so many bytes, of an answer that is no error.
///
/// # Errors
/// The error that it is, or what kept the body from being read.
pub(crate) async fn success(answer: reqwest::Response, max: usize) -> Result<Vec<u8>, String> {
    body(answer.error_for_status().map_err(|error| root_cause(&error))?, max).await
}

/// The body of `answer`, of at most so many bytes: whoever answers could go on for ever.
///
/// # Errors
/// What kept it from being read.
pub(crate) async fn body(mut answer: reqwest::Response, max: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| root_cause(&error))? {
        if body.len() + chunk.len() > max {
            return Err(format!("the answer is larger than {max} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
