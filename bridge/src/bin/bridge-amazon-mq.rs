//! The bridge as a function, on Amazon MQ's event source.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    bridge::amazon_mq::run().await
}
