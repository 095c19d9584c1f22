//! The bridge as a function on Amazon MQ's event source for RabbitMQ.
//!
//! The event source takes messages off the queue in order and acknowledges them when the invocation
//! succeeds; one that fails is invoked again with all of them. An epoch is taken for each invocation. So
//! the versions are sound only while one invocation runs at a time: leave the event source at its default
//! concurrency of one, map one queue, and never run the daemon on that queue.
//!
//! **The event type.** The event source hands on properties, headers and body, but not the routing key.
//! It is taken from, in this order: the header `x-sippo-routing-key`, the `type` of a `CloudEvent` in
//! structured or binary mode, the property `type`. So publishers either send `CloudEvents` or set one of the others.
//! One queue for each type instead would give up the order between types, which versions need.

mod event;
mod function;
mod handler;
#[cfg(test)]
mod tests;

pub use self::{
    event::AmazonMqEvent,
    function::run,
    handler::{InvocationError, handle},
};
