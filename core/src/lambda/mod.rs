//! Adapters to AWS Lambda: an HTTP request becomes a use case's call, its outcome an answer.

mod bearer;
mod chat_list;
mod cors;
mod event;
pub mod events;
pub mod invocation;
mod login;
mod problem;
pub mod rest;
pub mod resync;
mod routes;
mod start;

pub use self::{
    chat_list::{AddToChatList, GetChatList, RemoveFromChatList},
    login::Login,
    start::{ended, start_telemetry},
};
