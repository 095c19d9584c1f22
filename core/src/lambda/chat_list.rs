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
pub type AddToChatList = ChangeChatList<true>;

/// `DELETE /sapi/xmpp/individualChatList/:jid`
pub type RemoveFromChatList = ChangeChatList<false>;

/// Adds the contact of the path to the caller's list, or else removes it.
#[derive(Debug)]
pub struct ChangeChatList<const ADDS: bool>(Lists);

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

impl<const ADDS: bool> Endpoint for ChangeChatList<ADDS> {
    const OPERATION: Operation = if ADDS { Operation::AddToChatList } else { Operation::RemoveFromChatList };

    fn build(dependencies: &Dependencies) -> Self {
        Self(Lists::new(dependencies.xmpp_client()))
    }

    async fn call(
        &self,
        caller: &Caller,
        contact: Option<&UserJid>,
        deadline: Instant,
    ) -> Result<Response<Body>, Problem> {
        let (user, contact) = (&caller.jid, contact.ok_or_else(Problem::not_found)?);
        let change =
            if ADDS { self.0.add(user, contact, deadline).await } else { self.0.remove(user, contact, deadline).await };
        change.map_err(into_problem)?;
        Ok(no_content())
    }
}

/// Logs what the caller is told only in general. A failed connect was logged where it happened.
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
