//! Runs one target for long, or again on what was found: `sippo-xmpp-fuzz TARGET [--seconds N] [--seed N] [FILE…]`.
//!
//! Built with `--cfg fuzzing`, it is libFuzzer on the target that `SIPPO_FUZZ_TARGET` names; see `scripts/fuzz`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
mod guided {
    use std::sync::OnceLock;

    use sippo_xmpp_fuzz::{Input, Target};

    static TARGET: OnceLock<&'static Target> = OnceLock::new();

    fn target() -> &'static Target {
        let name = std::env::var("SIPPO_FUZZ_TARGET").unwrap_or_default();
        Target::named(&name).unwrap_or_else(|| panic!("SIPPO_FUZZ_TARGET names no target: {name:?}"))
    }

    libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (TARGET.get_or_init(target).run)(&mut Input::new(bytes)));
}

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    random::main()
}

#[cfg(not(fuzzing))]
mod random {
    use std::{env, path::Path, process::ExitCode, time::Duration};

    use sippo_xmpp_fuzz::{ALL, Limits, REDUCING, Target, findings};

    const USAGE: &str = "give a target, and files to run it on, or --seconds N and --seed N; the targets are";

    struct Wanted {
        target: &'static Target,
        seconds: u64,
        seed: u64,
        files: Vec<String>,
    }

    fn wanted() -> Option<Wanted> {
        let mut arguments = env::args().skip(1);
        let target = Target::named(&arguments.next()?)?;
        let mut wanted = Wanted { target, seconds: 10, seed: fastrand::u64(..), files: Vec::new() };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seconds" => wanted.seconds = arguments.next()?.parse().ok()?,
                "--seed" => wanted.seed = arguments.next()?.parse().ok()?,
                _ => wanted.files.push(argument),
            }
        }
        Some(wanted)
    }

    pub(super) fn main() -> ExitCode {
        let Some(wanted) = wanted() else {
            let names: Vec<_> = ALL.iter().map(|target| target.name).collect();
            eprintln!("{USAGE} {}", names.join(", "));
            return ExitCode::FAILURE;
        };
        match outcome(&wanted) {
            Ok(runs) => {
                println!("{}: {runs} runs, nothing found", wanted.target.name);
                ExitCode::SUCCESS
            }
            Err(fault) => {
                eprintln!("{fault}");
                ExitCode::FAILURE
            }
        }
    }

    fn outcome(wanted: &Wanted) -> Result<u64, String> {
        let target = wanted.target;
        for file in &wanted.files {
            let input = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
            target.replay(Path::new(file), &input).map_err(|finding| finding.to_string())?;
        }
        if !wanted.files.is_empty() {
            return Ok(wanted.files.len() as u64);
        }
        let samples: Vec<_> = target.corpus().into_iter().map(|(_, input)| input).collect();
        let time = Duration::from_secs(wanted.seconds);
        let limits = Limits { seed: wanted.seed, runs: u64::MAX, time, reducing: REDUCING };
        target.explore(limits, &samples, &findings()).map_err(|finding| finding.to_string())
    }
}
