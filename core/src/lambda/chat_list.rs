//! The individual chat list's endpoints.

use futures::FutureExt;
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
    cells::{Cell, Cells},
    chat_list::{ChatListError, ChatLists},
    ledger::DynamoPlaces,
    xmpp::{RequestError, XmppClient},
};

/// On whichever cell the caller is.
type Lists = Cells<DynamoPlaces>;

fn lists(cell: &Cell) -> ChatLists<XmppClient> {
    ChatLists::new(cell.client.clone())
}

fn is_elsewhere(error: &ChatListError) -> bool {
    matches!(error, ChatListError::DomainNotServed(_))
}

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

    async fn build(dependencies: &Dependencies) -> Self {
        Self(dependencies.cells().await)
    }

    async fn call(&self, caller: &Caller, _: Option<&UserJid>, deadline: Instant) -> Result<Response<Body>, Problem> {
        let (user, domain) = (&caller.jid, caller.jid.domain());
        let entries = |cell| async move { lists(cell).entries(user, deadline).await }.boxed();
        let entries = self.0.on_cell_of(domain, entries, is_elsewhere).await?.map_err(into_problem)?;
        Ok(json_response(&entries.into_iter().map(|jid| json!({ "jid": jid })).collect::<Value>()))
    }
}

impl<const ADDS: bool> Endpoint for ChangeChatList<ADDS> {
    const OPERATION: Operation = if ADDS { Operation::AddToChatList } else { Operation::RemoveFromChatList };

    async fn build(dependencies: &Dependencies) -> Self {
        Self(dependencies.cells().await)
    }

    async fn call(
        &self,
        caller: &Caller,
        contact: Option<&UserJid>,
        deadline: Instant,
    ) -> Result<Response<Body>, Problem> {
        let (user, contact) = (&caller.jid, contact.ok_or_else(Problem::not_found)?);
        let change = |cell| {
            async move {
                let lists = lists(cell);
                if ADDS {
                    lists.add(user, contact, deadline).await
                } else {
                    lists.remove(user, contact, deadline).await
                }
            }
            .boxed()
        };
        self.0.on_cell_of(user.domain(), change, is_elsewhere).await?.map_err(into_problem)?;
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
