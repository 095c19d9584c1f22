//! How long to wait before the next try.

use std::time::Duration;

/// The wait before try number `attempt` (the first retry is 1): doubles from `first` up to `longest`,
/// of which a random half is taken, so that many who failed together do not come back together.
pub(crate) fn wait(attempt: u32, first: Duration, longest: Duration) -> Duration {
    let whole = first.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(longest);
    whole.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_longest() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(5));
        for (attempt, whole) in [(1, 100), (2, 200), (5, 1_600), (7, 5_000), (u32::MAX, 5_000)] {
            for _ in 0..100 {
                let waited = wait(attempt, first, longest);
                let whole = Duration::from_millis(whole);
                assert!(waited >= whole / 2 && waited <= whole, "{attempt}: {waited:?}");
            }
        }
    }
}
