//! `DELETE /sapi/xmpp/individualChatList/:jid`

use std::process::ExitCode;

use sippo_xmpp_core::lambda::{RemoveFromChatList, rest};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    rest::run::<RemoveFromChatList>().await
}
