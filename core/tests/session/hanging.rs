//! One of several servers that hangs: it is given up when nothing is heard of it any more, long before the deadline, by all who
//! wait for it, and left alone by those who come next. A server that is alone is waited for.

use std::time::Duration;

use futures::future::join_all;
use sippo_xmpp_core::{
    auth::LoginTokens,
    cells::{Cell, Cells, Reach},
    domains::HostServer as _,
    events::Version,
    hosts::Hosts,
    ledger::{DynamoPlaces, Ordinal},
    tls::Tls,
    xmpp::{ConnectError, RequestError, XmppClient},
};
use tokio::time::Instant;

use super::{
    client,
    fake::{Fake, Fault},
    ping, request,
};

/// Longer than a server may be silent.
const LONG: Duration = Duration::from_secs(20);

fn cell(fake: &Fake) -> Cell {
    let token = "0123456789abcdef0123456789abcdef";
    let reach = Reach {
        public_url: fake.url(),
        login_tokens: LoginTokens::new(token.into(), Duration::from_mins(1)),
        client: client(fake.url()),
        hosts: Hosts::new(format!("http://{}/", fake.address).parse().unwrap(), token.into(), Tls::new(None)),
    };
    Cell::one_of_several("one".to_owned(), 1, true, reach)
}

async fn is_left_alone(client: &XmppClient) -> bool {
    matches!(request(client).await, Err(RequestError::Connect(ConnectError::Away(_))))
}

#[tokio::test]
async fn it_is_given_up_once_and_by_all_who_wait() {
    let fake = Fake::start(Fault::SilentAfterFirstAnswer).await;
    let client = cell(&fake).client;
    request(&client).await.unwrap();
    let deadline = Instant::now() + LONG;
    let asked = ping();
    let first = client.request(&asked, deadline);
    let later = async {
        tokio::task::yield_now().await;
        join_all((0..5).map(|_| client.request(&asked, deadline))).await
    };
    let (first, later) = tokio::join!(first, later);
    for outcome in later.into_iter().chain([first]) {
        assert!(matches!(outcome, Err(RequestError::TimedOut)), "{outcome:?}");
    }
    assert!(Instant::now() < deadline, "nobody waited for the deadline");
    assert!(is_left_alone(&client).await);
    assert_eq!(fake.connections(), 1, "nobody waits for another session");
}

#[tokio::test]
async fn one_that_talks_is_waited_for() {
    let fake = Fake::start(Fault::TalksButAnswersOnce).await;
    let client = cell(&fake).client;
    request(&client).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(3);
    let outcome = client.request(&ping(), deadline).await;
    assert!(matches!(outcome, Err(RequestError::TimedOut)), "{outcome:?}");
    assert!(Instant::now() >= deadline, "it is given up before the deadline");
}

#[tokio::test]
async fn one_that_is_alone_is_waited_for() {
    let fake = Fake::start(Fault::SilentAfterFirstAnswer).await;
    let client = client(fake.url());
    request(&client).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(3);
    assert!(client.request(&ping(), deadline).await.is_err());
    assert!(Instant::now() >= deadline, "it is given up before the deadline");
}

#[tokio::test]
async fn a_deletion_is_not_waited_for_once_the_server_hangs() {
    let fake = Fake::start(Fault::SilentTcp).await;
    let cells = Cells::<DynamoPlaces>::only(cell(&fake));
    let ended = Ordinal::new(Version { epoch: 1, counter: 1 }, "event");
    let error = cells.delete("a.test", &ended).await.unwrap_err();
    assert!(error.to_string().contains("the cell one hangs"), "{error}");
}
