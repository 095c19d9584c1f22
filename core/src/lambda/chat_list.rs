//! The individual chat list's endpoints.

use lambda_http::{Body, Response, http::StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    problem::Problem,
    rest::{Endpoint, Operation},
    routes::json_response,
    start::Dependencies,
};
use crate::{
    address::UserJid,
    auth::Caller,
    chat_list::{ChatListError, ChatLists},
    xmpp::{RequestError, XmppClient},
};

type Lists = ChatLists<XmppClient>;

/// `GET /sapi/xmpp/individualChatList`
#[derive(Debug)]
pub struct GetChatList(Lists);

/// `PUT /sapi/xmpp/individualChatList/:jid`
#[derive(Debug)]
pub struct AddToChatList(Lists);

/// `DELETE /sapi/xmpp/individualChatList/:jid`
#[derive(Debug)]
pub struct RemoveFromChatList(Lists);

impl Endpoint for GetChatList {
    const OPERATION: Operation = Operation::GetChatList;

    fn build(dependencies: &Dependencies) -> Self {
        Self(Lists::new(dependencies.xmpp_client()))
    }

    async fn call(&self, caller: &Caller, _: Option<&UserJid>, deadline: Instant) -> Result<Response<Body>, Problem> {
        let entries = self.0.entries(&caller.jid, deadline).await.map_err(into_problem)?;
        Ok(json_response(&entries.into_iter().map(|jid| json!({ "jid": jid })).collect::<Value>()))
    }
}

impl Endpoint for AddToChatList {
    const OPERATION: Operation = Operation::AddToChatList;

    fn build(dependencies: &Dependencies) -> Self {
        Self(Lists::new(dependencies.xmpp_client()))
    }

    async fn call(
        &self,
        caller: &Caller,
        contact: Option<&UserJid>,
        deadline: Instant,
    ) -> Result<Response<Body>, Problem> {
        let contact = contact.ok_or_else(Problem::not_found)?;
        self.0.add(&caller.jid, contact, deadline).await.map_err(into_problem)?;
        Ok(no_content())
    }
}

impl Endpoint for RemoveFromChatList {
    const OPERATION: Operation = Operation::RemoveFromChatList;

    fn build(dependencies: &Dependencies) -> Self {
        Self(Lists::new(dependencies.xmpp_client()))
    }

    async fn call(
        &self,
        caller: &Caller,
        contact: Option<&UserJid>,
        deadline: Instant,
    ) -> Result<Response<Body>, Problem> {
        let contact = contact.ok_or_else(Problem::not_found)?;
        self.0.remove(&caller.jid, contact, deadline).await.map_err(into_problem)?;
        Ok(no_content())
    }
}

/// The answer to a call that failed, whose cause is logged, for the caller hears of it only in general. A failed connect was logged where it happened.
fn into_problem(error: ChatListError) -> Problem {
    if let ChatListError::Unavailable(cause) = &error
        && !matches!(cause, RequestError::Connect(_))
    {
        tracing::error!(error = %cause, "Chat list request to the XMPP server failed");
    }
    error.into()
}

fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
