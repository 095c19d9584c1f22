//! The program by itself. That it measures is seen by `scripts/bench --smoke`, for which this test has cargo build it.

use std::process::Command;

#[test]
fn what_is_not_set_is_named_with_what_sets_it() {
    let done = Command::new(env!("CARGO_BIN_EXE_sippo-xmpp-bench")).env_clear().output().expect("a program");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success() && said.contains("SIPPO_XMPP__XMPP_URL is not set; run scripts/bench"), "{said}");
}
