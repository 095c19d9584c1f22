//! Virtual hosts of the XMPP server: one per tenant, with its `conference.` component.

mod client;
mod moves;

pub use self::{
    client::{Hosts, HostsError},
    moves::{Counts, HostChange, HostState, PageOutcome},
};
