//! The ten types of event, and what each is called where.

/// What an event is about. It decides, among other things, the `reason` of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// A group of users, with a room for as long as it lives.
    UsersGroup,
    /// A conference, with a room while it lasts.
    Conference,
    /// A tenant.
    Domain,
}

impl Family {
    /// The first word of the routing key, and the `reason` of direct invitations (XEP-0249, section 2).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UsersGroup => "usersGroup",
            Self::Conference => "conference",
            Self::Domain => "domain",
        }
    }
}

/// The type of an event. Each has a routing key, a queue and a function of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    /// There is a new group of users.
    UsersGroupCreated,
    /// A group of users is no more.
    UsersGroupDeleted,
    /// Users joined a group.
    UsersGroupParticipantsJoined,
    /// Users left a group.
    UsersGroupParticipantsLeft,
    /// There is a new tenant.
    DomainCreated,
    /// A tenant is no more.
    DomainDeleted,
    /// There is a new conference.
    ConferenceCreated,
    /// A conference is over.
    ConferenceDestroyed,
    /// A user joined a conference.
    ConferenceParticipantJoined,
    /// A user left a conference.
    ConferenceParticipantLeft,
}

/// One row for each type: routing key, function, what is logged when one comes.
struct Names(&'static str, &'static str, &'static str);

impl EventType {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::UsersGroupCreated,
        Self::UsersGroupDeleted,
        Self::UsersGroupParticipantsJoined,
        Self::UsersGroupParticipantsLeft,
        Self::DomainCreated,
        Self::DomainDeleted,
        Self::ConferenceCreated,
        Self::ConferenceDestroyed,
        Self::ConferenceParticipantJoined,
        Self::ConferenceParticipantLeft,
    ];

    // The messages are what operators search for: they are kept to the letter.
    const fn names(self) -> Names {
        match self {
            Self::UsersGroupCreated => {
                Names("usersGroup.created", "users-group-created", "Received a new usersGroup creation")
            }
            Self::UsersGroupDeleted => {
                Names("usersGroup.deleted", "users-group-deleted", "Received a usersGroup deletion")
            }
            Self::UsersGroupParticipantsJoined => Names(
                "usersGroup.participants.joined",
                "users-group-participants-joined",
                "Received a change in a group participants (joining)",
            ),
            Self::UsersGroupParticipantsLeft => Names(
                "usersGroup.participants.left",
                "users-group-participants-left",
                "Received a change in a group participants (leaving)",
            ),
            Self::DomainCreated => Names("domain.created", "domain-created", "Received a notification of a new domain"),
            Self::DomainDeleted => {
                Names("domain.deleted", "domain-deleted", "Received a notification of a deleted domain")
            }
            Self::ConferenceCreated => Names("conference.created", "conference-created", "Received a new conference"),
            Self::ConferenceDestroyed => {
                Names("conference.destroyed", "conference-destroyed", "Received a conference destroyed")
            }
            Self::ConferenceParticipantJoined => Names(
                "conference.participant.joined",
                "conference-participant-joined",
                "Received a notification of a new participant in a conference",
            ),
            Self::ConferenceParticipantLeft => Names(
                "conference.participant.left",
                "conference-participant-left",
                "Received a notification of a participant leaving a conference",
            ),
        }
    }

    /// The type that a routing key names, if it is one of the ten.
    #[must_use]
    pub fn of_routing_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.routing_key() == key)
    }

    /// The routing key, which is the `type` of a `CloudEvent` too.
    #[must_use]
    pub const fn routing_key(self) -> &'static str {
        self.names().0
    }

    /// The function that handles it: the name of its binary, of its queue, of its samples.
    #[must_use]
    pub const fn function(self) -> &'static str {
        self.names().1
    }

    /// The debug line that tells that one came.
    #[must_use]
    pub const fn received_message(self) -> &'static str {
        self.names().2
    }

    /// What it is about.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::UsersGroupCreated
            | Self::UsersGroupDeleted
            | Self::UsersGroupParticipantsJoined
            | Self::UsersGroupParticipantsLeft => Family::UsersGroup,
            Self::DomainCreated | Self::DomainDeleted => Family::Domain,
            Self::ConferenceCreated
            | Self::ConferenceDestroyed
            | Self::ConferenceParticipantJoined
            | Self::ConferenceParticipantLeft => Family::Conference,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_type_has_names_of_its_own() {
        for names in [EventType::routing_key, EventType::function, EventType::received_message] {
            assert_eq!(EventType::ALL.map(names).into_iter().collect::<BTreeSet<_>>().len(), 10);
        }
        for one in EventType::ALL {
            assert_eq!(EventType::of_routing_key(one.routing_key()), Some(one));
            assert!(one.routing_key().starts_with(one.family().as_str()));
            // A function's name is its routing key in the manner of file names.
            let mut name = String::new();
            for character in one.routing_key().chars() {
                match character {
                    '.' => name.push('-'),
                    c if c.is_ascii_uppercase() => name.extend(['-', c.to_ascii_lowercase()]),
                    c => name.push(c),
                }
            }
            assert_eq!(one.function(), name);
        }
    }

    #[test]
    fn other_routing_keys_are_none_of_ours() {
        for key in ["", "usersGroup", "usersgroup.created", "usersGroup.created.", "domain.*", "conference.deleted"] {
            assert_eq!(EventType::of_routing_key(key), None, "{key}");
        }
    }
}
