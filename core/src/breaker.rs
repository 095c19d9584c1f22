//! A circuit breaker: who did not answer several times is left alone for a while.
//!
//! With several cells, one that is down or hangs must cost its own tenants' requests little and nobody else anything: a
//! request that waits for it holds up the batch that it is in.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{clock::FreezeSafeInstant, telemetry::Metric};

/// Failures in a row after which requests are refused.
const FAILURES: u32 = 3;

/// How long requests are refused at first; it doubles with each probe that fails.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause: so much later a server that is back is noticed at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// After this a probe that told nothing is given up: its process was frozen, or whoever made it has gone.
const PROBE: Duration = Duration::from_secs(10);

/// How long a request may wait for a server of which nothing is known but that it did not answer.
pub(crate) const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// Whether a request may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may.
    Yes,
    /// It may, to see whether the server is back; it should wait for [`PROBE_PATIENCE`] at most, for others may wait with it.
    Probe,
    /// It may not.
    No,
}

/// What a request has told about the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It answered.
    Answer,
    /// It cannot be reached, or the connection broke: it may be starting again.
    Failure,
    /// It is there, and nothing came of it for so long that it hangs.
    Silence,
}

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

    /// Whether it has not answered, and was not seen to answer since, for no longer than this.
    pub(crate) fn is_open(&self, recently: Duration) -> bool {
        match *self.state() {
            State::Closed(_) => false,
            State::Open(since, _) | State::Probing(since, _) => since.elapsed() < recently,
        }
    }

    /// Whether a request may be made now. What becomes of one that may is to be told by [`Breaker::note`].
    pub(crate) fn admits(&self) -> Admission {
        let mut state = self.state();
        let pause = match *state {
            State::Closed(_) => return Admission::Yes,
            State::Open(since, pause) if since.elapsed() >= pause => pause,
            State::Probing(since, pause) if since.elapsed() >= PROBE => pause,
            State::Open(..) | State::Probing(..) => {
                Metric::CellRefusals.add_of_cell(&self.name, 1);
                return Admission::No;
            }
        };
        *state = State::Probing(FreezeSafeInstant::now(), pause);
        Admission::Probe
    }

    /// Notes what a request has told.
    pub(crate) fn note(&self, sign: Sign) {
        Metric::CellRequests.add_of_cell(&self.name, 1);
        Metric::CellFailures.add_of_cell(&self.name, usize::from(sign != Sign::Answer));
        let mut state = self.state();
        *state = match (*state, sign) {
            (State::Closed(failures), Sign::Failure) if failures + 1 < FAILURES => State::Closed(failures + 1),
            // Each request that waits for a server that hangs holds up those that are in one batch with it.
            (State::Closed(_), Sign::Failure | Sign::Silence) => self.open(FIRST_PAUSE),
            (State::Probing(_, pause), Sign::Failure | Sign::Silence) => self.open((pause * 2).min(LONGEST_PAUSE)),
            // Of a request that was made before: what is left alone stays so.
            (State::Open(since, pause), Sign::Failure | Sign::Silence) => State::Open(since, pause),
            (State::Closed(_), Sign::Answer) => State::Closed(0),
            (State::Open(..) | State::Probing(..), Sign::Answer) => {
                tracing::info!(cell = self.name, "Cell answers again");
                State::Closed(0)
            }
        };
    }

    fn open(&self, pause: Duration) -> State {
        Metric::CellAway.add_of_cell(&self.name, 1);
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
            assert_eq!(breaker.admits(), Admission::Yes);
            breaker.note(Sign::Failure);
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn some_failures_in_a_row_close_it_off_and_an_answer_in_between_does_not() {
        let breaker = failing(FAILURES - 1);
        breaker.note(Sign::Answer);
        assert_eq!(breaker.admits(), Admission::Yes);
        breaker.note(Sign::Failure);
        assert_eq!(breaker.admits(), Admission::Yes);
        assert_eq!(failing(FAILURES).admits(), Admission::No);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_enough_once() {
        let breaker = failing(0);
        breaker.note(Sign::Silence);
        assert_eq!(breaker.admits(), Admission::No);
        tokio::time::advance(FIRST_PAUSE).await;
        assert_eq!(breaker.admits(), Admission::Probe);
        breaker.note(Sign::Silence);
        tokio::time::advance(FIRST_PAUSE).await;
        assert_eq!(breaker.admits(), Admission::No, "the pause has doubled");
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_is_let_through_after_the_pause_and_decides() {
        let breaker = failing(FAILURES);
        tokio::time::advance(FIRST_PAUSE).await;
        assert_eq!(breaker.admits(), Admission::Probe);
        assert_eq!(breaker.admits(), Admission::No, "one is enough");
        breaker.note(Sign::Failure);
        tokio::time::advance(FIRST_PAUSE).await;
        assert_eq!(breaker.admits(), Admission::No, "the pause has doubled");
        tokio::time::advance(FIRST_PAUSE).await;
        assert_eq!(breaker.admits(), Admission::Probe);
        breaker.note(Sign::Answer);
        assert_eq!([breaker.admits(), breaker.admits()], [Admission::Yes; 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_tells_nothing_is_followed_by_another() {
        let breaker = failing(FAILURES);
        tokio::time::advance(FIRST_PAUSE).await;
        assert_eq!(breaker.admits(), Admission::Probe);
        tokio::time::advance(PROBE).await;
        assert_eq!(breaker.admits(), Admission::Probe);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_have_an_end() {
        let breaker = failing(FAILURES);
        for _ in 0..10 {
            tokio::time::advance(LONGEST_PAUSE).await;
            assert_eq!(breaker.admits(), Admission::Probe);
            breaker.note(Sign::Failure);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_open_until_an_answer_and_not_for_longer_than_is_asked_for() {
        let recently = Duration::from_mins(15);
        assert!(!failing(FAILURES - 1).is_open(recently));
        let breaker = failing(FAILURES);
        assert!(breaker.is_open(recently));
        tokio::time::advance(recently).await;
        assert!(!breaker.is_open(recently));
        breaker.note(Sign::Answer);
        assert!(!breaker.is_open(recently));
    }
}
