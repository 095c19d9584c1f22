//! Cells: the XMPP servers that tenants are on.
//!
//! With `[xmpp]` there is one, and nothing is looked up. With `[[cells]]` each tenant is on one of several, all of it: its
//! users, rooms, archives. Which one is a fact of the ledger ([`PlaceRegister`]), set by the tenant's first event and changed only
//! by a move. So it is kept once it was looked up, for a minute and until a cell says that it does not serve the tenant.
//!
//! Each cell has a session of its own, and a breaker: one that does not answer costs nobody else's requests any time.

mod place;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures::future::BoxFuture;
use url::Url;

pub use self::place::PlaceError;
use self::place::Places;
use crate::{
    auth::LoginTokens, breaker::Breaker, hosts::Hosts, ledger::PlaceRegister, rooms::MucRooms, xmpp::XmppClient,
};

/// One XMPP server, by all that the service has to do with it. Connects when first used.
#[derive(Debug)]
pub struct Cell {
    /// Its name.
    pub name: String,
    /// How many tenants it takes beside others'.
    pub weight: u32,
    /// Whether it takes new tenants.
    pub is_open: bool,
    /// What chat clients are told to connect to.
    pub public_url: Url,
    /// Login tokens for it.
    pub login_tokens: LoginTokens,
    /// The service's session there.
    pub client: XmppClient,
    /// Its virtual hosts.
    pub hosts: Hosts,
    rooms: MucRooms,
}

/// What a [`Cell`] is reached by.
#[derive(Debug)]
pub struct Reach {
    /// What chat clients are told to connect to.
    pub public_url: Url,
    /// Login tokens for it.
    pub login_tokens: LoginTokens,
    /// The service's session there.
    pub client: XmppClient,
    /// Its virtual hosts.
    pub hosts: Hosts,
}

impl Cell {
    /// The only one there is.
    #[must_use]
    pub fn only(reach: Reach) -> Self {
        Self::new("xmpp".to_owned(), (1, true), reach)
    }

    /// One of several, left alone for a while whenever it does not answer.
    #[must_use]
    pub fn one_of_several(name: String, weight: u32, is_open: bool, reach: Reach) -> Self {
        let breaker = Arc::new(Breaker::new(name.clone()));
        let Reach { public_url, login_tokens, client, hosts } = reach;
        let (client, hosts) = (client.with_breaker(breaker.clone()), hosts.with_breaker(breaker));
        Self::new(name, (weight, is_open), Reach { public_url, login_tokens, client, hosts })
    }

    fn new(name: String, (weight, is_open): (u32, bool), reach: Reach) -> Self {
        let Reach { public_url, login_tokens, client, hosts } = reach;
        let rooms = MucRooms::new(client.clone());
        Self { name, weight, is_open, public_url, login_tokens, client, hosts, rooms }
    }
}

/// All cells, and which tenant is on which. Cheap to clone.
#[derive(Debug)]
pub struct Cells<P>(Arc<All<P>>);

#[derive(Debug)]
struct All<P> {
    cells: Vec<Cell>,
    /// Without, all tenants are on the only cell.
    places: Option<Places<P>>,
}

impl<P> Clone for Cells<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: PlaceRegister> Cells<P> {
    /// All tenants on one.
    #[must_use]
    pub fn only(cell: Cell) -> Self {
        Self(Arc::new(All { cells: vec![cell], places: None }))
    }

    /// Each tenant on the one that `register` says.
    #[must_use]
    pub fn several(cells: Vec<Cell>, register: P) -> Self {
        Self(Arc::new(All { cells, places: Some(Places::new(register)) }))
    }

    /// The cell that `domain` is on.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub async fn of(&self, domain: &str) -> Result<&Cell, PlaceError> {
        let Some(places) = &self.0.places else { return Ok(&self.0.cells[0]) };
        let name = places.find(domain).await?.ok_or_else(|| PlaceError::None(domain.to_owned()))?;
        self.named(domain, &name)
    }

    /// Does `work` on the cell of `domain`; once more, on another one, if the first said that it does not serve the domain and
    /// the domain turns out to have been moved.
    ///
    /// # Errors
    /// [`PlaceError`], or what `work` came to.
    pub async fn on_cell_of<'a, T, E>(
        &'a self,
        domain: &str,
        work: impl Fn(&'a Cell) -> BoxFuture<'a, Result<T, E>> + Send,
        is_elsewhere: impl Fn(&E) -> bool + Send,
    ) -> Result<Result<T, E>, PlaceError>
    where
        T: Send,
        E: Send,
    {
        let cell = self.of(domain).await?;
        let outcome = work(cell).await;
        let Some(places) = self.0.places.as_ref().filter(|_| outcome.as_ref().is_err_and(is_elsewhere)) else {
            return Ok(outcome);
        };
        places.forget(domain);
        let now = self.of(domain).await?;
        if now.name == cell.name { Ok(outcome) } else { Ok(work(now).await) }
    }

    fn named(&self, domain: &str, name: &str) -> Result<&Cell, PlaceError> {
        let cell = self.0.cells.iter().find(|cell| cell.name == name);
        cell.ok_or_else(|| PlaceError::Unknown { domain: domain.to_owned(), cell: name.to_owned() })
    }
}
