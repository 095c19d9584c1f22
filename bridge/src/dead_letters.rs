//! Publishing to the queue of dead letters, on connections of its own: a broker that is short of memory or disk space
//! stops reading from whoever publishes, and acknowledgements must get through.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lapin::{
    BasicProperties, Channel, Confirmation, Connection,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable, LongString, ShortString},
};

use crate::{
    backoff,
    broker::{BrokerError, DeadLetterSink, with_deadline},
    broker_config::{BrokerConfig, CLOSE_LIMIT, CONNECT_LIMIT, amqp_name},
    health::Health,
    log_throttle::LogThrottle,
    route::{Body, DeadLetter},
    topology::{self, Step},
};

/// AMQP 0-9-1's delivery mode of what shall survive the broker.
const PERSISTENT: u8 = 2;

/// A dead letter without a confirmation after this time is published anew, on a new connection, unless the broker has
/// said that it is to wait.
const CONFIRM_LIMIT: Duration = Duration::from_secs(10);

/// How often it is looked whether the broker has said so.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Waits before a dead letter is published anew.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Publishes dead letters until the broker has them.
#[derive(Debug)]
pub struct DeadLetterPublisher<'a> {
    config: &'a BrokerConfig,
    health: &'a Health,
    /// The connection in use; made when the first dead letter comes, and again when it broke.
    current: tokio::sync::Mutex<Option<Arc<Publishing>>>,
    log_throttle: Mutex<LogThrottle>,
}

impl<'a> DeadLetterPublisher<'a> {
    /// Connects nowhere yet.
    pub(crate) fn new(config: &'a BrokerConfig, health: &'a Health) -> Self {
        Self { config, health, current: tokio::sync::Mutex::default(), log_throttle: Mutex::default() }
    }

    /// Puts a dead letter into its queue; done when the broker has confirmed it, however long that takes.
    pub(crate) async fn publish(&self, letter: &DeadLetter) {
        let mut failures = 0;
        while let Err(error) = self.attempt(letter).await {
            failures += 1;
            self.log_failure(&error);
            tokio::time::sleep(backoff::wait(failures, FIRST_WAIT, LONGEST_WAIT)).await;
        }
    }

    async fn attempt(&self, letter: &DeadLetter) -> Result<(), BrokerError> {
        let publishing = self.current().await?;
        let outcome = publishing.publish(letter, self.config, |is_blocked| self.log_blocked(is_blocked)).await;
        if outcome.is_err() {
            self.discard(&publishing).await;
        }
        outcome
    }

    async fn current(&self) -> Result<Arc<Publishing>, BrokerError> {
        let mut current = self.current.lock().await;
        if let Some(publishing) = current.as_ref().filter(|publishing| publishing.channel.status().connected()) {
            return Ok(publishing.clone());
        }
        let publishing = Arc::new(Publishing::connect(self.config).await?);
        *current = Some(publishing.clone());
        Ok(publishing)
    }

    /// The next attempt connects anew. Others that wait on this connection go on doing so.
    async fn discard(&self, publishing: &Arc<Publishing>) {
        self.current.lock().await.take_if(|current| Arc::ptr_eq(current, publishing));
    }

    /// Closes the connection, if there is one.
    pub(crate) async fn close(self) {
        if let Some(publishing) = self.current.into_inner() {
            publishing.close().await;
        }
    }

    fn log_blocked(&self, is_blocked: bool) {
        if self.health.blocked(is_blocked) == is_blocked {
            return;
        }
        if is_blocked {
            tracing::warn!(
                "The message broker takes no messages for now (an alarm for memory or disk space); dead letters wait, all else goes on; see rabbitmqctl alarms on the broker, and free what it lacks"
            );
        } else {
            tracing::info!("The message broker takes messages again");
        }
    }

    fn log_failure(&self, error: &BrokerError) {
        let mut log_throttle = self.log_throttle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = log_throttle.count() {
            tracing::warn!(
                cause = %error,
                times,
                "The message broker did not take a dead letter, which is tried again; see that the queue of dead letters is there, has room, and that the bridge's user may write to amq.default"
            );
        }
    }
}

/// A connection for dead letters.
#[derive(Debug)]
struct Publishing {
    connection: Connection,
    channel: Channel,
    queue: ShortString,
}

impl Publishing {
    async fn connect(config: &BrokerConfig) -> Result<Self, BrokerError> {
        with_deadline(CONNECT_LIMIT, async {
            let connection = config.connect().await?;
            // One that is gone is made again.
            topology::declare_dead_letters(&connection, config).await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(Self { connection, channel, queue: amqp_name(&config.dead_letters(), "[broker] queue")? })
        })
        .await
    }

    /// `on_look` is told now and then whether the broker has asked to wait.
    async fn publish(
        &self,
        letter: &DeadLetter,
        config: &BrokerConfig,
        on_look: impl Fn(bool),
    ) -> Result<(), BrokerError> {
        // Through the default exchange, and mandatory: a queue that is gone must not swallow it.
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let body = letter.body.bytes();
        let exchange = ShortString::default();
        let mut confirmed = pin!(async {
            let published =
                self.channel.basic_publish(exchange, self.queue.clone(), options, body, properties(letter)).await?;
            published.await
        });
        let mut waited = Duration::ZERO;
        let confirmation = loop {
            let looked = tokio::time::timeout(LOOK_EVERY, &mut confirmed).await;
            let is_blocked = self.connection.status().blocked();
            on_look(is_blocked);
            if let Ok(outcome) = looked {
                break outcome
                    .map_err(|error| topology::denied(error.into(), Step::Publish, &self.connection, config))?;
            }
            // A queue that has just come back may swallow the first messages: no confirmation ever comes for them.
            waited = if is_blocked { Duration::ZERO } else { waited + LOOK_EVERY };
            if waited >= CONFIRM_LIMIT {
                return Err(BrokerError::Silent);
            }
        };
        match confirmation {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
                Err(BrokerError::NotConfirmed("it is not there"))
            }
            Confirmation::Nack(None) => Err(BrokerError::NotConfirmed("the broker could not store it")),
            Confirmation::NotRequested => Err(BrokerError::NotConfirmed("the channel is in the wrong mode")),
        }
    }

    async fn close(&self) {
        let _ = tokio::time::timeout(CLOSE_LIMIT, self.connection.close(200, "OK".into())).await;
    }
}

impl DeadLetterSink for BrokerConfig {
    /// On a connection made for it: dead letters are rare, and a connection does not outlive the freezing
    /// of the process.
    async fn dead_letter_all(&self, letters: &[DeadLetter]) -> Result<(), BrokerError> {
        let publishing = Publishing::connect(self).await?;
        for letter in letters {
            publishing.publish(letter, self, |_| ()).await?;
        }
        publishing.close().await;
        Ok(())
    }
}

/// Longest id of an event that is put into a header, in bytes: all headers have to fit into one frame (AMQP 0-9-1, section
/// 2.3.5.2). A longer one is in the log line only.
const MAX_ID: usize = 1024;

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
    if letter.outline.id.len() <= MAX_ID {
        headers.insert("x-sippo-event-id".into(), AMQPValue::LongString(LongString::from(&*letter.outline.id)));
    }
    if let Some(bytes) = &letter.unreadable {
        headers.insert("x-sippo-unreadable".into(), AMQPValue::LongString(LongString::from(&bytes[..])));
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
