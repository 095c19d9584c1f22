//! Fuzz targets for what reads the outside world, and two engines for them.
//!
//! A [`Target`] builds its input from bytes and asserts what has to hold. `tests/minute.rs` runs all of them for some
//! seconds as part of `cargo test`, with the same inputs each time; `scripts/fuzz rust HOURS` runs them for long, under
//! libFuzzer. Why so: `docs/decisions/fuzzing.md`.

mod engine;
mod input;
mod lua;
mod samples;
mod targets;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub use self::{
    engine::{Finding, Limits},
    input::Input,
    targets::ALL,
};

/// One thing that has to hold for every input.
#[derive(Debug)]
pub struct Target {
    /// Its name, on the command line and below `corpus/`.
    pub name: &'static str,
    /// Panics when it does not hold.
    pub run: fn(&mut Input<'_>),
}

/// How long an input that fails is made smaller, where nobody asks for anything else.
pub const REDUCING: Duration = Duration::from_secs(20);

/// Where inputs that fail are put, in a folder for each target.
#[must_use]
pub fn findings() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is in tests/fuzz");
    root.join("target/fuzz/findings")
}

impl Target {
    /// The target of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|target| target.name == name)
    }

    /// The inputs that are kept with the code: each failed once, or leads where chance seldom does.
    #[must_use]
    pub fn corpus(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name);
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        files.into_iter().filter_map(|file| std::fs::read(&file).ok().map(|bytes| (file, bytes))).collect()
    }
}
