//! Whether tenants are where they should be, and how many each cell has.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, future::join_all, stream};

use super::{all::Cells, cell::Cell};
use crate::{
    hosts::HostsError,
    ledger::{LedgerError, Place, PlaceRegister},
};

/// Places that are read at a time.
const AT_A_TIME: usize = 16;

/// What a survey has found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Survey {
    /// Tenants that are somewhere they should not be.
    pub misplaced: usize,
    /// Cells that did not say whom they serve.
    pub unanswered: usize,
}

impl<P: PlaceRegister + Sync + Send> Cells<P> {
    /// Compares the tenants that each cell serves with their places, and puts into the ledger how many each has, for that guides
    /// where new ones go. What is not as it should be is logged, with what to do about it; a cell that does not answer is
    /// left out. With one cell there is nothing to compare.
    ///
    /// # Errors
    /// [`LedgerError`]; a retry helps.
    pub async fn survey(&self) -> Result<Survey, LedgerError> {
        let Some(register) = self.register() else { return Ok(Survey::default()) };
        // Before the lists: who is placed meanwhile changes a number, and such a number is not written.
        let before = register.cells().await?;
        let mut survey = Survey::default();
        let mut served: BTreeMap<String, Vec<&Cell>> = BTreeMap::new();
        for (cell, list) in join_all(self.all().iter().map(async |cell| (cell, cell.hosts.list().await))).await {
            let domains = match list {
                Ok(domains) => domains,
                Err(error) => {
                    survey.unanswered += 1;
                    report_silence(cell, &error);
                    continue;
                }
            };
            let (was, now) = (before.get(&cell.name).map_or(0, |record| record.tenants), domains.len() as u64);
            if was != now && register.recount(&cell.name, was, now).await? {
                tracing::info!(cell = cell.name, was, now, "Number of a cell's tenants is corrected");
            }
            for domain in domains {
                served.entry(domain).or_default().push(cell);
            }
        }
        let places = served.into_iter().map(async |(domain, cells)| {
            let place = register.place_of(&domain).await?;
            Ok::<_, LedgerError>(cells.iter().filter(|cell| is_misplaced(&domain, cell, place.as_ref())).count())
        });
        survey.misplaced =
            stream::iter(places).buffer_unordered(AT_A_TIME).try_fold(0, async |sum, one| Ok(sum + one)).await?;
        Ok(survey)
    }
}

fn report_silence(cell: &Cell, error: &HostsError) {
    tracing::warn!(
        cell = cell.name, %error,
        "Cell does not say whom it serves; once it does, invoke resync again"
    );
}

/// Whether `domain`, which `cell` serves, should be elsewhere; that is logged.
fn is_misplaced(domain: &str, cell: &Cell, place: Option<&Place>) -> bool {
    let Some(place) = place else {
        tracing::warn!(
            domain,
            cell = cell.name,
            "Tenant is served and has no place; say that it is on this cell: scripts/cells place, or docs/OPERATIONS.md"
        );
        return true;
    };
    // A move has it on both for a while.
    if place.cell == cell.name || place.moving.as_ref().is_some_and(|moving| moving.other == cell.name) {
        return false;
    }
    tracing::warn!(
        domain,
        cell = cell.name,
        place = place.cell,
        "Tenant is served by a cell that is not its place; nobody is sent there: see which has its data, docs/OPERATIONS.md"
    );
    true
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use sippo_xmpp_doubles::{HttpAnswer, HttpFake, LogLines};
    use tracing::Level;

    use super::*;
    use crate::{
        cells::tests::cell_at,
        ledger::{MemoryPlaces, MoveStep, Moving},
    };

    /// Whom a cell serves, and the hosts API that says so; with no list it answers nothing that can be read.
    struct Served {
        domains: Arc<Mutex<Option<Vec<&'static str>>>>,
        fake: HttpFake,
    }

    async fn serving(domains: Option<&[&'static str]>) -> Served {
        let domains = Arc::new(Mutex::new(domains.map(<[_]>::to_vec)));
        let served = domains.clone();
        let fake = HttpFake::answering(move |_| match served.lock().unwrap().as_ref() {
            Some(domains) => {
                let listed: Vec<_> = domains.iter().map(|domain| serde_json::json!({"domain": domain})).collect();
                HttpAnswer::Close(200, serde_json::Value::from(listed).to_string())
            }
            None => HttpAnswer::Close(503, String::new()),
        })
        .await;
        Served { domains, fake }
    }

    fn cell(name: &str, served: &Served) -> Cell {
        cell_at(name, (1, true), served.fake.url.clone())
    }

    async fn numbers(register: &MemoryPlaces) -> Vec<(String, u64)> {
        PlaceRegister::cells(&register)
            .await
            .unwrap()
            .into_iter()
            .map(|(name, record)| (name, record.tenants))
            .collect()
    }

    #[tokio::test]
    async fn tenants_that_are_elsewhere_are_told_and_those_that_move_are_not() {
        let register = MemoryPlaces::default();
        for (domain, name) in
            [("a.test", "one"), ("b.test", "two"), ("c.test", "two"), ("m.test", "two"), ("gone.test", "one")]
        {
            register.put(domain, Place::at(name));
        }
        let moving = Some(Moving { step: MoveStep::Copying, other: "one".to_owned(), since: 0 });
        register.put("m.test", Place { cell: "two".to_owned(), number: 1, moving });
        let one = serving(Some(&["a.test", "c.test", "m.test", "by-hand.test"])).await;
        let two = serving(Some(&["b.test", "m.test"])).await;
        let cells = Cells::several(vec![cell("one", &one), cell("two", &two)], &register);
        let told = LogLines::of_level(Level::WARN);
        assert_eq!(cells.survey().await.unwrap(), Survey { misplaced: 2, unanswered: 0 });
        let lines = told.messages();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("Tenant is served and has no place")), "{lines:?}");
        assert!(
            lines.iter().any(|line| line.starts_with("Tenant is served by a cell that is not its place")),
            "{lines:?}"
        );
    }

    #[tokio::test]
    async fn the_numbers_are_those_of_the_tenants_that_are_served_and_a_silent_cell_keeps_its() {
        let register = MemoryPlaces::default();
        for domain in ["a.test", "b.test", "c.test"] {
            register.put(domain, Place::at("one"));
        }
        register.put("d.test", Place::at("two"));
        let (one, two) = (serving(Some(&["a.test"])).await, serving(None).await);
        let cells = Cells::several(vec![cell("one", &one), cell("two", &two)], &register);
        let told = LogLines::of_level(Level::WARN);
        assert_eq!(cells.survey().await.unwrap(), Survey { misplaced: 0, unanswered: 1 });
        assert_eq!(told.messages(), ["Cell does not say whom it serves; once it does, invoke resync again"]);
        assert_eq!(numbers(&register).await, [("one".to_owned(), 1), ("two".to_owned(), 1)]);
        *two.domains.lock().unwrap() = Some(vec![]);
        assert_eq!(cells.survey().await.unwrap(), Survey::default());
        assert_eq!(numbers(&register).await, [("one".to_owned(), 1), ("two".to_owned(), 0)]);
    }

    #[tokio::test]
    async fn with_one_cell_nothing_is_asked() {
        let one = serving(Some(&["a.test"])).await;
        let cells: Cells<&MemoryPlaces> = Cells::only(cell("xmpp", &one));
        assert_eq!(cells.survey().await.unwrap(), Survey::default());
        assert_eq!(one.fake.count(), 0);
    }
}
