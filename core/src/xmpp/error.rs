//! What can go wrong between the service and the XMPP server.

use std::{io, sync::Arc, time::Duration};

use xmpp_parsers::stanza_error::{DefinedCondition, StanzaError};

/// Why there is no session. Retrying later helps once the cause is mended.
///
/// `Clone`, because all who wait for one attempt share its outcome.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// No TCP connection.
    #[error("the XMPP server cannot be reached ({0}); see that it runs and that [xmpp] xmppUrl is right")]
    Unreachable(Arc<io::Error>),
    /// TLS could not be established.
    #[error("TLS with the XMPP server failed ({0}); see its certificate, the host in [xmpp] xmppUrl, and [tls] caFile")]
    Tls(Arc<str>),
    /// Something answers, but it is not an XMPP server's WebSocket.
    #[error("what answers at [xmpp] xmppUrl is no XMPP WebSocket ({0}); see the URL's port and path")]
    NotXmpp(Arc<str>),
    /// The server did not accept the admin's credentials.
    #[error("the XMPP server refused the admin login ({0}); set the same adminToken and adminJid on both sides")]
    Unauthorized(Arc<str>),
    /// The connection broke during the login.
    #[error("the connection to the XMPP server broke during the login ({0}); see whether it was restarted")]
    Broken(Arc<str>),
    /// The negotiation ended otherwise.
    #[error("the XMPP server broke off the login ({0}); see its log")]
    Negotiation(Arc<str>),
    /// The server was left alone, for it did not answer others.
    #[error("the cell {0} does not answer, and is left alone for a while")]
    Away(Arc<str>),
    /// The server took too long.
    #[error("the XMPP server did not complete the login within {0:.1?}; see whether it is overloaded or stopped")]
    TimedOut(Duration),
}

/// Why a request has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RequestError {
    /// There is no session to send it over; retry later. Logged where it was found.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The session ended before the answer came; the request may have had its effect. Retry helps.
    #[error("the XMPP session ended ({0}); a retry opens a new one")]
    SessionLost(Arc<str>),
    /// No answer in time; the session was closed. The request may have had its effect, or may have it yet. Retry helps.
    #[error("the XMPP server did not answer in time; see whether it is overloaded or stopped")]
    TimedOut,
    /// The server answered with a stanza error (RFC 6120, section 8.3).
    #[error("{}", answered(.0))]
    Stanza(Arc<StanzaError>),
    /// The server's answer makes no sense.
    #[error("the XMPP server's answer cannot be understood ({0}); see that its modules are of this release")]
    Protocol(Arc<str>),
}

impl RequestError {
    /// The condition of a stanza error.
    #[must_use]
    pub fn condition(&self) -> Option<DefinedCondition> {
        match self {
            Self::Stanza(error) => Some(error.defined_condition.clone()),
            _ => None,
        }
    }

    /// Whether another session could bring what this one did not.
    pub(super) fn is_session_loss(&self) -> bool {
        matches!(self, Self::SessionLost(_))
    }
}

fn answered(error: &StanzaError) -> String {
    let what = describe(error);
    match error.defined_condition {
        DefinedCondition::Forbidden | DefinedCondition::NotAuthorized => not_admin(&what),
        _ => format!("the XMPP server answered {what}"),
    }
}

/// What to say when the server refuses what only its admin may ask for, as a Prosody does of a version in which an
/// admin of the configuration is none on its components.
pub(crate) fn not_admin(what: &str) -> String {
    format!(
        "the XMPP server does not take this service for its admin ({what}); see that xmpp.adminJid is its \
         SIPPO_XMPP_ADMIN_JID, and that it is of a version known to work (it says at its start if it is not)"
    )
}

fn describe(error: &StanzaError) -> String {
    let text = error.texts.values().next();
    match text {
        Some(text) => format!("{:?}: {text}", error.defined_condition),
        None => format!("{:?}", error.defined_condition),
    }
}
