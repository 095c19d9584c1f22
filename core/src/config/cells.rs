//! The XMPP servers: the one of `[xmpp]`, or each of `[[cells]]`.

use std::collections::HashSet;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    error::ConfigError,
    secret::{Secret, SecretKind},
    source::Source,
};

/// The section of the only XMPP server there is.
const ONLY: &str = "xmpp";

/// The section of each of several.
const SEVERAL: &str = "cells";

/// The keys that say where an XMPP server is, in either section.
const KEYS: &[&str] =
    &["xmppUrl", "hostsAdminUrl", "adminToken", "adminTokenSecretArn", "adminTokenPrevious", "publicXmppUrl"];

/// Most bytes of a cell's name: it is in log lines, metrics' dimensions and names of resources.
const MAX_NAME: usize = 32;

/// The largest weight.
const MAX_WEIGHT: u32 = 1_000;

/// An XMPP server with its virtual hosts, on which whole tenants are.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Its name, for operators and for the record of which tenant is where; `xmpp` for the only one.
    pub name: String,
    /// The WebSocket of the XMPP server (RFC 7395).
    pub url: Url,
    /// What chat clients are told to connect to.
    pub public_url: Url,
    /// The collection of virtual hosts, without a trailing slash.
    pub hosts_admin_url: Url,
    /// How the service proves itself, and the root of the login tokens' key.
    pub admin_token: Secret,
    /// How many tenants it takes beside others'.
    pub weight: u32,
    /// Whether it takes new tenants.
    pub is_open: bool,
}

impl Cell {
    /// The only one, or all of several.
    pub(super) fn read_all(source: &Source) -> Result<Vec<Self>, ConfigError> {
        if !source.is_repeated(SEVERAL) {
            return Ok(vec![Self::read(source, ONLY, &ADMIN_TOKEN, ONLY.to_owned())?]);
        }
        if let Some(name) = source.first_set(ONLY, KEYS) {
            let hint = "each of [[cells]] has its own: move it there";
            return Err(source.bad(ONLY, name, "is set beside [[cells]]", hint));
        }
        let (mut all, mut taken): (Vec<Self>, _) = (Vec::new(), HashSet::new());
        for source in &source.each(SEVERAL)? {
            let cell = Self::read(source, SEVERAL, &ADMIN_TOKEN_OF_CELL, name(source)?)?;
            let identities = [
                ("name", cell.name.clone()),
                ("xmppUrl", cell.url.to_string()),
                ("hostsAdminUrl", cell.hosts_admin_url.to_string()),
            ];
            for (key, value) in identities {
                if !taken.insert((key, value)) {
                    let hint = "give each cell its own: a tenant is on one of them alone";
                    return Err(source.bad(SEVERAL, key, "is another cell's too", hint));
                }
            }
            all.push(cell);
        }
        Ok(all)
    }

    fn read(
        source: &Source,
        section: &'static str,
        token: &'static SecretKind,
        name: String,
    ) -> Result<Self, ConfigError> {
        let mandatory =
            |name, schemes: &[&str]| source.url(section, name, schemes)?.ok_or_else(|| source.missing(section, name));
        let url = mandatory("xmppUrl", &["ws", "wss"])?;
        let hosts_admin_url = without_trailing_slash(mandatory("hostsAdminUrl", &["http", "https"])?);
        let public_url = source.url(section, "publicXmppUrl", &["ws", "wss"])?.unwrap_or_else(|| url.clone());
        let admin_token = Secret::read(source, token)?.ok_or_else(|| source.missing(section, "adminToken"))?;
        if let Some(previous) = source.secret(section, "adminTokenPrevious") {
            check_token(&previous).map_err(|fault| source.bad(section, "adminTokenPrevious", fault, token.hint))?;
        }
        let (weight, is_open) = match section {
            SEVERAL => (weight(source)?, source.flag(SEVERAL, "open").unwrap_or(true)),
            _ => (1, true),
        };
        Ok(Self { name, url, public_url, hosts_admin_url, admin_token, weight, is_open })
    }
}

fn name(source: &Source) -> Result<String, ConfigError> {
    let name = source.mandatory(SEVERAL, "name")?;
    let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.len() > MAX_NAME || !name.bytes().all(is_fit) {
        let hint = format!("write {MAX_NAME} lower-case letters, digits and hyphens at most, such as eu-1");
        return Err(source.bad(SEVERAL, "name", format!("is {name:?}"), hint));
    }
    Ok(name.to_owned())
}

fn weight(source: &Source) -> Result<u32, ConfigError> {
    let weight = source.number(SEVERAL, "weight").unwrap_or(1);
    u32::try_from(weight).ok().filter(|weight| (1..=MAX_WEIGHT).contains(weight)).ok_or_else(|| {
        let hint = format!("write a number from 1 to {MAX_WEIGHT}: a cell of weight 2 takes twice as many tenants");
        source.bad(SEVERAL, "weight", "is out of range", hint)
    })
}

/// Checks an admin token, wherever it came from; the fault never holds the token.
///
/// # Errors
/// What is wrong with it, to follow "adminToken".
fn check_token(token: &SecretString) -> Result<(), &'static str> {
    let token = token.expose_secret();
    if token == "please_change_me" {
        Err("is still the sample value")
    } else if !token.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
        Err("is not printable ASCII without spaces")
    } else if token.len() < 32 {
        Err("is shorter than 32 characters")
    } else if token.len() > 512 {
        Err("is longer than 512 characters")
    } else {
        Ok(())
    }
}

static ADMIN_TOKEN: SecretKind = SecretKind {
    section: ONLY,
    name: "adminToken",
    arn_name: "adminTokenSecretArn",
    check: check_token,
    hint: "set the same random value of 32 to 512 printable ASCII characters here and at the XMPP server, such as the output of: openssl rand -hex 32",
};

static ADMIN_TOKEN_OF_CELL: SecretKind = SecretKind {
    section: SEVERAL,
    name: "adminToken",
    arn_name: "adminTokenSecretArn",
    check: check_token,
    hint: "set the same random value of 32 to 512 printable ASCII characters here and at that cell's XMPP server, such as the output of: openssl rand -hex 32",
};

fn without_trailing_slash(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url
}

#[cfg(test)]
mod tests;
