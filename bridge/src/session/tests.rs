//! Sessions with a broker, queues and a register in memory, on a clock of the tests' own.

use std::{collections::BTreeSet, sync::Mutex};

use futures::stream;

use super::*;
use crate::{
    memory::{Register, Sent},
    prefix::Ack,
};

/// A broker that checks each acknowledgement when it comes.
struct Checked<'a> {
    sent: &'a Sent,
    register: &'a Register,
    acknowledged: Mutex<BTreeSet<u64>>,
    dead_lettered: Mutex<Vec<u64>>,
    status: QueueStatus,
    /// It takes no dead letters.
    blocked: bool,
}

/// A queue without messages, and somebody at it.
const NOTHING: QueueStatus = QueueStatus { messages: 0, active: 1 };

impl<'a> Checked<'a> {
    fn new(sent: &'a Sent, register: &'a Register) -> Self {
        let (acknowledged, dead_lettered) = Default::default();
        Self { sent, register, acknowledged, dead_lettered, status: NOTHING, blocked: false }
    }
}

impl Broker for Checked<'_> {
    async fn acknowledge(&self, acks: &[Ack]) -> Result<(), BrokerError> {
        assert_eq!(*self.register.0.lock().unwrap(), 1, "acknowledged after another session took over");
        let mut done = self.acknowledged.lock().unwrap();
        let (accepted, dead_lettered) = (self.sent.accepted(), self.dead_lettered.lock().unwrap());
        for ack in acks {
            assert!(!done.contains(&ack.tag), "{} is acknowledged twice", ack.tag);
            let first = if ack.multiple { 1 } else { ack.tag };
            for tag in first..=ack.tag {
                let is_there = dead_lettered.contains(&tag) || accepted.iter().any(|(one, _)| *one == tag);
                assert!(is_there, "{tag} is acknowledged, but nobody has it");
                done.insert(tag);
            }
        }
        Ok(())
    }

    async fn dead_letter(&self, letter: &DeadLetter) {
        if self.blocked {
            return future::pending().await;
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..30))).await;
        self.dead_lettered.lock().unwrap().push(letter.tag);
    }

    async fn queue_status(&self) -> Result<QueueStatus, BrokerError> {
        Ok(self.status)
    }
}

fn delivery(tag: u64, redelivered: bool) -> Delivery {
    const KEYS: [&str; 4] = ["domain.created", "usersGroup.created", "conference.created", "nobody.knows"];
    let key = KEYS[usize::try_from(tag % 7).unwrap().min(3)];
    Delivery::mock(tag, "e".into(), key.into(), redelivered, format!("{{\"n\":{tag}}}").into_bytes())
}

/// Runs a session over `deliveries`, which pause at random; `stop` comes when all are there.
async fn run(
    sent: &Sent,
    register: &Register,
    deliveries: Vec<Delivery>,
    depose_at: Option<Duration>,
) -> (Result<(), SessionEnd>, u64) {
    let (end, acknowledged) = run_over(&Checked::new(sent, register), deliveries, depose_at).await;
    (end, acknowledged.last().copied().unwrap_or_default())
}

/// As [`run`]; gives all tags that were acknowledged.
async fn run_over(
    broker: &Checked<'_>,
    deliveries: Vec<Delivery>,
    depose_at: Option<Duration>,
) -> (Result<(), SessionEnd>, BTreeSet<u64>) {
    let (sent, register) = (broker.sent, broker.register);
    let health = Health::new(State::Connecting);
    let context = SessionContext { queues: sent, register, health: &health, unknown_keys: UnknownKeys::DeadLetter };
    let (sender, mut stop) = watch::channel(false);
    let count = deliveries.len();
    let incoming = stream::iter(deliveries.into_iter().enumerate()).then(|(place, delivery)| {
        let sender = sender.clone();
        async move {
            if fastrand::u8(..4) == 0 {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(..8))).await;
            }
            if place + 1 == count {
                let _ = sender.send(true);
            }
            Ok(delivery)
        }
    });
    let incoming = Box::pin(incoming.chain(stream::pending()));
    let depose = async {
        match depose_at {
            None => future::pending().await,
            Some(time) => {
                tokio::time::sleep(time).await;
                *register.0.lock().unwrap() += 1;
                future::pending::<()>().await;
            }
        }
    };
    let session = Session::new(context, broker, 0).run(incoming, &mut stop);
    let end = tokio::select! { end = session => end, () = depose => unreachable!() };
    let acknowledged = broker.acknowledged.lock().unwrap().clone();
    (end, acknowledged)
}

#[tokio::test(start_paused = true)]
async fn all_is_sent_and_acknowledged_whatever_fails_on_the_way() {
    for seed in 0..60 {
        fastrand::seed(seed);
        let (sent, register) = (Sent::new(seed, u8::try_from(seed % 3).unwrap()), Register::default());
        let deliveries = (1..=200).map(|tag| delivery(tag, false)).collect();
        let (end, acknowledged) = run(&sent, &register, deliveries, None).await;
        // What is in the stream's hands when the stop comes stays at the broker.
        assert!(end.is_ok(), "seed {seed}: {end:?}");
        assert!(acknowledged >= 136, "seed {seed}: {acknowledged}");
        let mut tags: Vec<u64> = sent.accepted().into_iter().map(|(tag, _)| tag).collect();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), sent.accepted().len(), "what was accepted is not sent again");
        assert!(tags.iter().all(|tag| *tag <= acknowledged));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_waits_for_the_broker_holds_up_no_event() {
    for seed in 0..60 {
        fastrand::seed(seed);
        let (sent, register) = (Sent::new(seed, u8::try_from(seed % 3).unwrap()), Register::default());
        let broker = Checked { blocked: true, ..Checked::new(&sent, &register) };
        let (end, acknowledged) = run_over(&broker, (1..=200).map(|tag| delivery(tag, false)).collect(), None).await;
        let tags: BTreeSet<u64> = sent.accepted().into_iter().map(|(tag, _)| tag).collect();
        assert_eq!(acknowledged, tags, "seed {seed}");
        let last = *tags.last().unwrap();
        let dead = (1..=last).filter(|tag| !tags.contains(tag)).count();
        assert!(dead > 50 && matches!(end, Err(SessionEnd::Unfinished(open)) if open >= dead), "seed {seed}: {end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deposed_session_acknowledges_nothing_more() {
    let mut deposed = 0;
    for seed in 0..60 {
        fastrand::seed(seed);
        let (sent, register) = (Sent::new(seed, 3), Register::default());
        let deliveries = (1..=200).map(|tag| delivery(tag, false)).collect();
        let (end, _) = run(&sent, &register, deliveries, Some(Duration::from_millis(20 + seed * 3))).await;
        if let Err(end) = end {
            assert!(matches!(end, SessionEnd::Deposed { own: 1, newest: 2 }), "seed {seed}: {end}");
            deposed += 1;
        }
    }
    assert!(deposed > 30, "{deposed}");
}

#[tokio::test(start_paused = true)]
async fn an_epoch_that_is_taken_ends_the_session_before_anything_is_sent() {
    let (sent, register) = (Sent::new(1, 0), Register::default());
    *register.0.lock().unwrap() = 1;
    let (end, acknowledged) = run(&sent, &register, vec![delivery(1, false)], None).await;
    assert!(matches!(end, Err(SessionEnd::EpochTaken)), "{end:?}");
    assert!(acknowledged == 0 && sent.accepted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_after_fresh_ones_ends_the_session() {
    let (sent, register) = (Sent::new(1, 0), Register::default());
    let deliveries = vec![delivery(1, true), delivery(2, false), delivery(3, true)];
    let (end, _) = run(&sent, &register, deliveries, None).await;
    assert!(matches!(end, Err(SessionEnd::Disorder)), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_the_tags_ends_the_session() {
    let (sent, register) = (Sent::new(1, 0), Register::default());
    let (end, _) = run(&sent, &register, vec![delivery(1, false), delivery(3, false)], None).await;
    assert!(matches!(end, Err(SessionEnd::Tags(_))), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_gets_nothing_though_messages_wait_and_nobody_is_active_has_stalled() {
    for (status, is_stalled) in [
        (QueueStatus { messages: 1, active: 0 }, true),
        // Another is active, and slow.
        (QueueStatus { messages: 1, active: 1 }, false),
        (QueueStatus { messages: 0, active: 0 }, false),
        (NOTHING, false),
    ] {
        let (sent, register, health) = (Sent::new(1, 0), Register::default(), Health::new(State::Connecting));
        let broker = Checked { status, ..Checked::new(&sent, &register) };
        let context = SessionContext {
            queues: &sent,
            register: &register,
            health: &health,
            unknown_keys: UnknownKeys::DeadLetter,
        };
        let (_sender, mut stop) = watch::channel(false);
        let session = Session::new(context, &broker, 0).run(stream::pending(), &mut stop);
        let end = tokio::time::timeout(probe::EVERY * 5, session).await;
        let stalled = matches!(end, Ok(Err(SessionEnd::Stalled)));
        assert_eq!(stalled, is_stalled, "{status:?}: {end:?}");
    }
}
