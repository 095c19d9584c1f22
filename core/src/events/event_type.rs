//! The types of event, and what each is called where.

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

/// What a type is called where.
struct Names {
    family: Family,
    routing_key: &'static str,
    function: &'static str,
    received: &'static str,
}

macro_rules! event_types {
    ($($(#[$doc:meta])* $name:ident: $family:ident, $routing_key:literal, $function:literal, $received:literal;)+) => {
        /// The type of an event. Each has a routing key, a queue and a function of its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventType {
            $($(#[$doc])* $name,)+
        }

        impl EventType {
            /// All of them.
            pub const ALL: [Self; [$(Self::$name),+].len()] = [$(Self::$name),+];

            const fn names(self) -> Names {
                match self {
                    $(Self::$name => Names {
                        family: Family::$family,
                        routing_key: $routing_key,
                        function: $function,
                        received: $received,
                    },)+
                }
            }
        }
    };
}

// One row for each type: family, routing key, function, and what is logged when one comes, which operators search for:
// it is kept to the letter. The scripts and tests in Python read these rows (scripts/stack/event_types.py).
event_types! {
    /// There is a new group of users.
    UsersGroupCreated: UsersGroup, "usersGroup.created", "users-group-created",
        "Received a new usersGroup creation";
    /// A group of users is no more.
    UsersGroupDeleted: UsersGroup, "usersGroup.deleted", "users-group-deleted",
        "Received a usersGroup deletion";
    /// Users joined a group.
    UsersGroupParticipantsJoined: UsersGroup, "usersGroup.participants.joined", "users-group-participants-joined",
        "Received a change in a group participants (joining)";
    /// Users left a group.
    UsersGroupParticipantsLeft: UsersGroup, "usersGroup.participants.left", "users-group-participants-left",
        "Received a change in a group participants (leaving)";
    /// There is a new tenant.
    DomainCreated: Domain, "domain.created", "domain-created",
        "Received a notification of a new domain";
    /// A tenant is no more.
    DomainDeleted: Domain, "domain.deleted", "domain-deleted",
        "Received a notification of a deleted domain";
    /// There is a new conference.
    ConferenceCreated: Conference, "conference.created", "conference-created",
        "Received a new conference";
    /// A conference is over.
    ConferenceDestroyed: Conference, "conference.destroyed", "conference-destroyed",
        "Received a conference destroyed";
    /// A user joined a conference.
    ConferenceParticipantJoined: Conference, "conference.participant.joined", "conference-participant-joined",
        "Received a notification of a new participant in a conference";
    /// A user left a conference.
    ConferenceParticipantLeft: Conference, "conference.participant.left", "conference-participant-left",
        "Received a notification of a participant leaving a conference";
}

impl EventType {
    /// The type that a routing key names, if there is one.
    #[must_use]
    pub fn of_routing_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.routing_key() == key)
    }

    /// The routing key, which is the `type` of a `CloudEvent` too.
    #[must_use]
    pub const fn routing_key(self) -> &'static str {
        self.names().routing_key
    }

    /// The function that handles it: the name of its binary, of its queue, of its samples.
    #[must_use]
    pub const fn function(self) -> &'static str {
        self.names().function
    }

    /// The debug line that tells that one came.
    #[must_use]
    pub const fn received_message(self) -> &'static str {
        self.names().received
    }

    /// What it is about.
    #[must_use]
    pub const fn family(self) -> Family {
        self.names().family
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_type_has_names_of_its_own() {
        for names in [EventType::routing_key, EventType::function, EventType::received_message] {
            assert_eq!(EventType::ALL.map(names).into_iter().collect::<BTreeSet<_>>().len(), EventType::ALL.len());
        }
        for one in EventType::ALL {
            assert_eq!(EventType::of_routing_key(one.routing_key()), Some(one));
            assert!(one.routing_key().starts_with(one.family().as_str()));
            // The tests of the whole stack, and OPERATIONS, find what has come by that word.
            assert!(one.received_message().starts_with("Received "), "{}", one.received_message());
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
