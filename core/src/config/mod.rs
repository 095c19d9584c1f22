//! Configuration: `wac.ini`, `xmpp.toml`, the environment, and the secrets that may live elsewhere.
//!
//! `wac.ini` is the whole platform's file: its section `[xmpp]` switches the service on, `[log] level`
//! sets the level, all else belongs to other services. `xmpp.toml` is this service's own: every key
//! in it must be known. Any key can be overridden by `SIPPO_<SECTION>__<KEY>`.

mod cells;
mod error;
mod events;
mod keys;
mod secret;
mod sections;
mod source;
mod variables;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

pub use self::{
    cells::Cell,
    error::ConfigError,
    events::{Broker, DEFAULT_LISTEN, Events, Queues, UnknownKeys},
    secret::{KeptSecret, Secret},
    sections::{Auth, Cors, Scheme, Trust, Xmpp},
};
use self::{sections::is_exposed, source::Source};
use crate::telemetry::{Format, Level, Log};

/// What the configuration says.
#[derive(Debug, Clone)]
pub struct Config {
    /// How to log; known whether the service is enabled or not.
    pub log: Log,
    /// The rest; `None` when `wac.ini` has no section `[xmpp]`: the service is disabled.
    pub service: Option<ServiceConfig>,
}

/// The configuration of an enabled service.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// `[xmpp]`.
    pub xmpp: Xmpp,
    /// `[auth]`, or each `[[auth]]`: at least one.
    pub auth: Vec<Auth>,
    /// `[cors]`.
    pub cors: Cors,
    /// `[tls]`.
    pub tls: Trust,
    /// `[broker]`, `[bridge]`, `[queues]` and `[ledger]`.
    pub events: Events,
}

impl Config {
    /// Reads the folder named by `CONFIG_DIR` (default `config`) and the process's environment.
    ///
    /// # Errors
    /// [`ConfigError`] when the configuration cannot be used; no retry helps.
    pub fn load() -> Result<Self, ConfigError> {
        let folder = folder();
        let environment = environment(&folder, std::env::vars_os())?;
        Self::read(&folder, &environment)
    }

    /// As [`Config::load`], from a given folder and environment.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn read(folder: &Path, environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let platform = Platform::read(&folder.join(PLATFORM_FILE), environment)?;
        let mut log = Log { level: platform.level, format: Format::default() };
        if !platform.enabled {
            return Ok(Self { log, service: None });
        }
        let source = Source::read(&folder.join("xmpp.toml"), environment)?;
        log.format = read_format(&source)?;
        let service = ServiceConfig {
            xmpp: Xmpp::read(&source)?,
            auth: Auth::read_all(&source)?,
            cors: Cors::read(&source)?,
            tls: Trust::read(&source),
            events: Events::read(&source)?,
        };
        Ok(Self { log, service: Some(service) })
    }
}

/// The folder of the files: `CONFIG_DIR`, or else `config`.
fn folder() -> PathBuf {
    std::env::var_os("CONFIG_DIR").map_or_else(|| PathBuf::from("config"), PathBuf::from)
}

/// The file whose section `[xmpp]` enables the service, as messages name it.
#[must_use]
pub fn platform_file() -> PathBuf {
    folder().join(PLATFORM_FILE)
}

/// The variables, but for other programs' that are not UTF-8.
fn environment(
    folder: &Path,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut environment = BTreeMap::new();
    for (name, value) in variables {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => {
                environment.insert(name, value);
            }
            (name, _) => {
                let name = name.unwrap_or_else(|name| name.to_string_lossy().into_owned());
                if variables::is_override(&name) {
                    let key = format!("environment variable {name}");
                    let hint = "write it anew: URLs, names and secrets are text";
                    return Err(ConfigError::of_key(&folder.join("xmpp.toml"), key, "is not UTF-8", hint));
                }
            }
        }
    }
    Ok(environment)
}

impl ServiceConfig {
    /// The keys whose traffic could be read on its way, each with its URL: allowed, and worth one warning.
    #[must_use]
    pub fn exposed_urls(&self) -> Vec<(String, &url::Url)> {
        let mut urls = Vec::new();
        for cell in &self.xmpp.cells {
            let section = if self.xmpp.has_places { format!("[[cells]] {}", cell.name) } else { "[xmpp]".to_owned() };
            urls.push((format!("{section} xmppUrl"), &cell.url));
            urls.push((format!("{section} hostsAdminUrl"), &cell.hosts_admin_url));
            if cell.public_url != cell.url {
                urls.push((format!("{section} publicXmppUrl"), &cell.public_url));
            }
        }
        for auth in &self.auth {
            if let Scheme::Introspection { url, .. } = &auth.scheme {
                urls.push(("[auth] introspectionUrl".to_owned(), url));
            }
        }
        urls.retain(|(_, url)| is_exposed(url));
        urls
    }
}

fn read_format(source: &Source) -> Result<Format, ConfigError> {
    source.text("log", "format").map_or(Ok(Format::Auto), |text| {
        text.parse()
            .map_err(|()| source.bad("log", "format", format!("is {text:?}"), "write \"auto\", \"json\" or \"text\""))
    })
}

/// The platform-wide file.
const PLATFORM_FILE: &str = "wac.ini";

/// The section of `wac.ini` that enables the service.
const ENABLING: &str = "xmpp";

/// What `wac.ini` says to this service.
struct Platform {
    enabled: bool,
    level: Level,
}

impl Platform {
    fn read(file: &Path, environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let bytes = std::fs::read(file).map_err(|error| {
            ConfigError::of_file(
                file,
                format!("cannot be read ({error})"),
                "create it with a section [xmpp], or point CONFIG_DIR at the folder that holds it",
            )
        })?;
        let Ini { enabled, level } = Ini::read(&String::from_utf8_lossy(&bytes)).map_err(|line| {
            let fault = format!("line {line} begins a section and does not end its name");
            ConfigError::of_file(file, fault, "write a ] behind the name")
        })?;
        let (key, level) = match environment.get(&keys::LOG_LEVEL.variable()) {
            Some(level) => (format!("[log] level (from {})", keys::LOG_LEVEL.variable()), Some(level.clone())),
            None => ("[log] level".to_owned(), level),
        };
        let level = match level {
            None => Level::default(),
            Some(text) => text.trim().parse().map_err(|()| {
                ConfigError::of_key(
                    file,
                    key,
                    format!("is {text:?}"),
                    "write one of error, warn, info, verbose, debug, silly",
                )
            })?,
        };
        Ok(Self { enabled, level })
    }
}

/// The lines of `wac.ini` that concern this service, as they are written. All others are other services', and may be what
/// they like.
#[derive(Default)]
struct Ini {
    enabled: bool,
    level: Option<String>,
}

impl Ini {
    /// Fails with the number of the line that begins one of our sections and lacks the bracket at the end.
    fn read(text: &str) -> Result<Self, usize> {
        let (mut ini, mut section) = (Self::default(), String::new());
        // Editors leave a byte order mark, which is no part of the first line.
        for (line, number) in text.trim_start_matches('\u{feff}').lines().zip(1..) {
            let line = line.split([';', '#']).next().unwrap_or_default().trim();
            if let Some(rest) = line.strip_prefix('[') {
                let end = rest.rfind(']');
                section = rest[..end.unwrap_or(rest.len())].trim().to_lowercase();
                if end.is_none() && [ENABLING, keys::LOG_LEVEL.section].contains(&section.as_str()) {
                    return Err(number);
                }
                ini.enabled |= section == ENABLING;
            } else if section == keys::LOG_LEVEL.section
                && let Some((key, value)) = line.split_once(['=', ':'])
                && key.trim().eq_ignore_ascii_case(keys::LOG_LEVEL.name)
            {
                ini.level = Some(unquoted(value.trim()).to_owned());
            }
        }
        Ok(ini)
    }
}

/// A value without the quotes that the platform's own services take off.
fn unquoted(value: &str) -> &str {
    let within = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests;
