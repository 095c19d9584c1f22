//! Adapters to AWS Lambda: an HTTP request becomes a use case's call, its outcome an answer.

mod chat_list;
mod cors;
mod event;
mod login;
mod problem;
pub mod rest;
mod routes;

pub use self::{
    chat_list::{AddToChatList, GetChatList, RemoveFromChatList},
    login::Login,
};
