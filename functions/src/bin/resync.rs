//! Scheduled: repairs what the XMPP server lost.

use std::process::ExitCode;

use sippo_xmpp_core::lambda::resync;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    resync::run().await
}
