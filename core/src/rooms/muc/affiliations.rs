//! Affiliations: many in one request where the server takes them so, one by one where it does not.
//!
//! Which of the two is not asked beforehand: a server without `mod_muc_admin_batch` answers its request as one it
//! does not know. It cannot do a part of it and drop the rest, as it would with a list in muc#admin.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use jid::BareJid;
use tokio::time::Instant;
use xmpp_parsers::stanza_error::DefinedCondition;

use super::{
    super::{
        expiry::expires,
        model::Grant,
        server::{Refusal, ServerError},
    },
    errors::{not_understood, of_condition, server_error, stanza_error},
    stanzas::{AdminItem, AdminQuery, Affiliation, Affiliations, Refused, RefusedOne, life},
};
use crate::{
    address::{RoomJid, UserJid},
    ledger::Ordinal,
    xmpp::{Request, RequestError, XmppClient},
};

/// Prosody refuses stanzas of more than 256 KiB; half of that leaves room for what stands around the items.
const MAX_CHUNK: usize = 128 << 10;

/// What an item takes besides its JID and its end, in bytes: `<exactly-member jid=''/>`. Bare JIDs need no escaping but for
/// `&` and quotes, which localparts cannot hold (RFC 7622, section 3.3.1).
const ITEM_OVERHEAD: usize = 24;

/// What is to become of someone's affiliation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AffiliationChange {
    Grant(Grant),
    /// With what ended the membership, as it is written on the wire.
    Revoke(Option<String>),
}

impl AffiliationChange {
    fn item(&self, user: &UserJid) -> Affiliation {
        let jid = user.as_bare().clone();
        match self {
            Self::Grant(grant) => Affiliation::grant(jid, *grant),
            Self::Revoke(ended) => Affiliation::None { jid, ended: ended.clone() },
        }
    }

    /// What its item takes at most besides the JID, in bytes.
    fn overhead(&self) -> usize {
        let ended = match self {
            Self::Revoke(Some(ended)) => ended.len() + " ended=''".len(),
            Self::Revoke(None) | Self::Grant(_) => 0,
        };
        ITEM_OVERHEAD + ended
    }

    /// XEP-0045, section 5.2.
    fn affiliation(&self) -> &'static str {
        match self {
            Self::Grant(Grant::Owner) => "owner",
            Self::Grant(Grant::AtLeastMember | Grant::ExactlyMember) => "member",
            Self::Revoke(_) => "none",
        }
    }
}

/// Makes `changes`; returns those that were refused one by one. All requests are answered when this is ready.
pub(super) async fn apply(
    client: &XmppClient,
    room: &RoomJid,
    changes: &[(&UserJid, AffiliationChange)],
    ended: Option<&Ordinal>,
    deadline: Instant,
) -> Result<Vec<Refusal>, ServerError> {
    let mut refusals = Vec::new();
    // One after the other: the server must be free for others between them, or they take it for dead.
    for chunk in chunks(changes) {
        refusals.extend(apply_chunk(client, room, chunk, ended, deadline).await?);
    }
    Ok(refusals)
}

/// Cuts `changes` so that each piece fits into a stanza.
fn chunks<'a, 'b>(
    mut rest: &'a [(&'b UserJid, AffiliationChange)],
) -> impl Iterator<Item = &'a [(&'b UserJid, AffiliationChange)]> {
    std::iter::from_fn(move || {
        let mut size = 0;
        let fits = |(user, change): &&(&UserJid, AffiliationChange)| {
            size += user.as_str().len() + change.overhead();
            size <= MAX_CHUNK
        };
        let (chunk, tail) = rest.split_at(rest.iter().take_while(fits).count());
        rest = tail;
        (!chunk.is_empty()).then_some(chunk)
    })
}

async fn apply_chunk(
    client: &XmppClient,
    room: &RoomJid,
    changes: &[(&UserJid, AffiliationChange)],
    ended: Option<&Ordinal>,
    deadline: Instant,
) -> Result<Vec<Refusal>, ServerError> {
    let items = changes.iter().map(|(user, change)| change.item(user)).collect();
    let payload = Affiliations { expires: expires(deadline), ended: ended.map(life), items };
    let request = Request::set(room.as_bare().clone(), payload).no_resend();
    match client.request(&request, deadline).await {
        Err(error) if error.condition() == Some(DefinedCondition::ServiceUnavailable) => {
            one_by_one(client, room, changes, deadline).await
        }
        Err(error) => Err(server_error(&error)),
        Ok(None) => Err(not_understood("no list of refusals")),
        Ok(Some(answer)) => {
            let refused = Refused::try_from(answer).map_err(|error| not_understood(&error.to_string()))?;
            let users: BTreeMap<&str, &UserJid> = changes.iter().map(|(user, _)| (user.as_str(), *user)).collect();
            let refusal = |one: RefusedOne| {
                let user = *users.get(one.jid.as_str()).ok_or_else(|| not_understood("it names someone else"))?;
                Ok(Refusal { user: user.clone(), error: refusal_of(of_condition(&one.kind, &one.condition, None)) })
            };
            refused.items.into_iter().map(refusal).collect()
        }
    }
}

/// Of one among many the room cannot be what is missing.
fn refusal_of(error: ServerError) -> ServerError {
    match error {
        ServerError::RoomMissing => ServerError::Refused("they are not there".to_owned()),
        other => other,
    }
}

/// On a server that knows only XEP-0045: one affiliation a request, all of them under way at once.
///
/// What `AtLeastMember` must not lower is read first. An owner made between the two would be lowered; no server
/// without our module can tell.
async fn one_by_one(
    client: &XmppClient,
    room: &RoomJid,
    changes: &[(&UserJid, AffiliationChange)],
    deadline: Instant,
) -> Result<Vec<Refusal>, ServerError> {
    let mut kept = BTreeSet::new();
    if changes.iter().any(|(_, change)| *change == AffiliationChange::Grant(Grant::AtLeastMember)) {
        kept = list(client, room, "owner", deadline).await?;
        kept.extend(list(client, room, "admin", deadline).await?);
    }
    let wanted = changes.iter().filter(|(user, change)| {
        !(*change == AffiliationChange::Grant(Grant::AtLeastMember) && kept.contains(user.as_bare()))
    });
    let set = async |user: &UserJid, change: &AffiliationChange| {
        let item = AdminItem { affiliation: Some(change.affiliation().to_owned()), jid: Some(user.as_bare().clone()) };
        let request = Request::set(room.as_bare().clone(), AdminQuery { items: vec![item] }).no_resend();
        (user.clone(), client.request(&request, deadline).await)
    };
    let (mut refusals, mut failure) = (Vec::new(), None::<ServerError>);
    for (user, outcome) in join_all(wanted.map(|(user, change)| set(user, change))).await {
        match outcome {
            Ok(_) => {}
            Err(RequestError::Stanza(error)) => match stanza_error(&error) {
                ServerError::RoomMissing => failure = failure.or(Some(ServerError::RoomMissing)),
                error => refusals.push(Refusal { user, error }),
            },
            // What says most of all: one that was not answered may still take effect.
            Err(error) => match server_error(&error) {
                error @ ServerError::Unanswered(_) => failure = Some(error),
                error => failure = failure.or(Some(error)),
            },
        }
    }
    failure.map_or(Ok(refusals), Err)
}

/// Who has `affiliation` (XEP-0045, sections 10.5 and 10.8).
async fn list(
    client: &XmppClient,
    room: &RoomJid,
    affiliation: &str,
    deadline: Instant,
) -> Result<BTreeSet<BareJid>, ServerError> {
    let item = AdminItem { affiliation: Some(affiliation.to_owned()), jid: None };
    let request = Request::get(room.as_bare().clone(), AdminQuery { items: vec![item] });
    let Some(answer) = client.request(&request, deadline).await.map_err(|error| server_error(&error))? else {
        return Err(not_understood("no list of affiliations"));
    };
    let listed = answer.children().filter_map(|item| item.attr("jid"));
    Ok(listed.filter_map(|jid| BareJid::new(jid).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_hold_all_in_order_and_fit_into_a_stanza() {
        let users: Vec<UserJid> = (0..5_000)
            .map(|n| UserJid::of_username(&format!("{}{n}", "x".repeat(100)), "example.test").unwrap())
            .collect();
        let grant = AffiliationChange::Grant(Grant::ExactlyMember);
        let changes: Vec<_> = users
            .iter()
            .flat_map(|user| [(user, grant.clone()), (user, AffiliationChange::Revoke(Some("9".repeat(300))))])
            .collect();
        let cut: Vec<_> = chunks(&changes).collect();
        assert!(cut.len() > 1);
        assert_eq!(cut.concat(), changes);
        for chunk in cut {
            let items = chunk.iter().map(|(user, change)| change.item(user)).collect();
            let element: tokio_xmpp::minidom::Element = Affiliations { expires: u64::MAX, ended: None, items }.into();
            let size = String::from(&element).len();
            assert!(size < MAX_CHUNK + 200, "{size}");
        }
    }
}
