//! The session with the XMPP server: WebSocket transport, login, pipelined requests.
//!
//! Built on tokio-xmpp's streams rather than its `Client`, which hides why a login fails and retries
//! in silence; here every failure surfaces within milliseconds, typed, with what to do next.
//!
//! [`XmppClient`] is what the use cases get. It connects when first needed and keeps its session for
//! the life of the process; a process that was frozen meanwhile notices and reconnects.

mod client;
mod driver;
mod error;
mod framing;
#[cfg(any(test, feature = "testing"))]
pub mod hooks;
mod login;
mod request;
mod session;
mod transport;

pub(crate) use self::error::not_admin;
pub use self::{
    client::{Timeouts, XmppClient},
    error::{ConnectError, RequestError},
    login::{Account, LoginMode},
    request::{Bounce, Request},
    session::Session,
    transport::{WsConnector, WsIo},
};
