//! `PUT /sapi/xmpp/individualChatList/:jid`

use std::process::ExitCode;

use sippo_xmpp_core::lambda::{AddToChatList, rest};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    rest::run::<AddToChatList>().await
}
