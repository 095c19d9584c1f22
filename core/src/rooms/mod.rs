//! Rooms: what the broker's events say should be, and how the XMPP server is made to agree.
//!
//! The events of a room arrive in any order, more than once and concurrently. So no handler acts on
//! its event alone: it notes the event in a [`Ledger`], reads what should be, makes the
//! [`RoomServer`] agree, and reads again. `desired` says what follows from the ledger, `reconcile`
//! why the loop converges.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod desired;
mod dynamo;
mod forgetting;
mod invitations;
mod ledger;
mod memory;
mod muc;
mod ordinal;
mod reconcile;
mod server;

pub use self::{
    desired::{Creation, Grant, MemberRecord, RoomKind, RoomSpec, RoomState, Standing},
    dynamo::DynamoLedger,
    forgetting::{GRACE, KEPT},
    invitations::CLAIM,
    ledger::{Change, DomainRegister, DomainState, Ledger, LedgerError, OnRecord, RoomEvent, Scope, Ticket, Upkeep},
    memory::MemoryLedger,
    muc::{EXPIRY_GRACE, MucRooms, expired_by},
    ordinal::{MAX_EVENT, Ordinal, OrdinalError},
    reconcile::{ReconcileError, Reconciler},
    server::{Invitation, Refusal, RoomServer, ServerError},
};
