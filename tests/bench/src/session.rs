//! Connecting, logging in, and pings over one session.

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use futures::{StreamExt, stream};
use sippo_xmpp_core::{
    address::UserJid,
    tls::Tls,
    xmpp::{Account, LoginMode, Request, Session, WsConnector},
};
use xmpp_parsers::ping::Ping;

use crate::{
    Target,
    raw::{self, Raw},
    scale::Scale,
    stats::{median, percentile},
};

pub(crate) fn connector(target: &Target) -> (WsConnector, Account) {
    let account =
        Account { jid: UserJid::canonical(&target.admin).expect("a bare JID"), password: target.token.as_str().into() };
    (WsConnector::new(target.url.clone(), Tls::new(None)), account)
}

/// TCP, WebSocket, SASL and bind, both ways, in turn.
pub(crate) async fn logins(target: &Target) {
    let (connector, account) = connector(target);
    let mut times = [Vec::new(), Vec::new()];
    let logins = target.scale.logins;
    for _ in 0..logins {
        for (mode, times) in [LoginMode::Pipelined, LoginMode::Stepwise].into_iter().zip(&mut times) {
            let begin = Instant::now();
            let session = Session::open(&connector, &account, mode).await.expect("the server is up");
            times.push(begin.elapsed().as_secs_f64() * 1e3);
            session.close().await;
        }
    }
    println!("connect + login, ms, median (p95) of {logins}");
    for (name, times) in ["pipelined", "stepwise"].iter().zip(&times) {
        println!("  {name:10} {:6.2} ({:.2})", median(times), percentile(times, 0.95));
    }
}

/// Pings per second with 1, 64 and 256 in flight, ours and raw in turn; CPU of this process per ping.
#[expect(clippy::cast_precision_loss, reason = "counts")]
pub(crate) async fn pings(target: &Target) {
    let Scale { rounds, pings, .. } = target.scale;
    let (connector, account) = connector(target);
    let session = Session::open(&connector, &account, LoginMode::Pipelined).await.expect("the server is up");
    let mut raw = Raw::log_in(target.url.as_str(), &target.admin, &target.token).await;
    let frames = raw::pings(&target.domain, pings);
    println!(
        "pings on one session: per second and client CPU in µs each, median of {rounds} rounds of {pings}, in turn"
    );
    for window in [1, 64, 256] {
        let (mut ours, mut limit, mut ratio, mut cpu, mut raw_cpu) = (vec![], vec![], vec![], vec![], vec![]);
        for round in 0..=rounds {
            let (begin, cpu_begin) = (Instant::now(), ProcessTime::now());
            raw.blast(&frames, window).await;
            let (raw_time, raw_cpu_time) = (begin.elapsed().as_secs_f64(), cpu_begin.elapsed());
            let (begin, cpu_begin) = (Instant::now(), ProcessTime::now());
            ping_all(&session, target, window).await;
            let (our_time, our_cpu_time) = (begin.elapsed().as_secs_f64(), cpu_begin.elapsed());
            if round == 0 {
                continue; // warm-up
            }
            limit.push(pings as f64 / raw_time);
            ours.push(pings as f64 / our_time);
            ratio.push(raw_time / our_time);
            cpu.push(our_cpu_time.as_secs_f64() * 1e6 / pings as f64);
            raw_cpu.push(raw_cpu_time.as_secs_f64() * 1e6 / pings as f64);
        }
        println!(
            "  {window:3} in flight: ours {:7.0}/s, raw {:7.0}/s, ratio {:.3}; CPU ours {:5.1}, raw {:5.1}",
            median(&ours),
            median(&limit),
            median(&ratio),
            median(&cpu),
            median(&raw_cpu)
        );
    }
}

async fn ping_all(session: &Session, target: &Target, window: usize) {
    let host = jid::Jid::new(&target.domain).expect("a domain");
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    let answers = stream::iter(0..target.scale.pings)
        .map(|_| session.exchange(Request::get(host.clone(), Ping), deadline))
        .buffer_unordered(window);
    let failed = answers.filter(|answer| std::future::ready(answer.is_err())).count().await;
    assert_eq!(failed, 0, "every ping is answered");
}
