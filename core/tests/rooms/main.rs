//! Whatever the order, however often and after whatever crashes: the rooms end as if their events had
//! been handled once each, in broker order.
//!
//! Random histories are handled by the real reconciler on the ledger in memory and a simulated room server.
//! A seeded scheduler interleaves handlers at every request, delivers, loses or fails requests, and kills
//! handlers. A failure names its seed and its history, which has eight events at most.

mod history;
mod sim;

use history::History;
use sim::{Trouble, run};

const CASES: u64 = 12_000;

fn check(seed: u64, trouble: Trouble) {
    let history = History::random(seed);
    let outcome = run(&history, seed, trouble).and_then(|end| {
        history.check_rooms(&end)?;
        history.check_invited(&end)?;
        if trouble == Trouble::None { history.check_no_repetition(&end) } else { Ok(()) }
    });
    if let Err(what) = outcome {
        panic!("seed {seed}, {trouble:?}: {what}\n{history}");
    }
}

#[test]
fn rooms_end_as_in_broker_order_after_failures_and_crashes() {
    for seed in 0..CASES {
        check(seed, Trouble::FailuresAndCrashes);
    }
}

#[test]
fn without_a_crash_nobody_is_invited_twice_in_a_spell() {
    for seed in 0..CASES {
        check(seed, Trouble::None);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let steps = || (0..50).map(|seed| run(&History::random(seed), seed, Trouble::FailuresAndCrashes).unwrap().steps);
    assert!(steps().eq(steps()));
}
