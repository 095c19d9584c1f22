//! Where the broker is, and connections to it.

use std::{path::PathBuf, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use lapin::{
    Connection, ConnectionProperties, runtime::default_runtime, tcp::OwnedTLSConfig, types::ShortString, uri::AMQPUri,
};
use secrecy::{ExposeSecret, SecretString};
use sippo_xmpp_core::{
    config::{ConfigError, ServiceConfig},
    secret::RotatingSecret,
};

use crate::broker::BrokerError;

/// Seconds; the connection counts as dead after twice as many without a sign of the broker.
const HEARTBEAT: u16 = 10;

/// A connection, the exchange and the queues on it take at most this long: a quorum queue may have to
/// find its leader first.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// Closing is a courtesy.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Where the broker is and what the bridge uses there.
#[derive(Debug)]
pub struct BrokerConfig {
    /// URL, with the password.
    pub(crate) url: RotatingSecret,
    /// The certificates of a private authority, PEM.
    authority: Option<String>,
    /// The topic exchange.
    pub(crate) exchange: String,
    /// The queue; its dead letters are in `<queue>.dead`.
    pub(crate) queue: String,
    /// The keys by which the queue is bound to the exchange.
    pub(crate) bindings: Vec<String>,
}

impl BrokerConfig {
    /// As configured.
    ///
    /// # Errors
    /// [`BrokerConfigError`] when the configuration lacks something or names something unusable; no retry helps,
    /// unless Secrets Manager was asked.
    pub async fn of(service: &ServiceConfig) -> Result<Self, BrokerConfigError> {
        let broker = service.events.broker()?;
        let authority = service.tls.ca_file.as_ref().map(|file| {
            std::fs::read_to_string(file).map_err(|error| BrokerConfigError::Authority { file: file.clone(), error })
        });
        Ok(Self {
            url: broker.url.resolve().await?,
            authority: authority.transpose()?,
            exchange: broker.exchange.clone(),
            queue: broker.queue.clone(),
            bindings: broker.bindings.clone(),
        })
    }

    /// The name of the queue of dead letters.
    pub(crate) fn dead_letters(&self) -> String {
        format!("{}.dead", self.queue)
    }

    /// A new connection. If the broker refuses user and password, they are read anew, and tried if they are others.
    /// Boxed, for what it holds is large and would be moved about.
    pub(crate) fn connect(&self) -> BoxFuture<'_, Result<Connection, BrokerError>> {
        let is_refusal = |outcome: &Result<_, BrokerError>| matches!(outcome, Err(error) if error.refusal().is_some());
        self.url.attempt(|url| self.open(url), is_refusal).boxed()
    }

    async fn open(&self, url: SecretString) -> Result<Connection, BrokerError> {
        // The parser's own words could quote the password.
        let mut uri: AMQPUri = url.expose_secret().parse().map_err(|_| BrokerError::Url)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        let properties = ConnectionProperties::default().with_connection_name("sippo-xmpp bridge".into());
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.authority.clone() };
        let runtime = default_runtime().map_err(BrokerError::from)?;
        Connection::connect_uri_with_config(uri, properties, tls, runtime).await.map_err(BrokerError::from)
    }
}

/// Why there is no [`BrokerConfig`].
#[derive(Debug, thiserror::Error)]
pub enum BrokerConfigError {
    /// `[broker]`.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The certificates of a private authority.
    #[error("[tls] caFile: {} cannot be read ({error}); point it at a PEM file with the authority's certificate, or remove it", file.display())]
    Authority {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: std::io::Error,
    },
}

/// The name of `what` as AMQP has it.
pub(crate) fn amqp_name(text: &str, what: &'static str) -> Result<ShortString, BrokerError> {
    ShortString::try_new(text).map_err(|_| BrokerError::Name(what))
}
