//! For tests in other languages: what the parser has to say on a file of cases.

use std::{
    env,
    fs::{self, File},
    io::{BufWriter, Write},
};

use serde_json::Value;
use sippo_xmpp_core::events::{Event, Poison};

use crate::tenancy;

/// Reads lines `{"routingKey", "body"}` from the file `EVENT_CASES` and writes for each a line to
/// `EVENT_OUTCOMES`: `ok`, or the code of the poison, or of a part that is left out, of a foreign domain last.
#[test]
#[ignore = "run by tests/api/test_asyncapi.py, which makes the cases"]
fn outcomes_of_cases() {
    let path = |name| env::var(name).unwrap_or_else(|_| panic!("set {name}"));
    let mut outcomes = BufWriter::new(File::create(path("EVENT_OUTCOMES")).unwrap());
    for line in fs::read_to_string(path("EVENT_CASES")).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| case[name].as_str().unwrap_or_else(|| panic!("no {name} in {line}"));
        let outcome = Event::parse(text("routingKey"), text("body").as_bytes(), None, &tenancy());
        let of_parts = |event: &Event| {
            let codes = event.left_out.iter().map(Poison::code);
            codes.min_by_key(|code| *code == "foreign-domain").unwrap_or("ok")
        };
        writeln!(outcomes, "{}", outcome.as_ref().map_or_else(Poison::code, of_parts)).unwrap();
    }
    outcomes.flush().unwrap();
}
