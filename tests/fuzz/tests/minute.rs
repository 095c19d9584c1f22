//! All targets for some seconds each: what is kept of them first, then the same random inputs in every run and on every machine.
//!
//! `SIPPO_FUZZ_SEED` asks for other inputs, `SIPPO_FUZZ_SECONDS` for as many as there is time for; `SIPPO_FUZZ_REDUCING` says
//! for how many seconds an input that fails is made smaller.

use std::time::Duration;

use sippo_xmpp_fuzz::{ALL, Limits, REDUCING, Target, findings};

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}")))
}

/// `runs` is a number and no time: a faster machine would else try what no slower one has tried.
fn check(name: &str, runs: u64) {
    let target = Target::named(name).unwrap_or_else(|| panic!("there is no target {name}"));
    let corpus = target.corpus();
    for (file, input) in &corpus {
        target.replay(file, input).unwrap_or_else(|finding| panic!("{finding}"));
    }
    let samples: Vec<_> = corpus.into_iter().map(|(_, input)| input).collect();
    let seconds = number("SIPPO_FUZZ_SECONDS");
    let limits = Limits {
        seed: number("SIPPO_FUZZ_SEED").unwrap_or(1),
        runs: if seconds.is_some() { u64::MAX } else { runs },
        time: seconds.map_or(Duration::MAX, Duration::from_secs),
        reducing: number("SIPPO_FUZZ_REDUCING").map_or(REDUCING, Duration::from_secs),
    };
    match target.explore(limits, &samples, &findings()) {
        Ok(runs) => println!("{name}: {runs} runs with seed {}, nothing found", limits.seed),
        Err(finding) => panic!("{finding}"),
    }
}

macro_rules! each {
    ($($name:ident: $runs:literal,)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { check(stringify!($name), $runs); })*
    };
}

// Of each, what takes some two to four seconds of one processor.
each! {
    access_token: 10_000,
    address: 100_000,
    config: 10_000,
    event: 50_000,
    framing: 150_000,
    gateway: 200_000,
    key_set: 5_000,
    layout: 60_000,
    ledger: 20_000,
    lives: 60_000,
    login_token: 12_000,
    route: 25_000,
    sending: 15_000,
    stamped: 25_000,
    telemetry: 50_000,
}

#[test]
fn every_target_is_run() {
    let names: Vec<_> = ALL.iter().map(|target| target.name).collect();
    assert_eq!(names, NAMES);
}
