//! A circuit breaker: who did not answer several times is left alone for a while.
//!
//! With several cells, one that is down or hangs must cost its own tenants' requests little and nobody else anything: a
//! request that waits for it holds up the batch that it is in.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::clock::FreezeSafeInstant;

/// Failures in a row after which requests are refused.
const FAILURES: u32 = 3;

/// How long requests are refused at first; it doubles with each probe that fails.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause: so much later a server that is back is noticed at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// After this a probe that told nothing is given up: its process was frozen, or whoever made it has gone.
const PROBE: Duration = Duration::from_secs(10);

/// The breaker of one server.
#[derive(Debug)]
pub(crate) struct Breaker {
    name: String,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// It answers, but for so many requests at last.
    Closed(u32),
    /// It is left alone for this long since then.
    Open(FreezeSafeInstant, Duration),
    /// One request is let through since then, to see; the pause that it follows.
    Probing(FreezeSafeInstant, Duration),
}

impl Breaker {
    /// For the server of this name; it lets requests through.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), state: Mutex::new(State::Closed(0)) }
    }

    /// The server's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a request may be made now. What becomes of one that may is to be told by [`Breaker::note`].
    pub(crate) fn admits(&self) -> bool {
        let mut state = self.state();
        let pause = match *state {
            State::Closed(_) => return true,
            State::Open(since, pause) if since.elapsed() >= pause => pause,
            State::Probing(since, pause) if since.elapsed() >= PROBE => pause,
            State::Open(..) | State::Probing(..) => return false,
        };
        *state = State::Probing(FreezeSafeInstant::now(), pause);
        true
    }

    /// Notes whether a request failed for want of an answer.
    pub(crate) fn note(&self, failed: bool) {
        let mut state = self.state();
        *state = match (*state, failed) {
            (State::Closed(failures), true) if failures + 1 >= FAILURES => self.open(FIRST_PAUSE),
            (State::Closed(failures), true) => State::Closed(failures + 1),
            (State::Probing(_, pause), true) => self.open((pause * 2).min(LONGEST_PAUSE)),
            // Of a request that was made before: what is left alone stays so.
            (State::Open(since, pause), true) => State::Open(since, pause),
            (State::Closed(_), false) => State::Closed(0),
            (State::Open(..) | State::Probing(..), false) => {
                tracing::info!(cell = self.name, "Cell answers again");
                State::Closed(0)
            }
        };
    }

    fn open(&self, pause: Duration) -> State {
        tracing::warn!(
            cell = self.name,
            pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            "Cell does not answer; what is asked of it is refused at once for a while"
        );
        State::Open(FreezeSafeInstant::now(), pause)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(times: u32) -> Breaker {
        let breaker = Breaker::new("one");
        for _ in 0..times {
            assert!(breaker.admits());
            breaker.note(true);
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn some_failures_in_a_row_close_it_off_and_an_answer_in_between_does_not() {
        let breaker = failing(FAILURES - 1);
        breaker.note(false);
        assert!(breaker.admits());
        breaker.note(true);
        assert!(breaker.admits());
        assert!(!failing(FAILURES).admits());
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_is_let_through_after_the_pause_and_decides() {
        let breaker = failing(FAILURES);
        tokio::time::advance(FIRST_PAUSE).await;
        assert!(breaker.admits());
        assert!(!breaker.admits(), "one is enough");
        breaker.note(true);
        tokio::time::advance(FIRST_PAUSE).await;
        assert!(!breaker.admits(), "the pause has doubled");
        tokio::time::advance(FIRST_PAUSE).await;
        assert!(breaker.admits());
        breaker.note(false);
        assert!(breaker.admits() && breaker.admits());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_tells_nothing_is_followed_by_another() {
        let breaker = failing(FAILURES);
        tokio::time::advance(FIRST_PAUSE).await;
        assert!(breaker.admits());
        tokio::time::advance(PROBE).await;
        assert!(breaker.admits());
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_have_an_end() {
        let breaker = failing(FAILURES);
        for _ in 0..10 {
            tokio::time::advance(LONGEST_PAUSE).await;
            assert!(breaker.admits());
            breaker.note(true);
        }
    }
}
