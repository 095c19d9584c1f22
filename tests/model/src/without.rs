//! The parts of the protocol that a check leaves out, to see that it needs them.

/// What is left out of the protocol, or put into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// As it is.
    Nothing,
    /// Step 4, reading again.
    SecondRead,
    /// Grants say which end was read, and a room whose life is not newer is no room to them.
    EndInGrants,
    /// Who finds something newer than their own event stops.
    StaleApply,
    /// Joining and leaving look at the member's record only.
    RoomInMemberScope,
    /// Creation and destruction look at the room and its lists only.
    MembersInWholeScope,
    /// Only those are revoked whom the room's present life names.
    EarlierLives,
    /// Ensuring a room leaves an older life as it is.
    Purge,
    /// Destroying takes any room, however new.
    ConditionalDestroy,
    /// Joining and leaving count as done where the room is missing; they do not come again.
    Retry,
    /// Joining and leaving may make a missing room: their scope widens.
    MemberScope,
    /// A dead handler's event comes again even if another delivery of it is done and has deleted it.
    ComesAgain,
    /// Nothing is folded. So it is, too, where any part above is left out: these need no more states than they have.
    Folding,
    /// Folding needs the newer creation to list the participants of the older one.
    CoveredParticipants,
    /// Folding needs whoever the newer creation does not list to have left since the older one, and not before it.
    LeavingSince,
    /// Folding needs the newer creation to have the owner of the older one.
    CoveredOwner,
    /// Folding is for a newer creation only.
    NewerCover,
    /// Creations are read in ascending order.
    AscendingReads,
}
