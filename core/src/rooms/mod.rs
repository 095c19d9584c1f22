//! Rooms: how the XMPP server is made to agree with the ledger.
//!
//! The events of a room arrive in any order, more than once and concurrently. So no handler acts on
//! its event alone: it notes the event in a [`Ledger`](crate::ledger::Ledger), reads what should be, makes the
//! [`RoomServer`] agree, and reads again. `desired` says what follows from the ledger, `reconcile`
//! why the loop converges.

mod deadline;
mod desired;
mod error;
mod expiry;
mod folding;
mod invitations;
mod model;
mod muc;
mod reconcile;
mod server;

pub use self::{
    error::ReconcileError,
    expiry::{EXPIRY_GRACE, expired_by},
    invitations::CLAIM,
    model::{Grant, Membership, RoomSpec},
    muc::MucRooms,
    reconcile::Reconciler,
    server::{Invitation, Refusal, Revocation, RoomServer, ServerError},
};
