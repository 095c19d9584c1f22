//! A move on cells in memory, each call of which may fail before or after its effect.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{MoveError, MoveServer, Mover};
use crate::{
    hosts::{Counts, HostChange, HostState, HostsError, PageOutcome},
    ledger::{MemoryPlaces, MoveStep, Place, PlaceRegister},
};

const DOMAIN: &str = "a.test";
const LAST: &str = "end";

/// What a cell has of the tenant.
#[derive(Debug, Clone, Default)]
struct Copy {
    state: &'static str,
    number: u64,
    rows: Vec<u32>,
    /// Rows up to here have come; -1 when all have.
    cursor: usize,
    is_whole: bool,
}

/// Two cells. Before each call clients write where the tenant is served.
#[derive(Debug)]
struct Cells {
    copies: Mutex<BTreeMap<&'static str, Copy>>,
    /// What was written, in its order.
    written: Mutex<Vec<u32>>,
    calls: Mutex<usize>,
    /// The call that fails, and whether its effect is there all the same.
    fails: Option<(usize, bool)>,
    /// The copy loses a row.
    is_lossy: bool,
}

impl Cells {
    fn new(fails: Option<(usize, bool)>) -> Self {
        let mut copies = BTreeMap::new();
        copies.insert("one", Copy { state: "served", rows: vec![1, 2, 3], ..Copy::default() });
        copies.insert("two", Copy { state: "absent", ..Copy::default() });
        Self {
            copies: Mutex::new(copies),
            written: Mutex::new(vec![1, 2, 3]),
            calls: Mutex::default(),
            fails,
            is_lossy: false,
        }
    }

    fn copies(&self) -> MutexGuard<'_, BTreeMap<&'static str, Copy>> {
        self.copies.lock().unwrap()
    }

    fn copy(&self, cell: &str) -> Copy {
        self.copies()[cell].clone()
    }

    /// A client writes to the cell that serves the tenant, of which there is one at most.
    fn write(&self) {
        let mut copies = self.copies();
        let serving: Vec<_> = copies.values_mut().filter(|copy| copy.state == "served").collect();
        assert!(serving.len() <= 1, "two cells serve it");
        for copy in serving {
            let mut written = self.written.lock().unwrap();
            let next = u32::try_from(written.len()).unwrap() + 1;
            written.push(next);
            copy.rows.push(next);
        }
    }

    fn call<T>(&self, effect: impl FnOnce() -> Result<T, HostsError>) -> Result<T, HostsError> {
        self.write();
        let call = {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            *calls
        };
        let broken = || Err(HostsError::Unavailable("injected".to_owned()));
        match self.fails {
            Some((fails, false)) if fails == call => broken(),
            Some((fails, true)) if fails == call => effect().and_then(|_| broken()),
            _ => effect(),
        }
    }
}

fn conflict() -> HostsError {
    HostsError::Refused { status: crate::http::StatusCode::CONFLICT, detail: String::new() }
}

impl MoveServer for &Cells {
    fn knows(&self, cell: &str) -> bool {
        self.copies().contains_key(cell)
    }

    async fn state(&self, cell: &str, _: &str) -> Result<HostState, HostsError> {
        self.call(|| {
            let copy = self.copy(cell);
            let cursor = if copy.is_whole { LAST.to_owned() } else { copy.cursor.to_string() };
            let (state, last, uploads) = (copy.state.to_owned(), LAST.to_owned(), format!("http://{cell}"));
            Ok(HostState { state, entry: json!({"life": 1}), cursor, last, uploads })
        })
    }

    async fn change(&self, cell: &str, _: &str, change: &HostChange) -> Result<bool, HostsError> {
        self.call(|| {
            let mut copies = self.copies();
            let copy = copies.get_mut(cell).unwrap();
            if change.number < copy.number {
                return Err(conflict());
            }
            match (change.state, copy.state) {
                ("frozen", "served") | ("served", "frozen" | "served") => copy.state = change.state,
                ("incoming", "absent" | "discarded" | "moved") => {
                    assert_eq!(change.entry, json!({"life": 1}));
                    *copy = Copy { state: "incoming", ..Copy::default() };
                }
                ("opened", "incoming") if copy.is_whole => copy.state = "served",
                ("frozen", "frozen") | ("incoming", "incoming") | ("opened", "served") => {}
                ("moved", "frozen" | "moved") => {
                    assert_eq!(change.uploads, "http://two");
                    *copy = Copy { state: "moved", ..Copy::default() };
                }
                ("discarded", "incoming" | "absent" | "discarded") => {
                    *copy = Copy { state: "discarded", ..Copy::default() };
                }
                _ => return Err(conflict()),
            }
            copy.number = change.number;
            Ok(true)
        })
    }

    async fn page(&self, cell: &str, _: &str, after: &str, _: u32) -> Result<Vec<u8>, HostsError> {
        self.call(|| {
            let copy = self.copy(cell);
            assert_eq!(copy.state, "frozen", "what is read may change");
            let after: usize = after.parse().unwrap();
            let row = copy.rows.get(after).copied();
            Ok(serde_json::to_vec(&json!({"after": after, "row": row})).unwrap())
        })
    }

    async fn put_page(&self, cell: &str, _: &str, number: u64, page: &[u8]) -> Result<PageOutcome, HostsError> {
        self.call(|| {
            let page: Value = serde_json::from_slice(page).unwrap();
            let mut copies = self.copies();
            let copy = copies.get_mut(cell).unwrap();
            if copy.state != "incoming" || copy.number != number || page["after"] != json!(copy.cursor) || copy.is_whole
            {
                return Err(conflict());
            }
            match page["row"].as_u64() {
                Some(row) => {
                    copy.cursor += 1;
                    if !(self.is_lossy && row == 2) {
                        copy.rows.push(u32::try_from(row).unwrap());
                    }
                }
                None => copy.is_whole = true,
            }
            let cursor = if copy.is_whole { LAST.to_owned() } else { copy.cursor.to_string() };
            Ok(PageOutcome { cursor, seconds: 0.001 })
        })
    }

    async fn count(&self, cell: &str, _: &str, _: &str, _: u32) -> Result<(Counts, String), HostsError> {
        self.call(|| {
            let messages = self.copy(cell).rows.len() as u64;
            Ok((Counts { messages, ..Counts::default() }, LAST.to_owned()))
        })
    }

    async fn tell(&self, _: &str) -> Vec<String> {
        self.call(|| Ok(())).err().into_iter().map(|error| error.to_string()).collect()
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_mins(10)
}

/// A mover after the other, until one has ended the move.
async fn finish(places: &MemoryPlaces, cells: &Cells) {
    for _ in 0..4 {
        if Mover::new(places, cells).go_on(DOMAIN, soon()).await.unwrap_or(false) {
            return;
        }
    }
    panic!("the move does not come to its end: {:?}", places.place_of(DOMAIN).await);
}

async fn begun(fails: Option<(usize, bool)>) -> (MemoryPlaces, Cells) {
    let (places, cells) = (MemoryPlaces::default(), Cells::new(fails));
    places.put(DOMAIN, Place::at("one"));
    while Mover::new(&places, &cells).begin(DOMAIN, "two").await.is_err() {}
    (places, cells)
}

#[tokio::test(start_paused = true)]
async fn a_move_that_is_cut_off_at_any_call_is_ended_by_the_next_mover_and_nothing_is_lost_or_twice() {
    let (places, cells) = begun(None).await;
    finish(&places, &cells).await;
    let most = *cells.calls.lock().unwrap();
    assert!(most > 15, "{most}");
    for fails in 1..=most {
        for has_effect in [false, true] {
            let (places, cells) = begun(Some((fails, has_effect))).await;
            finish(&places, &cells).await;
            let (one, two) = (cells.copy("one"), cells.copy("two"));
            assert_eq!((one.state, two.state), ("moved", "served"), "call {fails}");
            assert_eq!(two.rows, *cells.written.lock().unwrap(), "call {fails}");
            assert!(one.rows.is_empty());
            let place = (&places).place_of(DOMAIN).await.unwrap().unwrap();
            assert_eq!(place, Place { cell: "two".to_owned(), number: 1, moving: None });
            assert!((&places).moves().await.unwrap().is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_move_is_taken_back_at_any_call_before_the_place_changes() {
    let mut outcomes = (0, 0);
    for fails in 3..60 {
        let (places, cells) = begun(Some((fails, fails % 2 == 0))).await;
        if Mover::new(&places, &cells).go_on(DOMAIN, soon()).await.unwrap_or(false) {
            continue;
        }
        let cancelled = Mover::new(&places, &cells).cancel(DOMAIN).await;
        finish(&places, &cells).await;
        let (one, two) = (cells.copy("one"), cells.copy("two"));
        let place = (&places).place_of(DOMAIN).await.unwrap().unwrap();
        match cancelled {
            Ok(()) => {
                outcomes.0 += 1;
                assert_eq!((one.state, two.state, place.cell.as_str()), ("served", "discarded", "one"), "call {fails}");
                assert_eq!(one.rows, *cells.written.lock().unwrap());
                assert!(two.rows.is_empty());
                // And it can go there later.
                Mover::new(&places, &cells).begin(DOMAIN, "two").await.unwrap();
                finish(&places, &cells).await;
                assert_eq!(cells.copy("two").rows, *cells.written.lock().unwrap());
            }
            Err(error) => {
                outcomes.1 += 1;
                assert!(matches!(error, MoveError::NotMoving(..)), "{error}");
                assert_eq!((one.state, two.state, place.cell.as_str()), ("moved", "served", "two"), "call {fails}");
            }
        }
    }
    assert!(outcomes.0 > 5 && outcomes.1 > 2, "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn of_two_movers_at_a_time_neither_spoils_anything() {
    let (places, cells) = begun(None).await;
    let movers = [Mover::new(&places, &cells), Mover::new(&places, &cells)];
    let _ = tokio::join!(movers[0].go_on(DOMAIN, soon()), movers[1].go_on(DOMAIN, soon()));
    finish(&places, &cells).await;
    assert_eq!(cells.copy("two").rows, *cells.written.lock().unwrap());
    assert_eq!(cells.copy("one").state, "moved");
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_not_what_was_copied_is_not_opened_and_the_error_says_what_to_do() {
    let (places, mut cells) = begun(None).await;
    cells.is_lossy = true;
    let error = Mover::new(&places, &cells).go_on(DOMAIN, soon()).await.unwrap_err();
    assert!(matches!(error, MoveError::Differs { .. }) && error.to_string().contains("--cancel"), "{error}");
    let place = (&places).place_of(DOMAIN).await.unwrap().unwrap();
    assert_eq!((place.cell.as_str(), place.moving.unwrap().step), ("one", MoveStep::Copying));
    Mover::new(&places, &cells).cancel(DOMAIN).await.unwrap();
    finish(&places, &cells).await;
    assert_eq!(cells.copy("one").state, "served");
    assert_eq!(cells.copy("one").rows, *cells.written.lock().unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_moved_is_told_and_nothing_changes() {
    let (places, cells) = (MemoryPlaces::default(), Cells::new(None));
    let mover = Mover::new(&places, &cells);
    assert!(matches!(mover.begin(DOMAIN, "two").await, Err(MoveError::NoPlace(_))));
    places.put(DOMAIN, Place::at("one"));
    assert!(matches!(mover.begin(DOMAIN, "three").await, Err(MoveError::NoCell(_))));
    assert!(matches!(mover.begin(DOMAIN, "one").await, Err(MoveError::There(..))));
    assert!(matches!(mover.cancel(DOMAIN).await, Err(MoveError::NotMoving(..))));
    cells.copies().get_mut("two").unwrap().state = "other";
    assert!(matches!(mover.begin(DOMAIN, "two").await, Err(MoveError::Unfit { .. })));
    assert_eq!((&places).place_of(DOMAIN).await.unwrap(), Some(Place::at("one")));
    cells.copies().get_mut("two").unwrap().state = "absent";
    mover.begin(DOMAIN, "two").await.unwrap();
    mover.begin(DOMAIN, "two").await.unwrap();
    assert!(matches!(mover.begin(DOMAIN, "one").await, Err(MoveError::Busy(..))));
    assert_eq!((&places).moves().await.unwrap(), [DOMAIN]);
}
