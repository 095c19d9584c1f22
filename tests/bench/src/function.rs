//! A function as a process, under a Runtime API of its own.

use std::{path::Path, process::Stdio, time::Instant};

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::runtime_api::RuntimeApi;

/// A running function.
pub(crate) struct Function {
    /// Before its API: it ends first.
    process: Child,
    pub(crate) api: RuntimeApi,
    started: Instant,
}

/// Resident memory, in MB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) now: f64,
    pub(crate) peak: f64,
}

impl Function {
    /// Starts `program` as Lambda would, with what it logs going into a pipe; `environment` on top of ours.
    pub(crate) async fn start(program: &[String], folder: &Path, environment: &[(&str, String)]) -> Self {
        let api = RuntimeApi::bind().await;
        let started = Instant::now();
        let mut process = Command::new(&program[0])
            .args(&program[1..])
            .current_dir(folder)
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", "bench")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the function is built");
        let mut log = process.stdout.take().expect("it is a pipe");
        tokio::spawn(async move { tokio::io::copy(&mut log, &mut tokio::io::sink()).await });
        Self { process, api, started }
    }

    /// Milliseconds since its start.
    pub(crate) fn age(&self) -> f64 {
        self.started.elapsed().as_secs_f64() * 1e3
    }

    /// Milliseconds of a CPU that it has taken: what other work on the machine does not change.
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds")]
    pub(crate) fn cpu(&self) -> f64 {
        let threads = format!("/proc/{}/task", self.process.id().expect("it runs"));
        let threads = std::fs::read_dir(threads).expect("Linux tells").flatten();
        // A thread may have ended meanwhile.
        let taken = threads.filter_map(|thread| {
            let line = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            line.split(' ').next()?.parse::<u64>().ok()
        });
        taken.sum::<u64>() as f64 / 1e6
    }

    /// What it takes now.
    pub(crate) fn memory(&self) -> Memory {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id().expect("it runs")));
        let status = status.expect("Linux tells");
        Memory { now: megabytes(&status, "VmRSS:"), peak: megabytes(&status, "VmHWM:") }
    }
}

#[expect(clippy::cast_precision_loss, reason = "kilobytes")]
fn megabytes(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it has memory");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") as f64 / 1024.0
}

/// API Gateway's event of a request.
pub(crate) fn request(method: &str, path: &str, token: Option<&str>) -> Value {
    let mut headers = json!({"host": "localhost"});
    if let Some(token) = token {
        headers["authorization"] = format!("Bearer {token}").into();
    }
    json!({"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": headers,
        "isBase64Encoded": false, "requestContext": {"accountId": "1", "apiId": "a", "stage": "$default",
            "requestId": "r", "http": {"method": method, "path": path, "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1", "userAgent": "bench"}}})
}
