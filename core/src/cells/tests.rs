//! Placing, on a register in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::BoxFuture;
use jid::DomainPart;
use sippo_xmpp_doubles::{HttpAnswer, HttpFake};
use tokio::time::Instant;
use url::Url;

use super::*;
use crate::{
    address::{RoomJid, UserJid},
    auth::LoginTokens,
    domains::{DomainError, DomainEvent, Domains, HostServer},
    events::Version,
    hosts::{Hosts, HostsError},
    ledger::{
        CellState, DomainRegister, Ledger, MemoryLedger, MemoryPlaces, MoveStep, Moving, Ordinal, Place, PlaceRegister,
    },
    rooms::Reconciler,
    secret::RotatingSecret,
    testing::FakeRooms,
    tls::Tls,
    xmpp::{Account, Timeouts, WsConnector, XmppClient},
};

fn cell(name: &str, weight: u32, is_open: bool) -> Cell {
    cell_at(name, (weight, is_open), "http://127.0.0.1:1/virtualhost".parse().unwrap())
}

pub(super) fn cell_at(name: &str, (weight, is_open): (u32, bool), hosts: Url) -> Cell {
    let token = RotatingSecret::from("0123456789abcdef0123456789abcdef");
    let account = Account { jid: UserJid::canonical("sippo@admin.test").unwrap(), password: token.clone() };
    let url = |scheme: &str| format!("{scheme}://127.0.0.1:1/{name}").parse::<Url>().unwrap();
    let reach = Reach {
        public_url: url("ws"),
        login_tokens: LoginTokens::new(token.clone(), Duration::from_mins(1)),
        client: XmppClient::new(WsConnector::new(url("ws"), Tls::new(None)), account, Timeouts::default()),
        hosts: Hosts::new(hosts, token, Tls::new(None)),
    };
    Cell::one_of_several(name.to_owned(), weight, is_open, reach)
}

async fn placed(cells: &Cells<&MemoryPlaces>, domain: &str) -> String {
    assert!(!cells.has_place(domain).await.unwrap());
    HostServer::place(cells, domain).await.unwrap();
    cells.of(domain).await.unwrap().name.clone()
}

#[tokio::test]
async fn tenants_go_where_there_are_fewest_for_the_weight_and_nowhere_that_is_closed() {
    let register = MemoryPlaces::default();
    let cells = [cell("one", 1, true), cell("big", 3, true), cell("closed", 100, false)];
    let cells = Cells::several(cells.into(), &register);
    for number in 0..40 {
        placed(&cells, &format!("tenant{number}.test")).await;
    }
    let counts = (&register).cells().await.unwrap().into_iter().map(|(name, record)| (name, record.tenants));
    assert_eq!(counts.collect::<Vec<_>>(), [("big".to_owned(), 30), ("one".to_owned(), 10)]);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_looked_up_once_and_again_when_the_cell_says_it_is_not_there() {
    let register = MemoryPlaces::default();
    let cells = Cells::several(vec![cell("one", 1, true), cell("two", 1, true)], &register);
    assert!(matches!(cells.of("a.test").await, Err(PlaceError::None(_))), "and that is not kept");
    (&register).place("a.test", "one").await.unwrap();
    for _ in 0..3 {
        assert_eq!(cells.of("a.test").await.unwrap().name, "one");
    }
    assert_eq!(register.looked_up(), 2);

    register.put("a.test", Place::at("two"));
    assert_eq!(cells.of("a.test").await.unwrap().name, "one", "kept");
    let asked = |cell: &'_ Cell| {
        let name = cell.name.clone();
        Box::pin(async move { if name == "one" { Err("not served") } else { Ok(name) } }) as BoxFuture<'_, _>
    };
    assert_eq!(cells.on_cell_of("a.test", asked, |_| true).await.unwrap(), Ok("two".to_owned()));
    register.put("a.test", Place::at("one"));
    tokio::time::advance(KEPT).await;
    assert_eq!(cells.of("a.test").await.unwrap().name, "one", "nothing is kept for ever");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_moves_is_served_by_nobody_and_its_place_is_kept_briefly() {
    let register = MemoryPlaces::default();
    let cells = Cells::several(vec![cell("one", 1, true), cell("two", 1, true)], &register);
    let place = |cell: &str, step| {
        let other = if cell == "one" { "two" } else { "one" }.to_owned();
        Place { cell: cell.to_owned(), number: 1, moving: Some(Moving { step, other, since: 0 }) }
    };
    for (at, step, served) in [
        ("one", MoveStep::Waiting, true),
        ("one", MoveStep::Copying, false),
        ("two", MoveStep::Opening, false),
        ("two", MoveStep::Purging, true),
        ("one", MoveStep::Thawing, false),
        ("one", MoveStep::Discarding, true),
    ] {
        register.put("a.test", place(at, step));
        tokio::time::advance(KEPT_BRIEFLY).await;
        match cells.of("a.test").await {
            Ok(cell) => assert!(served && cell.name == at, "{step:?}"),
            Err(error) => assert!(!served && matches!(error, PlaceError::Moving(_)), "{step:?}"),
        }
    }
}

#[tokio::test]
async fn what_an_operator_says_of_a_cell_goes_before_the_configuration() {
    let register = MemoryPlaces::default();
    let cells = Cells::several(vec![cell("one", 1, true), cell("two", 1, false)], &register);
    (&register).set_state("one", CellState::Draining).await.unwrap();
    (&register).set_state("two", CellState::Open).await.unwrap();
    assert_eq!(placed(&cells, "a.test").await, "two");
    assert!(cells.roomiest_but("two").await.unwrap().is_none());
    (&register).set_state("two", CellState::Closed).await.unwrap();
    assert!(matches!(HostServer::place(&cells, "b.test").await, Err(HostsError::Place(_))));
}

#[tokio::test]
async fn what_is_not_known_is_told_with_what_to_do() {
    let register = MemoryPlaces::default();
    let cells = Cells::several(vec![cell("one", 1, false)], &register);
    let error = HostServer::place(&cells, "a.test").await.unwrap_err();
    assert!(matches!(&error, HostsError::Place(text) if text.contains("no cell is open")), "{error}");
    (&register).place("b.test", "gone").await.unwrap();
    let error = cells.of("b.test").await.unwrap_err();
    assert!(error.to_string().contains("which [[cells]] does not name"), "{error}");
    let away = MemoryPlaces::away();
    let cells = Cells::several(vec![cell("one", 1, true)], &away);
    assert!(matches!(cells.of("a.test").await, Err(PlaceError::Ledger(_))));
}

#[tokio::test]
async fn the_only_cell_needs_no_register() {
    let cells = Cells::<&MemoryPlaces>::only(cell("xmpp", 1, true));
    assert_eq!(cells.of("anything.test").await.unwrap().name, "xmpp");
    assert!(cells.has_place("anything.test").await.unwrap());
}

/// Hosts that are all made, on cells.
#[derive(Debug)]
struct Placed<'a>(Cells<&'a MemoryPlaces>);

impl HostServer for Placed<'_> {
    async fn has_place(&self, domain: &str) -> Result<bool, HostsError> {
        self.0.has_place(domain).await
    }

    async fn place(&self, domain: &str) -> Result<(), HostsError> {
        HostServer::place(&self.0, domain).await
    }

    async fn create(&self, domain: &str, _: &Ordinal) -> Result<(), HostsError> {
        self.0.of(domain).await.map(drop).map_err(HostsError::from)
    }

    async fn delete(&self, domain: &str, _: &Ordinal) -> Result<(), HostsError> {
        self.0.of(domain).await.map(drop).map_err(HostsError::from)
    }
}

#[tokio::test]
async fn a_domains_first_event_places_it_and_one_that_was_there_before_cells_is_not_guessed() {
    let (register, rooms) = (MemoryPlaces::default(), FakeRooms::default());
    let hosts = Placed(Cells::several(vec![cell("one", 1, true)], &register));
    let reconciler = Reconciler::new(MemoryLedger::default(), &rooms);
    let domains = Domains::new(&reconciler, &hosts);
    let at = |counter| Ordinal::new(Version { epoch: 1, counter }, "event");
    let soon = Instant::now() + Duration::from_mins(1);
    for (counter, created) in [(2, false), (1, true), (3, true)] {
        let events = [DomainEvent { at: at(counter), created }];
        domains.apply(&DomainPart::new("new.test").unwrap().into_owned(), &events, soon).await.unwrap();
    }
    assert_eq!(hosts.0.of("new.test").await.unwrap().name, "one");

    reconciler.ledger().raise_domain("old.test", DomainRegister::Created, &at(1)).await.unwrap();
    let events = [DomainEvent { at: at(4), created: true }];
    let outcome = domains.apply(&DomainPart::new("old.test").unwrap().into_owned(), &events, soon).await;
    assert!(matches!(&outcome, Err(DomainError::NoPlace(domain)) if domain == "old.test"), "{outcome:?}");
    (&register).place("old.test", "one").await.unwrap();
    domains.apply(&DomainPart::new("old.test").unwrap().into_owned(), &events, soon).await.unwrap();
}

/// A hosts API that has one tenant and takes all routes.
async fn hosts_api(tenant: &'static str) -> HttpFake {
    HttpFake::answering(move |request| {
        if request.text.starts_with("GET") {
            HttpAnswer::Close(200, format!(r#"[{{"domain":"{tenant}"}}]"#))
        } else {
            HttpAnswer::Close(204, String::new())
        }
    })
    .await
}

#[tokio::test]
async fn all_cells_are_told_where_a_tenant_is_now_and_its_own_where_the_others_are() {
    let (one, two) = (hosts_api("one.test").await, hosts_api("moved.test").await);
    let register = MemoryPlaces::default();
    (&register).place("moved.test", "two").await.unwrap();
    let at = |name, fake: &HttpFake| cell_at(name, (1, true), fake.url.clone());
    let cells = Cells::several(vec![at("one", &one), at("two", &two), cell("away", 1, true)], &register);
    let untold: Vec<String> = cells.announce("moved.test").await.unwrap().into_iter().map(|one| one.cell).collect();
    assert_eq!(untold, ["away"]);
    let told = |fake: &HttpFake| {
        let seen = fake.seen.lock().unwrap();
        let puts = seen.iter().filter(|request| request.starts_with("PUT"));
        puts.map(|request| {
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            format!("{} {body}", head.split(' ').nth(1).unwrap())
        })
        .collect::<BTreeSet<_>>()
    };
    let moved = r#"/routes/two {"domains":["moved.test"]}"#.to_owned();
    assert_eq!(told(&one), [moved.clone()].into());
    assert_eq!(told(&two), [moved, r#"/routes/one {"domains":["one.test"]}"#.to_owned()].into());
    assert!(Cells::<&MemoryPlaces>::only(cell("xmpp", 1, true)).announce("moved.test").await.unwrap().is_empty());
}

#[tokio::test]
async fn who_is_beside_the_room_is_told_apart_from_guests_and_cells_are_introduced_once() {
    let (one, two) = (hosts_api("one.test").await, hosts_api("two.test").await);
    let register = MemoryPlaces::default();
    for (domain, cell) in [("one.test", "one"), ("beside.test", "one"), ("two.test", "two")] {
        (&register).place(domain, cell).await.unwrap();
    }
    let at = |name, fake: &HttpFake| cell_at(name, (1, true), fake.url.clone());
    let cells = Cells::several(vec![at("one", &one), at("two", &two)], &register);
    let room = RoomJid::of_id("team", "one.test").unwrap();
    let user = |domain| UserJid::of_username("alice", domain).unwrap();
    let all = ["one.test", "beside.test", "nowhere.test", "two.test"].map(user);
    let divided = cells.divide(&room, &all, |user| user).await.unwrap().unwrap();
    assert_eq!(divided.own, all[..3]);
    assert_eq!(divided.elsewhere, BTreeMap::from([("two.test".to_owned(), vec![all[3].clone()])]));
    assert!(cells.divide(&room, &all[..3], |user| user).await.unwrap().is_none());

    let soon = Instant::now() + Duration::from_mins(1);
    for _ in 0..2 {
        cells.introduce_guests(&room, "two.test", soon).await.unwrap();
        cells.introduce_room(&room, "two.test", soon).await.unwrap();
    }
    for (fake, told) in [(&one, "PUT /routes/two "), (&two, "PUT /routes/one ")] {
        let seen = fake.seen.lock().unwrap();
        assert!(seen.len() == 1 && seen[0].starts_with(told), "once: {seen:?}");
    }
}
