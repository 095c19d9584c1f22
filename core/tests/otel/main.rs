//! Spans as a collector gets them. Variables of the environment belong to a process, so the function is a process of its own:
//! this test's program, run once more.
#![cfg(feature = "otel")]

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value, trace::v1::Span,
};
use prost::Message as _;
use sippo_xmpp_core::{
    lambda::{invocation::invocation, start_telemetry},
    telemetry::{
        Format, Level, Log, join,
        trace::{TraceContext, current},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const EVENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

#[tokio::test]
async fn spans_reach_the_collector_as_part_of_the_platforms_trace() {
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let function = function(&collector);
    let (path, body) = tokio::time::timeout(Duration::from_secs(30), take(&collector)).await.expect("no export");
    let output = String::from_utf8(function.wait_with_output().unwrap().stdout).unwrap();

    assert_eq!(path, "/v1/traces");
    let export = ExportTraceServiceRequest::decode(&*body).unwrap();
    let [resource] = &export.resource_spans[..] else { panic!("{export:?}") };
    let service = resource.resource.iter().flat_map(|resource| &resource.attributes);
    let service = service.filter(|one| one.key == "service.name").find_map(|one| match &one.value.as_ref()?.value {
        Some(Value::StringValue(name)) => Some(name.as_str()),
        _ => None,
    });
    assert_eq!(service, Some("chat"));
    let spans: Vec<&Span> = resource.scope_spans.iter().flat_map(|scope| &scope.spans).collect();
    // The room that nobody wants to see traced is not among them.
    let [room, invocation] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((&*room.name, &*invocation.name), ("room", "invocation"));
    let (trace, parent) = (number(&room.trace_id), number(&room.parent_span_id));
    assert_eq!((format!("{trace:032x}").as_str(), parent), (TRACE, 0x00f0_67aa_0ba9_02b7));
    assert_ne!(number(&invocation.trace_id), trace);
    // What goes out to others, and what log lines say, is the span that was exported.
    let id = format!("{:016x}", number(&room.span_id));
    assert!(output.contains(&format!("sent 00-{TRACE}-{id}-01")), "{output}");
    assert!(output.lines().any(|line| line.contains("\"inside\"") && line.contains(&id)), "{output}");
}

#[tokio::test]
async fn a_collector_that_fails_does_not_hold_up_the_answer() {
    let busy = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n";
    for answer in [None, Some(busy)] {
        let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let function = function(&collector);
        let collect = async {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = collector.accept().await.unwrap();
                read(&mut stream).await;
                if let Some(answer) = answer {
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
                open.push(stream);
            }
        };
        let ended = tokio::task::spawn_blocking(|| function.wait_with_output().unwrap());
        let output = tokio::select! {
            output = ended => String::from_utf8(output.unwrap().stdout).unwrap(),
            () = collect => unreachable!(),
        };
        let took = output.lines().find_map(|line| line.strip_prefix("took ")?.parse::<u128>().ok());
        // A limit of 300 ms, and what a busy machine adds; by itself the exporter goes on for two seconds and more.
        assert!(took.expect("the invocation ended") < 1_500, "{answer:?}: {output}");
        assert!(output.contains("Spans were lost"), "{output}");
    }
}

#[tokio::test]
#[ignore = "run by spans_reach_the_collector_as_part_of_the_platforms_trace, with a collector"]
async fn one_invocation() {
    start_telemetry(Log { level: Level::Debug, format: Format::Json });
    let context = lambda_runtime::Context::default();
    let work = async {
        for parent in [EVENT, UNSAMPLED] {
            let room = tracing::error_span!(target: "sippo_xmpp_core", "room");
            join(&room, parent.parse::<TraceContext>().ok());
            room.in_scope(|| {
                tracing::debug!(target: "sippo_xmpp_core", "inside");
                println!("sent {}", current().unwrap());
            });
        }
    };
    let began = Instant::now();
    invocation(&context, "r-1", None, work).await;
    println!("took {}", began.elapsed().as_millis());
}

fn number(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// The function, with that collector.
fn function(collector: &TcpListener) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "one_invocation", "--ignored", "--nocapture"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.local_addr().unwrap()))
        .env("POWERTOOLS_SERVICE_NAME", "chat")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The path and the body of one request, answered with an empty message.
async fn take(collector: &TcpListener) -> (String, Vec<u8>) {
    let (mut stream, _) = collector.accept().await.unwrap();
    let taken = read(&mut stream).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    taken
}

/// The path and the body of a request.
async fn read(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the request broke off");
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        if bytes.len() >= end + 4 + length.expect("it has a length") {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            return (path, bytes.split_off(end + 4));
        }
    }
}
