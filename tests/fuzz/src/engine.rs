//! The engine on stable: the same inputs for the same seed, and the smallest input that still fails.

use std::{
    cell::Cell,
    fmt,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::Once,
    time::{Duration, Instant},
};

use crate::{Target, input::Input};

/// How many runs, and how long at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What all inputs follow from.
    pub seed: u64,
    /// Most runs.
    pub runs: u64,
    /// No run begins later.
    pub time: Duration,
    /// How long an input that fails is made smaller.
    pub reducing: Duration,
}

/// An input that fails.
#[derive(Debug)]
pub struct Finding {
    target: &'static str,
    /// Seed and number of the run that found it, or the file it was in.
    origin: String,
    /// The smallest input that was found to fail, and where it was put.
    input: Vec<u8>,
    file: Option<PathBuf>,
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} fails ({}): {}", self.target, self.origin, self.message)?;
        writeln!(f, "smallest input found: {}", self.input.escape_ascii())?;
        match &self.file {
            Some(file) => write!(f, "again: cargo run -q -p sippo-xmpp-fuzz -- {} {}", self.target, file.display()),
            None => write!(f, "again: the same seed"),
        }
    }
}

impl Target {
    /// Runs the target on inputs that `limits.seed` makes, some of them from `samples`; the number of runs.
    ///
    /// # Errors
    /// The first [`Finding`], reduced and written to a file below `findings`.
    pub fn explore(&self, limits: Limits, samples: &[Vec<u8>], findings: &Path) -> Result<u64, Finding> {
        let begun = Instant::now();
        for number in 0..limits.runs {
            if begun.elapsed() >= limits.time {
                return Ok(number);
            }
            let input = random_input(limits.seed, number, samples);
            if let Err(message) = self.attempt(&input) {
                let origin = format!("seed {}, run {number}", limits.seed);
                let (input, message) = self.reduced(input, message, limits.reducing);
                return Err(self.finding(origin, input, message, findings));
            }
        }
        Ok(limits.runs)
    }

    /// Runs the target on one input that was kept in `file`.
    ///
    /// # Errors
    /// The [`Finding`], as it is in the file.
    pub fn replay(&self, file: &Path, input: &[u8]) -> Result<(), Finding> {
        let finding = |message| Finding {
            target: self.name,
            origin: file.display().to_string(),
            input: input.to_vec(),
            file: Some(file.to_owned()),
            message,
        };
        self.attempt(input).map_err(finding)
    }

    /// What the target panicked with, if it did.
    fn attempt(&self, input: &[u8]) -> Result<(), String> {
        silence_panics();
        QUIET.set(true);
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| (self.run)(&mut Input::new(input))));
        QUIET.set(false);
        outcome.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
        })
    }

    fn finding(&self, origin: String, input: Vec<u8>, message: String, findings: &Path) -> Finding {
        let hash = ring::digest::digest(&ring::digest::SHA256, &input);
        let name = hash.as_ref()[..6].iter().fold(String::new(), |name, byte| format!("{name}{byte:02x}"));
        let file = findings.join(self.name).join(format!("crash-{name}"));
        let written = std::fs::create_dir_all(findings.join(self.name)).and_then(|()| std::fs::write(&file, &input));
        Finding { target: self.name, origin, input, file: written.is_ok().then_some(file), message }
    }

    /// The input without what it fails without, and with zeros for what does not matter.
    fn reduced(&self, mut input: Vec<u8>, mut message: String, limit: Duration) -> (Vec<u8>, String) {
        let begun = Instant::now();
        let mut size = input.len().next_power_of_two();
        while size > 0 && begun.elapsed() < limit {
            let mut at = 0;
            while at < input.len() && begun.elapsed() < limit {
                let end = (at + size).min(input.len());
                let without = [&input[..at], &input[end..]].concat();
                let mut zeros = input.clone();
                zeros[at..end].fill(0);
                let simpler = [without, zeros].into_iter().filter(|simpler| *simpler != input);
                let failing =
                    simpler.map(|simpler| (self.attempt(&simpler), simpler)).find(|(outcome, _)| outcome.is_err());
                if let Some((Err(new), simpler)) = failing {
                    (input, message) = (simpler, new);
                } else {
                    at = end;
                }
            }
            size /= 2;
        }
        (input, message)
    }
}

/// The input of one run: random bytes, or one of `samples` changed.
fn random_input(seed: u64, number: u64, samples: &[Vec<u8>]) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes = |most: usize| {
        let length = random.usize(..=most);
        (0..length).map(|_| random.u8(..)).collect::<Vec<_>>()
    };
    let longest = [16, 64, 256, 1_024][bytes(3).len()];
    let fresh = bytes(longest);
    if samples.is_empty() || !number.is_multiple_of(4) {
        return fresh;
    }
    let sample = &samples[usize::from(*fresh.first().unwrap_or(&0)) % samples.len()];
    Input::new(fresh.get(1..).unwrap_or_default()).damaged(sample)
}

thread_local! {
    /// Whether a panic of this thread is an outcome and no news.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                loud(info);
            }
        }));
    });
}
