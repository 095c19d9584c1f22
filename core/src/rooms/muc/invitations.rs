//! Direct invitations (XEP-0249), as messages that are kept for who is offline, and archived.

use std::time::Duration;

use jid::{BareJid, Jid};
use ring::digest::{SHA256, digest};
use tokio::time::Instant;
use tokio_xmpp::minidom::Element;
use xmpp_parsers::{
    message::{Id, Lang, Message},
    stanza_error::{DefinedCondition, StanzaError},
};

use super::{
    super::{
        expiry::expires,
        model::RoomSpec,
        server::{Invitation, Refusal, ServerError},
    },
    errors::{bounce, not_understood, server_error},
    stanzas::{Bounced, BouncedOne, DirectInvitation, MembershipSince, Messages, Store, hex, life, plain},
};
use crate::{
    address::RoomJid,
    xmpp::{Bounce, Request, XmppClient},
};

/// Invitations that are under way at once. The server stores each twice, for who is offline and in the archive: with one
/// commit for all of them where it has `mod_sippo_message_batch`, else with one each, which may take 20 ms on a slow disk.
/// It must be free for others now and then, or they take it for dead.
const CHUNK: usize = 25;

/// Sends `invitations` by way of `through`, the room itself or a component of the server, and returns those that bounced, when
/// the server has handled them all.
///
/// What there was no time for comes back as [`ServerError::Unavailable`], for each its own: so what is sent counts,
/// and the next attempt goes on from there.
pub(super) async fn send(
    client: &XmppClient,
    through: &BareJid,
    (room, spec): (&RoomJid, &RoomSpec),
    invitations: &[Invitation],
    deadline: Instant,
) -> Result<Vec<Refusal>, ServerError> {
    let mut refusals = Vec::new();
    let mut longest = Duration::ZERO;
    for (done, chunk) in invitations.chunks(CHUNK).enumerate() {
        let begun = Instant::now();
        let rest = invitations.get(done * CHUNK..).unwrap_or_default();
        // Sent now, they would be given up half-way, and the session with them.
        if done > 0 && deadline.saturating_duration_since(begun) < longest * 2 {
            refusals.extend(not_sent(rest, "there was no time left"));
            break;
        }
        match send_chunk(client, through, (room, spec), chunk, deadline).await {
            Ok(bounced) => refusals.extend(bounced),
            Err(error) if done > 0 => {
                refusals.extend(not_sent(rest, &error.to_string()));
                break;
            }
            Err(error) => return Err(error),
        }
        longest = longest.max(begun.elapsed());
    }
    Ok(refusals)
}

/// In one request, which the server answers when all are on its disk.
async fn send_chunk(
    client: &XmppClient,
    through: &BareJid,
    (room, spec): (&RoomJid, &RoomSpec),
    chunk: &[Invitation],
    deadline: Instant,
) -> Result<Vec<Refusal>, ServerError> {
    let with_since = |one: &Invitation| {
        let membership = MembershipSince { since: life(&one.since) };
        Element::from(message(room, spec, one).with_payload(membership))
    };
    let payload = Messages { expires: expires(deadline), messages: chunk.iter().map(with_since).collect() };
    match client.request(&Request::set(through.clone(), payload), deadline).await {
        Err(error) if error.condition() == Some(DefinedCondition::ServiceUnavailable) => {
            let messages = chunk.iter().map(|invitation| message(room, spec, invitation)).collect();
            one_by_one(client, messages, chunk, deadline).await
        }
        Err(error) => Err(server_error(&error)),
        Ok(None) => Err(not_understood("no list of bounces")),
        Ok(Some(answer)) => {
            let bounced = Bounced::try_from(answer).map_err(|error| not_understood(&error.to_string()))?;
            let refusal = |one: BouncedOne| {
                let to = chunk.iter().find(|invitation| stanza_id(room, invitation) == one.id);
                let Invitation { to, .. } = to.ok_or_else(|| not_understood("it names another message"))?;
                Ok(Refusal { user: to.clone(), error: bounce(&one.kind, &one.condition, None) })
            };
            bounced.items.into_iter().map(refusal).collect()
        }
    }
}

/// On a server without our module, which does not tell spells of membership apart: it takes no invitation back either.
async fn one_by_one(
    client: &XmppClient,
    messages: Vec<Message>,
    chunk: &[Invitation],
    deadline: Instant,
) -> Result<Vec<Refusal>, ServerError> {
    let bounces = client.deliver(messages, deadline).await.map_err(|error| server_error(&error))?;
    let refusal = |one: Bounce| {
        let Invitation { to, .. } = chunk.get(one.message)?;
        let StanzaError { type_, defined_condition, texts, .. } = &*one.error;
        let text = texts.values().next().map(String::as_str);
        Some(Refusal { user: to.clone(), error: bounce(type_, defined_condition, text) })
    };
    Ok(bounces.into_iter().filter_map(refusal).collect())
}

fn not_sent<'a>(rest: &'a [Invitation], why: &'a str) -> impl Iterator<Item = Refusal> + 'a {
    let error = move || ServerError::Unavailable(why.to_owned());
    rest.iter().map(move |one| Refusal { user: one.to.clone(), error: error() })
}

/// Of type `normal`, as XEP-0249 has it: Prosody keeps that for who is offline. It is archived without a body
/// because it is an invitation; the hint says so to any other archive. The room's name is the subject: XEP-0249 has no
/// place for it.
fn message(room: &RoomJid, spec: &RoomSpec, invitation: &Invitation) -> Message {
    let mut message = Message::normal(Jid::from(invitation.to.as_bare().clone()));
    message.id = Some(Id(stanza_id(room, invitation)));
    if let Some(name) = &spec.name {
        message.subjects.insert(Lang::default(), plain(name));
    }
    let direct = DirectInvitation { jid: room.as_bare().clone(), reason: spec.kind.reason().to_owned() };
    message.with_payload(direct).with_payload(Store)
}

/// The same for the same invitation, however often it is sent, so that a client can tell.
fn stanza_id(room: &RoomJid, Invitation { to, since }: &Invitation) -> String {
    // No part before the last can hold a NUL.
    let hash = digest(&SHA256, format!("{room}\0{to}\0{}", life(since)).as_bytes());
    hex(&hash.as_ref()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{address::UserJid, events::Version, ledger::Ordinal};

    #[test]
    fn the_id_follows_from_room_user_and_event() {
        let room = |id| RoomJid::of_id(id, "example.test").unwrap();
        let invitation = |name, counter| Invitation {
            to: UserJid::of_username(name, "example.test").unwrap(),
            since: Ordinal::new(Version { epoch: 1, counter }, "event"),
        };
        let first = stanza_id(&room("a"), &invitation("alice", 1));
        assert_eq!(first, stanza_id(&room("a"), &invitation("alice", 1)));
        assert_eq!(first.len(), 32);
        for other in [
            stanza_id(&room("b"), &invitation("alice", 1)),
            stanza_id(&room("a"), &invitation("bob", 1)),
            stanza_id(&room("a"), &invitation("alice", 2)),
        ] {
            assert_ne!(first, other);
        }
    }
}
