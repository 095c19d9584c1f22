//! Batches and acknowledgements of the bridge, beside a model that keeps every delivery by itself.

use std::collections::{BTreeMap, BTreeSet};

use bridge::{
    batches::{Batch, Batches, Entry, MAX_BYTES, MAX_ENTRIES, MAX_MESSAGE},
    prefix::{Ack, AckPrefix},
};
use sippo_xmpp_core::events::EventType;

use crate::Input;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The model: what the broker has handed out and not been told of, and what has become of it.
#[derive(Debug, Default)]
struct Broker {
    handed_out: u64,
    open: BTreeSet<u64>,
    accepted: BTreeSet<u64>,
    aside: BTreeSet<u64>,
}

impl Broker {
    /// Those that may be acknowledged: accepted, and all before them accepted or set aside.
    fn due(&self) -> BTreeSet<u64> {
        let is_decided = |tag: &u64| self.accepted.contains(tag) || self.aside.contains(tag);
        let run = (1..=self.handed_out).take_while(is_decided);
        run.filter(|tag| self.accepted.contains(tag) && self.open.contains(tag)).collect()
    }

    fn apply(&mut self, acks: &[Ack]) {
        for ack in acks {
            assert!(self.open.contains(&ack.tag), "{ack:?} is of none that is open");
            let told: Vec<u64> =
                self.open.iter().copied().filter(|tag| *tag == ack.tag || ack.multiple && *tag < ack.tag).collect();
            for tag in told {
                assert!(self.accepted.contains(&tag), "{tag} is acknowledged and nowhere");
                self.open.remove(&tag);
            }
        }
    }
}

pub(super) fn run(input: &mut Input<'_>) {
    let (mut broker, mut prefix, mut batches) = (Broker::default(), AckPrefix::default(), Batches::default());
    let mut waiting: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    let mut sent: Vec<Vec<u64>> = Vec::new();
    while !input.is_empty() {
        match input.below(6) {
            0 | 1 => {
                broker.handed_out += 1;
                let tag = broker.handed_out;
                prefix.arrived(tag).expect("it is the next");
                assert!(prefix.arrived(tag).is_err() && prefix.arrived(tag + 2).is_err(), "a gap");
                broker.open.insert(tag);
                if input.one_in(5) {
                    prefix.set_aside(tag);
                    broker.aside.insert(tag);
                    continue;
                }
                let event_type = EventType::ALL[input.below(EventType::ALL.len())];
                let entry = entry(input, tag);
                waiting.entry(event_type as usize).or_default().push(tag);
                let size = entry.size();
                let full = batches.push(event_type, entry);
                let is_full = |batch: &Batch| batch.entries.iter().map(Entry::size).sum::<usize>() + size > MAX_BYTES;
                assert!(
                    full.iter().all(|one| one.entries.len() == MAX_ENTRIES || is_full(one)),
                    "there is room for more"
                );
                sent.extend(full.map(|batch| taken(&batch, &mut waiting)));
            }
            2 => {
                sent.extend(batches.flush().map(|batch| taken(&batch, &mut waiting)).collect::<Vec<_>>());
                assert!(batches.is_empty() && waiting.values().all(Vec::is_empty), "not all is flushed");
            }
            3 if !sent.is_empty() => {
                for tag in sent.swap_remove(input.below(sent.len())) {
                    prefix.accepted(tag);
                    broker.accepted.insert(tag);
                }
            }
            4 => {
                let aside: Vec<u64> = broker.aside.difference(&broker.accepted).copied().collect();
                let tag = if aside.is_empty() { input.number() } else { aside[input.below(aside.len())] };
                prefix.accepted(tag);
                broker.accepted.extend(Some(tag).filter(|tag| broker.aside.contains(tag)));
                if !broker.aside.contains(&tag) && broker.open.contains(&tag) {
                    broker.accepted.insert(tag);
                }
            }
            _ => acknowledge(&mut broker, &mut prefix),
        }
        assert_eq!((prefix.ready_count(), prefix.open()), (broker.due().len(), broker.open.len()), "{broker:?}");
    }
}

/// The tags of a batch that is sent: the oldest of its type, in their order.
fn taken(batch: &Batch, waiting: &mut BTreeMap<usize, Vec<u64>>) -> Vec<u64> {
    let size: usize = batch.entries.iter().map(Entry::size).sum();
    assert!(size <= MAX_BYTES && (1..=MAX_ENTRIES).contains(&batch.entries.len()), "SQS refuses {size} bytes");
    assert_eq!(size, batch.entries.iter().map(counted).sum::<usize>(), "SQS counts otherwise");
    let tags: Vec<u64> = batch.entries.iter().map(|entry| entry.tag).collect();
    let due: Vec<u64> = waiting.entry(batch.event_type as usize).or_default().drain(..tags.len()).collect();
    assert_eq!(tags, due, "out of order");
    tags
}

/// An event of any length that SQS takes, of the short ones more often.
fn entry(input: &mut Input<'_>, tag: u64) -> Entry {
    let length =
        if input.one_in(8) { MAX_MESSAGE / (1 + input.below(3)) - input.below(300) } else { input.below(2_000) };
    Entry { tag, text: "x".repeat(length), traceparent: input.one_in(3).then(|| TRACE.to_owned()) }
}

/// What SQS counts for a message: its text, and name, type and value of each attribute.
pub(super) fn counted(entry: &Entry) -> usize {
    entry.text.len() + entry.traceparent.as_ref().map_or(0, |value| "traceparent".len() + "String".len() + value.len())
}

fn acknowledge(broker: &mut Broker, prefix: &mut AckPrefix) {
    let due = broker.due();
    assert_eq!(prefix.ready().is_some(), !due.is_empty(), "{broker:?}");
    let Some(up_to) = prefix.ready() else { return };
    let (acks, count) = prefix.acknowledge(up_to);
    broker.apply(&acks);
    assert_eq!((count, broker.due().len()), (due.len(), 0), "{broker:?}");
}
