//! RabbitMQ to SQS: every event gets its place in the broker's order and goes to the queue of its type.
//!
//! The daemon ([`daemon`]) consumes from any RabbitMQ; the function ([`amazon_mq`]) is invoked by
//! Amazon MQ's event source. Both stamp and route alike ([`route`]) and send alike ([`queues`]).
//! Never both on one queue: see [`amazon_mq`].
//!
//! What makes the versions sound (`docs/CONVERGENCE.md`): only the active
//! consumer gets deliveries; its epoch is taken at the first of them ([`session`]); acknowledged is only
//! the unbroken run of what was accepted ([`prefix`]), and only while the epoch is still the newest. What no queue will
//! ever get may wait for the dead letters meanwhile: its version orders nothing.

pub mod amazon_mq;
mod backoff;
pub mod batches;
pub mod broker;
pub mod broker_config;
pub mod content;
pub mod daemon;
pub mod dead_letters;
pub mod dependencies;
pub mod health;
pub mod ignored;
mod interruption;
mod log_throttle;
#[cfg(test)]
mod memory;
pub mod metrics;
pub mod prefix;
pub mod queues;
pub mod rabbitmq;
pub mod route;
mod sending;
pub mod session;
mod topology;
