//! The hosts API's client, against a fake that answers to order and against the real thing.

use std::sync::{Arc, Mutex};

use serde_json::json;
use sippo_xmpp_core::{
    hosts::{Hosts, HostsError},
    telemetry::{self, trace},
    testing::SecretKeeper,
    tls::Tls,
};
use sippo_xmpp_doubles::{HttpAnswer, HttpFake, LogLines, log_lines};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tracing::{Instrument as _, Level};

const LIFE: &str = "1.2/65";

const LINE: &str = "Failed to create a.example host in XMPP server";

fn hosts(url: url::Url) -> Hosts {
    log_lines::install();
    Hosts::new(url, "0123456789abcdef0123456789abcdef".into(), Tls::new(None))
}

#[tokio::test]
async fn a_host_is_created_or_there_already() {
    let fake = HttpFake::start(&json!({"domain": "a.example"})).await;
    let hosts = hosts(fake.url.clone());
    fake.answer_with(201, &json!({"domain": "a.example"}));
    hosts.create("A.example", LIFE).await.unwrap();
    fake.answer_with(200, &json!({"domain": "a.example"}));
    hosts.create("a.example", LIFE).await.unwrap();
    let seen = fake.seen.lock().unwrap()[0].clone();
    assert!(
        seen.starts_with("POST /endpoint ") && seen.ends_with(r#"{"domain":"a.example","life":"1.2/65"}"#),
        "{seen}"
    );
    assert!(seen.to_lowercase().contains("authorization: bearer 0123456789abcdef"), "{seen}");
}

#[tokio::test]
async fn a_trace_goes_with_each_call() {
    let fake = HttpFake::start(&json!({"domain": "a.example"})).await;
    let hosts = hosts(fake.url.clone());
    let span = tracing::error_span!("domain");
    telemetry::join(&span, None);
    let own = span.in_scope(trace::current).unwrap();
    hosts.create("a.example", LIFE).instrument(span).await.unwrap();
    hosts.create("a.example", LIFE).await.unwrap();
    let seen = fake.seen.lock().unwrap();
    assert!(seen[0].contains(&format!("traceparent: {own}\r\n")), "{}", seen[0]);
    assert!(!seen[1].contains("traceparent"), "{}", seen[1]);
}

#[tokio::test]
async fn each_failure_to_create_is_logged_with_the_domain_in_its_place() {
    let lines = LogLines::of(Level::ERROR, LINE);
    let fake = HttpFake::start(&json!({"error": "why"})).await;
    for status in [400, 401, 409, 500, 302] {
        fake.answer_with(status, &json!({"error": "why"}));
        let error = hosts(fake.url.clone()).create("a.example", LIFE).await.unwrap_err();
        assert!(matches!(&error, HostsError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("why") && !error.to_string().contains("0123456789"), "{error}");
    }
    assert_eq!(lines.count(), 5);
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let down = hosts(format!("http://{nobody}/").parse().unwrap()).create("a.example", LIFE).await.unwrap_err();
    assert!(matches!(down, HostsError::Unreachable(_)), "{down:?}");
    assert_eq!(lines.count(), 6);
}

#[tokio::test]
async fn where_others_are_is_told_in_requests_that_the_server_reads() {
    let fake = HttpFake::start(&json!(null)).await;
    let hosts = hosts(fake.url.clone());
    fake.answer_with(204, &json!(null));
    let domains: Vec<String> = (0..100).map(|number| format!("{number:060}.example")).collect();
    let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
    hosts.set_routes("eu-2", &domains).await.unwrap();
    hosts.set_routes("eu-2", &[]).await.unwrap();
    let seen = fake.seen.lock().unwrap().clone();
    assert!(seen.iter().all(|request| request.starts_with("PUT /routes/eu-2 ")), "beside the collection: {seen:?}");
    let bodies = seen.iter().map(|request| request.split_once("\r\n\r\n").unwrap().1);
    let told: Vec<String> = bodies
        .inspect(|body| assert!(body.len() <= 4096))
        .flat_map(|body| {
            serde_json::from_str::<serde_json::Value>(body).unwrap()["domains"].as_array().unwrap().clone()
        })
        .map(|domain| domain.as_str().unwrap().to_owned())
        .collect();
    assert!(seen.len() > 1 && told == domains, "each once: {told:?}");

    fake.answer_with(409, &json!({"error": "SIPPO_XMPP_CELLS does not name this cell"}));
    let error = hosts.set_routes("eu-3", &["a.example"]).await.unwrap_err();
    assert!(matches!(&error, HostsError::Refused { .. }) && error.to_string().contains("does not name"), "{error}");
    fake.answer_with(200, &json!([{"domain": "a.example"}, {"domain": "b.example"}]));
    assert_eq!(hosts.list().await.unwrap(), ["a.example", "b.example"]);
}

#[tokio::test]
async fn a_host_that_is_not_there_counts_as_deleted() {
    let fake = HttpFake::start(&json!(null)).await;
    for status in [204, 404] {
        fake.answer_with(status, &json!(null));
        hosts(fake.url.clone()).delete("a.example", LIFE).await.unwrap();
    }
    fake.answer_with(409, &json!(null));
    assert!(hosts(fake.url.clone()).delete("a.example", LIFE).await.is_err());
    assert!(
        fake.seen.lock().unwrap().iter().all(|seen| seen.starts_with("DELETE /endpoint/a.example?ended=1.2%2F65 "))
    );
}

#[tokio::test]
async fn no_bad_domain_reaches_the_server() {
    let fake = HttpFake::start(&json!(null)).await;
    let hosts = hosts(fake.url.clone());
    for domain in ["", "..", "a/../b", "a b", "a%2fb", "ａ.example", "a.example/x"] {
        assert!(matches!(hosts.create(domain, LIFE).await, Err(HostsError::Domain { .. })), "{domain}");
        assert!(matches!(hosts.delete(domain, LIFE).await, Err(HostsError::Domain { .. })), "{domain}");
    }
    assert_eq!(fake.count(), 0);
}

#[tokio::test]
async fn a_kept_connection_that_died_costs_one_repetition() {
    let fake = HttpFake::start_forgetful(&json!({"domain": "a.example"})).await;
    let hosts = hosts(fake.url.clone());
    for _ in 0..3 {
        hosts.create("a.example", LIFE).await.unwrap();
    }
    assert!(fake.seen.lock().unwrap().len() > 3, "no connection was used again: nothing was tested");
}

#[tokio::test]
async fn a_token_that_was_changed_is_taken_at_the_first_refusal() {
    let (old, new) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
    let accepted = Arc::new(Mutex::new(old));
    let current = accepted.clone();
    let fake = HttpFake::answering(move |request| {
        let expected = format!("Bearer {}", current.lock().unwrap());
        let status = match request.header("authorization") {
            Some(given) if given == expected => 200,
            _ => 401,
        };
        HttpAnswer::Close(if status == 200 && request.text.starts_with("DELETE") { 204 } else { status }, "{}".into())
    })
    .await;
    let keeper = SecretKeeper::of(old);
    let hosts = Hosts::new(fake.url.clone(), keeper.secret().await.unwrap(), Tls::new(None));
    hosts.create("a.example", LIFE).await.unwrap();
    keeper.change(new);
    *accepted.lock().unwrap() = new;
    hosts.create("a.example", LIFE).await.unwrap();
    hosts.delete("a.example", LIFE).await.unwrap();
    assert_eq!((fake.count(), keeper.asked()), (4, 2));
}

/// Run by `tests/xmpp_server/tenants/test_virtual_hosts_client.py`, which starts the server.
#[tokio::test]
#[ignore = "needs a Prosody; tests/xmpp_server/tenants/test_virtual_hosts_client.py runs it with one"]
async fn the_real_server_takes_what_the_client_sends() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let url: url::Url = variable("HOSTS_ADMIN_URL").parse().unwrap();
    let hosts = Hosts::new(url.clone(), variable("ADMIN_TOKEN").into(), Tls::new(None));
    let domain = "client-of-core.example";
    for _ in 0..2 {
        hosts.create(domain, LIFE).await.unwrap();
        assert!(list(&url).await.contains(domain));
    }
    for _ in 0..2 {
        hosts.delete(domain, LIFE).await.unwrap();
        assert!(!list(&url).await.contains(domain));
    }
    assert!(matches!(hosts.create("conference.a.example", LIFE).await, Err(HostsError::Refused { .. })));
    let stranger = Hosts::new(url, "ffffffffffffffffffffffffffffffff".into(), Tls::new(None));
    assert!(
        matches!(stranger.create(domain, LIFE).await, Err(HostsError::Refused { status, .. }) if status.as_u16() == 401)
    );
}

/// The server's own word on which hosts there are.
async fn list(url: &url::Url) -> String {
    let mut tcp = TcpStream::connect(url.socket_addrs(|| None).unwrap()[0]).await.unwrap();
    let token = std::env::var("ADMIN_TOKEN").unwrap();
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n",
        url.path(),
        url.host_str().unwrap()
    );
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer
}
