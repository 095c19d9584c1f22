//! `GET /sapi/xmpp/login`

use std::process::ExitCode;

use sippo_xmpp_core::lambda::{Login, rest};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    rest::run::<Login>().await
}
