//! Cells: the XMPP servers that tenants are on.
//!
//! With `[xmpp]` there is one, and nothing is looked up. With `[[cells]]` each tenant is on one of several, all of it: its
//! users, rooms, archives. Which one is a fact of the ledger ([`PlaceRegister`](crate::ledger::PlaceRegister)), set by the
//! tenant's first event and changed only by a move. So it is kept once it was looked up, for 15 s and until a cell says
//! that it does not serve the tenant.
//!
//! Each cell has a session of its own, and a breaker: one that does not answer costs nobody else's requests any time.

mod all;
mod cell;
mod guests;
mod place;
mod routes;
mod server;
mod survey;
#[cfg(test)]
mod tests;

pub use self::{
    all::{Cells, Untold},
    cell::{Cell, Reach},
    place::{KEPT, KEPT_BRIEFLY, PlaceError},
    survey::Survey,
};
