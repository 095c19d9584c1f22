//! Rooms on a real Prosody, seen by clients that are inside or would like to be.
//!
//! Run by `tests/xmpp_server/rooms/test_muc_lives.py`, which starts the servers and looks at what happened with a client
//! that shares no code with core. This side reads requests, a JSON object a line, and answers each with a line.

use std::{
    io::{BufRead, Write},
    time::Duration,
};

use serde_json::{Value, json};
use sippo_xmpp_core::{
    address::{RoomJid, UserJid},
    auth::LoginTokens,
    cells::{Cell, Cells, Reach},
    hosts::Hosts,
    ledger::{DynamoPlaces, Ordinal, RoomKind},
    rooms::{Grant, Invitation, Refusal, Revocation, RoomServer, RoomSpec, ServerError},
    tls::Tls,
    xmpp::{Account, Timeouts, WsConnector, XmppClient},
};
use tokio::time::Instant;
use url::Url;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "needs a Prosody; tests/xmpp_server/rooms/test_muc_lives.py runs it with one"]
async fn serves_requests() {
    let variable = |name: &str| std::env::var(name).expect("set by the test that runs this");
    let url: Url = variable("XMPP_URL").parse().expect("a URL");
    let jid = UserJid::canonical(&variable("ADMIN_JID")).expect("a bare JID");
    let token = || variable("ADMIN_TOKEN").into();
    let connector = WsConnector::new(url.clone(), Tls::new(None));
    let rooms = Cells::only(Cell::only(Reach {
        client: XmppClient::new(connector, Account { jid, password: token() }, Timeouts::default()),
        // Nobody logs in here, and no host is made.
        login_tokens: LoginTokens::new(token(), Duration::from_mins(1)),
        hosts: Hosts::new(url.clone(), token(), Tls::new(None)),
        public_url: url,
    }));
    let mut out = std::fs::OpenOptions::new().write(true).open(variable("ANSWERS")).expect("the pipe is there");
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
        let begun = Instant::now();
        let outcome = run(&rooms, &request).await;
        let seconds = begun.elapsed().as_secs_f64();
        let answer = match outcome {
            Ok(refusals) => {
                let refused: serde_json::Map<_, _> =
                    refusals.into_iter().map(|one| (one.user.to_string(), kind_of(&one.error))).collect();
                json!({"ok": true, "refused": refused, "seconds": seconds})
            }
            Err(error) => {
                let retryable = error.is_retryable();
                json!({"ok": false, "error": kind_of(&error), "retryable": retryable, "seconds": seconds})
            }
        };
        writeln!(out, "{answer}").expect("somebody reads");
    }
}

fn kind_of(error: &ServerError) -> Value {
    match error {
        ServerError::RoomMissing => json!("room-missing"),
        ServerError::Unavailable(why) | ServerError::Unanswered(why) | ServerError::NotServed(why) => {
            json!(format!("unavailable: {why}"))
        }
        ServerError::NotAdmin(why) => json!(format!("not-admin: {why}")),
        ServerError::Refused(why) => json!(format!("refused: {why}")),
    }
}

async fn run(rooms: &Cells<DynamoPlaces>, request: &Value) -> Result<Vec<Refusal>, ServerError> {
    let text = |name: &str| request[name].as_str().expect("given");
    let optional = |name: &str| request[name].as_str().map(str::to_owned);
    let ordinal = |name: &str| request[name].as_str().map(|text| text.parse::<Ordinal>().expect("an ordinal"));
    let room = RoomJid::of_id(text("id"), text("domain")).expect("a room");
    let within = request["within"].as_f64().unwrap_or(30.0);
    let deadline = Instant::now() + Duration::from_secs_f64(within);
    match text("do") {
        "ensure" => {
            let spec = RoomSpec {
                life: ordinal("life").expect("given"),
                kind: optional("kind").map_or(RoomKind::UsersGroup, |kind| room_kind(&kind)),
                name: optional("name"),
            };
            rooms.ensure(&room, &spec, ordinal("ended").as_ref(), deadline).await.map(|()| Vec::new())
        }
        "destroy" => rooms.destroy(&room, &ordinal("ended").expect("given"), deadline).await.map(|()| Vec::new()),
        "grant" => {
            let grants: Vec<_> = request["users"].as_object().expect("given").iter().map(grant).collect();
            rooms.grant(&room, &grants, ordinal("ended").as_ref(), deadline).await
        }
        "revoke" => {
            let revocation = |user| Revocation { user, ended: ordinal("ended") };
            let all: Vec<_> = users(request).into_iter().map(revocation).collect();
            rooms.revoke(&room, &all, deadline).await
        }
        "invite" => {
            let since = ordinal("since").expect("given");
            let invitation = |to| Invitation { to, since: since.clone() };
            let all: Vec<_> = users(request).into_iter().map(invitation).collect();
            let spec = RoomSpec { life: since, kind: room_kind(text("kind")), name: optional("name") };
            rooms.invite(&room, &spec, &all, deadline).await
        }
        other => panic!("{other} is no request"),
    }
}

fn room_kind(text: &str) -> RoomKind {
    if text == "conference" { RoomKind::Conference } else { RoomKind::UsersGroup }
}

fn users(request: &Value) -> Vec<UserJid> {
    let all = request["users"].as_array().expect("given");
    all.iter().map(|user| UserJid::canonical(user.as_str().expect("text")).expect("a bare JID")).collect()
}

fn grant((user, what): (&String, &Value)) -> (UserJid, Grant) {
    let grant = match what.as_str() {
        Some("owner") => Grant::Owner,
        Some("exactly-member") => Grant::ExactlyMember,
        _ => Grant::AtLeastMember,
    };
    (UserJid::canonical(user).expect("a bare JID"), grant)
}
