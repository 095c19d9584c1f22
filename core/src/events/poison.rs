//! Why a message can never be handled.

use std::fmt;

use time::OffsetDateTime;

use crate::address::{AddressError, Advice};

/// Longest name of a room, in bytes: far more than anybody reads, and far less than a stanza may have.
pub const MAX_NAME: usize = 1024;

/// Longest [`Poison::reason`]: it is an attribute of a message, whose size counts with the body, and one line of a list.
pub const MAX_REASON: usize = 256;

/// Why a message can never be handled, however often it is retried: it goes to the dead-letter queue,
/// until it is mended there or published anew.
///
/// `Display` and [`Poison::reason`] are printable ASCII: what they quote of the message is escaped
/// and cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Poison {
    /// The routing key is none of ours.
    #[error("routing key '{0}' is no event's; see the list of events for the right one")]
    UnknownRoutingKey(Quoted),
    /// The body is not UTF-8.
    #[error("the body is not UTF-8 from byte {0} on; publish JSON in UTF-8, without compression")]
    NotUtf8(usize),
    /// The body is something else than text, which begins so.
    #[error("the body is {0}, which is not unpacked here; publish JSON in UTF-8")]
    Wrapped(&'static str),
    /// The body is no JSON, and was published with this `content_encoding`.
    #[error(
        "the body with content_encoding '{0}' is no JSON that can be unpacked here; publish JSON in UTF-8, plain or in gzip"
    )]
    Encoded(Quoted),
    /// The body is not JSON.
    #[error("the body is not JSON (line {line}, column {column}); publish a JSON object")]
    NotJson {
        /// The line of the first fault.
        line: usize,
        /// The column of the first fault.
        column: usize,
    },
    /// A mandatory field is absent or null.
    #[error("{0} is missing; publish it with the event")]
    Missing(FieldPath),
    /// A field has the wrong type.
    #[error("{path} is not {wanted}; publish it as {wanted}")]
    IllTyped {
        /// Where in the payload the fault is.
        path: FieldPath,
        /// What it should be.
        wanted: &'static str,
    },
    /// A field that has to say something is an empty string.
    #[error("{0} is empty; publish it with a value")]
    Empty(FieldPath),
    /// Not version 1.0 of `CloudEvents`.
    #[error("specversion is '{0}'; publish CloudEvents 1.0")]
    SpecVersion(Quoted),
    /// The `CloudEvent` says it is of another type than the routing key does.
    #[error("type is '{0}' and not the routing key; publish both alike")]
    TypeMismatch(Quoted),
    /// The data of the `CloudEvent` is not JSON.
    #[error("datacontenttype is '{0}'; publish data as application/json")]
    ContentType(Quoted),
    /// The `CloudEvent` has its data as bytes (JSON format, section 3.1.1).
    #[error("data_base64 is not read; publish the payload in data, as a JSON object")]
    DataBase64,
    /// A name that cannot be an address on the XMPP server.
    #[error("{path} '{value}': {cause}; publish {advice}")]
    Address {
        /// Where in the payload the fault is.
        path: FieldPath,
        /// The name.
        value: Quoted,
        /// What is wrong with it.
        cause: AddressError,
        /// What to publish instead, in printable ASCII.
        advice: String,
    },
    /// A domain that can be no tenant: the service's own, or one of rooms.
    #[error("{path} '{value}': its domain can be no tenant's; publish a tenant's domain")]
    ReservedDomain {
        /// Where in the payload the fault is.
        path: FieldPath,
        /// The domain, or the name that has it.
        value: Quoted,
    },
    /// A string that names somebody of another domain than the event's.
    #[error(
        "{path} '{value}' is of another domain than the event; publish it as {{\"username\": ..., \"domain\": ...}}"
    )]
    ForeignDomain {
        /// Where.
        path: FieldPath,
        /// The name.
        value: Quoted,
    },
    /// Text that cannot be put into XML (XML 1.0, section 2.2).
    #[error("{0} has control characters that XML cannot hold; publish it without them")]
    NotXml(FieldPath),
    /// Text that is too long for a stanza.
    #[error("{0} is longer than {MAX_NAME} bytes; publish a shorter one")]
    TooLong(FieldPath),
    /// A list that is longer than one event's may be.
    #[error("{path} has {count} users, more than {max}; publish them in several events")]
    TooMany {
        /// Where in the payload the fault is.
        path: FieldPath,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// The body of a queue's message is not what the bridge writes.
    #[error(
        "the message is not as the bridge stamps it: {0}; send events through the broker, or redrive them unchanged"
    )]
    Unstamped(&'static str),
    /// The event is so old that what came after it may be forgotten.
    #[error("stamped on {}, more than 21 days ago; publish it anew if it still holds", .0.date())]
    Expired(OffsetDateTime),
    /// The stamped event is larger than a queue's message may be.
    #[error("stamped it has {0} bytes, more than a message in SQS can; publish it in parts")]
    TooLarge(usize),
    /// A property of the message cannot be read: not UTF-8, or a header table that is none.
    #[error("{0} of the message cannot be read as UTF-8; publish it so, or leave it away")]
    Unreadable(&'static str),
    /// SQS will not have the message, whatever the bridge does.
    #[error("SQS refuses the message with '{0}'; publish it in another form")]
    Refused(Quoted),
}

impl Poison {
    /// A word for the kind of fault, for metrics and filters.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownRoutingKey(_) => "unknown-routing-key",
            Self::NotUtf8(_) | Self::Wrapped(_) | Self::Encoded(_) | Self::NotJson { .. } => "not-json",
            Self::Missing(_) => "missing",
            Self::IllTyped { .. } => "ill-typed",
            Self::Empty(_) => "empty",
            Self::SpecVersion(_) | Self::TypeMismatch(_) | Self::ContentType(_) | Self::DataBase64 => "bad-envelope",
            Self::Address { .. } => "bad-address",
            Self::ReservedDomain { .. } => "reserved-domain",
            Self::ForeignDomain { .. } => "foreign-domain",
            Self::NotXml(_) | Self::TooLong(_) => "bad-text",
            Self::TooMany { .. } => "too-many",
            Self::Unstamped(_) => "unstamped",
            Self::Expired(_) => "expired",
            Self::TooLarge(_) => "too-large",
            Self::Unreadable(_) => "unreadable",
            Self::Refused(_) => "refused",
        }
    }

    /// The poison that an event is in which `value` cannot be an address.
    pub(super) fn address(path: FieldPath, value: &str, cause: AddressError) -> Self {
        let advice = match Advice::new(cause, value) {
            Advice::Spelling(spelling) => format!("it as '{}'", Quoted::new(&spelling)),
            Advice::Words(words) => words.to_owned(),
        };
        Self::Address { path, value: Quoted::new(value), cause, advice }
    }

    /// The poison that an event with a routing key of no type is.
    #[must_use]
    pub fn unknown_routing_key(key: &str) -> Self {
        Self::UnknownRoutingKey(Quoted::new(key))
    }

    /// The poison that a message is which SQS refuses with this error code.
    #[must_use]
    pub fn refused(code: &str) -> Self {
        Self::Refused(Quoted::new(code))
    }

    /// Code, fault and hint, as an attribute of the dead letter: at most [`MAX_REASON`] characters of
    /// printable ASCII.
    #[must_use]
    pub fn reason(&self) -> String {
        let mut reason = format!("{}: {self}", self.code());
        debug_assert!(reason.is_ascii(), "{reason}");
        reason.truncate(MAX_REASON);
        reason
    }
}

/// Where in the payload: `domain`, `participants[3]`, `participants[3].username`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldPath {
    field: &'static str,
    index: Option<usize>,
    member: Option<&'static str>,
}

impl FieldPath {
    /// A field of the payload, or of its envelope.
    pub(super) const fn field(field: &'static str) -> Self {
        Self { field, index: None, member: None }
    }

    /// An item of the list that is here.
    pub(super) const fn item(self, index: usize) -> Self {
        Self { index: Some(index), ..self }
    }

    /// A member of the object that is here.
    pub(super) const fn member(self, member: &'static str) -> Self {
        Self { member: Some(member), ..self }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field)?;
        if let Some(index) = self.index {
            write!(f, "[{index}]")?;
        }
        self.member.map_or(Ok(()), |member| write!(f, ".{member}"))
    }
}

/// A piece of a message that can be shown anywhere: printable ASCII, and short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted(String);

impl Quoted {
    /// Longest piece, the three dots for what is left out included.
    pub(super) const MAX: usize = 48;

    /// `text`, escaped as in a Rust literal, and cut.
    pub(super) fn new(text: &str) -> Self {
        let mut quoted = String::new();
        for character in text.chars() {
            let escaped = character.escape_default();
            // Never half an escape.
            if quoted.len() + escaped.len() > Self::MAX - 3 {
                quoted.push_str("...");
                break;
            }
            quoted.extend(escaped);
        }
        Self(quoted)
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_short_printable_ascii() {
        for (text, quoted) in [
            ("alice", "alice"),
            ("a'b\\\n", r"a\'b\\\n"),
            ("é\u{0}", r"\u{e9}\u{0}"),
            (&"x".repeat(45), &*"x".repeat(45)),
            (&"x".repeat(46), &*format!("{}...", "x".repeat(45))),
            (&"\u{10ffff}".repeat(9), r"\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}..."),
        ] {
            assert_eq!(Quoted::new(text).to_string(), quoted);
        }
    }

    /// The longest of each: none needs the cut, which is there for variants to come.
    #[test]
    fn every_reason_fits_an_attribute() {
        let path = FieldPath::field("participants").item(9_999_999).member("capabilities");
        let value = || Quoted::new(&"\u{7}".repeat(300));
        let mut all = vec![
            Poison::UnknownRoutingKey(value()),
            Poison::NotUtf8(usize::MAX),
            Poison::Wrapped("an AMQP 1.0 section that is no string and no bytes"),
            Poison::Encoded(value()),
            Poison::NotJson { line: usize::MAX, column: usize::MAX },
            Poison::Missing(path),
            Poison::IllTyped { path, wanted: super::super::fields::USER },
            Poison::Empty(path),
            Poison::SpecVersion(value()),
            Poison::TypeMismatch(value()),
            Poison::ContentType(value()),
            Poison::ReservedDomain { path, value: value() },
            Poison::ForeignDomain { path, value: value() },
            Poison::NotXml(path),
            Poison::TooLong(path),
            Poison::Unstamped(super::super::stamped::NOT_A_VERSION),
            Poison::Expired(OffsetDateTime::UNIX_EPOCH),
            Poison::TooLarge(usize::MAX),
            Poison::Unreadable("a header's name"),
            Poison::Refused(value()),
        ];
        for cause in [
            AddressError::NoLocalpart,
            AddressError::Malformed,
            AddressError::LocalpartNotCanonical,
            AddressError::LocalpartTooLong,
            AddressError::AdhocRoom,
            AddressError::DomainNotCanonical,
        ] {
            for name in ["\u{7}".repeat(300), "Ä".repeat(99), "XN--A".to_owned()] {
                all.push(Poison::address(path, &name, cause));
            }
        }
        for poison in all {
            let whole = format!("{}: {poison}", poison.code());
            assert!(whole.len() <= MAX_REASON, "{} {whole}", whole.len());
            assert!(whole.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{whole}");
            assert!(whole.contains("; "), "no hint: {whole}");
            assert_eq!(poison.reason(), whole);
        }
    }
}
