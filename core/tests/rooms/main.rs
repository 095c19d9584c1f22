//! Whatever the order, however often and after whatever crashes: the rooms end as if their events had
//! been handled once each, in broker order.
//!
//! Random histories are handled by the real reconciler on the ledger in memory and a simulated room server.
//! A seeded scheduler interleaves handlers at every request, delivers, loses or fails requests, and kills
//! handlers. A failure names its seed and its history, which has eight events at most.

mod history;
mod large;
mod repeated;
mod scripted;
mod sim;

use history::History;
use sim::{End, Folding, Trouble, run};

const CASES: u64 = 12_000;

/// Of these each is run twice.
const COMPARED: u64 = 3_000;

fn check(seed: u64, trouble: Trouble) {
    check_history(&History::random(seed), seed, trouble, Folding::On);
}

fn check_history(history: &History, seed: u64, trouble: Trouble, folding: Folding) -> End {
    let outcome = run(history, seed, trouble, folding).and_then(|end| {
        history.check_rooms(&end)?;
        history.check_bookmarks(&end)?;
        history.check_invited(&end)?;
        history.check_taken_back(&end)?;
        if trouble == Trouble::None {
            history.check_no_repetition(&end)?;
        }
        Ok(end)
    });
    outcome.unwrap_or_else(|what| panic!("seed {seed}, {trouble:?}, folding {folding:?}: {what}\n{history}"))
}

/// Each history with folding and without; how many creations were folded.
fn compare(trouble: Trouble) -> u32 {
    let one = |seed| {
        let history = History::repeating(seed);
        let [with, without] =
            [Folding::On, Folding::Off].map(|folding| check_history(&history, seed, trouble, folding));
        let rooms =
            |end: End| -> Vec<_> { end.rooms.into_iter().map(|(jid, room)| (jid, room.affiliations)).collect() };
        let folded = (with.folded, without.folded);
        assert_eq!(rooms(with), rooms(without), "seed {seed}, {trouble:?}\n{history}");
        assert_eq!(folded.1, 0);
        folded.0
    };
    (0..COMPARED).map(one).sum()
}

#[test]
fn folding_repeated_creations_makes_no_difference_after_failures_and_crashes() {
    let folded = compare(Trouble::FailuresAndCrashes);
    assert!(folded > 1_000, "only {folded} creations were folded: the histories repeat too little to tell");
}

#[test]
fn with_folding_nobody_is_invited_twice_in_a_spell() {
    let folded = compare(Trouble::None);
    assert!(folded > 1_000, "only {folded} creations were folded: the histories repeat too little to tell");
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
fn a_claim_for_one_spell_invites_nobody_in_the_next() {
    let history = History::of_two_lives();
    for seed in 0..4_000 {
        check_history(&history, seed, Trouble::None, Folding::On);
        check_history(&history, seed, Trouble::FailuresAndCrashes, Folding::On);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let steps = || {
        (0..50).map(|seed| run(&History::random(seed), seed, Trouble::FailuresAndCrashes, Folding::On).unwrap().steps)
    };
    assert!(steps().eq(steps()));
}
