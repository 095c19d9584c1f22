//! `GET /sapi/xmpp/rooms`

use std::process::ExitCode;

use sippo_xmpp_core::lambda::{GetRooms, rest};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    rest::run::<GetRooms>().await
}
