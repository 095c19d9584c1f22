//! A tenant that goes from one XMPP server to another: what either is asked for (xmpp-server/README.md).

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::{Hosts, HostsError, refused, unavailable};
use crate::http::{self, Method, Response, StatusCode};

/// For one request: the server has finished a slice long before, whatever it is asked.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Longest page that is read: one record may be longer than a page should be.
const MAX_PAGE: usize = 2 * 1024 * 1024;

/// Longest answer beside pages.
const MAX_ANSWER: usize = 64 * 1024;

/// How it is with a tenant on a server.
#[derive(Debug, Clone, Deserialize)]
pub struct HostState {
    /// `served`, `frozen`, `incoming`, `moved`, `discarded`, `absent` or `other`.
    pub state: String,
    /// What the tenant's entry in the server's list was before it was frozen, for the other server.
    #[serde(default)]
    pub entry: Value,
    /// Where the next page begins, of one that comes.
    #[serde(default)]
    pub cursor: String,
    /// The cursor behind everything.
    pub last: String,
    /// Where the tenant's uploads are fetched.
    #[serde(default)]
    pub uploads: String,
}

/// A change of a tenant's state on a server, by a move.
#[derive(Debug, Clone, Serialize)]
pub struct HostChange {
    /// The move's number.
    #[serde(rename = "move")]
    pub number: u64,
    /// `frozen`, `served`, `incoming`, `opened`, `moved` or `discarded`.
    pub state: &'static str,
    /// For `incoming`: the entry that the source tells.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub entry: Value,
    /// For `moved`: where downloads are sent on to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uploads: String,
}

/// What writing a page came to.
#[derive(Debug, Clone, Deserialize)]
pub struct PageOutcome {
    /// Up to where the records are there.
    pub cursor: String,
    /// How long the server was busy with it.
    pub seconds: f64,
}

/// What a tenant has stored: sums, so those of its parts add up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows but those of archives.
    pub rows: u64,
    /// Rows of archives: messages, offline messages, uploads.
    pub messages: u64,
    /// Uploaded files.
    pub files: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// The sum of all records' digests; a message's includes which one it follows.
    pub digest: (u64, u64),
}

impl Counts {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.messages += other.messages;
        self.files += other.files;
        self.bytes += other.bytes;
        self.digest.0 = self.digest.0.wrapping_add(other.digest.0);
        self.digest.1 = self.digest.1.wrapping_add(other.digest.1);
    }
}

#[derive(Debug, Deserialize)]
struct Counted {
    next: String,
    rows: u64,
    messages: u64,
    files: u64,
    bytes: u64,
    digest: String,
}

impl Hosts {
    /// How it is with `domain` there.
    ///
    /// # Errors
    /// [`HostsError`]; a retry helps.
    pub async fn move_state(&self, domain: &str) -> Result<HostState, HostsError> {
        read(self.ask(Method::GET, domain, None, &[], Body::None).await?).await
    }

    /// Brings `domain` into a state there; whether it is so, or the server is still at it: then it has to be asked again.
    ///
    /// # Errors
    /// [`HostsError`]; 409 says that it cannot be, for others a retry helps.
    pub async fn change(&self, domain: &str, change: &HostChange) -> Result<bool, HostsError> {
        let body = serde_json::to_vec(change).map_err(|error| HostsError::Unavailable(error.to_string()))?;
        let answer = self.ask(Method::PUT, domain, None, &[], Body::Json(&body)).await?;
        Ok(answer.status() == StatusCode::OK)
    }

    /// The records of `domain` behind the cursor `after`, at most `rows` of them, as the server's like understands them.
    ///
    /// # Errors
    /// [`HostsError`]; a retry helps.
    pub async fn page(&self, domain: &str, after: &str, rows: u32) -> Result<Vec<u8>, HostsError> {
        let query = [("after", after.to_owned()), ("rows", rows.to_string())];
        let answer = self.ask(Method::GET, domain, Some("page"), &query, Body::None).await?;
        http::body(answer, MAX_PAGE).await.map_err(HostsError::Unavailable)
    }

    /// Writes a page there.
    ///
    /// # Errors
    /// [`HostsError`]: 409 if another one is due; a retry does no harm.
    pub async fn put_page(&self, domain: &str, number: u64, page: &[u8]) -> Result<PageOutcome, HostsError> {
        let query = [("move", number.to_string())];
        read(self.ask(Method::POST, domain, Some("page"), &query, Body::Page(page)).await?).await
    }

    /// Counts records of `domain` behind the cursor `after`, and up to which.
    ///
    /// # Errors
    /// [`HostsError`]; a retry helps.
    pub async fn count(&self, domain: &str, after: &str, rows: u32) -> Result<(Counts, String), HostsError> {
        let query = [("after", after.to_owned()), ("rows", rows.to_string())];
        let answer = self.ask(Method::GET, domain, Some("count"), &query, Body::None).await?;
        let Counted { next, rows, messages, files, bytes, digest } = read(answer).await?;
        let half = |range| digest.get(range).and_then(|half| u64::from_str_radix(half, 16).ok());
        let (Some(one), Some(two)) = (half(0..16), half(16..32)) else {
            return Err(HostsError::Unavailable(format!("{digest:?} is no digest")));
        };
        Ok((Counts { rows, messages, files, bytes, digest: (one, two) }, next))
    }

    /// Refusals are errors.
    async fn ask(
        &self,
        method: Method,
        domain: &str,
        what: Option<&str>,
        query: &[(&str, String)],
        body: Body<'_>,
    ) -> Result<Response, HostsError> {
        let mut url = self.collection.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop().push("move").push(domain).extend(what);
        }
        url.query_pairs_mut().extend_pairs(query);
        let send = async |token: SecretString| {
            let request = self.http.get()?.request(method.clone(), url.clone()).timeout(TIMEOUT);
            let request = request.bearer_auth(token.expose_secret());
            let request = match body {
                Body::None => request,
                Body::Json(json) => request.header("content-type", "application/json").body(json.to_vec()),
                Body::Page(page) => request.header("content-type", "application/octet-stream").body(page.to_vec()),
            };
            http::send(request).await.map_err(|error| unavailable(&error))
        };
        let answer = self.attempt(send).await?;
        if answer.status().is_success() { Ok(answer) } else { Err(refused(answer).await) }
    }
}

#[derive(Debug, Clone, Copy)]
enum Body<'a> {
    None,
    Json(&'a [u8]),
    Page(&'a [u8]),
}

async fn read<T: for<'de> Deserialize<'de>>(answer: Response) -> Result<T, HostsError> {
    let body = http::body(answer, MAX_ANSWER).await.map_err(HostsError::Unavailable)?;
    serde_json::from_slice(&body)
        .map_err(|error| HostsError::Unavailable(format!("its answer is not understood: {error}")))
}
