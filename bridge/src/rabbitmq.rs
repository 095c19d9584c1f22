//! A session's connection to RabbitMQ.

use lapin::{
    Channel, Connection, Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};

use crate::{
    broker::{Broker, BrokerError, PREFETCH, QueueStatus, with_deadline},
    broker_config::{BrokerConfig, CLOSE_LIMIT, CONNECT_LIMIT, amqp_name},
    dead_letters::DeadLetterPublisher,
    route::DeadLetter,
    topology,
};

/// A connection with a channel to consume on and one for dead letters.
#[derive(Debug)]
pub struct RabbitMq {
    connection: Connection,
    consuming: Channel,
    dead_letters: DeadLetterPublisher,
    queue: ShortString,
}

impl RabbitMq {
    /// Connects, and declares exchange, queues and binding; consumes nothing yet.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn connect(config: &BrokerConfig) -> Result<Self, BrokerError> {
        with_deadline(CONNECT_LIMIT, async {
            let connection = config.connect().await?;
            let consuming = connection.create_channel().await?;
            topology::declare(&consuming, config).await?;
            consuming.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
            let dead_letters = DeadLetterPublisher::open(&connection, config).await?;
            Ok(Self { connection, consuming, dead_letters, queue: amqp_name(&config.queue)? })
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
        with_deadline(CONNECT_LIMIT, async { Ok(consuming.await?) }).await
    }

    /// Closes the connection, so that what is not acknowledged goes to another consumer at once.
    pub async fn close(self) {
        let _ = tokio::time::timeout(CLOSE_LIMIT, self.connection.close(200, "OK".into())).await;
    }
}

impl Broker for RabbitMq {
    async fn acknowledge(&self, up_to: u64) -> Result<(), BrokerError> {
        Ok(self.consuming.basic_ack(up_to, BasicAckOptions { multiple: true }).await?)
    }

    async fn dead_letter(&self, letter: &DeadLetter) -> Result<(), BrokerError> {
        self.dead_letters.publish(letter).await
    }

    async fn queue_status(&self) -> Result<QueueStatus, BrokerError> {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = self.consuming.queue_declare(self.queue.clone(), options, FieldTable::default()).await?;
        Ok(QueueStatus { messages: queue.message_count(), active: queue.consumer_count() })
    }
}
