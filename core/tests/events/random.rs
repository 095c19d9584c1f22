//! Random input: whatever comes, an event is read or there is a reason why not.

use sippo_xmpp_core::events::{Event, EventType, MAX_REASON, Poison, StampedEvent, Version};
use time::{Duration, OffsetDateTime};

use crate::{samples::published, tenancy};

/// `SplitMix64`: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `end`.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    /// JSON of the fields that events have, with values that they should not have, and some that they should.
    fn json(&mut self, depth: usize) -> String {
        const NAMES: [&str; 16] = [
            "id",
            "chatId",
            "domain",
            "name",
            "owner",
            "participants",
            "participant",
            "username",
            "capabilities",
            "specversion",
            "type",
            "data",
            "source",
            "datacontenttype",
            "é",
            "\\ud800",
        ];
        const VALUES: [&str; 20] = [
            "null",
            "true",
            "1e999",
            "-0.0",
            "\"\"",
            "\"alice\"",
            "\"alice@example.test\"",
            "\"example.test\"",
            "\"conference.a.test\"",
            "\"Ａ\"",
            "\"\\u0000\"",
            "\"\\udfff\"",
            "\"a\u{ffff}\"",
            "\"1.0\"",
            "\"chat\"",
            "\"domain.created\"",
            "\"adhoc-1\"",
            "\"@\"",
            "\"a@b/c\"",
            "[\"chat\"]",
        ];
        let count = self.below(8);
        match if depth == 0 { 0 } else { self.below(4) } {
            1 => format!("[{}]", (0..count).map(|_| self.json(depth - 1)).collect::<Vec<_>>().join(",")),
            2 | 3 => {
                let member = |random: &mut Self| format!("\"{}\":{}", random.pick(&NAMES), random.json(depth - 1));
                format!("{{{}}}", (0..count).map(|_| member(self)).collect::<Vec<_>>().join(" , "))
            }
            _ => self.pick(&VALUES).to_owned(),
        }
    }

    /// A sample with a few bytes changed, left out, or said twice.
    fn damaged(&mut self, sample: &str) -> Vec<u8> {
        let mut bytes = sample.as_bytes().to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, *self.pick(&[&b'"', &b'{', &b'}', &b'[', &b',', &b'\\', &b'A', &0, &0xff])),
                _ => bytes.truncate(at.max(1)),
            }
        }
        bytes
    }

    fn body(&mut self, samples: &[String]) -> Vec<u8> {
        match self.below(4) {
            0 => (0..self.below(40)).map(|_| u8::try_from(self.below(256)).unwrap()).collect(),
            1 | 2 => {
                let sample = self.below(samples.len());
                self.damaged(&samples[sample])
            }
            _ => self.json(4).into_bytes(),
        }
    }
}

fn check(poison: &Poison) {
    let reason = poison.reason();
    assert!(reason.len() <= MAX_REASON, "{reason}");
    assert!(reason.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{reason}");
}

#[test]
fn nothing_panics_and_what_is_stamped_comes_back() {
    let samples: Vec<_> =
        EventType::ALL.into_iter().flat_map(|one| ["bare", "cloudevent"].map(|form| published(one, form))).collect();
    let mut random = Random(1);
    let (mut events, mut poisons) = (0, 0);
    for _ in 0..20_000 {
        let at = random.below(samples.len());
        let routing_key = match random.below(10) {
            0 => random.pick(&["", "usersGroup", "\u{ffff}", "domain.created\0"]),
            _ => EventType::ALL[at / 2].routing_key(),
        };
        let body = if random.below(8) == 0 { samples[at].clone().into_bytes() } else { random.body(&samples[at..=at]) };
        let message_id = random.pick(&[&None, &Some(""), &Some("m-1"), &Some("\"\u{fffe}\n")]);
        let read = Event::parse(routing_key, &body, *message_id, &tenancy());

        let version = Version { epoch: random.next(), counter: random.next() };
        let age = i64::try_from(random.next() >> 24).unwrap();
        let stamped_at = OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(age / 10);
        let stamped = StampedEvent::new(version, stamped_at, routing_key, *message_id, &body);
        let back = StampedEvent::parse(stamped.text()).unwrap();
        assert_eq!(back, stamped);
        assert_eq!((back.version(), back.stamped_at()), (version, stamped_at));
        assert_eq!((back.routing_key(), back.message_id()), (routing_key, *message_id));
        assert!(!stamped.text().contains(['\u{fffe}', '\u{ffff}']));

        // The function that reads the stamped event finds what the bridge found, except that the id of a
        // body with U+FFFE or U+FFFF is the hash of what SQS takes.
        match (&read, stamped.event(&tenancy())) {
            (Ok(event), Ok(same)) => {
                assert_eq!(event.payload, same.payload);
                events += 1;
            }
            (Err(poison), Err(same)) => {
                assert_eq!(poison.code(), same.code());
                check(poison);
                poisons += 1;
            }
            (read, same) => panic!("{}: {read:?} {same:?}", body.escape_ascii()),
        }
        if let Ok(text) = std::str::from_utf8(&body)
            && let Err(poison) = StampedEvent::parse(text)
        {
            check(&poison);
        }
    }
    assert!(events > 1_000 && poisons > 1_000, "one-sided: {events} events, {poisons} poisons");
}

#[test]
fn damaged_stamps_are_read_or_refused() {
    let mut random = Random(2);
    let sample = published(EventType::UsersGroupCreated, "cloudevent");
    let stamped = StampedEvent::new(
        Version { epoch: 1, counter: 2 },
        OffsetDateTime::UNIX_EPOCH,
        "usersGroup.created",
        Some("m-1"),
        sample.as_bytes(),
    );
    let mut refused = 0;
    for _ in 0..10_000 {
        let damaged = random.damaged(stamped.text());
        let Ok(text) = std::str::from_utf8(&damaged) else { continue };
        match StampedEvent::parse(text) {
            Ok(read) => assert_eq!(StampedEvent::parse(read.text()).unwrap(), read),
            Err(poison) => {
                check(&poison);
                refused += 1;
            }
        }
    }
    assert!(refused > 1_000, "{refused}");
}
