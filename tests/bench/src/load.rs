//! Many XMPP clients in one process: the load that `scripts/bench xmpp` puts on a server, and what it costs this side.
//!
//! A command a line, answered in a line; sessions stay open from one command to the next:
//! - `{op: "log_in", url, users: [[jid, password]], at_once}`: sessions more, each with an initial presence
//! - `{op: "chat", pairs, messages, window}`: each pair's first session sends `messages` to the second, `window` in flight
//! - `{op: "join", room, occupants}`: the first `occupants` sessions enter, by their localparts
//! - `{op: "talk", room, occupants, speakers, messages, window}`: the first `speakers` send `messages` each, all read all
//! - `{op: "archived", archive}`: how many messages the first session's archive, or a room's, has (XEP-0313)
//! - `{op: "keep", count}`: all sessions but the first `count` end
//!
//! Each answer has `seconds` of the wall and `cpu`, seconds of this process; `archived` has `count` besides. What the
//! server refuses ends the program, with the server's words.

mod chat;
mod room;

use std::{
    io::{BufRead as _, Write as _},
    time::{Duration, Instant},
};

use cpu_time::ProcessTime;
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::raw::Raw;

/// A command that takes longer has lost a message.
const LIMIT: Duration = Duration::from_mins(5);

/// A user's session.
struct Client {
    /// The bare JID.
    jid: String,
    raw: Raw,
}

impl Client {
    async fn log_in(url: &str, jid: &str, password: &str) -> Self {
        let mut raw = Raw::log_in(url, jid, password).await;
        raw.send("<presence xmlns='jabber:client' id='p'/>").await;
        raw.until("<presence").await;
        Self { jid: jid.to_owned(), raw }
    }

    fn localpart(&self) -> &str {
        self.jid.split('@').next().expect("there is a first part")
    }
}

/// Reads commands until there are no more.
pub(crate) async fn act() {
    let mut clients = Vec::new();
    answer(&json!({"ready": true}));
    for line in std::io::stdin().lock().lines() {
        let command: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        let (begin, cpu) = (Instant::now(), ProcessTime::now());
        let done = tokio::time::timeout(LIMIT, run(&mut clients, &command)).await;
        let count = done.unwrap_or_else(|_| panic!("{command} is not done after {LIMIT:?}"));
        answer(&json!({"seconds": begin.elapsed().as_secs_f64(), "cpu": cpu.elapsed().as_secs_f64(), "count": count}));
    }
}

fn answer(value: &Value) {
    println!("{value}");
    std::io::stdout().flush().expect("somebody reads");
}

/// What was counted, if anything is.
async fn run(clients: &mut Vec<Client>, command: &Value) -> Option<usize> {
    match text(command, "op") {
        "log_in" => log_in(clients, command).await,
        "chat" => {
            let pairs = clients[..2 * number(command, "pairs")].chunks_exact_mut(2);
            chat::run(pairs, number(command, "messages"), number(command, "window")).await;
        }
        "join" => room::join(&mut clients[..number(command, "occupants")], text(command, "room")).await,
        "talk" => {
            let occupants = &mut clients[..number(command, "occupants")];
            let talk = room::Talk {
                room: text(command, "room"),
                speakers: number(command, "speakers"),
                messages: number(command, "messages"),
                window: number(command, "window"),
            };
            talk.run(occupants).await;
        }
        "archived" => return Some(archived(&mut clients[0], text(command, "archive")).await),
        "keep" => {
            for mut client in clients.drain(number(command, "count")..) {
                client.raw.send("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>").await;
            }
        }
        other => panic!("{other} is no operation"),
    }
    None
}

fn number(command: &Value, name: &str) -> usize {
    let found = command[name].as_u64().and_then(|number| number.try_into().ok());
    found.unwrap_or_else(|| panic!("{command} has no number {name}"))
}

fn text<'command>(command: &'command Value, name: &str) -> &'command str {
    command[name].as_str().unwrap_or_else(|| panic!("{command} has no text {name}"))
}

async fn log_in(clients: &mut Vec<Client>, command: &Value) {
    let url = text(command, "url");
    let users = command["users"].as_array().expect("users").iter();
    let sessions = users.map(|user| {
        let word = |index: usize| user[index].as_str().expect("a JID and a password");
        Client::log_in(url, word(0), word(1))
    });
    // In order: commands name sessions by their places.
    let sessions: Vec<Client> = stream::iter(sessions).buffered(number(command, "at_once")).collect().await;
    clients.extend(sessions);
}

/// Asks for no message, so that the server only counts them (XEP-0059, section 2.6).
async fn archived(client: &mut Client, archive: &str) -> usize {
    let query = "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>0</max></set></query>";
    client.raw.send(&format!("<iq xmlns='jabber:client' type='set' id='a' to='{archive}'>{query}</iq>")).await;
    let answer = client.raw.until("id='a'").await;
    let count = answer.split_once("<count>").and_then(|(_, rest)| rest.split_once("</count>"));
    count.and_then(|(count, _)| count.parse().ok()).unwrap_or_else(|| panic!("{answer} has no count"))
}
