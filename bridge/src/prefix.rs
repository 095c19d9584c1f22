//! What of a session's deliveries may be acknowledged.

use std::collections::VecDeque;

/// The deliveries that are not acknowledged yet, in the broker's order.
///
/// Only the unbroken run of accepted ones may be acknowledged: acknowledging out of order would let an
/// older event come back and get a newer version than those after it.
#[derive(Debug, Default)]
pub struct AckPrefix {
    /// Deliveries that are acknowledged; their tags are 1 up to this.
    acknowledged: u64,
    /// Whether those after it are accepted.
    open: VecDeque<bool>,
    /// How many at the front of `open` are.
    run: usize,
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
        self.open.push_back(false);
        Ok(())
    }

    /// SQS, or the queue of dead letters, has accepted the delivery. One that is acknowledged already, or
    /// has not arrived, changes nothing.
    pub fn accepted(&mut self, tag: u64) {
        let place = tag.checked_sub(self.acknowledged + 1).and_then(|place| usize::try_from(place).ok());
        if let Some(accepted) = place.and_then(|place| self.open.get_mut(place)) {
            *accepted = true;
        }
        while self.open.get(self.run) == Some(&true) {
            self.run += 1;
        }
    }

    /// The tag up to which all may be acknowledged, if there is anything new to acknowledge.
    #[must_use]
    pub fn ready(&self) -> Option<u64> {
        (self.run > 0).then(|| self.acknowledged + self.run as u64)
    }

    /// All up to `tag`, which [`AckPrefix::ready`] gave, are acknowledged now.
    pub fn acknowledged(&mut self, tag: u64) {
        let count = usize::try_from(tag.saturating_sub(self.acknowledged)).unwrap_or(usize::MAX).min(self.run);
        self.open.drain(..count);
        self.run -= count;
        self.acknowledged += count as u64;
    }

    /// The tag up to which all are acknowledged; 0 at the beginning.
    #[must_use]
    pub fn acknowledged_up_to(&self) -> u64 {
        self.acknowledged
    }

    /// How many deliveries are not acknowledged.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any order of completions, with acknowledgements that lag behind.
    #[test]
    fn acknowledgements_are_contiguous_and_never_run_ahead() {
        for seed in 0..2_000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut prefix, mut accepted) = (AckPrefix::default(), std::collections::BTreeSet::new());
            let (mut arrived, mut acknowledged, total) = (0_u64, 0_u64, random.u64(1..60));
            let mut pending: Vec<u64> = Vec::new();
            while acknowledged < total {
                if arrived < total && random.u8(..3) == 0 {
                    arrived += 1;
                    prefix.arrived(arrived).unwrap();
                    pending.push(arrived);
                }
                if !pending.is_empty() && random.bool() {
                    let tag = pending.swap_remove(random.usize(..pending.len()));
                    accepted.insert(tag);
                    prefix.accepted(tag);
                }
                let due = (acknowledged + 1..=total).take_while(|tag| accepted.contains(tag)).last();
                assert_eq!(prefix.ready(), due, "seed {seed}");
                if let (Some(tag), 0) = (due, random.u8(..4)) {
                    prefix.acknowledged(tag);
                    acknowledged = tag;
                }
                assert_eq!(prefix.open() as u64, arrived - acknowledged);
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
        prefix.acknowledged(ready);
        assert_eq!((prefix.ready(), prefix.open()), (Some(2), 3));
        prefix.accepted(1);
        prefix.accepted(99);
        assert_eq!((prefix.ready(), prefix.open()), (Some(2), 3), "neither is open");
    }

    #[test]
    fn a_gap_ends_the_session() {
        let mut prefix = AckPrefix::default();
        prefix.arrived(1).unwrap();
        assert_eq!(prefix.arrived(3), Err(TagGap { wanted: 2, found: 3 }));
        assert_eq!(prefix.arrived(1), Err(TagGap { wanted: 2, found: 1 }));
    }
}
