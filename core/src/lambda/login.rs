//! `GET /sapi/xmpp/login`: what a chat client needs to open its XMPP session.

use lambda_http::{Body, Response};
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::time::Instant;
use url::Url;

use super::{
    problem::Problem,
    rest::{Endpoint, Operation},
    routes::json_response,
    start::Dependencies,
};
use crate::{
    address::{MUC_LABEL, UserJid},
    auth::{Caller, LoginTokens},
};

/// Mints login tokens; asks nobody, but for Secrets Manager now and then.
#[derive(Debug)]
pub struct Login {
    tokens: LoginTokens,
    public_url: Url,
}

impl Endpoint for Login {
    const OPERATION: Operation = Operation::Login;

    fn build(dependencies: &Dependencies) -> Self {
        let xmpp = &dependencies.service.xmpp;
        Self {
            tokens: LoginTokens::new(dependencies.admin_token.clone(), xmpp.login_token_ttl),
            public_url: xmpp.public_url.clone(),
        }
    }

    async fn call(&self, caller: &Caller, _: Option<&UserJid>, _: Instant) -> Result<Response<Body>, Problem> {
        let token = self.tokens.mint(&caller.jid).await?;
        Ok(json_response(&json!({
            "jid": caller.jid.as_str(),
            "token": token.token.expose_secret(),
            "expiresAt": token.expires_at,
            "xmppUrl": self.public_url.as_str(),
            "mucDomain": format!("{MUC_LABEL}{}", caller.jid.domain()),
        })))
    }
}
