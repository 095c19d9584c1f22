//! Every key that `xmpp.toml` knows, in one table: the reader, the environment overrides and the
//! error messages all work from it, so they cannot disagree.

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// A string that must never appear in an error, a log line or `Debug` output.
    Secret,
    /// Whole seconds.
    Seconds,
    /// A whole number.
    Number,
    /// Yes or no.
    Flag,
    /// A list of strings; in the environment, separated by commas. A single string counts as a list of one.
    List,
}

/// One key of `xmpp.toml`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

const fn key(section: &'static str, name: &'static str, kind: Kind) -> Key {
    Key { section, name, kind }
}

pub(super) const KEYS: &[Key] = &[
    key("xmpp", "xmppUrl", Kind::Text),
    key("xmpp", "hostsAdminUrl", Kind::Text),
    key("xmpp", "adminToken", Kind::Secret),
    key("xmpp", "adminTokenSecretArn", Kind::Text),
    key("xmpp", "adminTokenPrevious", Kind::Secret),
    key("xmpp", "adminJid", Kind::Text),
    key("xmpp", "publicXmppUrl", Kind::Text),
    key("xmpp", "loginTokenTtl", Kind::Seconds),
    key("cells", "name", Kind::Text),
    key("cells", "xmppUrl", Kind::Text),
    key("cells", "hostsAdminUrl", Kind::Text),
    key("cells", "adminToken", Kind::Secret),
    key("cells", "adminTokenSecretArn", Kind::Text),
    key("cells", "adminTokenPrevious", Kind::Secret),
    key("cells", "publicXmppUrl", Kind::Text),
    key("cells", "weight", Kind::Number),
    key("cells", "open", Kind::Flag),
    key("auth", "issuer", Kind::Text),
    key("auth", "audience", Kind::List),
    key("auth", "jwksUrl", Kind::Text),
    key("auth", "introspectionUrl", Kind::Text),
    key("auth", "introspectionClientId", Kind::Text),
    key("auth", "introspectionClientSecret", Kind::Secret),
    key("auth", "introspectionClientSecretArn", Kind::Text),
    key("auth", "usernameClaim", Kind::Text),
    key("auth", "domainClaim", Kind::Text),
    key("auth", "capabilitiesClaim", Kind::Text),
    key("auth", "tokenTypes", Kind::List),
    key("auth", "domains", Kind::List),
    key("cors", "allowedOrigins", Kind::List),
    key("cors", "allowedHeaders", Kind::List),
    key("tls", "caFile", Kind::Text),
    key("log", "format", Kind::Text),
    key("events", "names", Kind::Text),
    key("broker", "url", Kind::Secret),
    key("broker", "urlSecretArn", Kind::Text),
    key("broker", "exchange", Kind::Text),
    key("broker", "queue", Kind::Text),
    key("broker", "bindings", Kind::List),
    key("broker", "unknown", Kind::Text),
    key("bridge", "listen", Kind::Text),
    key("queues", "urlPrefix", Kind::Text),
    key("queues", "longestRetryWait", Kind::Seconds),
    key("ledger", "table", Kind::Text),
];

/// Keys that stand for each other: a section's secret, and where it is kept.
pub(super) const ALTERNATIVES: &[(&str, &str, &str)] = &[
    ("xmpp", "adminToken", "adminTokenSecretArn"),
    ("cells", "adminToken", "adminTokenSecretArn"),
    ("auth", "introspectionClientSecret", "introspectionClientSecretArn"),
    ("broker", "url", "urlSecretArn"),
];

/// Sections that may come several times, as `[[auth]]`.
pub(super) const REPEATABLE: &[&str] = &["auth", "cells"];

/// Those of them of which there is nothing but several.
pub(super) const REPEATED: &[&str] = &["cells"];

/// The service's own account, where no key names another one.
pub(super) const DEFAULT_ADMIN_JID: &str = "sippo@sippo-admin.internal";

/// The only key of `wac.ini` that concerns this service beside the section `[xmpp]` itself.
pub(super) const LOG_LEVEL: Key = key("log", "level", Kind::Text);

impl Key {
    /// The environment variable that overrides the key: `SIPPO_XMPP__ADMIN_TOKEN` for `[xmpp] adminToken`.
    pub(super) fn variable(&self) -> String {
        let mut name = format!("SIPPO_{}__", self.section.to_ascii_uppercase());
        for character in self.name.chars() {
            if character.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(character.to_ascii_uppercase());
        }
        name
    }

    pub(super) fn find(section: &str, name: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.section == section && key.name == name)
    }
}

/// The keys of a section as an error message lists them; empty when there is no such section.
pub(super) fn known(section: &str) -> String {
    let names: Vec<_> = KEYS.iter().filter(|key| key.section == section).map(|key| key.name).collect();
    names.join(", ")
}

/// The sections as an error message lists them.
pub(super) fn sections() -> String {
    let mut names: Vec<_> = KEYS.iter().map(|key| format!("[{}]", key.section)).collect();
    names.dedup();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_follow_the_documented_pattern() {
        let names: Vec<_> = KEYS.iter().map(Key::variable).collect();
        assert_eq!(names[0], "SIPPO_XMPP__XMPP_URL");
        assert_eq!(names[3], "SIPPO_XMPP__ADMIN_TOKEN_SECRET_ARN");
        assert_eq!(LOG_LEVEL.variable(), "SIPPO_LOG__LEVEL");
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), KEYS.len());
    }
}
