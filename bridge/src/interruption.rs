//! An interruption of the bridge's work: from the end of a session until one lasts. What is told of it is each change of
//! its cause: the operator who has mended the first one has to hear of the second.

use std::time::Duration;

use tokio::time::Instant;

/// So many changes of cause are told at once: more than any mending takes, and less than fills a log when two causes
/// alternate.
const CHANGES_AT_ONCE: u32 = 10;

/// After this time one more may be told.
const ONE_MORE_AFTER: Duration = Duration::from_mins(1);

/// The failures since a session last lasted.
#[derive(Debug)]
pub(crate) struct Interruption {
    failures: u32,
    /// The cause that was told last in this interruption.
    told: Option<String>,
    /// What of [`CHANGES_AT_ONCE`] is used up, as of `counted`.
    spent: u32,
    counted: Instant,
    /// Changes that were not told, since the last one that was.
    unlogged: u32,
}

impl Interruption {
    /// Nothing has failed yet.
    pub(crate) fn new() -> Self {
        Self { failures: 0, told: None, spent: 0, counted: Instant::now(), unlogged: 0 }
    }

    /// Failures since a session last lasted.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// A session lasted: what comes now is another interruption.
    pub(crate) fn over(&mut self) {
        (self.failures, self.told) = (0, None);
    }

    /// Counts a failure, whether or not it is one to tell.
    pub(crate) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// `Some` when the cause is one to tell, since it is another one than was told last: with the number of changes that
    /// were not told meanwhile, for there were too many.
    pub(crate) fn change(&mut self, cause: &str) -> Option<u32> {
        if self.told.as_deref() == Some(cause) {
            return None;
        }
        let is_first = self.told.is_none();
        if !is_first && !self.may_tell() {
            self.unlogged += 1;
            return None;
        }
        self.told = Some(cause.to_owned());
        Some(std::mem::take(&mut self.unlogged))
    }

    fn may_tell(&mut self) -> bool {
        while self.spent > 0 && self.counted.elapsed() >= ONE_MORE_AFTER {
            self.spent -= 1;
            self.counted += ONE_MORE_AFTER;
        }
        if self.spent == 0 {
            self.counted = Instant::now();
        }
        let may = self.spent < CHANGES_AT_ONCE;
        self.spent += u32::from(may);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_change_of_cause_is_told_once() {
        let mut interruption = Interruption::new();
        let causes = ["refused", "refused", "password", "password", "refused", "queue"];
        let told: Vec<_> = causes.iter().filter_map(|cause| interruption.change(cause).map(|_| *cause)).collect();
        assert_eq!(told, ["refused", "password", "refused", "queue"]);
        assert_eq!(interruption.change("queue"), None);
        interruption.over();
        assert_eq!(interruption.change("queue"), Some(0), "another interruption");
    }

    #[tokio::test(start_paused = true)]
    async fn causes_that_alternate_fill_no_log_and_the_last_one_is_told() {
        let mut interruption = Interruption::new();
        let mut told = 0;
        for _ in 0..500 {
            told += ["a", "b"].into_iter().filter(|cause| interruption.change(cause).is_some()).count();
        }
        assert_eq!(told, 1 + CHANGES_AT_ONCE as usize);
        let last = interruption.told.clone();
        let other = if last.as_deref() == Some("a") { "b" } else { "a" };
        assert_eq!(interruption.change(other), None);
        tokio::time::advance(ONE_MORE_AFTER).await;
        assert!(interruption.change(other).is_some_and(|unlogged| unlogged > 400));
        assert_eq!(interruption.change("c"), None, "one, not all");
        tokio::time::advance(ONE_MORE_AFTER * 100).await;
        let more = (0..50).filter(|number| interruption.change(&number.to_string()).is_some()).count();
        assert_eq!(more, CHANGES_AT_ONCE as usize, "a quiet time does not add up");
    }

    #[test]
    fn failures_are_counted_until_a_session_lasts() {
        let mut interruption = Interruption::new();
        interruption.failed();
        interruption.failed();
        assert_eq!(interruption.failures(), 2);
        interruption.over();
        assert_eq!(interruption.failures(), 0);
    }
}
