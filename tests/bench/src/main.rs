//! What the session and the functions cost, beside what they cannot beat, in one run.
//!
//! Usage: `scripts/bench`, which starts Prosody and sets the environment this reads. `load` needs none of that.

mod aws;
mod function;
mod functions;
mod http;
mod load;
mod raw;
mod rooms;
mod runtime_api;
mod scale;
mod session;
mod stats;

use url::Url;

use crate::scale::Scale;

/// The Prosody to measure against.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Its WebSocket.
    pub(crate) url: Url,
    /// The admin's bare JID.
    pub(crate) admin: String,
    /// The admin's password.
    pub(crate) token: String,
    /// A tenant's domain.
    pub(crate) domain: String,
    /// How much is measured.
    pub(crate) scale: Scale,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run scripts/bench"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted == ["load"] {
        return load::act().await;
    }
    let target = Target {
        url: variable("SIPPO_XMPP__XMPP_URL").parse().expect("a URL"),
        admin: variable("BENCH_ADMIN_JID"),
        token: variable("SIPPO_XMPP__ADMIN_TOKEN"),
        domain: variable("BENCH_DOMAIN"),
        scale: if std::env::var_os("BENCH_SMOKE").is_some() { scale::SMOKE } else { scale::FULL },
    };
    if wanted == ["rooms"] {
        return rooms::act(&target).await;
    }
    let all = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    if all("session") {
        session::logins(&target).await;
        session::pings(&target).await;
    }
    if all("functions") {
        functions::measure(&target).await;
    }
}
