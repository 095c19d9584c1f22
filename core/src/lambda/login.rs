//! `GET /sapi/xmpp/login`: what a chat client needs to open its XMPP session.

use lambda_http::{Body, Response};
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::time::Instant;

use super::{
    problem::Problem,
    rest::{Endpoint, Operation},
    routes::json_response,
    start::Dependencies,
};
use crate::{
    address::{MUC_LABEL, UserJid},
    auth::Caller,
    cells::Cells,
    ledger::DynamoPlaces,
};

/// Mints login tokens; asks nobody, but for Secrets Manager now and then, and, where there are several cells, the ledger.
#[derive(Debug)]
pub struct Login(Cells<DynamoPlaces>);

impl Endpoint for Login {
    const OPERATION: Operation = Operation::Login;

    async fn build(dependencies: &Dependencies) -> Self {
        Self(dependencies.cells().await)
    }

    async fn call(&self, caller: &Caller, _: Option<&UserJid>, _: Instant) -> Result<Response<Body>, Problem> {
        let cell = self.0.of(caller.jid.domain()).await?;
        let token = cell.login_tokens.mint(&caller.jid).await?;
        Ok(json_response(&json!({
            "jid": caller.jid.as_str(),
            "token": token.token.expose_secret(),
            "expiresAt": token.expires_at,
            "xmppUrl": cell.public_url.as_str(),
            "mucDomain": format!("{MUC_LABEL}{}", caller.jid.domain()),
        })))
    }
}
