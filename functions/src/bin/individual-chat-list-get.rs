//! `GET /sapi/xmpp/individualChatList`

use std::process::ExitCode;

use sippo_xmpp_core::lambda::{GetChatList, rest};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    rest::run::<GetChatList>().await
}
