//! `GET /sapi/xmpp/rooms`: which rooms the caller belongs to.

use futures::FutureExt;
use lambda_http::{Body, Response};
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
    cells::Cells,
    ledger::DynamoPlaces,
    room_list::{RoomListError, rooms_of},
    xmpp::RequestError,
};

/// `GET /sapi/xmpp/rooms`
#[derive(Debug)]
pub struct GetRooms(Cells<DynamoPlaces>);

impl Endpoint for GetRooms {
    const OPERATION: Operation = Operation::GetRooms;

    async fn build(dependencies: &Dependencies) -> Self {
        Self(dependencies.cells().await)
    }

    async fn call(&self, caller: &Caller, _: Option<&UserJid>, deadline: Instant) -> Result<Response<Body>, Problem> {
        let (user, domain) = (&caller.jid, caller.jid.domain());
        let is_elsewhere = |error: &RoomListError| matches!(error, RoomListError::DomainNotServed(_));
        let rooms =
            self.0.on_cell_of(domain, |cell| rooms_of(&cell.client, user, deadline).boxed(), is_elsewhere).await?;
        let rooms = rooms.map_err(into_problem)?;
        let rooms = rooms.into_iter().map(
            |room| json!({ "jid": room.jid, "name": room.name, "kind": room.kind, "affiliation": room.affiliation }),
        );
        Ok(json_response(&rooms.collect::<Value>()))
    }
}

/// Logs what the caller is told only in general. A failed connect was logged where it happened.
fn into_problem(error: RoomListError) -> Problem {
    if let RoomListError::Unavailable(cause) = &error
        && !matches!(cause, RequestError::Connect(_))
    {
        tracing::error!(error = %cause, "Room list request to the XMPP server failed");
    }
    error.into()
}
