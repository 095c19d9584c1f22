//! For operators: moves tenants from cell to cell, opens, closes and drains cells.

use std::process::ExitCode;

use sippo_xmpp_core::lambda::cells;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    cells::run().await
}
