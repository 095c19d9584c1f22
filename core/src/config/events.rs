//! `[events]`, `[broker]`, `[bridge]`, `[queues]` and `[ledger]`: what the events' half needs beside the XMPP server.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    error::ConfigError,
    secret::{Secret, SecretKind},
    source::Source,
};
use crate::address::StringNames;

/// Where the bridge tells its health unless the configuration says otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8081";

/// The events' half of the configuration. What a process needs of it and lacks is an error when it asks.
#[derive(Debug, Clone)]
pub struct Events {
    broker: Option<Broker>,
    queues: Option<Queues>,
    /// The ledger's DynamoDB table.
    pub table: String,
    /// Where the bridge tells its health over HTTP.
    pub listen: SocketAddr,
    /// What a string is that names a user in an event.
    pub string_names: StringNames,
    file: PathBuf,
}

/// `[broker]`: where the platform publishes.
#[derive(Debug, Clone)]
pub struct Broker {
    /// RabbitMQ, with user and password.
    pub url: Secret,
    /// The topic exchange.
    pub exchange: String,
    /// The bridge's queue there.
    pub queue: String,
    /// The keys by which the queue is bound to the exchange; at least one.
    pub bindings: Vec<String>,
    /// What becomes of events of other routing keys than ours.
    pub unknown_keys: UnknownKeys,
}

/// What becomes of events whose routing key is none of ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnknownKeys {
    /// They are other services' events.
    #[default]
    Ignore,
    /// They are ours, misspelt.
    DeadLetter,
}

/// `[queues]`: one for each event type, and its dead letters'.
#[derive(Debug, Clone)]
pub struct Queues {
    prefix: Url,
    /// The longest wait between two tries of a message.
    pub longest_retry_wait: Duration,
}

impl Queues {
    /// The URL of the queue of a function, which has its name.
    #[must_use]
    pub fn url(&self, function: &str) -> String {
        format!("{}{function}", self.prefix)
    }

    /// The URL of the queue of its dead letters.
    #[must_use]
    pub fn dead_letters_url(&self, function: &str) -> String {
        format!("{}-dead", self.url(function))
    }
}

impl Events {
    pub(super) fn read(source: &Source) -> Result<Self, ConfigError> {
        let listen = source.text("bridge", "listen").unwrap_or(DEFAULT_LISTEN);
        let listen = listen.parse().map_err(|_| {
            source.bad("bridge", "listen", "is no IP address with a port", "write it as in 127.0.0.1:8081")
        })?;
        let table = source.text("ledger", "table").unwrap_or("sippo-xmpp-ledger").to_owned();
        if table.is_empty() {
            return Err(source.bad("ledger", "table", "is empty", "write the name of the DynamoDB table"));
        }
        Ok(Self {
            broker: Broker::read(source)?,
            queues: Queues::read(source)?,
            table,
            listen,
            string_names: string_names(source)?,
            file: source.file().to_owned(),
        })
    }

    /// `[broker]`.
    ///
    /// # Errors
    /// [`ConfigError`] when it has no URL.
    pub fn broker(&self) -> Result<&Broker, ConfigError> {
        self.broker.as_ref().ok_or_else(|| self.missing("[broker] url", "SIPPO_BROKER__URL"))
    }

    /// `[queues]`.
    ///
    /// # Errors
    /// [`ConfigError`] when it is not there.
    pub fn queues(&self) -> Result<&Queues, ConfigError> {
        self.queues.as_ref().ok_or_else(|| self.missing("[queues] urlPrefix", "SIPPO_QUEUES__URL_PREFIX"))
    }

    fn missing(&self, key: &str, variable: &str) -> ConfigError {
        ConfigError::of_key(&self.file, key, "is missing", format!("set it there or in {variable}"))
    }
}

static BROKER_URL: SecretKind = SecretKind {
    section: "broker",
    name: "url",
    arn_name: "urlSecretArn",
    check: check_broker_url,
    hint: "write amqp:// or amqps:// with user, password, host and, if it is not the default, the virtual host",
};

fn check_broker_url(url: &SecretString) -> Result<(), &'static str> {
    // The parser's own words could quote the password.
    let url = Url::parse(url.expose_secret()).map_err(|_| "is not a URL")?;
    if matches!(url.scheme(), "amqp" | "amqps") && url.has_host() {
        Ok(())
    } else {
        Err("is not the URL of an AMQP broker")
    }
}

impl Broker {
    fn read(source: &Source) -> Result<Option<Self>, ConfigError> {
        let Some(url) = Secret::read(source, &BROKER_URL)? else { return Ok(None) };
        let name = |key, default: &str| {
            let name = source.text("broker", key).unwrap_or(default);
            if name.is_empty() || name.len() > 255 {
                return Err(source.bad(
                    "broker",
                    key,
                    "is empty or longer than 255 bytes",
                    "write a name that AMQP can hold",
                ));
            }
            Ok(name.to_owned())
        };
        let unknown_keys = match source.text("broker", "unknown").unwrap_or("ignore") {
            "ignore" => UnknownKeys::Ignore,
            "dead-letter" => UnknownKeys::DeadLetter,
            other => {
                let fault = format!("is {other:?}");
                return Err(source.bad("broker", "unknown", fault, "write \"ignore\" or \"dead-letter\""));
            }
        };
        Ok(Some(Self {
            url,
            exchange: name("exchange", "sippo.events")?,
            queue: name("queue", "sippo-xmpp")?,
            bindings: bindings(source)?,
            unknown_keys,
        }))
    }
}

/// `[events] names`.
fn string_names(source: &Source) -> Result<StringNames, ConfigError> {
    match source.text("events", "names") {
        None | Some("jid") => Ok(StringNames::Jid),
        Some("username") => Ok(StringNames::Username),
        Some(other) => {
            let hint = "write \"jid\", or \"username\" where user names may hold an @, as e-mail addresses do";
            Err(source.bad("events", "names", format!("is {other:?}"), hint))
        }
    }
}

/// `[broker] bindings`: everything, unless it says otherwise.
fn bindings(source: &Source) -> Result<Vec<String>, ConfigError> {
    let keys = source.list("broker", "bindings").to_vec();
    if keys.iter().any(|key| key.is_empty() || key.len() > 255) {
        let hint = "write routing keys, with * for a word and # for any number of them";
        return Err(source.bad("broker", "bindings", "holds a key that is empty or longer than 255 bytes", hint));
    }
    Ok(if keys.is_empty() { vec!["#".to_owned()] } else { keys })
}

impl Queues {
    fn read(source: &Source) -> Result<Option<Self>, ConfigError> {
        let Some(prefix) = source.url("queues", "urlPrefix", &["https", "http"])? else { return Ok(None) };
        let wait = source.number("queues", "longestRetryWait").unwrap_or(300);
        // 40 tries at longer waits take days, of the 14 that SQS keeps a message, its time as a dead letter included.
        let wait = u64::try_from(wait).ok().filter(|wait| (1..=3_600).contains(wait)).ok_or_else(|| {
            source.bad("queues", "longestRetryWait", "is out of range", "write a number of seconds from 1 to 3600")
        })?;
        Ok(Some(Self { prefix, longest_retry_wait: Duration::from_secs(wait) }))
    }
}
