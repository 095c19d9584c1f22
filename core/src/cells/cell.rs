//! One cell, and what it is reached by.

use std::{sync::Arc, time::Duration};

use url::Url;

use crate::{
    auth::LoginTokens,
    breaker::Breaker,
    hosts::{Hosts, HostsError},
    rooms::MucRooms,
    xmpp::XmppClient,
};

/// About as long as the longest work that takes note of it goes on (resync): the next one tries anew.
const LATELY: Duration = Duration::from_mins(15);

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
    pub(super) rooms: MucRooms,
    breaker: Option<Arc<Breaker>>,
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
        let (client, hosts) = (client.with_breaker(breaker.clone()), hosts.with_breaker(breaker.clone()));
        let cell = Self::new(name, (weight, is_open), Reach { public_url, login_tokens, client, hosts });
        Self { breaker: Some(breaker), ..cell }
    }

    /// Does `work` on its hosts, of which nothing is heard before all is done; not for longer than it gives signs of life.
    pub(super) async fn while_it_lives<T>(
        &self,
        work: impl Future<Output = Result<T, HostsError>>,
    ) -> Result<T, HostsError> {
        tokio::select! {
            outcome = work => outcome,
            () = self.client.falls_silent() => Err(HostsError::Unavailable(format!("the cell {} hangs", self.name))),
        }
    }

    fn new(name: String, (weight, is_open): (u32, bool), reach: Reach) -> Self {
        let Reach { public_url, login_tokens, client, hosts } = reach;
        let rooms = MucRooms::new(client.clone());
        Self { name, weight, is_open, public_url, login_tokens, client, hosts, rooms, breaker: None }
    }

    /// Whether it is left alone, or was lately and nothing has been heard of it since.
    pub(super) fn is_away(&self) -> bool {
        self.breaker.as_ref().is_some_and(|breaker| breaker.is_open(LATELY))
    }
}
