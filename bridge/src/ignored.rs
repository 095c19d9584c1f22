//! What is logged of events that are ignored: a misspelt routing key is found by it, and another service's flood of events
//! fills no log.

use std::{collections::BTreeMap, time::Duration};

use sippo_xmpp_core::events::{Outline, Version};
use tokio::time::Instant;

use crate::{content, route::Published};

/// Of so many routing keys events are logged at `info`.
const KEYS: usize = 20;

/// Of one routing key so many events are logged at `info` in [`PERIOD`].
const EVENTS: u32 = 10;
const PERIOD: Duration = Duration::from_hours(1);

/// What was logged of events that were ignored.
#[derive(Debug)]
pub struct IgnoredEvents {
    /// By routing key: how many events since `since`.
    logged: BTreeMap<String, u32>,
    since: Instant,
}

/// How an event is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// As the first of its routing key, which the line explains.
    First,
    /// As one more of them.
    Another,
    /// At `debug` only.
    Debug,
}

impl Default for IgnoredEvents {
    fn default() -> Self {
        Self { logged: BTreeMap::new(), since: Instant::now() }
    }
}

impl IgnoredEvents {
    /// Logs an event that is ignored, so that whoever searches for its id or its room finds it.
    pub fn log(&mut self, version: Version, event: &Published<'_>) {
        let line = self.next(event.routing_key);
        if line == Line::Debug && !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let body = content::body(event);
        let text = String::from_utf8_lossy(body.as_deref().unwrap_or(event.body));
        let Outline { id, room, domain, .. } = Outline::of_published(&text, event.routing_key, event.message_id);
        let (routing_key, room) = (event.routing_key, room.map(tracing::field::display));
        match line {
            Line::First => tracing::info!(
                routing_key, event.id = id, %version, room, domain,
                "Events of this routing key are ignored, for it is none of ours; [broker] unknown says what becomes of them"
            ),
            Line::Another => tracing::info!(
                routing_key, event.id = id, %version, room, domain,
                "An event is ignored, for its routing key is none of ours"
            ),
            Line::Debug => tracing::debug!(
                routing_key, event.id = id, %version, room, domain,
                "An event is ignored, for its routing key is none of ours"
            ),
        }
    }

    /// How many events of a routing key were logged at `info` of late.
    #[cfg(test)]
    pub(crate) fn logged(&self, routing_key: &str) -> u32 {
        self.logged.get(routing_key).copied().unwrap_or_default()
    }

    fn next(&mut self, routing_key: &str) -> Line {
        if self.since.elapsed() >= PERIOD {
            self.since = Instant::now();
            self.logged.values_mut().for_each(|count| *count = 0);
        }
        if let Some(count) = self.logged.get_mut(routing_key) {
            let is_one_more = *count < EVENTS;
            *count += u32::from(is_one_more);
            return if is_one_more { Line::Another } else { Line::Debug };
        }
        if self.logged.len() >= KEYS {
            return Line::Debug;
        }
        self.logged.insert(routing_key.to_owned(), 1);
        Line::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lines_are_bounded_for_each_key_and_in_all() {
        let mut ignored = IgnoredEvents::default();
        let lines: Vec<_> = (0..1_000).map(|_| ignored.next("a")).filter(|line| *line != Line::Debug).collect();
        assert_eq!((lines.len(), lines[0], lines[1]), (EVENTS as usize, Line::First, Line::Another));
        let keys = (0..1_000).filter(|number| ignored.next(&format!("b{number}")) == Line::First).count();
        assert_eq!(keys, KEYS - 1);
        tokio::time::advance(PERIOD).await;
        let again = (0..1_000).filter(|_| ignored.next("a") == Line::Another).count();
        assert_eq!(again, EVENTS as usize, "after a while they are logged again, without the explanation");
    }
}
