//! `domain.created`

use std::process::ExitCode;

use sippo_xmpp_core::{events::EventType, lambda::events};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    events::run(EventType::DomainCreated).await
}
