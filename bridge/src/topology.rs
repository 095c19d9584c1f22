//! The exchange, the queues and the binding that the bridge uses.

use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, LongString},
};

use crate::{
    broker::BrokerError,
    broker_config::{BrokerConfig, amqp_name},
};

/// So often a message may come back. RabbitMQ 4 allows 20 times where nothing is said, and then gives it up: fewer than
/// a broken register takes in two minutes.
const DELIVERY_LIMIT: i32 = i32::MAX;

/// Declares exchange, queue and binding.
pub(crate) async fn declare(channel: &Channel, config: &BrokerConfig) -> Result<(), BrokerError> {
    let (exchange, queue) = (amqp_name(&config.exchange)?, amqp_name(&config.queue)?);
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(exchange.clone(), ExchangeKind::Topic, durable, FieldTable::default()).await?;
    let mut arguments = quorum();
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
    // What the broker gives up all the same, for a policy that an operator has set, is kept with the dead letters, and not
    // let go before it is there.
    for (key, value) in [
        ("x-dead-letter-exchange", ""),
        ("x-dead-letter-routing-key", &config.dead_letters()),
        ("x-dead-letter-strategy", "at-least-once"),
        ("x-overflow", "reject-publish"),
    ] {
        arguments.insert(key.into(), AMQPValue::LongString(LongString::from(value)));
    }
    channel.queue_declare(queue.clone(), durable_queue(), arguments).await?;
    channel.queue_bind(queue, exchange, "#".into(), QueueBindOptions::default(), FieldTable::default()).await?;
    Ok(())
}

/// Declares the queue of dead letters.
pub(crate) async fn declare_dead_letters(channel: &Channel, config: &BrokerConfig) -> Result<(), BrokerError> {
    channel.queue_declare(amqp_name(&config.dead_letters())?, durable_queue(), quorum()).await?;
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
