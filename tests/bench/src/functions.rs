//! The deployed binaries under a Runtime API of our own: cold start, warm latency, size, memory.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sippo_xmpp_core::xmpp::{Manner, Request, Session};
use tokio::process::{Child, Command};
use xmpp_parsers::roster::Roster;

use crate::{
    Target,
    runtime_api::RuntimeApi,
    session::connector,
    stats::{median, percentile},
    variable,
};

const COLD_STARTS: usize = 30;
const CALLS: usize = 1_000;

/// A running function.
struct Function {
    /// Before its API: it ends first.
    process: Child,
    api: RuntimeApi,
    started: Instant,
}

impl Function {
    async fn start(binary: &Path) -> Self {
        let api = RuntimeApi::bind().await;
        let started = Instant::now();
        let process = Command::new(binary)
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", "bench")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("SIPPO_LOG__LEVEL", "error")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the function is built");
        Self { process, api, started }
    }

    /// Resident memory in MB.
    #[expect(clippy::cast_precision_loss, reason = "kilobytes")]
    fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id().expect("it runs")));
        let status = status.expect("Linux tells");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") as f64 / 1024.0
    }
}

fn event(method: &str, path: &str, token: Option<&str>) -> Value {
    let mut headers = json!({"host": "localhost"});
    if let Some(token) = token {
        headers["authorization"] = format!("Bearer {token}").into();
    }
    json!({"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": headers,
        "isBase64Encoded": false, "requestContext": {"accountId": "1", "apiId": "a", "stage": "$default",
            "requestId": "r", "http": {"method": method, "path": path, "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1", "userAgent": "bench"}}})
}

pub(crate) async fn measure(target: &Target) {
    let folder = PathBuf::from(variable("BENCH_FUNCTIONS"));
    let token = variable("BENCH_ACCESS_TOKEN");
    cold_start(&folder.join("login"), &token).await;
    chat_list(target, &folder.join("individual-chat-list-get"), &token).await;
}

async fn cold_start(binary: &Path, token: &str) {
    println!("login function: process start → first answer, ms, median (p95) of {COLD_STARTS}");
    for (name, status, token) in [("401", 401, None), ("login", 200, Some(token))] {
        let mut times = Vec::new();
        for _ in 0..COLD_STARTS {
            let mut function = Function::start(binary).await;
            let (answer, _) = function.api.invoke(&event("GET", "/sapi/xmpp/login", token)).await;
            times.push(function.started.elapsed().as_secs_f64() * 1e3);
            assert_eq!(answer["statusCode"], status, "{answer}");
        }
        println!("  {name:10} {:6.2} ({:.2})", median(&times), percentile(&times, 0.95));
    }
    let mut function = Function::start(binary).await;
    for _ in 0..CALLS {
        function.api.invoke(&event("GET", "/sapi/xmpp/login", Some(token))).await;
    }
    println!("  memory after {CALLS} calls: {:.1} MB", function.memory());
}

/// A warm GET as the runtime sees it, beside one bare round trip of the same request over a session
/// of our own, in turn.
async fn chat_list(target: &Target, binary: &Path, token: &str) {
    let (connector, account) = connector(target);
    let session = Session::open(&connector, &account, Manner::Pipelined).await.expect("the server is up");
    let user = jid::BareJid::new(&variable("BENCH_USER")).expect("a bare JID");
    let roster = || Request::get(user.clone(), Roster { ver: None, items: Vec::new() });
    let mut function = Function::start(binary).await;
    let get = event("GET", "/sapi/xmpp/individualChatList", Some(token));
    let (mut calls, mut trips, mut differences) = (Vec::new(), Vec::new(), Vec::new());
    for call in 0..CALLS {
        let begin = Instant::now();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        session.exchange(roster(), deadline).await.expect("the server answers");
        let trip = begin.elapsed().as_secs_f64() * 1e3;
        let (answer, seconds) = function.api.invoke(&get).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        if call > 50 {
            trips.push(trip);
            calls.push(seconds * 1e3);
            differences.push(seconds * 1e3 - trip);
        }
    }
    println!("chat list GET, warm, ms, median (p95) of {CALLS} in turn");
    for (name, times) in [("function", &calls), ("round trip", &trips), ("difference", &differences)] {
        println!("  {name:10} {:6.3} ({:.3})", median(times), percentile(times, 0.95));
    }
    println!("  memory after {CALLS} calls: {:.1} MB", function.memory());
}
