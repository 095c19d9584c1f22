//! Attempts to send, and what follows from them.

use std::time::Duration;

use sippo_xmpp_core::{events::Poison, telemetry::Metric};

use crate::{
    backoff,
    batches::Batch,
    queues::{Outcome, Queues, SendError},
    route::DeadLetter,
};

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A batch, and how often it, or its one entry, has been tried.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) batch: Batch,
    pub(crate) failures: u32,
}

impl From<Batch> for Attempt {
    fn from(batch: Batch) -> Self {
        Self { batch, failures: 0 }
    }
}

/// What an attempt came to.
#[derive(Debug, Default)]
pub(crate) struct SendResult {
    /// The tags of what the queue has.
    pub(crate) accepted: Vec<u64>,
    /// What has to be tried again.
    pub(crate) again: Vec<Attempt>,
    /// What SQS will never take.
    pub(crate) dead: Vec<DeadLetter>,
    /// Why something has to be tried again.
    pub(crate) cause: Option<String>,
}

/// Sends a batch once, after the wait that its failures ask for.
pub(crate) async fn send(queues: &impl Queues, attempt: Attempt) -> SendResult {
    if attempt.failures > 0 {
        tokio::time::sleep(backoff::wait(attempt.failures, FIRST_WAIT, LONGEST_WAIT)).await;
    }
    let result = queues.send(&attempt.batch).await;
    apply(attempt, result)
}

/// A call that failed as a whole is repeated as a whole, unless that would fail for ever: then it goes on in halves, down to
/// the entry that is at fault. An entry that failed goes on alone, so that it cannot hold up or spoil others.
fn apply(attempt: Attempt, result: Result<Vec<Outcome>, SendError>) -> SendResult {
    let failures = attempt.failures.saturating_add(1);
    let outcomes = match result {
        Ok(outcomes) => outcomes,
        Err(SendError::Failed(cause)) => {
            let again = vec![Attempt { failures, ..attempt }];
            return SendResult { again, cause: Some(cause), ..SendResult::default() };
        }
        Err(SendError::Refused(code)) => return split(attempt.batch, &code),
    };
    debug_assert_eq!(outcomes.len(), attempt.batch.entries.len());
    let event_type = attempt.batch.event_type;
    let mut result = SendResult::default();
    for (entry, outcome) in attempt.batch.entries.into_iter().zip(outcomes) {
        match outcome {
            Outcome::Accepted => {
                entry.log_way("An event is in its queue");
                result.accepted.push(entry.tag);
            }
            Outcome::Refused(poison) => result.dead.push(DeadLetter::refused(event_type, entry, poison)),
            Outcome::Failed(cause) => {
                result.cause = Some(cause);
                result.again.push(Attempt { batch: Batch { event_type, entries: vec![entry] }, failures });
            }
        }
    }
    Metric::BridgeOut.add(result.accepted.len());
    result
}

/// What follows when SQS refuses a batch for something in it.
fn split(batch: Batch, code: &str) -> SendResult {
    let Batch { event_type, mut entries } = batch;
    let second = entries.split_off(entries.len() / 2);
    if entries.is_empty() {
        let refused = |entry| DeadLetter::refused(event_type, entry, Poison::refused(code));
        return SendResult { dead: second.into_iter().map(refused).collect(), ..SendResult::default() };
    }
    // At once: nothing has to pass first.
    let again = [entries, second].map(|entries| Attempt::from(Batch { event_type, entries })).into();
    SendResult { again, ..SendResult::default() }
}

#[cfg(test)]
mod tests {
    use sippo_xmpp_core::{
        config::UnknownKeys,
        events::{EventType, Version},
    };
    use time::OffsetDateTime;

    use super::*;
    use crate::{
        batches::Entry,
        route::{Published, Route, route},
    };

    fn entry(tag: u64) -> Entry {
        let event = Published { tag, routing_key: "domain.created", body: b"{}", ..Published::default() };
        let Route::Queue(_, entry) =
            route(Version { epoch: 1, counter: tag }, OffsetDateTime::UNIX_EPOCH, &event, UnknownKeys::Ignore)
        else {
            panic!("dead")
        };
        entry
    }

    fn attempt() -> Attempt {
        Batch { event_type: EventType::DomainCreated, entries: vec![entry(1), entry(2), entry(3)] }.into()
    }

    #[test]
    fn entries_that_failed_go_on_alone() {
        let failed = Outcome::Failed("InternalError".to_owned());
        let refused = Outcome::Refused(Poison::refused("InvalidMessageContents"));
        let result = apply(attempt(), Ok(vec![failed, Outcome::Accepted, refused]));
        assert_eq!(result.accepted, [2]);
        assert_eq!((result.dead.len(), result.dead[0].tag), (1, 3));
        assert_eq!((result.again.len(), result.again[0].failures), (1, 1));
        assert_eq!(result.again[0].batch.entries, [entry(1)]);
    }

    #[test]
    fn a_batch_that_is_refused_is_split_until_the_entry_at_fault_is_alone() {
        for at_fault in 1..=3 {
            let (mut attempts, mut accepted, mut calls) = (vec![attempt()], Vec::new(), 0);
            let mut dead = Vec::new();
            while let Some(attempt) = attempts.pop() {
                calls += 1;
                let is_refused = attempt.batch.entries.iter().any(|entry| entry.tag == at_fault);
                let outcomes = vec![Outcome::Accepted; attempt.batch.entries.len()];
                let refused = SendError::Refused("BatchRequestTooLong".to_owned());
                let result = apply(attempt, if is_refused { Err(refused) } else { Ok(outcomes) });
                accepted.extend(result.accepted);
                dead.extend(result.dead);
                attempts.extend(result.again);
            }
            accepted.sort_unstable();
            assert_eq!(accepted, (1..=3).filter(|tag| *tag != at_fault).collect::<Vec<_>>());
            assert_eq!((dead.len(), dead[0].tag, dead[0].poison.code()), (1, at_fault, "refused"));
            assert!(dead[0].poison.reason().contains("BatchRequestTooLong") && calls <= 5);
        }
    }

    #[test]
    fn a_call_that_failed_is_repeated_as_a_whole() {
        let result = apply(attempt(), Err(SendError::Failed("no answer".to_owned())));
        assert!(result.accepted.is_empty() && result.dead.is_empty());
        assert_eq!((result.again[0].batch.entries.len(), result.cause.as_deref()), (3, Some("no answer")));
    }
}
