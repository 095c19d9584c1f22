//! All targets for some seconds each: what is kept of them first, then the same random inputs in every run.
//!
//! `SIPPO_FUZZ_SEED` and `SIPPO_FUZZ_SECONDS` ask for others, and for longer; `SIPPO_FUZZ_REDUCING` says for how many seconds
//! an input that fails is made smaller.

use std::time::Duration;

use sippo_xmpp_fuzz::{ALL, Limits, REDUCING, Target, findings};

/// Of one target. All of them together take a minute of one processor.
const SECONDS: u64 = 4;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}")))
}

fn check(name: &str) {
    let target = Target::named(name).unwrap_or_else(|| panic!("there is no target {name}"));
    let corpus = target.corpus();
    for (file, input) in &corpus {
        target.replay(file, input).unwrap_or_else(|finding| panic!("{finding}"));
    }
    let samples: Vec<_> = corpus.into_iter().map(|(_, input)| input).collect();
    let time = Duration::from_secs(number("SIPPO_FUZZ_SECONDS", SECONDS));
    let reducing = Duration::from_secs(number("SIPPO_FUZZ_REDUCING", REDUCING.as_secs()));
    let limits = Limits { seed: number("SIPPO_FUZZ_SEED", 1), runs: u64::MAX, time, reducing };
    match target.explore(limits, &samples, &findings()) {
        Ok(runs) => println!("{name}: {runs} runs with seed {}, nothing found", limits.seed),
        Err(finding) => panic!("{finding}"),
    }
}

macro_rules! each {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { check(stringify!($name)); })*
    };
}

each! {
    access_token address config event framing gateway key_set layout ledger lives login_token route sending stamped telemetry
}

#[test]
fn every_target_is_run() {
    let names: Vec<_> = ALL.iter().map(|target| target.name).collect();
    assert_eq!(names, NAMES);
}
