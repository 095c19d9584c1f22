//! What the server's errors mean for a room's event, and above all whether a retry helps.

use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType, StanzaError};

use super::super::server::ServerError;
use crate::xmpp::RequestError;

/// Of a request to a room.
pub(super) fn server_error(error: &RequestError) -> ServerError {
    match error {
        RequestError::Stanza(error) => room_error(error),
        // It was sent, and perhaps received.
        RequestError::SessionLost(_) | RequestError::TimedOut => ServerError::Unanswered(error.to_string()),
        // Nothing was sent: the server is down, or of another release. Both pass.
        other => ServerError::Unavailable(other.to_string()),
    }
}

/// Of a stanza error to what the service asks of a room as a whole: to its admin the server allows all of it.
pub(super) fn room_error(error: &StanzaError) -> ServerError {
    match stanza_error(error) {
        ServerError::Refused(what) if error.defined_condition == DefinedCondition::NotAllowed => {
            ServerError::NotAdmin(what)
        }
        other => other,
    }
}

/// Of a stanza error (RFC 6120, section 8.3.3).
pub(super) fn stanza_error(error: &StanzaError) -> ServerError {
    let text = error.texts.values().next().map(String::as_str);
    of_condition(&error.type_, &error.defined_condition, text)
}

/// The table. What is not certain counts as passing: a retry costs little, a lost event is lost.
pub(super) fn of_condition(kind: &ErrorType, condition: &DefinedCondition, text: Option<&str>) -> ServerError {
    use DefinedCondition as C;
    let what = match text {
        Some(text) => format!("{condition:?}: {text}"),
        None => format!("{condition:?}"),
    };
    match condition {
        C::ItemNotFound | C::Gone { .. } => ServerError::RoomMissing,
        // The server itself says that it passes: a store that fails, a full offline store.
        _ if *kind == ErrorType::Wait => ServerError::Unavailable(what),
        // It will not do just this, whoever asks and whenever: what was asked for is wrong.
        C::BadRequest | C::JidMalformed | C::NotAcceptable | C::NotAllowed | C::PolicyViolation => {
            ServerError::Refused(what)
        }
        // We are not the admin in the server's configuration, or not for this version of it: an operator mends that.
        C::Forbidden | C::NotAuthorized => ServerError::NotAdmin(what),
        C::RemoteServerNotFound => ServerError::NotServed(what),
        // The rest passes. service-unavailable, feature-not-implemented: a component or module is not loaded yet, or an operator loads it now that they see
        // the alarm.
        _ => ServerError::Unavailable(what),
    }
}

/// Of an invitation that bounced: it went to a user, so here an absent item is not the room.
pub(super) fn bounce(kind: &ErrorType, condition: &DefinedCondition, text: Option<&str>) -> ServerError {
    use DefinedCondition as C;
    match (of_condition(kind, condition, text), condition) {
        // They block the service (XEP-0191), or their server knows no such user. Both are theirs to change.
        (ServerError::RoomMissing, condition) => ServerError::Refused(format!("{condition:?}")),
        // The same; or their offline store is full, perhaps for good: they are a member all the same, and their invitation must
        // not hold back everybody's event.
        (ServerError::Unavailable(what), C::ServiceUnavailable | C::ResourceConstraint) => ServerError::Refused(what),
        (other, _) => other,
    }
}

/// Of an answer that is not what our modules give.
pub(super) fn not_understood(why: &str) -> ServerError {
    ServerError::Unavailable(format!(
        "its answer cannot be understood: {why}; see that its modules are of this release"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_says_whether_a_retry_helps() {
        use DefinedCondition as C;
        let of = |kind, condition| of_condition(&kind, &condition, None);
        assert_eq!(of(ErrorType::Cancel, C::ItemNotFound), ServerError::RoomMissing);
        assert_eq!(of(ErrorType::Cancel, C::Gone { new_address: None }), ServerError::RoomMissing);
        let elsewhere = of(ErrorType::Cancel, C::RemoteServerNotFound);
        assert!(matches!(elsewhere, ServerError::NotServed(_)) && elsewhere.is_retryable());
        for condition in [C::ServiceUnavailable, C::UndefinedCondition] {
            assert!(matches!(of(ErrorType::Cancel, condition), ServerError::Unavailable(_)));
        }
        for condition in [C::Forbidden, C::NotAuthorized] {
            let error = of(ErrorType::Auth, condition);
            assert!(matches!(error, ServerError::NotAdmin(_)));
            assert!(error.is_retryable(), "an operator mends it");
        }
        for condition in [C::InternalServerError, C::ResourceConstraint, C::NotAllowed] {
            assert!(matches!(of(ErrorType::Wait, condition), ServerError::Unavailable(_)));
        }
        for condition in [C::NotAllowed, C::NotAcceptable, C::JidMalformed, C::BadRequest] {
            assert!(matches!(of(ErrorType::Modify, condition), ServerError::Refused(_)));
        }
    }

    #[test]
    fn who_may_not_make_a_room_is_told_to_look_at_the_servers_configuration() {
        let error =
            StanzaError::new(ErrorType::Cancel, DefinedCondition::NotAllowed, "en", "Room creation is restricted");
        let said = server_error(&RequestError::Stanza(error.into())).to_string();
        assert!(said.starts_with("the XMPP server does not take this service for its admin ("), "{said}");
        assert!(said.contains("Room creation is restricted"), "{said}");
        assert!(said.contains("SIPPO_XMPP_ADMIN_JID"), "{said}");
    }
}
