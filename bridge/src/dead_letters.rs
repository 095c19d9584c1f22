//! Publishing to the queue of dead letters.

use std::time::Duration;

use lapin::{
    BasicProperties, Channel, Confirmation, Connection,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable, LongString, ShortString},
};

use crate::{
    broker::{BrokerError, DeadLetterSink, with_deadline},
    broker_config::{BrokerConfig, CLOSE_LIMIT, CONNECT_LIMIT, amqp_name},
    route::{Body, DeadLetter},
    topology,
};

/// AMQP 0-9-1's delivery mode of what shall survive the broker.
const PERSISTENT: u8 = 2;

/// A dead letter without a confirmation after this time is published anew, in a new session.
const CONFIRM_LIMIT: Duration = Duration::from_secs(10);

/// A channel for dead letters.
#[derive(Debug)]
pub struct DeadLetterPublisher {
    channel: Channel,
    queue: ShortString,
}

impl DeadLetterPublisher {
    /// A channel of `connection`.
    pub(crate) async fn open(connection: &Connection, config: &BrokerConfig) -> Result<Self, BrokerError> {
        let channel = connection.create_channel().await?;
        topology::declare_dead_letters(&channel, config).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { channel, queue: amqp_name(&config.dead_letters())? })
    }

    /// Puts a dead letter into its queue; done when the broker has confirmed it.
    ///
    /// # Errors
    /// [`BrokerError`]: it may be there all the same.
    pub async fn publish(&self, letter: &DeadLetter) -> Result<(), BrokerError> {
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
        let confirmed = with_deadline(CONFIRM_LIMIT, async { Ok(published.await?.await?) });
        match confirmed.await? {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
                Err(BrokerError::NotConfirmed("it is not there"))
            }
            Confirmation::Nack(None) => Err(BrokerError::NotConfirmed("the broker could not store it")),
            Confirmation::NotRequested => Err(BrokerError::NotConfirmed("the channel is in the wrong mode")),
        }
    }
}

impl DeadLetterSink for BrokerConfig {
    /// On a connection made for it: dead letters are rare, and a connection does not outlive the freezing
    /// of the process.
    async fn dead_letter_all(&self, letters: &[DeadLetter]) -> Result<(), BrokerError> {
        let (connection, publisher) = with_deadline(CONNECT_LIMIT, async {
            let connection = self.connect().await?;
            let publisher = DeadLetterPublisher::open(&connection, self).await?;
            Ok((connection, publisher))
        })
        .await?;
        for letter in letters {
            publisher.publish(letter).await?;
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
        Body::StampedEvent(_) => "application/json",
        Body::Original(_) => "application/octet-stream",
    };
    BasicProperties::default()
        .with_content_type(content_type.into())
        .with_delivery_mode(PERSISTENT)
        .with_headers(headers)
}
