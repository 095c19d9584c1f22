//! The parts of what makes moves safe, to be left out one at a time.

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// As it is.
    Nothing,
    /// The place is set on the condition that there is none.
    Condition,
    /// The old copy is closed before it is read.
    Closing,
    /// A closed copy is still closed when its cell comes back from a crash.
    StoredClosing,
    /// A cell from which the tenant was moved away refuses to make it anew.
    Tombstone,
    /// Cells do nothing for an older move.
    Numbers,
    /// A copy that is open takes no slices.
    Sealing,
    /// A move that begins clears the new cell once: not again, where a mover of the same move has filled it meanwhile.
    ClearingOnce,
    /// The old copy is purged after the flip, not once it is copied.
    PurgingLast,
    /// A cell that serves the tenant again closes it no more for the move that was taken back.
    Thawed,
    /// The same where there was nothing of the tenant to serve.
    ThawedNothing,
    /// The place flips on the condition that it is as it was.
    Flipping,
    /// A tenant that is not there yet is closed, too.
    ClosingNothing,
}

/// All that can be left out.
pub const PARTS: [Without; 12] = [
    Without::Condition,
    Without::Closing,
    Without::StoredClosing,
    Without::Tombstone,
    Without::Numbers,
    Without::Sealing,
    Without::ClearingOnce,
    Without::PurgingLast,
    Without::Thawed,
    Without::ThawedNothing,
    Without::Flipping,
    Without::ClosingNothing,
];
