//! The ledger: what should be on the XMPP server, according to the broker's events.
//!
//! All of it only grows, as far as it makes a difference, so that neither the order of events nor their repetition matters: see "Order never matters"
//! in `docs/ARCHITECTURE.md`. [`Ledger`] and [`LedgerMaintenance`] are the port, [`DynamoLedger`] keeps it in the table
//! that functions and bridge share, where the bridge's [`EpochRegister`] lies too.

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod dynamo;
mod epoch;
#[cfg(any(test, feature = "testing"))]
pub mod folding_conformance;
#[cfg(any(test, feature = "testing"))]
mod memory;
#[cfg(any(test, feature = "testing"))]
mod memory_places;
mod model;
mod ordinal;
mod places;
mod port;
mod retention;

pub use self::{
    dynamo::DynamoLedger,
    epoch::{DynamoEpochs, EpochError, EpochRegister},
    model::{
        ClaimTarget, Creation, DomainRegister, DomainState, LedgerKey, MemberRecord, RoomChange, RoomEvent, RoomKind,
        RoomState, Scope,
    },
    ordinal::{MAX_EVENT, Ordinal, OrdinalError},
    places::{CellRecord, CellState, DynamoPlaces, MoveStep, Moving, Place, PlaceRegister},
    port::{Heir, Joining, Ledger, LedgerError, LedgerMaintenance},
    retention::{END_GRACE, RETENTION},
};
#[cfg(any(test, feature = "testing"))]
pub use self::{dynamo::hooks, memory::MemoryLedger, memory_places::MemoryPlaces};
