//! What should be on the XMPP server.

use crate::ledger::{Ordinal, RoomKind};

/// A room that should exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomSpec {
    /// The room's life: its oldest creation since it ended last. A repeated creation continues that life.
    pub life: Ordinal,
    /// What it is for.
    pub kind: RoomKind,
    /// The name that was given last in this life.
    pub name: Option<String>,
}

/// What a member should be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grant {
    /// Owner.
    Owner,
    /// Member, unless they are more: neither joining nor creating lowers an affiliation.
    AtLeastMember,
    /// Member and no more: they were an owner by a creation, and that has ended since. An event that
    /// ended it may be handled only now, so what they have beyond it is not theirs to keep.
    ExactlyMember,
}

/// What someone is to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// Belongs to it.
    In(Grant),
    /// Does not.
    Out,
}
