//! Events on their way to SQS, put together by type.

use sippo_xmpp_core::{
    events::{EventType, Outline, StampedEvent},
    telemetry::trace::{TRACEPARENT, TraceContext},
};

/// Most entries of one `SendMessageBatch`.
pub const MAX_ENTRIES: usize = 10;

/// Most bytes of one message, and of all messages of one `SendMessageBatch`, attributes included.
pub const MAX_BYTES: usize = 1_048_576;

/// Most bytes of one message of ours: its function may have to send it to the dead letters with a reason beside it.
pub const MAX_MESSAGE: usize = MAX_BYTES - 512;

/// What SQS counts for the attribute `traceparent` beside its value: name and type.
const TRACEPARENT_OVERHEAD: usize = TRACEPARENT.len() + "String".len();

/// A stamped event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The delivery it came with.
    pub tag: u64,
    /// The stamped text.
    pub text: String,
    /// The trace it belongs to.
    pub traceparent: Option<String>,
}

impl Entry {
    /// Its size as SQS counts, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.text.len() + self.traceparent.as_ref().map_or(0, |value| TRACEPARENT_OVERHEAD + value.len())
    }

    /// Logs how far it has come, for whoever follows one event. It is read for that, so nobody pays who does not look.
    pub(crate) fn log_way(&self, message: &str) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let Ok(stamped) = StampedEvent::parse(&self.text) else { return };
        let (outline, version) = (Outline::of_stamped(&stamped), stamped.version());
        let (id, event_type, room) = (outline.id, stamped.routing_key(), outline.room.map(tracing::field::display));
        let trace: Option<TraceContext> = self.traceparent.as_deref().and_then(|value| value.parse().ok());
        let trace_id = trace.map(TraceContext::trace_id);
        tracing::debug!(event.id = id, "event.type" = event_type, %version, room, trace_id, "{message}");
    }
}

/// What goes into one `SendMessageBatch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Whose queue.
    pub event_type: EventType,
    /// 1 to [`MAX_ENTRIES`], together at most [`MAX_BYTES`].
    pub entries: Vec<Entry>,
}

/// The batches that still take entries: one for each type.
#[derive(Debug, Default)]
pub struct Batches {
    open: [Vec<Entry>; EventType::ALL.len()],
    bytes: [usize; EventType::ALL.len()],
}

impl Batches {
    /// Adds an event, which is not larger than [`MAX_BYTES`]. Gives the batch that is full by it.
    pub fn push(&mut self, event_type: EventType, entry: Entry) -> Option<Batch> {
        let slot = event_type as usize;
        let size = entry.size();
        // One that does not fit any more sends those before it on their way, and waits for others itself.
        let full = if self.bytes[slot] + size > MAX_BYTES { self.take(event_type) } else { None };
        if self.open[slot].is_empty() {
            self.open[slot].reserve_exact(MAX_ENTRIES);
        }
        self.open[slot].push(entry);
        self.bytes[slot] += size;
        if self.open[slot].len() == MAX_ENTRIES { self.take(event_type) } else { full }
    }

    /// Takes all that is open.
    pub fn flush(&mut self) -> impl Iterator<Item = Batch> + use<'_> {
        EventType::ALL.into_iter().filter_map(|event_type| self.take(event_type))
    }

    /// Whether anything is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.iter().all(Vec::is_empty)
    }

    fn take(&mut self, event_type: EventType) -> Option<Batch> {
        let slot = event_type as usize;
        self.bytes[slot] = 0;
        let entries = std::mem::take(&mut self.open[slot]);
        (!entries.is_empty()).then_some(Batch { event_type, entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing is lost or changes its order within a type, and no batch is too large.
    #[test]
    fn batches_keep_order_and_limits() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut batches, mut sent) = (Batches::default(), Vec::new());
            let mut given = vec![Vec::new(); EventType::ALL.len()];
            for tag in 1..=100 {
                let event_type = EventType::ALL[random.usize(..EventType::ALL.len())];
                let length = if random.u8(..8) == 0 { random.usize(..=MAX_BYTES) } else { random.usize(..2_000) };
                given[event_type as usize].push(tag);
                sent.extend(batches.push(event_type, Entry { tag, text: "x".repeat(length), traceparent: None }));
                if random.u8(..20) == 0 {
                    sent.extend(batches.flush());
                    assert!(batches.is_empty());
                }
            }
            sent.extend(batches.flush());
            for batch in &sent {
                assert!((1..=MAX_ENTRIES).contains(&batch.entries.len()));
                assert!(batch.entries.iter().map(Entry::size).sum::<usize>() <= MAX_BYTES, "seed {seed}");
            }
            for event_type in EventType::ALL {
                let of_type = sent.iter().filter(|batch| batch.event_type == event_type);
                let tags: Vec<u64> = of_type.flat_map(|batch| &batch.entries).map(|entry| entry.tag).collect();
                assert_eq!(tags, given[event_type as usize], "seed {seed}");
            }
        }
    }

    #[test]
    fn attributes_count() {
        let entry = Entry { tag: 1, text: "ab".to_owned(), traceparent: Some("c".repeat(55)) };
        assert_eq!(entry.size(), 2 + 11 + 6 + 55);
    }
}
