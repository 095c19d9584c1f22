//! The exchange, the queues and the bindings that the bridge uses, and the rights that takes.

use lapin::{
    Channel, Connection, ExchangeKind,
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

/// The binding of everything.
const ALL: &str = "#";

/// What the bridge does when the broker refuses it, and the rights that it takes: on an exchange, on a queue.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// It makes the exchange, which is not there.
    DeclareExchange,
    /// It makes a queue. One that hands on dead letters takes rights on where they go, too.
    DeclareQueue,
    /// It binds the queue to the exchange.
    Bind,
    /// It consumes.
    Consume,
    /// It publishes a dead letter.
    Publish,
}

impl Step {
    fn right(self, of_exchange: bool) -> &'static str {
        match (self, of_exchange) {
            (Self::DeclareExchange, _) => "configure",
            (Self::DeclareQueue, false) => "configure (and read)",
            (Self::Bind, true) | (Self::Consume, _) => "read",
            (Self::DeclareQueue, true) | (Self::Bind, false) | (Self::Publish, _) => "write",
        }
    }
}

/// Declares what is not there: exchange, queues, bindings. An exchange that is there is the platform's, whatever its
/// arguments.
pub(crate) async fn declare(connection: &Connection, config: &BrokerConfig) -> Result<(), BrokerError> {
    declare_exchange(connection, config).await?;
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
    declare_queue(connection, config, &config.queue, arguments).await?;
    declare_dead_letters(connection, config).await?;
    let channel = connection.create_channel().await?;
    bind(&channel, config).await.map_err(|error| denied(error, Step::Bind, connection, config))
}

/// Declares the queue of dead letters.
pub(crate) async fn declare_dead_letters(connection: &Connection, config: &BrokerConfig) -> Result<(), BrokerError> {
    declare_queue(connection, config, &config.dead_letters(), quorum()).await
}

async fn declare_exchange(connection: &Connection, config: &BrokerConfig) -> Result<(), BrokerError> {
    let exchange = amqp_name(&config.exchange, "[broker] exchange")?;
    let declare = async |passive| {
        // What the broker refuses costs the channel.
        let channel = connection.create_channel().await?;
        let options = ExchangeDeclareOptions { durable: true, passive, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(exchange.clone(), ExchangeKind::Topic, options, FieldTable::default()).await?;
        Ok::<_, BrokerError>(())
    };
    match declare(true).await {
        Err(error) if error.is_not_found() => {
            declare(false).await.map_err(|error| denied(error, Step::DeclareExchange, connection, config))
        }
        outcome => outcome,
    }
}

/// Declares a queue; where the user has no right to, the queue that is there is taken.
async fn declare_queue(
    connection: &Connection,
    config: &BrokerConfig,
    queue: &str,
    arguments: FieldTable,
) -> Result<(), BrokerError> {
    let name = amqp_name(queue, "[broker] queue")?;
    let declare = async |passive, arguments| {
        let channel = connection.create_channel().await?;
        let options = QueueDeclareOptions { durable: true, passive, ..QueueDeclareOptions::default() };
        channel.queue_declare(name.clone(), options, arguments).await?;
        Ok::<_, BrokerError>(())
    };
    match declare(false, arguments).await {
        Err(error) if error.refusal().is_some() => declare(true, FieldTable::default())
            .await
            .map_err(|_| denied(error, Step::DeclareQueue, connection, config)),
        outcome => outcome,
    }
}

async fn bind(channel: &Channel, config: &BrokerConfig) -> Result<(), BrokerError> {
    let exchange = amqp_name(&config.exchange, "[broker] exchange")?;
    let queue = amqp_name(&config.queue, "[broker] queue")?;
    for key in &config.bindings {
        let key = amqp_name(key, "[broker] bindings")?;
        let options = QueueBindOptions::default();
        channel.queue_bind(queue.clone(), exchange.clone(), key, options, FieldTable::default()).await?;
    }
    // The default of before, which would make all others vain.
    if !config.bindings.iter().any(|key| key == ALL) {
        channel.queue_unbind(queue, exchange, ALL.into(), FieldTable::default()).await?;
    }
    Ok(())
}

/// The error with the right that is missing, if that is what it is.
pub(crate) fn denied(error: BrokerError, step: Step, connection: &Connection, config: &BrokerConfig) -> BrokerError {
    let Some(said) = error.refusal().map(str::to_owned) else { return error };
    let status = connection.status();
    let grant = grant(&status.username(), status.vhost().as_str(), config, step);
    let resource = resource(&said).unwrap_or_else(|| format!("queue '{}'", config.queue));
    BrokerError::Denied { right: step.right(resource.starts_with("exchange")), resource, said, grant }
}

/// `exchange 'name'` or `queue 'name'`, as the broker names it.
fn resource(said: &str) -> Option<String> {
    let start = said.find("exchange '").or_else(|| said.find("queue '"))?;
    let end = said[start..].match_indices('\'').nth(1)?.0;
    Some(said[start..=start + end].to_owned())
}

/// The command that gives a user all rights that the bridge needs.
fn grant(user: &str, vhost: &str, config: &BrokerConfig, step: Step) -> String {
    let any = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| name.replace('.', r"\.")).collect();
        format!("'^({})$'", names.join("|"))
    };
    let (exchange, queue, dead) = (&*config.exchange, &*config.queue, &*config.dead_letters());
    let configure =
        if matches!(step, Step::DeclareExchange) { any(&[queue, dead, exchange]) } else { any(&[queue, dead]) };
    let (write, read) = (any(&[queue, "amq.default"]), any(&[queue, exchange]));
    format!("rabbitmqctl set_permissions -p '{vhost}' '{user}' {configure} {write} {read}")
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_is_the_one_that_the_broker_names() {
        for (said, named) in [
            ("ACCESS_REFUSED - access to exchange 'a.b' in vhost '/' refused for user 'u'", Some("exchange 'a.b'")),
            ("ACCESS_REFUSED - configure access to queue 'q' in vhost '/' refused for user 'u'", Some("queue 'q'")),
            ("ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.", None),
        ] {
            assert_eq!(resource(said).as_deref(), named);
        }
    }
}
