//! The border to RabbitMQ.

use std::{path::PathBuf, time::Duration};

use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ExchangeKind,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    runtime::default_runtime,
    tcp::OwnedTLSConfig,
    types::{AMQPValue, FieldTable, LongString, ShortString},
    uri::AMQPUri,
};
use secrecy::{ExposeSecret, SecretString};
use sippo_xmpp_core::config::{ConfigError, Service};

use crate::route::{Body, DeadLetter};

/// Deliveries that may be unacknowledged. Their bodies are held in memory meanwhile.
pub const PREFETCH: u16 = 300;

/// Seconds; the connection counts as dead after twice as many without a sign of the broker.
const HEARTBEAT: u16 = 10;

/// A connection, the exchange and the queues on it take at most this long: a quorum queue may have to
/// find its leader first.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// AMQP 0-9-1's delivery mode of what shall survive the broker.
const PERSISTENT: u8 = 2;

/// A dead letter without a confirmation after this time is published anew, in a new session.
const CONFIRM_LIMIT: Duration = Duration::from_secs(10);

/// So often a message may come back. RabbitMQ 4 allows 20 times where nothing is said, and then gives it up: fewer than
/// a broken register takes in two minutes.
const DELIVERY_LIMIT: i32 = i32::MAX;

/// Closing is a courtesy.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// What the broker, or the way to it, said; retry helps once the cause is mended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LinkError {
    /// lapin's error.
    #[error("{0}")]
    Amqp(#[from] lapin::Error),
    /// No answer in time.
    #[error("the broker does not answer")]
    Silent,
    /// A dead letter was not taken.
    #[error("the queue of dead letters does not take a message: {0}; see that it is there and has room")]
    NotConfirmed(&'static str),
    /// The broker's URL cannot be used.
    #[error("[broker] url is not the URL of an AMQP broker; write amqp:// or amqps:// with user, password and host")]
    Url,
    /// A name is too long.
    #[error("[broker] queue is longer than 250 bytes, with which its dead letters' has no name; choose a shorter one")]
    Name,
}

/// What a session needs of the broker beside deliveries.
pub trait Link: Sync {
    /// Acknowledges all deliveries up to this tag.
    ///
    /// # Errors
    /// [`LinkError`]: the session is over.
    fn acknowledge(&self, up_to: u64) -> impl Future<Output = Result<(), LinkError>> + Send;

    /// Puts a dead letter into its queue; done when the broker has confirmed it.
    ///
    /// # Errors
    /// [`LinkError`]: the session is over.
    fn bury(&self, letter: &DeadLetter) -> impl Future<Output = Result<(), LinkError>> + Send;

    /// Asks the broker about the queue: a sign of life.
    ///
    /// # Errors
    /// [`LinkError`]: the session is over.
    fn waiting(&self) -> impl Future<Output = Result<Waiting, LinkError>> + Send;
}

/// Who waits for whom at the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Messages that wait for a consumer.
    pub messages: u32,
    /// Active consumers: one at most, and the broker does not count those that wait behind it.
    pub active: u32,
}

/// Where the broker is and what the bridge uses there.
#[derive(Debug, Clone)]
pub struct Place {
    /// URL, with the password.
    pub url: SecretString,
    /// The certificates of a private authority, PEM.
    pub authority: Option<String>,
    /// The topic exchange.
    pub exchange: String,
    /// The queue; its dead letters are in `<queue>.dead`.
    pub queue: String,
}

impl Place {
    /// As configured.
    ///
    /// # Errors
    /// [`PlaceError`] when the configuration lacks something or names something unusable; no retry helps,
    /// unless Secrets Manager was asked.
    pub async fn of(service: &Service) -> Result<Self, PlaceError> {
        let broker = service.events.broker()?;
        let authority = service.surroundings.ca_file.as_ref().map(|file| {
            std::fs::read_to_string(file).map_err(|error| PlaceError::Authority { file: file.clone(), error })
        });
        Ok(Self {
            url: broker.resolve_url().await?,
            authority: authority.transpose()?,
            exchange: broker.exchange.clone(),
            queue: broker.queue.clone(),
        })
    }

    fn dead_letters(&self) -> String {
        format!("{}.dead", self.queue)
    }

    async fn connect(&self) -> Result<Connection, LinkError> {
        // The parser's own words could quote the password.
        let mut uri: AMQPUri = self.url.expose_secret().parse().map_err(|_| LinkError::Url)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        let properties = ConnectionProperties::default().with_connection_name("sippo-xmpp bridge".into());
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.authority.clone() };
        Ok(Connection::connect_uri_with_config(uri, properties, tls, default_runtime()?).await?)
    }
}

/// Why there is no [`Place`].
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
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

/// A connection with a channel to consume on and one for dead letters.
#[derive(Debug)]
pub struct Rabbit {
    connection: Connection,
    consuming: Channel,
    letters: DeadLetters,
    queue: ShortString,
}

/// A channel for dead letters.
#[derive(Debug)]
pub struct DeadLetters {
    channel: Channel,
    queue: ShortString,
}

impl Rabbit {
    /// Connects, and declares exchange, queues and binding; consumes nothing yet.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn connect(place: &Place) -> Result<Self, LinkError> {
        limited(CONNECT_LIMIT, async {
            let connection = place.connect().await?;
            let consuming = connection.create_channel().await?;
            declare(&consuming, place).await?;
            consuming.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
            let letters = DeadLetters::open(&connection, place).await?;
            Ok(Self { connection, consuming, letters, queue: name(&place.queue)? })
        })
        .await
    }

    /// Begins to consume: from here on the broker may make this the active consumer.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn consume(&self) -> Result<Consumer, LinkError> {
        let consuming = self.consuming.basic_consume(
            self.queue.clone(),
            ShortString::default(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        limited(CONNECT_LIMIT, async { Ok(consuming.await?) }).await
    }

    /// Closes the connection, so that what is not acknowledged goes to another consumer at once.
    pub async fn close(self) {
        let _ = tokio::time::timeout(CLOSE_LIMIT, self.connection.close(200, "OK".into())).await;
    }
}

impl Link for Rabbit {
    async fn acknowledge(&self, up_to: u64) -> Result<(), LinkError> {
        Ok(self.consuming.basic_ack(up_to, BasicAckOptions { multiple: true }).await?)
    }

    async fn bury(&self, letter: &DeadLetter) -> Result<(), LinkError> {
        self.letters.bury(letter).await
    }

    async fn waiting(&self) -> Result<Waiting, LinkError> {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = self.consuming.queue_declare(self.queue.clone(), options, FieldTable::default()).await?;
        Ok(Waiting { messages: queue.message_count(), active: queue.consumer_count() })
    }
}

impl DeadLetters {
    async fn open(connection: &Connection, place: &Place) -> Result<Self, LinkError> {
        let channel = connection.create_channel().await?;
        let queue = name(&place.dead_letters())?;
        channel.queue_declare(queue.clone(), durable_queue(), quorum()).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { channel, queue })
    }

    /// A connection for dead letters alone.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn connect(place: &Place) -> Result<(Connection, Self), LinkError> {
        limited(CONNECT_LIMIT, async {
            let connection = place.connect().await?;
            let letters = Self::open(&connection, place).await?;
            Ok((connection, letters))
        })
        .await
    }

    /// As [`Link::bury`].
    ///
    /// # Errors
    /// As [`Link::bury`].
    pub async fn bury(&self, letter: &DeadLetter) -> Result<(), LinkError> {
        // Through the default exchange, and mandatory: a queue that is gone must not swallow it.
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let published = self.channel.basic_publish(
            ShortString::default(),
            self.queue.clone(),
            options,
            letter.body.bytes(),
            properties(letter),
        );
        // A queue that has just come back may swallow the first messages: no confirmation ever comes for them.
        let confirmed = limited(CONFIRM_LIMIT, async { Ok(published.await?.await?) });
        match confirmed.await? {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => Err(LinkError::NotConfirmed("it is not there")),
            Confirmation::Nack(None) => Err(LinkError::NotConfirmed("the broker could not store it")),
            Confirmation::NotRequested => Err(LinkError::NotConfirmed("the channel is in the wrong mode")),
        }
    }
}

/// Where a function buries: it has no connection of its own.
pub trait Graveyard: Sync {
    /// Buries all; done when the broker has confirmed each.
    ///
    /// # Errors
    /// [`LinkError`]: some may be buried all the same.
    fn bury_all(&self, letters: &[DeadLetter]) -> impl Future<Output = Result<(), LinkError>> + Send;
}

impl Graveyard for Place {
    /// On a connection made for it: dead letters are rare, and a connection does not outlive the freezing
    /// of the process.
    async fn bury_all(&self, letters: &[DeadLetter]) -> Result<(), LinkError> {
        let (connection, channel) = DeadLetters::connect(self).await?;
        for letter in letters {
            channel.bury(letter).await?;
        }
        let _ = tokio::time::timeout(CLOSE_LIMIT, connection.close(200, "OK".into())).await;
        Ok(())
    }
}

fn properties(letter: &DeadLetter) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (key, value) in [
        ("x-sippo-reason", letter.poison.reason()),
        ("x-sippo-code", letter.poison.code().to_owned()),
        ("x-sippo-routing-key", letter.routing_key.clone()),
        ("x-sippo-version", letter.version.to_string()),
        ("x-sippo-body", letter.body.kind().to_owned()),
    ] {
        headers.insert(key.into(), AMQPValue::LongString(LongString::from(value)));
    }
    let content_type = match letter.body {
        Body::Stamped(_) => "application/json",
        Body::Original(_) => "application/octet-stream",
    };
    BasicProperties::default()
        .with_content_type(content_type.into())
        .with_delivery_mode(PERSISTENT)
        .with_headers(headers)
}

async fn declare(channel: &Channel, place: &Place) -> Result<(), LinkError> {
    let (exchange, queue) = (name(&place.exchange)?, name(&place.queue)?);
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(exchange.clone(), ExchangeKind::Topic, durable, FieldTable::default()).await?;
    let mut arguments = quorum();
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
    // What the broker gives up all the same, for a policy that an operator has set, is kept with the dead letters, and not
    // let go before it is there.
    for (key, value) in [
        ("x-dead-letter-exchange", ""),
        ("x-dead-letter-routing-key", &place.dead_letters()),
        ("x-dead-letter-strategy", "at-least-once"),
        ("x-overflow", "reject-publish"),
    ] {
        arguments.insert(key.into(), AMQPValue::LongString(value.into()));
    }
    channel.queue_declare(queue.clone(), durable_queue(), arguments).await?;
    channel.queue_bind(queue, exchange, "#".into(), QueueBindOptions::default(), FieldTable::default()).await?;
    Ok(())
}

fn durable_queue() -> QueueDeclareOptions {
    QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() }
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments
}

fn name(text: &str) -> Result<ShortString, LinkError> {
    ShortString::try_new(text).map_err(|_| LinkError::Name)
}

async fn limited<T>(limit: Duration, work: impl Future<Output = Result<T, LinkError>>) -> Result<T, LinkError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(LinkError::Silent))
}
