//! RabbitMQ to SQS: every event gets its place in the broker's order and goes to the queue of its type.
//!
//! The daemon ([`daemon`]) consumes from any RabbitMQ; the function ([`amazon_mq`]) is invoked by
//! Amazon MQ's event source. Both stamp and route alike ([`route`]) and send alike ([`queues`]).
//! Never both on one queue: see [`amazon_mq`].
//!
//! What makes the versions sound (`docs/CONVERGENCE.md`): only the active
//! consumer gets deliveries; its epoch is taken at the first of them ([`session`]); acknowledged is only
//! the unbroken run of what was accepted ([`prefix`]), and only while the epoch is still the newest.

pub mod amazon_mq;
mod backoff;
pub mod batches;
mod complaints;
pub mod daemon;
pub mod health;
pub mod link;
#[cfg(test)]
mod memory;
pub mod metrics;
pub mod parts;
pub mod prefix;
pub mod queues;
pub mod route;
mod sending;
pub mod session;
