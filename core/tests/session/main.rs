//! The XMPP session against servers that fail in every way the issue of failing has: each failure
//! surfaces as its own error, soon, and what can be mended by a reconnect is.

mod fake;
mod hanging;

use std::{sync::Arc, time::Duration};

use fake::{Fake, Fault};
use futures::future::join_all;
use sippo_xmpp_core::{
    address::{RoomJid, UserJid},
    rooms::{Grant, MucRooms, Revocation, RoomServer as _, ServerError},
    telemetry::{self, trace},
    testing::SecretKeeper,
    tls::Tls,
    xmpp::{
        Account, ConnectError,
        ConnectError::{Negotiation, NotXmpp, TimedOut, Unauthorized},
        Request, RequestError, Timeouts, WsConnector, XmppClient,
    },
};
use sippo_xmpp_doubles::{LogLines, log_lines};
use tokio::{net::TcpListener, time::Instant};
use tracing::{Instrument as _, Level};
use xmpp_parsers::{
    message::{Id, Message},
    ping::Ping,
    stanza_error::DefinedCondition,
};

const TIMINGS: Timeouts = Timeouts {
    connect: Duration::from_millis(500),
    trusted_idle: Duration::from_millis(200),
    alive_check: Duration::from_millis(200),
};

/// For a request that is sent and not answered: connecting has its own limit, and must not be what ends first.
const PATIENCE: Duration = Duration::from_secs(1);

const LINE: &str = "Failed to obtain [admin] XMPP client";

fn client(url: url::Url) -> XmppClient {
    log_lines::install();
    let account = Account { jid: UserJid::canonical("a@a.test").unwrap(), password: "secret".into() };
    XmppClient::new(WsConnector::new(url, Tls::new(None)), account, TIMINGS)
}

fn ping() -> Request {
    Request::get(jid::Jid::new("a.test").unwrap(), Ping)
}

async fn request(client: &XmppClient) -> Result<(), RequestError> {
    client.request(&ping(), Instant::now() + Duration::from_secs(3)).await.map(drop)
}

async fn connect_error(fault: Fault) -> ConnectError {
    let fake = Fake::start(fault).await;
    match request(&client(fake.url())).await {
        Err(RequestError::Connect(error)) => error,
        other => panic!("{fault:?}: {other:?}"),
    }
}

#[tokio::test]
async fn each_failure_to_connect_has_its_own_error() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let down = request(&client(format!("ws://{nobody}/").parse().unwrap())).await;
    assert!(matches!(down, Err(RequestError::Connect(ConnectError::Unreachable(_)))), "{down:?}");

    assert!(matches!(connect_error(Fault::SilentTcp).await, TimedOut(_)));
    assert!(matches!(connect_error(Fault::NoSubprotocol).await, NotXmpp(_)));
    assert!(matches!(connect_error(Fault::Http404).await, NotXmpp(_)));
    let not_xml = connect_error(Fault::NotXml).await;
    assert!(matches!(not_xml, NotXmpp(_)), "{not_xml:?}");
    let at_open = connect_error(Fault::StreamErrorAtOpen).await;
    assert!(matches!(&at_open, Negotiation(_)) && at_open.to_string().contains("shutdown"), "{at_open}");
    assert!(matches!(connect_error(Fault::NotAuthorized).await, Unauthorized(_)));
    assert!(matches!(connect_error(Fault::NoBind).await, TimedOut(_)));
}

#[tokio::test]
async fn a_trace_goes_with_the_handshake_and_with_each_request() {
    let fake = Fake::start(Fault::None).await;
    let client = client(fake.url());
    request(&client).await.unwrap();
    let mut expected = vec!["1".to_owned()];
    for number in 2..=3 {
        let span = tracing::error_span!("room");
        telemetry::join(&span, None);
        expected.push(format!("{number}/{}", span.in_scope(trace::current).unwrap()));
        request(&client).instrument(span).await.unwrap();
    }
    assert_eq!(*fake.traces.lock().unwrap(), expected, "the handshake had no trace, and neither had the first request");

    let (fake, span) = (Fake::start(Fault::None).await, tracing::error_span!("invocation"));
    telemetry::join(&span, None);
    let own = span.in_scope(trace::current).unwrap().to_string();
    request(&self::client(fake.url())).instrument(span).await.unwrap();
    assert_eq!(*fake.traces.lock().unwrap(), [own.clone(), format!("1/{own}")]);
}

#[tokio::test]
async fn tls_to_a_plain_server_is_a_tls_error() {
    let fake = Fake::start(Fault::None).await;
    let mut url = fake.url();
    url.set_scheme("wss").unwrap();
    let error = request(&client(url)).await.unwrap_err();
    assert!(matches!(error, RequestError::Connect(ConnectError::Tls(_))), "{error:?}");
}

#[tokio::test]
async fn a_refused_login_is_not_tried_again_stepwise() {
    let fake = Fake::start(Fault::NotAuthorized).await;
    assert!(request(&client(fake.url())).await.is_err());
    assert_eq!(fake.connections(), 1);
}

#[tokio::test]
async fn a_password_that_was_changed_is_taken_at_the_first_refusal() {
    let lines = LogLines::of(Level::ERROR, LINE);
    let (fake, keeper) = (Fake::start(Fault::ChangesPassword).await, SecretKeeper::of("secret"));
    let account =
        || async { Account { jid: UserJid::canonical("a@a.test").unwrap(), password: keeper.secret().await.unwrap() } };
    let new_client = |account| XmppClient::new(WsConnector::new(fake.url(), Tls::new(None)), account, TIMINGS);
    let (first, second) = (new_client(account().await), new_client(account().await));
    request(&first).await.unwrap();
    let refused = request(&second).await;
    assert!(matches!(refused, Err(RequestError::Connect(Unauthorized(_)))), "{refused:?}");
    assert_eq!((fake.connections(), keeper.asked(), lines.count()), (2, 3, 1), "asked again, and no other login tried");

    let third = new_client(account().await);
    keeper.change("changed");
    request(&third).await.unwrap();
    assert_eq!((fake.connections(), fake.logins(), lines.count()), (4, 2, 1));
}

#[tokio::test]
async fn a_server_that_objects_to_pipelining_is_logged_in_to_stepwise() {
    let fake = Fake::start(Fault::ObjectsToPipelining).await;
    let client = client(fake.url());
    request(&client).await.unwrap();
    assert_eq!((fake.connections(), fake.logins()), (2, 1));
}

#[tokio::test]
async fn all_who_wait_share_one_attempt() {
    let fake = Fake::start(Fault::NotAuthorized).await;
    let shared = client(fake.url());
    let outcomes = join_all((0..100).map(|_| request(&shared))).await;
    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, Err(RequestError::Connect(ConnectError::Unauthorized(_)))))
    );
    assert_eq!(fake.connections(), 1);

    let fake = Fake::start(Fault::None).await;
    let shared = client(fake.url());
    let outcomes = join_all((0..100).map(|_| request(&shared))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!((fake.connections(), fake.logins()), (1, 1));
}

#[tokio::test]
async fn a_failure_is_logged_once_however_many_wait_for_it() {
    let lines = LogLines::of(Level::ERROR, LINE);
    let fake = Fake::start(Fault::NotAuthorized).await;
    let shared = client(fake.url());
    join_all((0..100).map(|_| request(&shared))).await;
    assert_eq!(lines.count(), 1);
    assert!(request(&shared).await.is_err());
    assert_eq!(lines.count(), 2, "another attempt, another line");
}

#[tokio::test]
async fn replies_find_their_requests_in_any_order() {
    let fake = Fake::start(Fault::AnswersReversed).await;
    let shared = client(fake.url());
    let outcomes = join_all((0..100).map(|_| request(&shared))).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

#[tokio::test]
async fn an_answer_counts_only_from_whom_was_asked() {
    let fake = Fake::start(Fault::ForgedAnswers).await;
    request(&client(fake.url())).await.unwrap();
}

/// Messages whose ids are their numbers.
fn messages(count: usize) -> Vec<Message> {
    let numbered = |n: usize| {
        let mut message = Message::normal(jid::Jid::new(&format!("user{n}@a.test")).unwrap());
        message.id = Some(Id(n.to_string()));
        message
    };
    (0..count).map(numbered).collect()
}

#[tokio::test]
async fn what_bounces_is_known_when_the_messages_are_delivered() {
    let deadline = || Instant::now() + Duration::from_secs(3);
    let fake = Fake::start(Fault::BouncesMessages).await;
    let bouncing = client(fake.url());
    // Another request in between has no part in it.
    let (bounces, other) = tokio::join!(bouncing.deliver(messages(100), deadline()), request(&bouncing));
    other.unwrap();
    let bounces = bounces.unwrap();
    let numbers: Vec<usize> = bounces.iter().map(|bounce| bounce.message).collect();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>(), "each once: the forged ones do not count");
    assert!(bounces.iter().all(|one| one.error.defined_condition == DefinedCondition::ServiceUnavailable));

    let fake = Fake::start(Fault::None).await;
    assert!(client(fake.url()).deliver(messages(100), deadline()).await.unwrap().is_empty());
}

#[tokio::test]
async fn delivery_that_is_not_confirmed_in_time_closes_the_session() {
    let fake = Fake::start(Fault::SilentAfterLogin).await;
    let client = client(fake.url());
    let error = client.deliver(messages(3), Instant::now() + PATIENCE).await.unwrap_err();
    assert!(matches!(error, RequestError::TimedOut), "{error:?}");
    let _ = client.request(&ping(), Instant::now() + PATIENCE).await;
    assert_eq!(fake.connections(), 2, "the silent session is not used again");
}

/// The caller's own time ends before the attempt's: the line is there all the same, and once.
#[tokio::test]
async fn an_attempt_that_outlasts_its_caller_is_logged_once() {
    let lines = LogLines::of(Level::ERROR, LINE);
    let fake = Fake::start(Fault::SilentTcp).await;
    let client = client(fake.url());
    let error = client.request(&ping(), Instant::now() + TIMINGS.connect / 5).await.unwrap_err();
    assert!(matches!(error, RequestError::Connect(ConnectError::TimedOut(_))), "{error:?}");
    assert_eq!(lines.count(), 1);
    assert!(request(&client).await.is_err(), "waits for the same attempt");
    assert_eq!((lines.count(), fake.connections()), (1, 1));
}

#[tokio::test]
async fn a_stanza_error_is_the_requests_own() {
    let fake = Fake::start(Fault::StanzaError).await;
    let client = client(fake.url());
    for _ in 0..2 {
        let error = request(&client).await.unwrap_err();
        assert_eq!(error.condition(), Some(DefinedCondition::ItemNotFound), "{error:?}");
    }
    assert_eq!(fake.connections(), 1, "the session goes on");
}

#[tokio::test]
async fn a_connection_lost_in_the_middle_costs_one_reconnect() {
    let fake = Fake::start(Fault::DropsFirstConnection).await;
    let client = client(fake.url());
    request(&client).await.unwrap();
    request(&client).await.unwrap();
    assert_eq!((fake.connections(), fake.logins()), (2, 2));
}

#[tokio::test]
async fn a_server_that_always_breaks_off_ends_in_an_error_after_one_retry() {
    let fake = Fake::start(Fault::StreamErrorAtRequest).await;
    let error = request(&client(fake.url())).await.unwrap_err();
    assert!(matches!(&error, RequestError::SessionLost(reason) if reason.contains("shutdown")), "{error:?}");
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn a_deadline_closes_the_session_before_it_returns() {
    let fake = Fake::start(Fault::SilentAfterLogin).await;
    let client = client(fake.url());
    let deadline = Instant::now() + PATIENCE;
    let error = client.request(&ping(), deadline).await.unwrap_err();
    assert!(matches!(error, RequestError::TimedOut), "{error:?}");
    assert_eq!(fake.connections(), 1);
    let _ = client.request(&ping(), Instant::now() + PATIENCE).await;
    assert_eq!(fake.connections(), 2, "the silent session is not used again");
}

/// What a frozen process finds: its socket looks open, and nobody answers. What has arrived meanwhile
/// proves nothing.
#[tokio::test]
async fn a_session_that_died_in_silence_costs_one_reconnect() {
    for fault in [Fault::SilentAfterFirstAnswer, Fault::TalksButAnswersOnce] {
        let fake = Fake::start(fault).await;
        let client = client(fake.url());
        request(&client).await.unwrap();
        tokio::time::sleep(TIMINGS.trusted_idle + Duration::from_millis(50)).await; // the pause itself is the case
        client.request(&ping().no_resend(), Instant::now() + Duration::from_secs(3)).await.unwrap();
        assert_eq!((fake.connections(), fake.logins()), (2, 2), "{fault:?}");
        // The alive_check went to the dead session by itself: had the request gone with it, it could arrive later.
        assert_eq!(*fake.traces.lock().unwrap(), ["1", "2", "1"], "{fault:?}");
    }
}

#[tokio::test]
async fn a_deadline_ends_the_proof_of_a_quiet_session() {
    let fake = Fake::start(Fault::SilentAfterFirstAnswer).await;
    let client = client(fake.url());
    request(&client).await.unwrap();
    tokio::time::sleep(TIMINGS.trusted_idle + Duration::from_millis(50)).await; // the pause itself is the case
    let error = client.request(&ping(), Instant::now() + TIMINGS.alive_check / 4).await.unwrap_err();
    assert!(matches!(error, RequestError::TimedOut), "{error:?}");
    request(&client).await.unwrap();
    assert_eq!(fake.connections(), 2, "the silent session is not used again");
}

#[tokio::test]
async fn a_slow_server_still_answers_those_who_did_not_ask_for_a_proof() {
    let fake = Fake::start(Fault::SlowUntilNextLogin).await;
    let client = client(fake.url());
    request(&client).await.unwrap();
    let waiting = client.clone();
    let waiting = tokio::spawn(async move { waiting.request(&ping().no_resend(), Instant::now() + PATIENCE).await });
    tokio::time::sleep(TIMINGS.trusted_idle + Duration::from_millis(50)).await; // the pause itself is the case
    request(&client).await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn what_must_not_be_sent_twice_is_lost_with_its_session() {
    let fake = Fake::start(Fault::DropsFirstConnection).await;
    let client = client(fake.url());
    let error = client.request(&ping().no_resend(), Instant::now() + PATIENCE).await.unwrap_err();
    assert!(matches!(error, RequestError::SessionLost(_)), "{error:?}");
    assert_eq!(fake.connections(), 1);
    client.request(&ping().no_resend(), Instant::now() + PATIENCE).await.unwrap();
}

/// A copy that arrives late would undo what was asked for meanwhile.
#[tokio::test]
async fn affiliations_are_not_changed_twice() {
    let room = RoomJid::of_id("room", "a.test").unwrap();
    let user = UserJid::canonical("user@a.test").unwrap();
    for revokes in [false, true] {
        let fake = Fake::start(Fault::DropsFirstConnection).await;
        let rooms = MucRooms::new(client(fake.url()));
        let deadline = Instant::now() + PATIENCE;
        let outcome = if revokes {
            rooms.revoke(&room, &[Revocation { user: user.clone(), ended: None }], deadline).await
        } else {
            rooms.grant(&room, &[(user.clone(), Grant::AtLeastMember)], None, deadline).await
        };
        assert!(matches!(outcome, Err(ServerError::Unanswered(_))), "{outcome:?}");
        assert_eq!(fake.connections(), 1);
    }
}

#[tokio::test]
async fn no_secret_shows_in_debug_output() {
    let client = Arc::new(client("ws://127.0.0.1:9/".parse().unwrap()));
    assert!(!format!("{client:?}").contains("secret\""), "{client:?}");
}
