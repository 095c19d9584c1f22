//! The REST API's paths and methods, known as a whole to every function: so each can tell an unknown
//! path from a wrong method, whichever of them the gateway sends such a call to.

use std::borrow::Cow;

use lambda_http::{
    Body, Response,
    http::{HeaderValue, Method, header::CONTENT_TYPE},
};
use percent_encoding::percent_decode_str;

use crate::address::{AddressError, Advice, UserJid};

const LOGIN: &str = "/sapi/xmpp/login";
const ROOMS: &str = "/sapi/xmpp/rooms";
const CHAT_LIST: &str = "/sapi/xmpp/individualChatList";

/// One thing the API does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `GET /sapi/xmpp/login`
    Login,
    /// `GET /sapi/xmpp/individualChatList`
    GetChatList,
    /// `PUT /sapi/xmpp/individualChatList/:jid`
    AddToChatList,
    /// `DELETE /sapi/xmpp/individualChatList/:jid`
    RemoveFromChatList,
    /// `GET /sapi/xmpp/rooms`
    GetRooms,
}

/// A path that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path<'a> {
    Login,
    Rooms,
    ChatList,
    /// Percent-encoded, and whatever follows the list's own path: a full JID has a slash in it.
    Entry(&'a str),
}

impl<'a> Path<'a> {
    /// The path as it came, still percent-encoded; `None` when nothing is served there.
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        match path {
            LOGIN => Some(Self::Login),
            ROOMS => Some(Self::Rooms),
            CHAT_LIST => Some(Self::ChatList),
            _ => path.strip_prefix(CHAT_LIST)?.strip_prefix('/').map(Self::Entry),
        }
    }

    /// The methods that it takes, as the `Allow` header lists them.
    pub(super) fn methods(self) -> &'static str {
        match self {
            Self::Login | Self::Rooms | Self::ChatList => "GET, OPTIONS",
            Self::Entry(_) => "PUT, DELETE, OPTIONS",
        }
    }

    /// What `method` does here; `None` when it is not allowed.
    pub(super) fn operation(self, method: &Method) -> Option<Operation> {
        match (self, method.as_str()) {
            (Self::Login, "GET") => Some(Operation::Login),
            (Self::Rooms, "GET") => Some(Operation::GetRooms),
            (Self::ChatList, "GET") => Some(Operation::GetChatList),
            (Self::Entry(_), "PUT") => Some(Operation::AddToChatList),
            (Self::Entry(_), "DELETE") => Some(Operation::RemoveFromChatList),
            _ => None,
        }
    }

    /// The contact that an entry's path names, decoded this once; `None` for another path.
    pub(super) fn contact(self) -> Option<Result<UserJid, Cow<'static, str>>> {
        let Self::Entry(encoded) = self else { return None };
        let decoded = percent_decode_str(encoded).decode_utf8();
        Some(match decoded {
            Ok(text) => UserJid::of_contact(&text).map_err(|error| match error {
                AddressError::DomainNotCanonical => format!("{error}; write {}", Advice::new(error, &text)).into(),
                _ => error.to_string().into(),
            }),
            Err(_) => Err("it is not UTF-8".into()),
        })
    }
}

/// A successful answer with a JSON body.
pub(super) fn json_response(body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::Text(body.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart() {
        assert_eq!(Path::parse("/sapi/xmpp/login"), Some(Path::Login));
        assert_eq!(Path::parse("/sapi/xmpp/rooms"), Some(Path::Rooms));
        assert_eq!(Path::parse("/sapi/xmpp/individualChatList"), Some(Path::ChatList));
        assert_eq!(Path::parse("/sapi/xmpp/individualChatList/"), Some(Path::Entry("")));
        for unknown in [
            "",
            "/",
            "/sapi/xmpp/login/",
            "/sapi/xmpp/rooms/",
            "/sapi/xmpp/Login",
            "/sapi/xmpp/individualChatLists",
            "//sapi/xmpp/login",
        ] {
            assert_eq!(Path::parse(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn methods_and_operations_agree() {
        for path in [Path::Login, Path::Rooms, Path::ChatList, Path::Entry("a@b")] {
            for method in ["GET", "PUT", "DELETE", "POST", "HEAD", "PATCH", "TRACE"] {
                let allowed = path.operation(&method.parse().unwrap()).is_some();
                assert_eq!(allowed, path.methods().split(", ").any(|one| one == method), "{method} {path:?}");
            }
        }
    }

    #[test]
    fn whose_domain_is_written_otherwise_is_told_how_to_write_it() {
        for (contact, advice) in [
            ("bob@xn--bcher-kva.test", "; write the domain in Unicode instead of xn--"),
            ("bob@example.test.", "; write it as 'bob@example.test'"),
            ("bob@a_b.test", "; write a host name: labels of letters, digits and hyphens, with dots between them"),
        ] {
            let refused = Path::Entry(contact).contact().expect("it names one").expect_err(contact);
            assert!(refused.ends_with(advice), "{contact}: {refused}");
        }
    }

    #[test]
    fn a_contact_is_decoded_exactly_once() {
        let contact = |path| Path::Entry(path).contact().unwrap().map(|jid| jid.to_string());
        assert_eq!(contact("bob@example.test").unwrap(), "bob@example.test");
        assert_eq!(contact("bob%40example.test").unwrap(), "bob@example.test");
        assert_eq!(contact("100%2525@example.test").unwrap(), "100%25@example.test");
        assert_eq!(contact("100%25@example.test").unwrap(), "100%@example.test");
        assert_eq!(contact("d%5C27artagnan@example.test").unwrap(), r"d\27artagnan@example.test");
        assert_eq!(contact("bob@example.test/phone").unwrap(), "bob@example.test");
        assert_eq!(contact("bob@example.test%2Fphone%2F1").unwrap(), "bob@example.test");
        for bad in [
            "",
            "..",
            "%00",
            "bob%00@example.test",
            "%ff@example.test",
            "example.test",
            "bob%0a@example.test",
            "%2e%2e%2f@x",
            "@",
        ] {
            assert!(contact(bad).is_err(), "{bad}");
        }
        assert!(contact(&format!("{}@example.test", "b".repeat(3_072))).is_err());
    }
}
