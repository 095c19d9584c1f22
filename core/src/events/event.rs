//! An event, understood.

use jid::DomainPart;

use super::{
    envelope::Envelope,
    event_type::{EventType, Family},
    fields::Fields,
    poison::{FieldPath, MAX_NAME, Poison, Quoted},
    users::Users,
};
use crate::address::{RoomJid, Tenancy, UserJid, canonical_domain};

/// Something that happened on the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The same for every delivery of one event.
    pub id: String,
    /// Its type.
    pub event_type: EventType,
    /// What it says.
    pub payload: Payload,
    /// Why parts of it are left out of what it says: users who cannot be named, an odd name of a room.
    pub left_out: Vec<Poison>,
    /// Whom it names and says to have no chat: they are left out of who becomes a member. Each once, sorted.
    pub without_chat: Vec<UserJid>,
}

/// What an event says.
///
/// Groups and conferences differ in their [`Family`] only: either has a room, which comes, goes, and
/// has members.
///
/// Users who lack the `chat` capability are left out of what creates and joins: neither invited nor added. Who
/// leaves, leaves with and without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// `usersGroup.created`, `conference.created`.
    RoomCreated {
        /// The room that should be from now on.
        room: RoomJid,
        /// Its name for people.
        name: Option<String>,
        /// Its owner. They may be among the participants too.
        owner: Option<UserJid>,
        /// Its members, each once, in the publisher's order.
        participants: Vec<UserJid>,
    },
    /// `usersGroup.deleted`, `conference.destroyed`.
    RoomDestroyed {
        /// The room that should be no more.
        room: RoomJid,
    },
    /// `usersGroup.participants.joined`, `conference.participant.joined`.
    Joined {
        /// The room.
        room: RoomJid,
        /// Who are members from now on; nobody if all lack chat.
        participants: Vec<UserJid>,
    },
    /// `usersGroup.participants.left`, `conference.participant.left`.
    Left {
        /// The room.
        room: RoomJid,
        /// Who are members no more, whatever they may do: a member who lost the capability since they joined
        /// would else be one again when it comes back.
        participants: Vec<UserJid>,
    },
    /// `domain.created`.
    DomainCreated {
        /// The tenant.
        domain: DomainPart,
    },
    /// `domain.deleted`.
    DomainDeleted {
        /// The tenant.
        domain: DomainPart,
    },
}

impl Payload {
    /// The room that it is about.
    #[must_use]
    pub fn room(&self) -> Option<&RoomJid> {
        match self {
            Self::RoomCreated { room, .. }
            | Self::RoomDestroyed { room }
            | Self::Joined { room, .. }
            | Self::Left { room, .. } => Some(room),
            Self::DomainCreated { .. } | Self::DomainDeleted { .. } => None,
        }
    }
}

impl Event {
    /// Reads what was published under `routing_key`, in either envelope; `message_id` is AMQP's.
    ///
    /// # Errors
    /// [`Poison`]: no retry helps.
    pub fn parse(routing_key: &str, body: &[u8], message_id: Option<&str>, tenancy: &Tenancy) -> Result<Self, Poison> {
        let event_type = EventType::of_routing_key(routing_key)
            .ok_or_else(|| Poison::UnknownRoutingKey(Quoted::new(routing_key)))?;
        let envelope = Envelope::open(event_type, body, message_id)?;
        let fields = Fields::of_body(envelope.payload)?;
        let domain = tenant(&fields, tenancy)?;
        let (mut users, mut left_out) = (Users::new(tenancy, &domain), Vec::new());
        let payload = match event_type {
            EventType::DomainCreated => Payload::DomainCreated { domain: domain.clone() },
            EventType::DomainDeleted => Payload::DomainDeleted { domain: domain.clone() },
            EventType::UsersGroupCreated | EventType::ConferenceCreated => {
                let room = room(event_type, &fields, &domain)?;
                let name = name(&fields).unwrap_or_else(|fault| {
                    left_out.push(fault);
                    None
                });
                let owner =
                    fields.optional("owner").and_then(|json| users.read_optional(json, FieldPath::field("owner")));
                let list = fields.optional_list("participants")?.unwrap_or_default();
                let mut participants = users.read_list(&list, FieldPath::field("participants"))?;
                let mut owner = owner.into_iter().collect();
                users.remove_without_chat(&mut owner);
                users.remove_without_chat(&mut participants);
                Payload::RoomCreated { room, name, owner: owner.pop(), participants }
            }
            EventType::UsersGroupDeleted | EventType::ConferenceDestroyed => {
                Payload::RoomDestroyed { room: room(event_type, &fields, &domain)? }
            }
            EventType::UsersGroupParticipantsJoined | EventType::ConferenceParticipantJoined => Payload::Joined {
                room: room(event_type, &fields, &domain)?,
                participants: {
                    let mut joined = participants(event_type, &fields, &mut users)?;
                    users.remove_without_chat(&mut joined);
                    joined
                },
            },
            EventType::UsersGroupParticipantsLeft | EventType::ConferenceParticipantLeft => Payload::Left {
                room: room(event_type, &fields, &domain)?,
                participants: participants(event_type, &fields, users.whatever_capabilities())?,
            },
        };
        let without_chat = users.without_chat();
        left_out.extend(users.into_left_out());
        Ok(Self { id: envelope.id, event_type, payload, left_out, without_chat })
    }
}

/// The domain of the event, which has to be one that tenants may have.
fn tenant(fields: &Fields<'_>, tenancy: &Tenancy) -> Result<DomainPart, Poison> {
    let path = fields.path("domain");
    let text = fields.text("domain")?;
    let domain = canonical_domain(&text).map_err(|cause| Poison::address(path, &text, cause))?;
    if tenancy.is_reserved(&domain) {
        return Err(Poison::ReservedDomain { path, value: Quoted::new(&text) });
    }
    Ok(domain)
}

/// The room of the group (whose `chatId`, if it has one, names it) or conference (which has none).
fn room(event_type: EventType, fields: &Fields<'_>, domain: &DomainPart) -> Result<RoomJid, Poison> {
    let id = fields.text("id")?;
    let chat_id = match event_type.family() {
        Family::UsersGroup => fields.optional_text("chatId")?,
        Family::Conference | Family::Domain => None,
    };
    let path = fields.path(if chat_id.is_some() { "chatId" } else { "id" });
    let id = chat_id.unwrap_or(id);
    RoomJid::of_id(&id, domain.as_str()).map_err(|cause| Poison::address(path, &id, cause))
}

/// A name that the room's configuration can hold: one the XMPP server cannot read would end the
/// session of everyone's events.
fn name(fields: &Fields<'_>) -> Result<Option<String>, Poison> {
    let path = fields.path("name");
    let name = fields.optional_text("name")?;
    match &name {
        Some(name) if name.len() > MAX_NAME => Err(Poison::TooLong(path)),
        Some(name) if !name.chars().all(is_xml) => Err(Poison::NotXml(path)),
        _ => Ok(name),
    }
}

/// XML 1.0, section 2.2, `Char`.
fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Who joined or left: a list with groups, one user with conferences.
fn participants(event_type: EventType, fields: &Fields<'_>, users: &mut Users<'_>) -> Result<Vec<UserJid>, Poison> {
    if event_type.family() == Family::Conference {
        Ok(vec![users.read(fields.mandatory("participant")?, fields.path("participant"))?])
    } else {
        users.read_list(&fields.list("participants")?, fields.path("participants"))
    }
}
