//! Which variables of the environment are meant for this service: those that override its keys, and those that look like
//! them and are none.

use super::keys::{KEYS, Key, LOG_LEVEL};

/// What the variables of the whole platform begin with, ours among them.
const PREFIX: &str = "SIPPO_";

/// What the variables of the XMPP server begin with. One environment may serve both: a machine, a container.
const XMPP_SERVER_PREFIX: &str = "SIPPO_XMPP_";

/// The XMPP server's variables (`xmpp-server/prosody.cfg.lua`), without [`XMPP_SERVER_PREFIX`].
const XMPP_SERVER: &[&str] = &[
    "ADHOC_AFFILIATION_QUOTA",
    "ADHOC_ROOM_LIMIT",
    "ADMIN_JID",
    "ADMIN_TOKEN",
    "ADMIN_TOKEN_FILE",
    "ADMIN_TOKEN_PREVIOUS",
    "ADMIN_TOKEN_PREVIOUS_FILE",
    "ARCHIVE_RETENTION",
    "BLOCK_LIST_QUOTA",
    "BOOKMARK_LIMIT",
    "CELL",
    "CELL_INTERFACE",
    "CELL_PORT",
    "CELL_RATE",
    "CERTIFICATE",
    "CLIENT_RATE",
    "DATA",
    "DIRECTED_PRESENCE_LIMIT",
    "FAN_OUT_LIMIT",
    "HTTPS_PORT",
    "HTTP_PORT",
    "INTERFACE",
    "KEEPALIVE",
    "KEY",
    "LOG_LEVEL",
    "NICKNAME_LIMIT",
    "OFFLINE_BYTE_QUOTA",
    "OFFLINE_QUOTA",
    "PEP_NODE_LIMIT",
    "PEP_QUOTA",
    "PRIVATE_XML_QUOTA",
    "PUBLIC_HTTP_URL",
    "PUSH_LIMIT",
    "RESUME_LIMIT",
    "RESUME_TIMEOUT",
    "ROOM_CACHE_SIZE",
    "ROSTER_QUOTA",
    "RUN_AS_ROOT",
    "SEND_BUFFER_LIMIT",
    "SESSION_LIMIT",
    "SESSION_MAX_AGE",
    "SQLITE_SYNCHRONOUS",
    "STATIC_HOSTS",
    "STORAGE",
    "STORAGE_PASSWORD",
    "STORAGE_PASSWORD_FILE",
    "TENANT_IDLE_TIME",
    "TRUSTED_PROXIES",
    "UPLOAD_DAILY_QUOTA",
    "UPLOAD_DAILY_SLOTS",
    "UPLOAD_RETENTION",
    "UPLOAD_SIZE_LIMIT",
    "USER_TIME_SHARE",
    "VCARD_QUOTA",
];

/// A name that is another one, misspelt, differs from it by so much at most, where nothing else says whose it is.
const MISSPELT: usize = 2;

/// A name that differs from another one by more is not taken for it in a hint.
const ALIKE: usize = 4;

/// A variable that looks like one of ours and is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// The one that is probably meant.
    pub(super) meant: Option<String>,
}

/// The key that a variable overrides; `None` for what this service does not read: other programs' variables, the XMPP server's,
/// and the level, which is no key of `xmpp.toml`.
///
/// # Errors
/// [`Unknown`] when it is of the form `SIPPO_<SECTION>__<KEY>`, or begins with one of our sections' names (`SIPPO_LOG_LEVEL`,
/// `SIPPO_XMPP_DATTA`), or is nearly one of our names, and yet nobody's.
pub(super) fn key_of(variable: &str) -> Result<Option<&'static Key>, Unknown> {
    let Some(rest) = variable.strip_prefix(PREFIX) else { return Ok(None) };
    if variable == LOG_LEVEL.variable() || is_xmpp_servers(variable) {
        return Ok(None);
    }
    if let Some(key) = KEYS.iter().find(|key| key.variable() == variable) {
        return Ok(Some(key));
    }
    let (distance, nearest) = nearest(variable);
    let is_ours = is_override(variable)
        || rest
            .split_once('_')
            .is_some_and(|(section, _)| KEYS.iter().any(|key| key.section.to_uppercase() == section));
    if is_ours || distance <= MISSPELT {
        return Err(Unknown { meant: (distance <= ALIKE).then_some(nearest) });
    }
    Ok(None)
}

/// Whether a variable's name is of the form of those that override a key: `SIPPO_<SECTION>__<KEY>`.
pub(super) fn is_override(variable: &str) -> bool {
    variable.strip_prefix(PREFIX).is_some_and(|rest| rest.contains("__"))
}

/// The XMPP server's variable that differs from one of ours by an underscore only, if there is such a one.
pub(super) fn xmpp_servers_twin(variable: &str) -> Option<String> {
    let twin = variable.replacen("__", "_", 1);
    is_xmpp_servers(&twin).then_some(twin)
}

fn is_xmpp_servers(variable: &str) -> bool {
    variable.strip_prefix(XMPP_SERVER_PREFIX).is_some_and(|name| XMPP_SERVER.contains(&name))
}

/// The known name that differs least, and by how much.
fn nearest(variable: &str) -> (usize, String) {
    let ours = KEYS.iter().chain([&LOG_LEVEL]).map(Key::variable);
    let servers = XMPP_SERVER.iter().map(|name| format!("{XMPP_SERVER_PREFIX}{name}"));
    ours.chain(servers).map(|name| (distance(variable, &name), name)).min().unwrap_or_default()
}

/// How many bytes have to be added, removed or replaced to make one name of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.bytes().enumerate() {
            let cost = (diagonal + usize::from(a != b)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], cost);
        }
    }
    row.pop().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(variable: &str) -> Option<String> {
        key_of(variable).unwrap_err().meant
    }

    #[test]
    fn what_is_ours_is_found_and_what_is_others_is_left_alone() {
        assert_eq!(key_of("SIPPO_TLS__CA_FILE").unwrap().unwrap().name, "caFile");
        for others in
            ["PATH", "SIPPO_LOG__LEVEL", "SIPPO_XMPP_DATA", "SIPPO_XMPP_ADMIN_TOKEN", "SIPPO_PROSODY", "SIPPO_"]
        {
            assert!(key_of(others).unwrap().is_none(), "{others}");
        }
    }

    #[test]
    fn what_is_misspelt_is_told_with_what_is_meant() {
        for (variable, right) in [
            ("SIPPO_LOG_LEVEL", "SIPPO_LOG__LEVEL"),
            ("SIPPO_XMPP_XMPP_URL", "SIPPO_XMPP__XMPP_URL"),
            ("SIPPO_AUTH_ISSUER", "SIPPO_AUTH__ISSUER"),
            ("SIPPO_XMPP__ADMIN_TOKN", "SIPPO_XMPP__ADMIN_TOKEN"),
            ("SIPPO_XMPP_DATTA", "SIPPO_XMPP_DATA"),
            ("SIPPO_BROKR__URL", "SIPPO_BROKER__URL"),
            ("SIPPO_LEDGERTABLE", "SIPPO_LEDGER__TABLE"),
        ] {
            assert_eq!(meant(variable).as_deref(), Some(right), "{variable}");
        }
        assert_eq!(meant("SIPPO_XMPP_SOMETHING_ELSE_ALTOGETHER"), None);
    }

    #[test]
    fn one_underscore_more_or_less_is_the_other_programs() {
        assert_eq!(xmpp_servers_twin("SIPPO_XMPP__ADMIN_JID").as_deref(), Some("SIPPO_XMPP_ADMIN_JID"));
        assert_eq!(xmpp_servers_twin("SIPPO_XMPP__XMPP_URL"), None);
    }
}
