//! How every function starts: configuration, logging, secrets; then the runtime.

use std::{process::ExitCode, time::Duration};

use futures::future::try_join_all;

#[cfg(feature = "otel")]
use crate::http::HttpClient;
use crate::{
    address::Tenancy,
    auth::LoginTokens,
    aws::sdk_config,
    cells::{Cell, Cells, Reach},
    config::{self, Config, ServiceConfig, Xmpp, platform_file},
    hosts::Hosts,
    ledger::DynamoPlaces,
    secret::RotatingSecret,
    table::Table,
    telemetry::{self, Log},
    tls::Tls,
    xmpp::{Account, Timeouts, WsConnector, XmppClient},
};

/// For one request to the ledger, with the SDK's own retries.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(4);

/// What a function is built from.
#[derive(Debug)]
pub(crate) struct Dependencies {
    /// The configuration.
    pub(crate) service: ServiceConfig,
    /// The admin token of each XMPP server, as it is now.
    admin_tokens: Vec<RotatingSecret>,
    /// TLS for whatever goes out.
    pub(crate) tls: Tls,
}

impl Dependencies {
    /// Reads the configuration and starts to log; `None` when the service is disabled.
    ///
    /// # Errors
    /// One line that says what keeps the function from starting, and how to help it.
    pub(super) async fn load() -> Result<Option<Self>, String> {
        let config = Config::load().map_err(|error| error.to_string())?;
        start_telemetry(config.log);
        let Some(service) = config.service else {
            tracing::info!("The service is disabled: {} has no section [xmpp]", platform_file().display());
            return Ok(None);
        };
        for (key, url) in service.exposed_urls() {
            tracing::warn!(%url, "{key} is not encrypted: tokens and messages can be read on their way; use TLS");
        }
        let tokens = service.xmpp.cells.iter().map(|cell| cell.admin_token.resolve());
        let admin_tokens = try_join_all(tokens).await.map_err(|error| error.to_string())?;
        let tls = Tls::new(service.tls.ca_file.clone());
        // A bad file is better found at start than by the first call.
        if service.tls.ca_file.is_some() {
            tls.config().map_err(|error| error.to_string())?;
        }
        Ok(Some(Self { service, admin_tokens, tls }))
    }

    /// The XMPP servers, with the places of tenants on them; connects nowhere yet.
    pub(crate) async fn cells(&self) -> Cells<DynamoPlaces> {
        let Xmpp { cells, has_places, .. } = &self.service.xmpp;
        let mut reached = cells.iter().zip(&self.admin_tokens).map(|(cell, token)| (cell, self.reach(cell, token)));
        match reached.next() {
            Some((_, reach)) if !has_places => Cells::only(Cell::only(reach)),
            first => {
                let all = first.into_iter().chain(reached);
                let all = all.map(|(config::Cell { name, weight, is_open, .. }, reach)| {
                    Cell::one_of_several(name.clone(), *weight, *is_open, reach)
                });
                Cells::several(all.collect(), DynamoPlaces::new(self.table().await))
            }
        }
    }

    fn reach(&self, cell: &config::Cell, token: &RotatingSecret) -> Reach {
        let account = Account { jid: self.service.xmpp.admin_jid.clone(), password: token.clone() };
        let connector = WsConnector::new(cell.url.clone(), self.tls.clone());
        Reach {
            public_url: cell.public_url.clone(),
            login_tokens: LoginTokens::new(token.clone(), self.service.xmpp.login_token_ttl),
            client: XmppClient::new(connector, account, Timeouts::default()),
            hosts: Hosts::new(cell.hosts_admin_url.clone(), token.clone(), self.tls.clone()),
        }
    }

    /// The ledger's table.
    pub(crate) async fn table(&self) -> Table {
        Table::new(&sdk_config(LEDGER_TIMEOUT).await, &self.service.events.table)
    }

    /// Which domains can be tenants, and how events name their users.
    #[must_use]
    pub(crate) fn tenancy(&self) -> Tenancy {
        Tenancy::new(self.service.xmpp.admin_jid.clone()).with_string_names(self.service.events.string_names)
    }
}

/// Logging and metrics; spans too in a build that exports them.
#[cfg(feature = "otel")]
pub fn start_telemetry(log: Log) {
    telemetry::init_with_spans(log, |limit| {
        let client = HttpClient::new(Tls::new(None), limit);
        client.get().cloned().map_err(|error| error.to_string())
    });
}

/// Logging and metrics.
#[cfg(not(feature = "otel"))]
pub fn start_telemetry(log: Log) {
    telemetry::init(log);
}

/// How the process ends when the runtime has.
#[must_use]
pub fn exit_code(outcome: Result<(), lambda_runtime::Error>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            telemetry::exit_with_error(&format!("the Lambda runtime ended ({error}); start the function anew"))
        }
    }
}
