//! Addresses: who is who on the XMPP server (RFC 7622, XEP-0106).
//!
//! Prosody prepares every JID it sees (nodeprep, nameprep): it folds case, width and ligatures. Two
//! names that differ to the token issuer could so become one to the server, and one user get
//! another's messages. Hence nothing is ever prepared on the way in: a name that preparation would
//! change is refused.

mod canonical;
mod escape;
mod room;
mod spelling;
mod tenancy;
mod user;

pub use self::{
    canonical::{AddressError, MAX_LOCALPART, canonical_domain},
    escape::{escape_id, escape_localpart},
    room::{MUC_LABEL, RoomJid},
    spelling::Advice,
    tenancy::{StringNames, Tenancy},
    user::UserJid,
};
