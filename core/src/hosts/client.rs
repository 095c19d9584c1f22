//! Client of the hosts API.

use std::{sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    address::{AddressError, canonical_domain},
    breaker::{Admission, Breaker, Sign},
    cause::root_cause,
    http::{self, HttpClient, Method, Response, StatusCode},
    secret::RotatingSecret,
    tls::{Tls, TlsError},
};

/// Making a host takes a fraction of a second; beyond this something is wrong, and the event has time for a retry.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Purging a tenant's data takes the server longer, the more there are; below what an invocation may take.
const PURGE_TIMEOUT: Duration = Duration::from_secs(45);

/// Longest refusal that is read; what is told of it is shorter.
const MAX_REFUSAL: usize = 64 * 1024;

/// Longest list of hosts that is read: that of some 30,000 tenants.
const MAX_LIST: usize = 8 * 1024 * 1024;

/// Bytes of domains that are sent in one request; the server reads bodies of 4 KiB.
const MAX_NAMES: usize = 3_500;

/// Why a request about hosts failed.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// The domain cannot be a tenant; no retry helps.
    #[error("{domain:?} cannot be a virtual host: {cause}; correct the domain at its source")]
    Domain {
        /// The domain as given.
        domain: String,
        /// What is wrong with it.
        cause: AddressError,
    },
    /// The server refused; a retry helps only after a change of configuration.
    #[error("the XMPP server's hosts API answered {status} ({detail}); for 401 set the same adminToken on both sides")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// What it said.
        detail: String,
    },
    /// The server could not be reached: nothing was sent. Retry helps.
    #[error(
        "the XMPP server's hosts API cannot be reached ({0}); see that the server runs and that [xmpp] hostsAdminUrl is right"
    )]
    Unreachable(String),
    /// The server did not answer; retry helps.
    #[error(
        "the XMPP server's hosts API did not answer ({0}); see that the server runs and that [xmpp] hostsAdminUrl is right"
    )]
    Unavailable(String),
    /// It is not known which XMPP server the domain is on; a retry may help.
    #[error("{0}")]
    Place(String),
    /// The server was left alone, for it did not answer others: nothing was sent. Retry helps.
    #[error("the cell {0} does not answer, and is left alone for a while")]
    Away(String),
    /// TLS cannot be set up; no retry helps.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Client of the XMPP server's hosts API (`mod_quobis_virtualhosts`).
#[derive(Debug)]
pub struct Hosts {
    pub(super) collection: Url,
    token: RotatingSecret,
    pub(super) http: HttpClient,
    breaker: Option<Arc<Breaker>>,
}

/// A virtual host in a request.
#[derive(Debug, Serialize)]
struct Host<'a> {
    domain: String,
    life: &'a str,
}

/// A virtual host in the list.
#[derive(Debug, Deserialize)]
struct Listed {
    domain: String,
}

/// Domains in a request.
#[derive(Debug, Serialize)]
struct Domains<'a> {
    domains: &'a [&'a str],
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
enum Target<'a> {
    /// The hosts.
    Hosts,
    /// A host, and what ends it.
    Host(&'a str, &'a str),
    /// Who is on another cell.
    Routes(&'a str),
}

impl Hosts {
    /// For the API at `collection` (`hostsAdminUrl`); connects when first used.
    #[must_use]
    pub fn new(collection: Url, token: RotatingSecret, tls: Tls) -> Self {
        Self { collection, token, http: HttpClient::new(tls, TIMEOUT), breaker: None }
    }

    /// The same, left alone for a while whenever it does not answer.
    #[must_use]
    pub(crate) fn with_breaker(self, breaker: Arc<Breaker>) -> Self {
        Self { breaker: Some(breaker), ..self }
    }

    /// Makes `domain` and its `conference.` component live; done when both serve. A host that is made by this carries `life`, an
    /// ordinal as it is written to the XMPP server.
    ///
    /// # Errors
    /// [`HostsError`], which is logged with the line of docs/OPERATIONS.md; a retry helps, but for a domain that can be no host.
    pub async fn create(&self, domain: &str, life: &str) -> Result<(), HostsError> {
        let created = async {
            let domain = checked(domain)?;
            let answer = self.call(Method::POST, Target::Hosts, Some(&Host { domain, life })).await?;
            match answer.status() {
                // OK when it was there already.
                StatusCode::CREATED | StatusCode::OK => Ok(()),
                _ => Err(refused(answer).await),
            }
        };
        created.await.inspect_err(
            |error| tracing::error!(error = %error, domain, "Failed to create {domain} host in XMPP server"),
        )
    }

    /// Takes `domain` and its component away with all their data; also when it was not there. A host of a life that is newer than
    /// `ended`, an ordinal as it is written to the XMPP server, stays, and so do invitations that are.
    ///
    /// # Errors
    /// [`HostsError`]: what there was may be gone in part; a retry goes on, but for a domain that can be no host.
    pub async fn delete(&self, domain: &str, ended: &str) -> Result<(), HostsError> {
        let domain = checked(domain)?;
        let answer = self.call(Method::DELETE, Target::Host(&domain, ended), None::<&()>).await?;
        match answer.status() {
            StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Ok(()),
            _ => Err(refused(answer).await),
        }
    }

    /// The domains of all tenants there.
    ///
    /// # Errors
    /// [`HostsError`]; a retry helps.
    pub async fn list(&self) -> Result<Vec<String>, HostsError> {
        let answer = self.call(Method::GET, Target::Hosts, None::<&()>).await?;
        if answer.status() != StatusCode::OK {
            return Err(refused(answer).await);
        }
        let body = http::body(answer, MAX_LIST).await.map_err(HostsError::Unavailable)?;
        let listed: Vec<Listed> =
            serde_json::from_slice(&body).map_err(|error| HostsError::Unavailable(error.to_string()))?;
        Ok(listed.into_iter().map(|one| one.domain).collect())
    }

    /// Has the server speak with `cell` when its users and rooms have to do with `domains`, in as many requests as that takes.
    /// Where that is the server's own name, it speaks with no other one. Done when it is on its disk.
    ///
    /// # Errors
    /// [`HostsError`]: some may have been taken in; a retry helps, but where the server does not know the cell, or knows none.
    pub async fn set_routes(&self, cell: &str, domains: &[&str]) -> Result<(), HostsError> {
        let mut rest = domains;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|domain| {
                bytes += domain.len() + 3;
                bytes <= MAX_NAMES
            });
            let (domains, others) = rest.split_at(fits.count().max(1));
            rest = others;
            let answer = self.call(Method::PUT, Target::Routes(cell), Some(&Domains { domains })).await?;
            if answer.status() != StatusCode::NO_CONTENT {
                return Err(refused(answer).await);
            }
        }
        Ok(())
    }

    async fn call(
        &self,
        method: Method,
        target: Target<'_>,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<Response, HostsError> {
        self.attempt(|token| self.send(token, &method, target, body)).await
    }

    /// Sends a request by `send`, which gets the admin token, unless the server is left alone.
    pub(super) async fn attempt<F>(&self, send: impl Fn(SecretString) -> F) -> Result<Response, HostsError>
    where
        F: Future<Output = Result<Response, HostsError>>,
    {
        if let Some(breaker) = self.breaker.as_ref().filter(|breaker| breaker.admits() == Admission::No) {
            return Err(HostsError::Away(breaker.name().to_owned()));
        }
        let is_refusal = |outcome: &Result<Response, _>| {
            outcome.as_ref().is_ok_and(|answer| answer.status() == StatusCode::UNAUTHORIZED)
        };
        let outcome = self.token.attempt(send, is_refusal).await;
        if let Some(breaker) = &self.breaker {
            let has_failed = matches!(outcome, Err(HostsError::Unreachable(_) | HostsError::Unavailable(_)));
            breaker.note(if has_failed { Sign::Failure } else { Sign::Answer });
        }
        outcome
    }

    async fn send(
        &self,
        token: SecretString,
        method: &Method,
        target: Target<'_>,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<Response, HostsError> {
        let mut url = self.collection.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            match target {
                Target::Hosts => {}
                Target::Host(domain, _) => drop(segments.push(domain)),
                Target::Routes(cell) => drop(segments.pop().push("routes").push(cell)),
            }
        }
        if let Target::Host(_, ended) = target {
            url.query_pairs_mut().append_pair("ended", ended);
        }
        let mut request = self.http.get()?.request(method.clone(), url).bearer_auth(token.expose_secret());
        let request_is_purge = method == Method::DELETE;
        if request_is_purge {
            request = request.timeout(PURGE_TIMEOUT);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        http::send(request).await.map_err(|error| unavailable(&error))
    }
}

fn checked(domain: &str) -> Result<String, HostsError> {
    match canonical_domain(domain) {
        Ok(canonical) => Ok(canonical.into_inner()),
        Err(cause) => Err(HostsError::Domain { domain: domain.to_owned(), cause }),
    }
}

pub(super) async fn refused(answer: Response) -> HostsError {
    let status = answer.status();
    let detail = http::body(answer, MAX_REFUSAL).await.unwrap_or_default();
    HostsError::Refused { status, detail: String::from_utf8_lossy(&detail).chars().take(200).collect() }
}

pub(super) fn unavailable(error: &http::Error) -> HostsError {
    let cause = root_cause(error);
    if error.is_connect() { HostsError::Unreachable(cause) } else { HostsError::Unavailable(cause) }
}
