//! Register, queues and dead letters in memory, for tests.

use std::sync::Mutex;

use sippo_xmpp_core::ledger::{EpochError, EpochRegister};

use crate::{
    batches::Batch,
    broker::{BrokerError, DeadLetterSink},
    queues::{Outcome, Queues, SendError},
    route::DeadLetter,
};

#[derive(Default)]
pub(crate) struct Register(pub(crate) Mutex<u64>);

impl EpochRegister for Register {
    async fn current(&self) -> Result<u64, EpochError> {
        Ok(*self.0.lock().unwrap())
    }

    async fn advance(&self, seen: u64) -> Result<bool, EpochError> {
        let mut epoch = self.0.lock().unwrap();
        let same = *epoch == seen;
        *epoch += u64::from(same);
        Ok(same)
    }
}

/// Queues some of whose entries fail at first, chosen by a seed.
pub(crate) struct Sent {
    pub(crate) batches: Mutex<Vec<Batch>>,
    random: Mutex<fastrand::Rng>,
    /// Of eight entries so many fail.
    failing: u8,
}

impl Sent {
    pub(crate) fn new(seed: u64, failing: u8) -> Self {
        Self { batches: Mutex::default(), random: Mutex::new(fastrand::Rng::with_seed(seed)), failing }
    }

    /// Tags and texts of what was accepted.
    pub(crate) fn accepted(&self) -> Vec<(u64, String)> {
        let batches = self.batches.lock().unwrap();
        batches.iter().flat_map(|batch| &batch.entries).map(|entry| (entry.tag, entry.text.clone())).collect()
    }
}

impl Queues for Sent {
    async fn send(&self, batch: &Batch) -> Result<Vec<Outcome>, SendError> {
        let (pause, call_fails) = {
            let mut random = self.random.lock().unwrap();
            (random.u64(..20), random.u8(..8) < self.failing.min(4) && random.bool())
        };
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        if call_fails {
            return Err(SendError::Failed("injected".to_owned()));
        }
        let mut random = self.random.lock().unwrap();
        let failed = |_: &_| random.u8(..8) < self.failing;
        let fates: Vec<bool> = batch.entries.iter().map(failed).collect();
        let accepted = batch.entries.iter().zip(&fates).filter(|(_, failed)| !**failed).map(|(entry, _)| entry.clone());
        let accepted = Batch { event_type: batch.event_type, entries: accepted.collect() };
        self.batches.lock().unwrap().push(accepted);
        let outcome = |failed| if failed { Outcome::Failed("injected".to_owned()) } else { Outcome::Accepted };
        Ok(fates.into_iter().map(outcome).collect())
    }
}

#[derive(Default)]
pub(crate) struct DeadLetters(pub(crate) Mutex<Vec<DeadLetter>>);

impl DeadLetterSink for DeadLetters {
    async fn dead_letter_all(&self, letters: &[DeadLetter]) -> Result<(), BrokerError> {
        self.0.lock().unwrap().extend_from_slice(letters);
        Ok(())
    }
}
