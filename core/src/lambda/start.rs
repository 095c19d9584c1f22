//! How every function starts: configuration, logging, secrets; then the runtime.

use std::process::ExitCode;

#[cfg(feature = "otel")]
use crate::http::HttpClient;
use crate::{
    address::Tenancy,
    config::{Config, ServiceConfig, platform_file},
    secret::RotatingSecret,
    telemetry::{self, Log},
    tls::Tls,
    xmpp::{Account, Timeouts, WsConnector, XmppClient},
};

/// What a function is built from.
#[derive(Debug)]
pub(crate) struct Dependencies {
    /// The configuration.
    pub(crate) service: ServiceConfig,
    /// The admin token, as it is now.
    pub(crate) admin_token: RotatingSecret,
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
        let admin_token = service.xmpp.admin_token.resolve().await.map_err(|error| error.to_string())?;
        let tls = Tls::new(service.tls.ca_file.clone());
        // A bad file is better found at start than by the first call.
        if service.tls.ca_file.is_some() {
            tls.config().map_err(|error| error.to_string())?;
        }
        Ok(Some(Self { service, admin_token, tls }))
    }

    /// A client of the XMPP server; it connects when first used.
    #[must_use]
    pub(crate) fn xmpp_client(&self) -> XmppClient {
        let account = Account { jid: self.service.xmpp.admin_jid.clone(), password: self.admin_token.clone() };
        let connector = WsConnector::new(self.service.xmpp.url.clone(), self.tls.clone());
        XmppClient::new(connector, account, Timeouts::default())
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
