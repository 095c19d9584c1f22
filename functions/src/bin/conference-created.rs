//! `conference.created`

use std::process::ExitCode;

use sippo_xmpp_core::{events::EventType, lambda::sqs};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    sqs::run(EventType::ConferenceCreated).await
}
