//! Adapters to AWS Lambda: an HTTP request becomes a use case's call, its outcome an answer.

mod bearer;
pub mod cells;
mod chat_list;
mod cors;
mod gateway_event;
#[cfg(any(test, feature = "testing"))]
pub mod hooks;
pub mod invocation;
mod login;
mod problem;
mod refusals;
pub mod rest;
pub mod resync;
mod room_list;
mod routes;
pub mod sqs;
mod start;

pub use self::{
    chat_list::{AddToChatList, GetChatList, RemoveFromChatList},
    login::Login,
    room_list::GetRooms,
    start::{exit_code, start_telemetry},
};
