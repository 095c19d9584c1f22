//! A session's connections to RabbitMQ.

use lapin::{
    Channel, Connection, Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};

use crate::{
    broker::{Broker, BrokerError, PREFETCH, QueueStatus, with_deadline},
    broker_config::{BrokerConfig, CLOSE_LIMIT, CONNECT_LIMIT, amqp_name},
    dead_letters::DeadLetterPublisher,
    health::Health,
    prefix::Ack,
    route::DeadLetter,
    topology::{self, Step},
};

/// A connection to consume on, on which nothing is ever published, and one for dead letters.
#[derive(Debug)]
pub struct RabbitMq<'a> {
    config: &'a BrokerConfig,
    connection: Connection,
    consuming: Channel,
    dead_letters: DeadLetterPublisher<'a>,
    queue: ShortString,
}

impl<'a> RabbitMq<'a> {
    /// Connects, and declares exchange, queues and bindings; consumes nothing yet. `health` is told when the broker has
    /// publishers wait.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn connect(config: &'a BrokerConfig, health: &'a Health) -> Result<Self, BrokerError> {
        with_deadline(CONNECT_LIMIT, async {
            let connection = config.connect().await?;
            topology::declare(&connection, config).await?;
            let consuming = connection.create_channel().await?;
            consuming.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
            let dead_letters = DeadLetterPublisher::new(config, health);
            Ok(Self { config, connection, consuming, dead_letters, queue: amqp_name(&config.queue, "[broker] queue")? })
        })
        .await
    }

    /// Begins to consume: from here on the broker may make this the active consumer.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn consume(&self) -> Result<Consumer, BrokerError> {
        let consuming = self.consuming.basic_consume(
            self.queue.clone(),
            ShortString::default(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let consumer = with_deadline(CONNECT_LIMIT, async { Ok(consuming.await?) }).await;
        consumer.map_err(|error| topology::denied(error, Step::Consume, &self.connection, self.config))
    }

    /// Closes the connections, so that what is not acknowledged goes to another consumer at once.
    pub async fn close(self) {
        let consuming = tokio::time::timeout(CLOSE_LIMIT, self.connection.close(200, "OK".into()));
        let _ = tokio::join!(consuming, self.dead_letters.close());
    }
}

impl Broker for RabbitMq<'_> {
    async fn acknowledge(&self, acks: &[Ack]) -> Result<(), BrokerError> {
        for Ack { tag, multiple } in acks {
            self.consuming.basic_ack(*tag, BasicAckOptions { multiple: *multiple }).await?;
        }
        Ok(())
    }

    async fn dead_letter(&self, letter: &DeadLetter) {
        self.dead_letters.publish(letter).await;
    }

    async fn queue_status(&self) -> Result<QueueStatus, BrokerError> {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = self.consuming.queue_declare(self.queue.clone(), options, FieldTable::default()).await?;
        Ok(QueueStatus { messages: queue.message_count(), active: queue.consumer_count() })
    }
}
