//! The deployed binaries beside peers: start, memory, size; and a warm chat list beside a bare round trip.

mod cases;
mod table;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;
use sippo_xmpp_core::xmpp::{LoginMode, Request, Session};
use xmpp_parsers::roster::Roster;

use self::cases::Case;
use crate::{
    Target,
    aws::Aws,
    function::{Function, Memory, request},
    session::connector,
    stats::{median, percentile},
    variable,
};

const CHAT_LIST_GET: &str = "individual-chat-list-get";

/// Of some starts, the milliseconds each.
#[derive(Debug, Default, Clone)]
struct Starts {
    passed: Vec<f64>,
    cpu: Vec<f64>,
}

/// What invocations cost that are worked on in earnest.
#[derive(Debug, Clone, Copy)]
struct Work {
    memory: Memory,
    /// Milliseconds of a CPU each.
    cpu: f64,
}

pub(crate) async fn measure(target: &Target) {
    let sizes: Value = serde_json::from_str(&variable("BENCH_SIZES")).expect("scripts/bench writes JSON");
    let cases = Case::wanted(&target.domain, |name| sizes.get(name).is_some());
    let aws = Aws::start().await;
    let starts = starts(&cases, &aws, target.scale.starts).await;
    let mut rows = Vec::new();
    for (case, starts) in cases.iter().zip(starts) {
        let idle = after_calls(case, &aws, target.scale.calls).await;
        let busy = match &case.work {
            Some(work) => Some(after_work(case, work, target.scale.calls).await),
            None => None,
        };
        rows.push(table::Row { case, starts, idle, busy });
    }
    table::print(&rows, &sizes, target.scale);
    if sizes.get(CHAT_LIST_GET).is_some() {
        chat_list(target).await;
    }
}

/// Process start → first answer: each case once a round, after a round that warms up.
async fn starts(cases: &[Case], aws: &Aws, rounds: usize) -> Vec<Starts> {
    let mut times = vec![Starts::default(); cases.len()];
    for round in 0..=rounds {
        for (case, times) in cases.iter().zip(&mut times) {
            let calls = aws.calls();
            let mut function = case.start(Some(aws)).await;
            let (answer, _) = function.api.invoke(&case.first).await;
            let (age, cpu) = (function.age(), function.cpu());
            assert!(case.accepts(&answer), "{}: {answer}", case.name);
            assert_eq!(aws.calls() - calls, case.aws_calls, "{}'s calls of AWS", case.name);
            if round > 0 {
                times.passed.push(age);
                times.cpu.push(cpu);
            }
        }
    }
    times
}

async fn after_calls(case: &Case, aws: &Aws, calls: usize) -> Memory {
    let mut function = case.start(Some(aws)).await;
    for _ in 0..calls {
        function.api.invoke(&case.first).await;
    }
    function.memory()
}

/// With the XMPP server, the token issuer's keys and the ledger of the local stack.
#[expect(clippy::cast_precision_loss, reason = "a count")]
async fn after_work(case: &Case, work: &Value, calls: usize) -> Work {
    let mut function = case.start(None).await;
    let mut begin = 0.0;
    for call in 0..=calls {
        if call == 1 {
            begin = function.cpu(); // what the first call makes is made
        }
        let (answer, _) = function.api.invoke(work).await;
        assert!(cases::is_success(&answer), "{}: {answer}", case.name);
    }
    Work { memory: function.memory(), cpu: (function.cpu() - begin) / calls as f64 }
}

/// A warm GET as the runtime sees it, beside one bare round trip of the same request over a session
/// of our own, in turn.
async fn chat_list(target: &Target) {
    let token = variable("BENCH_ACCESS_TOKEN");
    let (connector, account) = connector(target);
    let session = Session::open(&connector, &account, LoginMode::Pipelined).await.expect("the server is up");
    let user = jid::BareJid::new(&variable("BENCH_USER")).expect("a bare JID");
    let roster = || Request::get(user.clone(), Roster { ver: None, items: Vec::new() });
    let program = cases::program(CHAT_LIST_GET);
    let mut function = Function::start(&program, Path::new("."), &[]).await;
    let get = request("GET", cases::CHAT_LIST, Some(&token));
    let rounds = target.scale.calls;
    let (mut calls, mut trips, mut differences) = (Vec::new(), Vec::new(), Vec::new());
    for call in 0..rounds {
        let begin = Instant::now();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        session.exchange(roster(), deadline).await.expect("the server answers");
        let trip = begin.elapsed().as_secs_f64() * 1e3;
        let (answer, seconds) = function.api.invoke(&get).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        if call > rounds / 20 {
            trips.push(trip);
            calls.push(seconds * 1e3);
            differences.push(seconds * 1e3 - trip);
        }
    }
    println!("chat list GET, warm, ms, median (p95) of {rounds} in turn");
    for (name, times) in [("function", &calls), ("round trip", &trips), ("difference", &differences)] {
        println!("  {name:10} {:6.3} ({:.3})", median(times), percentile(times, 0.95));
    }
}
