//! Doubles of the servers behind the ports of the use cases: for unit tests, and for tests outside of this crate.
//!
//! One room server for all of them: [`RoomScript`] says what becomes of a request and when, [`MucService`] what it does
//! to the rooms, [`FakeRooms`] is the script of most tests.

mod hosts;
mod muc_service;
mod room_script;
mod rooms;
mod secrets;

pub use self::{
    hosts::FakeHosts,
    muc_service::{Affiliation, AllBookmarks, Bookmark, MucRoom, MucService},
    room_script::{RoomRequest, RoomScript},
    rooms::FakeRooms,
    secrets::SecretKeeper,
};
