//! Random use of the ledger in memory and of the one on DynamoDB side by side: they answer alike.
//!
//! The histories of `core/tests/rooms` run on the ledger in memory; this carries their result over.

use std::{
    cell::Cell,
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sippo_xmpp_core::{
    address::{RoomJid, UserJid},
    events::Version,
    ledger::{
        ClaimTarget, DomainRegister, DynamoLedger, END_GRACE, Heir, Ledger, LedgerMaintenance, MemoryLedger, Ordinal,
        RETENTION, RoomChange, RoomEvent, RoomKind, Scope,
    },
};

const HISTORIES: u64 = 40;
const STEPS: u32 = 20;

thread_local! {
    static NOW: Cell<SystemTime> = const { Cell::new(UNIX_EPOCH) };
}

fn now() -> SystemTime {
    NOW.get()
}

struct Dice {
    rng: fastrand::Rng,
    domain: String,
}

impl Dice {
    fn users(&mut self) -> BTreeSet<UserJid> {
        let domain = if self.rng.u8(..4) == 0 { "foreign.test" } else { &self.domain };
        let names = ["a", "b", "c"].into_iter().filter(|_| self.rng.bool());
        names.map(|name| UserJid::of_username(name, domain).unwrap()).collect()
    }

    fn user(&mut self) -> UserJid {
        let name = ["a", "b", "c"][self.rng.usize(..3)];
        UserJid::of_username(name, &self.domain).unwrap()
    }

    fn at(&mut self) -> Ordinal {
        let version = Version { epoch: 1, counter: self.rng.u64(5..15) };
        Ordinal::new(version, ["e", "#", "/0"][self.rng.usize(..3)])
    }

    fn event(&mut self) -> RoomEvent {
        let change = match self.rng.u8(..8) {
            0..=2 => {
                let owner = self.rng.bool().then(|| self.user());
                RoomChange::Created {
                    name: self.rng.bool().then(|| "Name".to_owned()),
                    owner,
                    participants: self.users(),
                }
            }
            3 => RoomChange::Destroyed,
            4..=5 => RoomChange::Joined(self.users()),
            _ => RoomChange::Left(self.users()),
        };
        RoomEvent { at: self.at(), kind: RoomKind::UsersGroup, change }
    }

    fn target(&mut self) -> ClaimTarget {
        if self.rng.bool() { ClaimTarget::Member(self.user()) } else { ClaimTarget::Creation(self.at()) }
    }
}

/// One random operation; what it answers.
async fn step(ledger: &(impl Ledger + LedgerMaintenance), room: &RoomJid, mut dice: Dice) -> String {
    let dice = &mut dice;
    let domain = dice.domain.clone();
    let until = |now: SystemTime| now + Duration::from_mins(2);
    match dice.rng.u8(..20) {
        0..=5 => {
            let events: Vec<RoomEvent> = (0..dice.rng.u8(1..4)).map(|_| dice.event()).collect();
            format!("{:?}", ledger.record(room, &events).await)
        }
        6 => {
            let joined = dice.users().into_iter().map(|user| (user, dice.at())).collect();
            format!("{:?}", ledger.join(room, &joined, now(), until(now())).await)
        }
        7..=8 => {
            let (target, ended_at) = (dice.target(), dice.rng.bool().then(|| dice.at()));
            format!("{:?}", ledger.claim(room, &target, ended_at.as_ref(), now(), until(now())).await)
        }
        9 => format!("{:?}", ledger.release(room, &dice.target(), until(now())).await),
        10 => format!("{:?}", ledger.mark_invited(room, &dice.user(), &dice.at()).await),
        11..=12 => format!("{:?}", ledger.mark_announced(room, &dice.at(), &dice.users()).await),
        13 => {
            let register = if dice.rng.bool() { DomainRegister::Created } else { DomainRegister::Deleted };
            format!("{:?}", ledger.raise_domain(&domain, register, &dice.at()).await)
        }
        14 => format!("{:?}", ledger.note_invited(room, &dice.users(), &dice.at()).await),
        15..=17 => {
            let state = ledger.read(room, &Scope::Whole).await.unwrap();
            let all: Vec<_> = state.creations.iter().collect();
            let Some((at, creation)) = (!all.is_empty()).then(|| all[dice.rng.usize(..all.len())]) else {
                return "nothing to fold".to_owned();
            };
            if dice.rng.bool() {
                return format!("{:?}", ledger.forget_creation(room, at, creation, now()).await);
            }
            let heir = Heir { at, participants: &creation.participants, except: &dice.users() };
            format!("{:?}", ledger.take_over_announcement(room, heir, &dice.at(), now()).await)
        }
        _ => {
            let pruned = ledger.prune(room, now()).await;
            format!("{pruned:?}, {:?}", ledger.prune_domain(&domain, now()).await)
        }
    }
}

#[tokio::test]
#[ignore = "needs DynamoDB; tests/ledger/test_ledger.py runs it with a stand-in"]
async fn both_ledgers_answer_alike() {
    let dynamo = DynamoLedger::with_clock(super::table().await, now);
    for seed in 0..HISTORIES {
        let memory = MemoryLedger::with_clock(now);
        let mut rng = fastrand::Rng::with_seed(seed);
        let domain = format!("twins-{seed}.test");
        let room = RoomJid::of_id("r", &domain).unwrap();
        NOW.set(UNIX_EPOCH + Duration::from_secs(1_000_000_000));
        for number in 0..STEPS {
            let dice = || Dice { rng: rng.clone(), domain: domain.clone() };
            let (one, other) = (step(&memory, &room, dice()).await, step(&dynamo, &room, dice()).await);
            assert_eq!(one, other, "seed {seed}, step {number}");
            let some = Scope::Members(dice().users());
            rng.u64(..);
            let (whole, scoped, created) =
                tokio::join!(dynamo.read(&room, &Scope::Whole), dynamo.read(&room, &some), dynamo.domain(&domain));
            assert_eq!(memory.read(&room, &Scope::Whole).await.unwrap(), whole.unwrap(), "seed {seed}, step {number}");
            assert_eq!(memory.read(&room, &some).await.unwrap(), scoped.unwrap(), "seed {seed}, step {number}");
            let expected = memory.domain(&domain).await.unwrap();
            assert_eq!(expected, created.unwrap(), "seed {seed}, step {number}");
            let pauses =
                [Duration::ZERO, Duration::from_secs(50), Duration::from_mins(2), END_GRACE * 2, RETENTION * 2];
            NOW.set(now() + pauses[rng.usize(..pauses.len())]);
        }
    }
}
