//! Where the broker is, and connections to it.

use std::{path::PathBuf, time::Duration};

use lapin::{
    Connection, ConnectionProperties, runtime::default_runtime, tcp::OwnedTLSConfig, types::ShortString, uri::AMQPUri,
};
use secrecy::{ExposeSecret, SecretString};
use sippo_xmpp_core::config::{ConfigError, ServiceConfig};

use crate::broker::BrokerError;

/// Seconds; the connection counts as dead after twice as many without a sign of the broker.
const HEARTBEAT: u16 = 10;

/// A connection, the exchange and the queues on it take at most this long: a quorum queue may have to
/// find its leader first.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// Closing is a courtesy.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Where the broker is and what the bridge uses there.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// URL, with the password.
    pub url: SecretString,
    /// The certificates of a private authority, PEM.
    pub authority: Option<String>,
    /// The topic exchange.
    pub exchange: String,
    /// The queue; its dead letters are in `<queue>.dead`.
    pub queue: String,
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
            url: broker.resolve_url().await?,
            authority: authority.transpose()?,
            exchange: broker.exchange.clone(),
            queue: broker.queue.clone(),
        })
    }

    /// The name of the queue of dead letters.
    pub(crate) fn dead_letters(&self) -> String {
        format!("{}.dead", self.queue)
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Result<Connection, BrokerError> {
        // The parser's own words could quote the password.
        let mut uri: AMQPUri = self.url.expose_secret().parse().map_err(|_| BrokerError::Url)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        let properties = ConnectionProperties::default().with_connection_name("sippo-xmpp bridge".into());
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.authority.clone() };
        Ok(Connection::connect_uri_with_config(uri, properties, tls, default_runtime()?).await?)
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

/// A name of an exchange or a queue as AMQP has it.
pub(crate) fn amqp_name(text: &str) -> Result<ShortString, BrokerError> {
    ShortString::try_new(text).map_err(|_| BrokerError::Name)
}
