//! What daemon and function are built from.

use std::time::Duration;

use sippo_xmpp_core::{
    aws,
    config::{ServiceConfig, UnknownKeys},
    ledger::DynamoEpochs,
    table::Table,
};

use crate::{broker_config::BrokerConfig, queues::Sqs};

/// One call to the register, the SDK's own retries included.
const REGISTER_LIMIT: Duration = Duration::from_secs(5);

/// The broker, the queues and the register of epochs, as configured.
#[derive(Debug)]
pub struct Dependencies {
    /// The broker.
    pub broker: BrokerConfig,
    /// Where events go.
    pub queues: Sqs,
    /// Where epochs come from.
    pub register: DynamoEpochs,
    /// What becomes of events of other routing keys than ours.
    pub unknown_keys: UnknownKeys,
}

impl Dependencies {
    /// Reads the secret that the broker's URL may be; connects nowhere else yet.
    ///
    /// # Errors
    /// One line that says what keeps the bridge from starting, and what to do about it.
    pub async fn of(service: &ServiceConfig) -> Result<Self, String> {
        let unknown_keys = service.events.broker().map_err(|error| error.to_string())?.unknown_keys;
        let queues = service.events.queues().map_err(|error| error.to_string())?;
        Ok(Self {
            broker: BrokerConfig::of(service).await.map_err(|error| error.to_string())?,
            queues: Sqs::new(queues).await,
            register: DynamoEpochs::new(Table::new(&aws::sdk_config(REGISTER_LIMIT).await, &service.events.table)),
            unknown_keys,
        })
    }
}
