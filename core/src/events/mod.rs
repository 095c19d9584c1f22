//! Broker events: what the platform tells, and in which order.
//!
//! The bridge takes an event from the broker, stamps it ([`StampedEvent`]) and puts it into the queue of its
//! [`EventType`]; a function takes it from there and reads the [`Event`]. What cannot be read is
//! [`Poison`]. Nothing here knows broker, queue or XMPP server.

mod envelope;
mod event;
mod event_type;
mod fields;
mod outline;
mod poison;
mod stamped;
#[cfg(test)]
mod tests;
mod users;
mod version;

pub use self::{
    event::{Event, Payload},
    event_type::{EventType, Family},
    outline::Outline,
    poison::{FieldPath, MAX_NAME, MAX_REASON, Poison, Quoted},
    stamped::{LIFETIME, StampedEvent},
    version::{Version, VersionError},
};
