//! From a WebSocket to a session that is logged in: SASL PLAIN and resource binding.
//!
//! Two ways. Pipelined, the credentials follow the first stream header and the bind request the
//! second without waiting for what the server offers: two round trips instead of four. Stepwise, as
//! RFC 6120 describes it, for a server that objects.

use std::{io, sync::Arc};

use futures::{SinkExt, StreamExt};
use jid::FullJid;
use sasl::{
    client::{Mechanism, mechanisms::Plain},
    common::Credentials,
};
use secrecy::{ExposeSecret, SecretString};
use tokio_xmpp::xmlstream::{
    ReadError, RecvFeaturesError, StreamHeader, Timeouts, XmppStream, XmppStreamElement, initiate_stream,
};
use xmpp_parsers::{
    bind::{BindQuery, BindResponse},
    iq::Iq,
    ns,
    sasl::{Auth, DefinedCondition, Mechanism as MechanismName, Nonza},
    stanza::Stanza,
};

use super::{
    error::ConnectError,
    framing::frame_of,
    transport::{WsConnector, WsIo},
};
use crate::{address::UserJid, secret::RotatingSecret};

/// Who logs in.
#[derive(Debug, Clone)]
pub struct Account {
    /// The bare JID.
    pub jid: UserJid,
    /// The SASL password, which may change.
    pub password: RotatingSecret,
}

/// How to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginMode {
    /// Without waiting for the server's offers.
    Pipelined,
    /// One step after the other.
    Stepwise,
}

const BIND_ID: &str = "bind";

/// Logs `jid` in and binds a resource that the server chooses.
///
/// # Errors
/// [`ConnectError`]; no deadline is kept here.
pub(super) async fn log_in(
    connector: &WsConnector,
    jid: &UserJid,
    password: &SecretString,
    timeouts: Timeouts,
    mode: LoginMode,
) -> Result<(FullJid, XmppStream<WsIo>), ConnectError> {
    let mut io = connector.dial().await?;
    let auth = Nonza::Auth(plain(jid, password)?);
    let bind = Stanza::Iq(Iq::from_set(BIND_ID, BindQuery::new(None)));
    if mode == LoginMode::Pipelined {
        io.pipeline([frame_of(&auth).map_err(broken_off)?, frame_of(&bind).map_err(broken_off)?]);
    }
    let header = || StreamHeader { to: Some(jid.domain().as_str().to_owned().into()), from: None, id: None };
    let stream = initiate_stream(io, ns::JABBER_CLIENT, header(), timeouts).await.map_err(broken_off)?;
    let (features, mut stream) = stream.recv_features().await.map_err(without_features)?;
    if !features.sasl_mechanisms.contains("PLAIN") {
        return Err(ConnectError::Negotiation("it does not offer SASL PLAIN for this host".into()));
    }
    if mode == LoginMode::Stepwise {
        stream.send(&XmppStreamElement::Sasl(auth)).await.map_err(broken_off)?;
    }
    match next(&mut stream).await? {
        XmppStreamElement::Sasl(Nonza::Success(_)) => {}
        XmppStreamElement::Sasl(Nonza::Failure(failure)) => {
            let condition = format!("{:?}", failure.defined_condition);
            return Err(match failure.defined_condition {
                DefinedCondition::NotAuthorized | DefinedCondition::AccountDisabled => {
                    ConnectError::Unauthorized(condition.into())
                }
                _ => ConnectError::Negotiation(condition.into()),
            });
        }
        _ => return Err(ConnectError::Negotiation("an answer to SASL that is none".into())),
    }
    let stream = stream.initiate_reset().send_header(header()).await.map_err(broken_off)?;
    let (_, mut stream) = stream.recv_features().await.map_err(without_features)?;
    if mode == LoginMode::Stepwise {
        stream.send(&XmppStreamElement::Stanza(bind)).await.map_err(broken_off)?;
    }
    loop {
        match next(&mut stream).await? {
            XmppStreamElement::Stanza(Stanza::Iq(Iq::Result { id, payload: Some(payload), .. })) if id == BIND_ID => {
                let bound = BindResponse::try_from(payload)
                    .map_err(|error| ConnectError::Negotiation(error.to_string().into()))?;
                return Ok((bound.into(), stream));
            }
            XmppStreamElement::Stanza(Stanza::Iq(Iq::Error { id, error, .. })) if id == BIND_ID => {
                return Err(ConnectError::Negotiation(format!("bind: {:?}", error.defined_condition).into()));
            }
            // Stanzas for the account may come first; nothing waits for them yet.
            XmppStreamElement::Stanza(_) => {}
            _ => return Err(ConnectError::Negotiation("an answer to bind that is none".into())),
        }
    }
}

/// The SASL PLAIN message of RFC 4616.
fn plain(jid: &UserJid, password: &SecretString) -> Result<Auth, ConnectError> {
    let credentials = Credentials::default().with_username(jid.localpart()).with_password(password.expose_secret());
    let mut mechanism =
        Plain::from_credentials(credentials).map_err(|error| ConnectError::Negotiation(error.to_string().into()))?;
    Ok(Auth { mechanism: MechanismName::Plain, data: mechanism.initial() })
}

async fn next(stream: &mut XmppStream<WsIo>) -> Result<XmppStreamElement, ConnectError> {
    loop {
        let element = match stream.next().await {
            None | Some(Err(ReadError::StreamFooterReceived)) => {
                return Err(ConnectError::Broken("the server closed the stream".into()));
            }
            Some(Err(ReadError::SoftTimeout)) => continue,
            Some(Err(error)) => return Err(broken_off(error)),
            Some(Ok(element)) => element.into_read_error().map_err(broken_off)?,
        };
        if let XmppStreamElement::StreamError(error) = element {
            return Err(ConnectError::Negotiation(format!("stream error {error}").into()));
        }
        return Ok(element);
    }
}

fn without_features(error: RecvFeaturesError) -> ConnectError {
    match error {
        RecvFeaturesError::Io(error) => broken_off(error),
        RecvFeaturesError::StreamError(error) => ConnectError::Negotiation(format!("stream error {error}").into()),
    }
}

fn broken_off(error: impl std::error::Error + Send + Sync + 'static) -> ConnectError {
    let error: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
    match error.downcast::<io::Error>() {
        Ok(error) if error.kind() == io::ErrorKind::InvalidData => ConnectError::NotXmpp(error.to_string().into()),
        Ok(error) => ConnectError::Broken(Arc::from(error.to_string())),
        Err(error) => ConnectError::Negotiation(Arc::from(error.to_string())),
    }
}
