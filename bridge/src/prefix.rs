//! What of a session's deliveries may be acknowledged.

use std::collections::VecDeque;

/// The deliveries that are not acknowledged yet, in the broker's order.
///
/// Only the unbroken run of accepted ones may be acknowledged: acknowledging out of order would let an
/// older event come back and get a newer version than those after it. Passed over in that run is what was set aside:
/// events that no queue ever gets, so that their versions order nothing.
#[derive(Debug, Default)]
pub struct AckPrefix {
    /// Deliveries that are acknowledged; their tags are 1 up to this.
    acknowledged: u64,
    /// Those after it.
    open: VecDeque<Delivered>,
    /// The length of the run at the front of `open`.
    run: usize,
    /// How many of the run can be acknowledged now.
    ready: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivered {
    /// On its way to a queue.
    Waiting,
    /// On its way to the dead letters; those behind it need not wait for that.
    Aside,
    /// There.
    Accepted,
    /// There and acknowledged, while one before it waits aside.
    Acknowledged,
}

/// An acknowledgement, as AMQP has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The delivery's tag.
    pub tag: u64,
    /// Whether it is for all before it too.
    pub multiple: bool,
}

/// A delivery tag that is not the next: tags of a channel count up by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("delivery tag {found} came where {wanted} was due")]
pub struct TagGap {
    /// The tag that was due.
    pub wanted: u64,
    /// The tag that came.
    pub found: u64,
}

impl AckPrefix {
    /// A delivery came.
    ///
    /// # Errors
    /// [`TagGap`] when it is not the next one: nothing can be said about the order, the session has to end.
    pub fn arrived(&mut self, tag: u64) -> Result<(), TagGap> {
        let wanted = self.acknowledged + self.open.len() as u64 + 1;
        if tag != wanted {
            return Err(TagGap { wanted, found: tag });
        }
        self.open.push_back(Delivered::Waiting);
        Ok(())
    }

    /// The delivery is a dead letter that no queue of SQS would ever have got: others need not wait for it.
    pub fn set_aside(&mut self, tag: u64) {
        if let Some(place) = self.place(tag).filter(|place| self.open[*place] == Delivered::Waiting) {
            self.open[place] = Delivered::Aside;
            self.extend_run();
        }
    }

    /// SQS, or the queue of dead letters, has accepted the delivery. One that is acknowledged already, or
    /// has not arrived, changes nothing.
    pub fn accepted(&mut self, tag: u64) {
        let Some(place) = self.place(tag) else { return };
        if matches!(self.open[place], Delivered::Waiting | Delivered::Aside) {
            self.open[place] = Delivered::Accepted;
            self.ready += usize::from(place < self.run);
            self.extend_run();
        }
    }

    fn place(&self, tag: u64) -> Option<usize> {
        let place = usize::try_from(tag.checked_sub(self.acknowledged + 1)?).ok()?;
        (place < self.open.len()).then_some(place)
    }

    fn extend_run(&mut self) {
        while let Some(state) = self.open.get(self.run).filter(|state| **state != Delivered::Waiting) {
            self.ready += usize::from(*state == Delivered::Accepted);
            self.run += 1;
        }
    }

    /// The tag up to which all may be acknowledged that is accepted, if there is anything new to acknowledge.
    #[must_use]
    pub fn ready(&self) -> Option<u64> {
        (self.ready > 0).then(|| self.acknowledged + self.run as u64)
    }

    /// How many deliveries can be acknowledged.
    #[must_use]
    pub fn ready_count(&self) -> usize {
        self.ready
    }

    /// Acknowledges what is accepted up to `tag`, which [`AckPrefix::ready`] gave: the acknowledgements to send, and of how
    /// many deliveries they are.
    pub fn acknowledge(&mut self, tag: u64) -> (Vec<Ack>, usize) {
        let end = usize::try_from(tag.saturating_sub(self.acknowledged)).unwrap_or(usize::MAX).min(self.run);
        let (mut acks, mut count, mut is_whole) = (Vec::new(), 0, true);
        for (place, state) in self.open.iter_mut().take(end).enumerate() {
            let tag = self.acknowledged + place as u64 + 1;
            match state {
                Delivered::Accepted => {
                    *state = Delivered::Acknowledged;
                    count += 1;
                    let ack = Ack { tag, multiple: is_whole };
                    match acks.last_mut() {
                        Some(last) if is_whole => *last = ack,
                        _ => acks.push(ack),
                    }
                }
                Delivered::Acknowledged => {}
                Delivered::Waiting | Delivered::Aside => is_whole = false,
            }
        }
        self.ready -= count;
        while self.open.front() == Some(&Delivered::Acknowledged) {
            self.open.pop_front();
            self.run -= 1;
            self.acknowledged += 1;
        }
        (acks, count)
    }

    /// How many deliveries are not acknowledged.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.iter().filter(|state| **state != Delivered::Acknowledged).count()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What the broker would still hold after the acknowledgements.
    fn apply(unacknowledged: &mut BTreeSet<u64>, acks: &[Ack]) -> usize {
        let before = unacknowledged.len();
        for ack in acks {
            assert!(unacknowledged.contains(&ack.tag), "{ack:?} is of none that is open");
            unacknowledged.retain(|tag| if ack.multiple { *tag > ack.tag } else { *tag != ack.tag });
        }
        before - unacknowledged.len()
    }

    /// Any order of completions, some of them set aside first, with acknowledgements that lag behind.
    #[test]
    fn what_is_acknowledged_is_accepted_and_nothing_before_it_is_on_its_way_to_a_queue() {
        for seed in 0..3_000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut prefix, mut accepted, mut aside) = (AckPrefix::default(), BTreeSet::new(), BTreeSet::new());
            let (mut arrived, total) = (0_u64, random.u64(1..60));
            let (mut pending, mut open) = (Vec::new(), BTreeSet::new());
            while arrived < total || !open.is_empty() {
                if arrived < total && random.u8(..3) == 0 {
                    arrived += 1;
                    prefix.arrived(arrived).unwrap();
                    pending.push(arrived);
                    open.insert(arrived);
                    if random.u8(..6) == 0 {
                        prefix.set_aside(arrived);
                        aside.insert(arrived);
                    }
                }
                if !pending.is_empty() && random.bool() {
                    let tag = pending.swap_remove(random.usize(..pending.len()));
                    accepted.insert(tag);
                    prefix.accepted(tag);
                }
                let end = (1..=arrived).take_while(|tag| accepted.contains(tag) || aside.contains(tag)).last();
                let due = end.map_or(0, |end| open.iter().filter(|t| **t <= end && accepted.contains(t)).count());
                assert_eq!((prefix.ready().is_some(), prefix.ready_count()), (due > 0, due), "seed {seed}");
                if let (Some(up_to), 0) = (prefix.ready(), random.u8(..4)) {
                    let (acks, count) = prefix.acknowledge(up_to);
                    assert_eq!((apply(&mut open, &acks), count), (due, due), "seed {seed}");
                    assert!(open.iter().all(|tag| !accepted.contains(tag) || *tag > up_to));
                }
                assert_eq!(prefix.open(), open.len(), "seed {seed}");
            }
            assert_eq!((prefix.ready(), prefix.open()), (None, 0));
        }
    }

    #[test]
    fn what_was_ready_before_more_was_accepted_can_be_acknowledged_alone() {
        let mut prefix = AckPrefix::default();
        (1..=4).for_each(|tag| prefix.arrived(tag).unwrap());
        prefix.accepted(1);
        let ready = prefix.ready().unwrap();
        prefix.accepted(2);
        prefix.accepted(4);
        assert_eq!(prefix.acknowledge(ready), (vec![Ack { tag: 1, multiple: true }], 1));
        assert_eq!((prefix.ready(), prefix.open()), (Some(2), 3));
        prefix.accepted(1);
        prefix.accepted(99);
        assert_eq!((prefix.ready(), prefix.open()), (Some(2), 3), "neither is open");
    }

    #[test]
    fn what_is_set_aside_is_passed_over() {
        let mut prefix = AckPrefix::default();
        (1..=4).for_each(|tag| prefix.arrived(tag).unwrap());
        prefix.set_aside(2);
        for tag in [1, 3] {
            prefix.accepted(tag);
        }
        let acks = vec![Ack { tag: 1, multiple: true }, Ack { tag: 3, multiple: false }];
        assert_eq!(prefix.acknowledge(prefix.ready().unwrap()), (acks, 2));
        assert_eq!((prefix.ready(), prefix.open()), (None, 2));
        for tag in [2, 4] {
            prefix.accepted(tag);
        }
        assert_eq!(prefix.acknowledge(prefix.ready().unwrap()), (vec![Ack { tag: 4, multiple: true }], 2));
    }

    #[test]
    fn a_gap_ends_the_session() {
        let mut prefix = AckPrefix::default();
        prefix.arrived(1).unwrap();
        assert_eq!(prefix.arrived(3), Err(TagGap { wanted: 2, found: 3 }));
        assert_eq!(prefix.arrived(1), Err(TagGap { wanted: 2, found: 1 }));
    }
}
