//! A tenant goes from cell to cell, with all that its XMPP server has stored of it.
//!
//! Each step is a fact of the ledger ([`MoveStep`](crate::ledger::MoveStep)), changed by conditional writes only, and can be
//! done again: a mover may die at any moment, and of two that are at the same move neither spoils anything. Why no process
//! writes to the old copy once it is read, in this order:
//!
//! 1. *waiting*: the tenant is served as before, but whoever looks its place up keeps it for a second only. After
//!    [`KEPT`](crate::cells::KEPT) nobody has the place of before.
//! 2. *copying*: from now on nobody is sent to a cell: calls get 503, events come again. Once the places of the first step
//!    are forgotten, the old cell freezes the tenant, in one transaction with all that its sessions and rooms had in memory;
//!    this outlives a crash. A request that comes later all the same is refused as one about a tenant that is not served, so
//!    its sender looks the place up. So what is read stays as it is. Pages go to the new cell, which notes with each, in the
//!    same transaction, where the next one begins. Then both count. A difference stops the move.
//! 3. *opening*: the ledger says that the tenant is on the new cell. From here the move can only go on.
//! 4. *purging*: the new cell serves it. All cells are told, and the old copy is removed.
//!
//! Before the third step a move can be taken back: *thawing*, the old cell serves it again; *discarding*, what the new one has
//! got is removed. Cells know the number of the newest move, and do nothing for an older one: what a dead mover has sent last
//! may come late.

mod mover;
mod server;
#[cfg(test)]
mod tests;

pub use self::{
    mover::{MoveError, Mover},
    server::MoveServer,
};
