//! Everything that matters in sippo-xmpp, testable without AWS.
//!
//! A folder is a feature: its types, its use cases, its side of the XMPP server, its errors.
//! Dependencies point inwards: `lambda` knows the use cases, these know the ports they need, and
//! only the adapters at a port know tokio-xmpp, reqwest or the AWS SDK.

pub mod address;
pub mod auth;
pub mod aws;
mod breaker;
mod cause;
pub mod cells;
pub mod chat_list;
mod clock;
pub mod config;
pub mod domains;
pub mod events;
pub mod hosts;
mod http;
pub mod lambda;
pub mod ledger;
pub mod moves;
pub mod resync;
pub mod room_list;
pub mod rooms;
pub mod secret;
pub mod table;
pub mod telemetry;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tls;
pub mod xmpp;
