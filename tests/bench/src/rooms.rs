//! Rooms through the reconciler, the ledger in memory: what the service itself costs, without broker, queues and table.
//!
//! Speaks as the peers do (tests/bench/peers): a command a line, `{op, room, members}`, answered with `{members, seconds}`:
//! until all are members, and until all are invited as well.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, Write as _},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sippo_xmpp_core::{
    address::{RoomJid, UserJid},
    events::Version,
    ledger::{MemoryLedger, Ordinal, RoomChange, RoomEvent, RoomKind},
    rooms::{MucRooms, Reconciler, Refusal, ServerError},
    testing::{RoomRequest, RoomScript},
    xmpp::{Timeouts, XmppClient},
};
use tokio::time::Instant as Deadline;

use crate::{Target, session::connector};

/// Joins that a function is given at once at most, as in template.yaml.
const BATCH: usize = 100;
const DEADLINE: Duration = Duration::from_mins(5);

/// Notes when the last grant was answered.
struct Watched {
    rooms: MucRooms,
    granted: Arc<Mutex<Option<Instant>>>,
}

impl RoomScript for Watched {
    async fn answer(
        &self,
        room: &RoomJid,
        request: RoomRequest,
        deadline: Deadline,
    ) -> Result<Vec<Refusal>, ServerError> {
        let grants = matches!(request, RoomRequest::Grant(..));
        let outcome = request.pass_on(&self.rooms, room, deadline).await;
        if grants {
            *self.granted.lock().expect("nobody panics with it") = Some(Instant::now());
        }
        outcome
    }
}

struct Actor {
    rooms: Reconciler<MemoryLedger, Watched>,
    granted: Arc<Mutex<Option<Instant>>>,
    counter: u64,
}

/// Reads commands until there are no more.
pub(crate) async fn act(target: &Target) {
    let (connector, account) = connector(target);
    let client = XmppClient::new(connector, account, Timeouts::default());
    let granted = Arc::new(Mutex::new(None));
    let rooms = Watched { rooms: MucRooms::new(client), granted: granted.clone() };
    let mut actor = Actor { rooms: Reconciler::new(MemoryLedger::default(), rooms), granted, counter: 0 };
    answer(&json!({"ready": true}));
    for line in std::io::stdin().lock().lines() {
        let command: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        answer(&actor.run(&command).await);
    }
}

fn answer(value: &Value) {
    println!("{value}");
    std::io::stdout().flush().expect("somebody reads");
}

impl Actor {
    async fn run(&mut self, command: &Value) -> Value {
        let members = command["members"].as_array().expect("members").iter();
        let members: Vec<UserJid> =
            members.map(|jid| UserJid::canonical(jid.as_str().expect("a JID")).expect("a bare JID")).collect();
        let room = command["room"].as_str().expect("a room");
        let (id, domain) = room.split_once("@conference.").expect("a room of ours");
        let room = RoomJid::of_id(id, domain).expect("a good name");
        let begin = Instant::now();
        let outcome = match command["op"].as_str() {
            Some("group") => self.create(&room, members).await,
            Some("joins") => self.join(&room, &members).await,
            other => panic!("{other:?} is no operation"),
        };
        match outcome {
            Ok(()) => {
                let granted = self.granted.lock().expect("nobody panics with it").take();
                let members = granted.map_or(0.0, |at| at.duration_since(begin).as_secs_f64());
                json!({"members": members, "seconds": begin.elapsed().as_secs_f64()})
            }
            Err(error) => json!({"error": error}),
        }
    }

    async fn create(&mut self, room: &RoomJid, members: Vec<UserJid>) -> Result<(), String> {
        let participants = members.into_iter().collect();
        let event = self.event(RoomChange::Created { name: None, owner: None, participants });
        self.apply(room, &[event]).await
    }

    async fn join(&mut self, room: &RoomJid, members: &[UserJid]) -> Result<(), String> {
        for some in members.chunks(BATCH) {
            let events: Vec<RoomEvent> =
                some.iter().map(|user| self.event(RoomChange::Joined(BTreeSet::from([user.clone()])))).collect();
            self.apply(room, &events).await?;
        }
        Ok(())
    }

    fn event(&mut self, change: RoomChange) -> RoomEvent {
        self.counter += 1;
        let at = Ordinal::new(Version { epoch: 1, counter: self.counter }, "bench");
        RoomEvent { at, kind: RoomKind::UsersGroup, change }
    }

    async fn apply(&self, room: &RoomJid, events: &[RoomEvent]) -> Result<(), String> {
        let deadline = Deadline::now() + DEADLINE;
        let outcomes = self.rooms.apply(room, events, deadline).await;
        outcomes.into_iter().collect::<Result<(), _>>().map_err(|error| error.to_string())
    }
}
