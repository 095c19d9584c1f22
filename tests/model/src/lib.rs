//! The loop of core's `rooms::reconcile` as a model of its own, checked exhaustively for small cases.
//!
//! What follows from the events a handler has read is core's own code (`RoomState`), asked once for every
//! set of events. The loop around it, the server and the ways to crash are modelled here, after the argument in
//! `rooms::reconcile`: take any part of that away, and the check finds a history that ends wrong.

pub mod bookmarks;
pub mod folding;
pub mod history;
pub mod invitations;
pub mod moves;
pub mod protocol;
pub mod view;
pub mod without;
