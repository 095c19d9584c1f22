use std::{collections::BTreeMap, fs};

use super::*;
use crate::address::StringNames;

pub(super) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

const TOML: &str = r#"
[xmpp]
xmppUrl = "ws://127.0.0.1:5280/xmpp-websocket"
hostsAdminUrl = "http://127.0.0.1:5280/quobis_virtualhosts/virtualhost"
adminToken = "0123456789abcdef0123456789abcdef"
[auth]
issuer = "https://issuer.test"
audience = "chat-api"
jwksUrl = "https://issuer.test/keys"
"#;

/// Reads a folder with these files and variables.
pub(super) fn read(ini: Option<&str>, toml: Option<&str>, variables: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("wac.ini", ini), ("xmpp.toml", toml)] {
        if let Some(text) = text {
            fs::write(folder.path().join(name), text).unwrap();
        }
    }
    let variables: BTreeMap<_, _> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Config::read(folder.path(), &variables).map_err(|error| {
        let line = error.to_string();
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(!line.contains(TOKEN), "{line}");
        line
    })
}

pub(super) fn service(toml: &str, variables: &[(&str, &str)]) -> ServiceConfig {
    read(Some("[xmpp]"), Some(toml), variables).unwrap().service.unwrap()
}

/// The error line of a configuration with `from` replaced by `to`.
fn error(from: &str, to: &str) -> String {
    assert!(TOML.contains(from), "{from}");
    read(Some("[xmpp]"), Some(&TOML.replace(from, to)), &[]).unwrap_err()
}

#[test]
fn the_smallest_configuration_has_the_documented_defaults() {
    let service = service(TOML, &[]);
    assert_eq!(service.xmpp.admin_jid.as_str(), "sippo@sippo-admin.internal");
    let [cell] = &service.xmpp.cells[..] else { panic!("{service:?}") };
    assert_eq!((cell.name.as_str(), &cell.public_url, service.xmpp.has_places), ("xmpp", &cell.url, false));
    assert_eq!(service.xmpp.login_token_ttl.as_secs(), 300);
    assert_eq!(service.auth[0].username_claim, "preferred_username");
    assert!(service.cors.allowed_origins.is_empty());
    assert!(!format!("{service:?}").contains(TOKEN));
    assert!(service.exposed_urls().is_empty(), "loopback is not exposed");
}

#[test]
fn without_the_section_the_service_is_disabled_and_nothing_else_is_read() {
    for ini in ["", "[other]\nxmpp = 1\n", "; [xmpp]\n[web]\nport=80\nbare-key\n"] {
        assert!(read(Some(ini), None, &[]).unwrap().service.is_none(), "{ini}");
    }
    for ini in ["[xmpp]", "[log]\nlevel = debug\n[other]\na:b\n\n; note\n[xmpp]\nforeign = \"x\"\n", "[xmpp]\r\n"] {
        assert!(read(Some(ini), Some(TOML), &[]).unwrap().service.is_some(), "{ini}");
    }
}

#[test]
fn other_services_lines_may_be_what_they_like() {
    for ini in [
        "\u{feff}[xmpp]",
        "[web]\n= 80\n[unfinished\n  [\"a\"\nlevel = x\n[xmpp] ; ours",
        "[XMPP]\nurl = x # y",
        "= x\n[ xmpp ]\n",
    ] {
        assert!(read(Some(ini), Some(TOML), &[]).unwrap().service.is_some(), "{ini}");
    }
    let config = read(Some("\u{feff}[Log] # winston\nlevel=x\n[web]\nlevel = y\n[log]\nLevel : debug ; z"), None, &[]);
    assert_eq!(config.unwrap().log.level, Level::Debug);
    for ini in ["[xmpp\n", "[log\nlevel = debug"] {
        let line = read(Some(ini), Some(TOML), &[]).unwrap_err();
        assert!(line.contains("wac.ini") && line.contains("line 1") && line.contains(']'), "{line}");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("wac.ini"), b"; M\xfcnchen\n").unwrap();
    assert!(Config::read(folder.path(), &BTreeMap::new()).unwrap().service.is_none());
}

#[test]
fn levels_are_winstons() {
    let level = |ini: &str, variables: &[(&str, &str)]| read(Some(ini), None, variables).map(|config| config.log.level);
    assert_eq!(level("", &[]).unwrap(), Level::Info);
    assert_eq!(level("[log]\nlevel = silly", &[]).unwrap(), Level::Silly);
    for quoted in ["[log]\nlevel = \"silly\" ; all", "[log]\nlevel='silly'"] {
        assert_eq!(level(quoted, &[]).unwrap(), Level::Silly, "{quoted}");
    }
    assert_eq!(level("[log]\nlevel = silly", &[("SIPPO_LOG__LEVEL", "error")]).unwrap(), Level::Error);
    let line = level("[log]\nlevel = loud", &[]).unwrap_err();
    assert!(line.contains("wac.ini") && line.contains("[log] level") && line.contains("silly"), "{line}");
    let line = level("", &[("SIPPO_LOG__LEVEL", "trace")]).unwrap_err();
    assert!(line.contains("SIPPO_LOG__LEVEL"), "{line}");
}

#[test]
fn a_missing_file_is_named() {
    let line = read(None, Some(TOML), &[]).unwrap_err();
    assert!(line.contains("wac.ini") && line.contains("CONFIG_DIR"), "{line}");
    let line = read(Some("[xmpp]"), None, &[]).unwrap_err();
    assert!(line.contains("xmpp.toml") && line.contains("CONFIG_DIR"), "{line}");
}

#[test]
fn each_fault_names_file_key_and_mend() {
    for (from, to, parts) in [
        ("xmppUrl = \"ws:", "xmppUrl = \"http:", vec!["[xmpp] xmppUrl", "ws:// or wss://"]),
        ("ws://127.0.0.1:5280/xmpp-websocket", "not a url", vec!["[xmpp] xmppUrl", "ws://"]),
        ("ws://127.0.0.1", "ws://user:pw@127.0.0.1", vec!["[xmpp] xmppUrl", "without user"]),
        ("hostsAdminUrl = \"http:", "hostsAdminUrl = \"ftp:", vec!["[xmpp] hostsAdminUrl", "http:// or https://"]),
        ("xmppUrl = ", "xmppUri = ", vec!["[xmpp] xmppUri", "not a known key", "xmppUrl"]),
        ("[auth]", "[oauth]", vec!["[oauth]", "not a known section", "[auth]"]),
        (TOKEN, "please_change_me", vec!["[xmpp] adminToken", "sample", "openssl"]),
        (TOKEN, "short", vec!["[xmpp] adminToken", "shorter than 32"]),
        (TOKEN, "0123456789abcdef0123456789abcdeü", vec!["[xmpp] adminToken", "ASCII"]),
        (TOKEN, "0123456789abcdef0123456789abcde\\n", vec!["[xmpp] adminToken", "ASCII"]),
        ("adminToken = \"0123456789abcdef0123456789abcdef\"", "adminToken = 7", vec!["[xmpp] adminToken", "type"]),
        (
            "adminToken = \"0123456789abcdef0123456789abcdef\"",
            "",
            vec!["[xmpp] adminToken", "missing", "SIPPO_XMPP__ADMIN_TOKEN"],
        ),
        (
            "adminToken = \"0123456789abcdef0123456789abcdef\"",
            "adminTokenSecretArn = \"x\"",
            vec!["adminTokenSecretArn", "arn:"],
        ),
        ("[auth]", "adminTokenPrevious = \"short\"\n[auth]", vec!["adminTokenPrevious", "shorter"]),
        ("[auth]", "loginTokenTtl = 0\n[auth]", vec!["loginTokenTtl", "300"]),
        ("[auth]", "loginTokenTtl = \"300\"\n[auth]", vec!["loginTokenTtl", "whole number"]),
        ("[auth]", "adminJid = \"Sippo@x.test\"\n[auth]", vec!["adminJid", "localpart@domain"]),
        ("[auth]", "publicXmppUrl = \"https://x\"\n[auth]", vec!["publicXmppUrl", "wss://"]),
        ("issuer = \"https://issuer.test\"", "", vec!["[auth] issuer", "missing"]),
        ("audience = \"chat-api\"", "", vec!["[auth] audience", "missing"]),
        ("audience = \"chat-api\"", "audience = [1]", vec!["[auth] audience", "list"]),
        (
            "jwksUrl = \"https:",
            "jwksUrl = \"http:",
            vec!["[auth] jwksUrl", "https:// or file://", "file:/// and the whole path"],
        ),
        ("https://issuer.test/keys", "file://config/jwks.json", vec!["[auth] jwksUrl", "host", "file:///"]),
        ("jwksUrl = \"https://issuer.test/keys\"", "", vec!["[auth] jwksUrl", "introspectionUrl"]),
        ("[auth]", "[auth]\nintrospectionUrl = \"https://x/y\"", vec!["introspectionUrl", "remove"]),
        ("[auth]", "[cors]\nallowedOrigins = [\"https://a.test/\"]\n[auth]", vec!["[cors] allowedOrigins", "slash"]),
        ("[auth]", "[log]\nformat = \"xml\"\n[auth]", vec!["[log] format", "json"]),
        ("[auth]", "[auth", vec!["line 6", "TOML"]),
    ] {
        let line = error(from, to);
        assert!(line.contains("xmpp.toml"), "{line}");
        for part in parts {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    let long = "x".repeat(513);
    assert!(error(TOKEN, &long).contains("longer than 512"));
}

#[test]
fn secrets_stay_out_of_syntax_errors() {
    let line = read(Some("[xmpp]"), Some(&format!("[xmpp]\nadminToken = \"{TOKEN}")), &[]).unwrap_err();
    assert!(line.contains("line 2"), "{line}");
}

#[test]
fn origins_are_what_browsers_send() {
    let read = |origin: &str| read(Some("[xmpp]"), Some(TOML), &[("SIPPO_CORS__ALLOWED_ORIGINS", origin)]);
    for origin in [
        "*",
        "https://a.test:8443",
        "http://[::1]:3000",
        "https://xn--bcher-kva.test",
        "capacitor://localhost",
        "app://chat:80",
        "chrome-extension://abcdefghijklmnop",
    ] {
        assert!(read(origin).is_ok(), "{origin}");
    }
    for other in [
        "https://*.a.test",
        "https://a.*",
        "capacitor://*",
        "https://A.test",
        "https://a.test:443",
        "null",
        "a.test",
        "capacitor://localhost/",
        "capacitor://Localhost",
        "app://",
        "file:///",
        "data:x",
        "blob:https://a.test/x",
        "https://u@a.test",
    ] {
        let line = read(other).unwrap_err();
        assert!(line.contains("which is not an origin"), "{other}: {line}");
    }
}

#[test]
fn the_environment_overrides_the_file() {
    let service = service(
        TOML,
        &[
            ("SIPPO_XMPP__XMPP_URL", "wss://chat.example.com/ws"),
            ("SIPPO_XMPP__ADMIN_TOKEN", "ffffffffffffffffffffffffffffffff"),
            ("SIPPO_XMPP__LOGIN_TOKEN_TTL", "60"),
            ("SIPPO_CORS__ALLOWED_ORIGINS", "https://a.test, https://b.test"),
            ("SIPPO_XMPP_DATA", "another program's"),
        ],
    );
    assert_eq!(service.xmpp.cells[0].url.as_str(), "wss://chat.example.com/ws");
    assert_eq!(service.xmpp.login_token_ttl.as_secs(), 60);
    assert_eq!(service.cors.allowed_origins, ["https://a.test", "https://b.test"]);
    assert!(matches!(&service.xmpp.cells[0].admin_token, Secret::Given(token)
        if secrecy::ExposeSecret::expose_secret(token).starts_with('f')));

    let line = read(Some("[xmpp]"), Some(TOML), &[("SIPPO_XMPP__XMPP_URL", "x")]).unwrap_err();
    assert!(line.contains("SIPPO_XMPP__XMPP_URL"), "{line}");
    let line = read(Some("[xmpp]"), Some(TOML), &[("SIPPO_XMPP__ADMIN_TOKEN", "short")]).unwrap_err();
    assert!(line.contains("SIPPO_XMPP__ADMIN_TOKEN"), "{line}");
    let line = read(Some("[xmpp]"), Some(TOML), &[("SIPPO_XMPP__LOGIN_TOKEN_TTL", "soon")]).unwrap_err();
    assert!(line.contains("SIPPO_XMPP__LOGIN_TOKEN_TTL"), "{line}");
    for (misspelt, right) in [
        ("SIPPO_XMPP__ADMIN_TOKN", "SIPPO_XMPP__ADMIN_TOKEN"),
        ("SIPPO_LOG_LEVEL", "SIPPO_LOG__LEVEL"),
        ("SIPPO_XMPP_OFLINE_QUOTA", "SIPPO_XMPP_OFFLINE_QUOTA"),
    ] {
        let line = read(Some("[xmpp]"), Some(TOML), &[(misspelt, TOKEN)]).unwrap_err();
        assert!(line.contains(misspelt) && line.contains(&format!("is {right} meant?")), "{line}");
    }
}

#[test]
fn an_environment_that_serves_the_xmpp_server_too_names_one_admin() {
    let read = |variables: &[(&str, &str)]| read(Some("[xmpp]"), Some(TOML), variables);
    let servers = ("SIPPO_XMPP_ADMIN_JID", "chat@admin.internal");
    let line = read(&[servers]).unwrap_err();
    assert!(line.contains("SIPPO_XMPP_ADMIN_JID") && line.contains("SIPPO_XMPP__ADMIN_JID"), "{line}");
    assert!(read(&[servers, ("SIPPO_XMPP__ADMIN_JID", servers.1)]).is_ok());
    assert!(read(&[("SIPPO_XMPP_ADMIN_JID", "sippo@sippo-admin.internal")]).is_ok());
    assert!(read(&[("SIPPO_XMPP_ADMIN_JID", "")]).is_ok());

    let without = TOML.replace("adminToken =", "# adminToken =");
    let line = self::read(Some("[xmpp]"), Some(&without), &[("SIPPO_XMPP_ADMIN_TOKEN", TOKEN)]).unwrap_err();
    assert!(line.contains("SIPPO_XMPP_ADMIN_TOKEN, with one underscore less, is the XMPP server's own"), "{line}");
}

#[test]
fn an_override_that_is_not_text_is_named() {
    use std::os::unix::ffi::OsStringExt as _;
    let latin1 = || OsString::from_vec(b"M\xfcnchen".to_vec());
    let read = |variables: Vec<(OsString, OsString)>| environment(Path::new("config"), variables.into_iter());
    let others = vec![("CITY".into(), latin1()), (latin1(), "x".into()), ("SIPPO_XMPP_DATA".into(), latin1())];
    assert!(read(others).unwrap().is_empty());
    let line = read(vec![("SIPPO_TLS__CA_FILE".into(), latin1())]).unwrap_err().to_string();
    assert!(line.contains("SIPPO_TLS__CA_FILE") && line.contains("UTF-8"), "{line}");
    let line = read(vec![(OsString::from_vec(b"SIPPO_TLS__\xfc".to_vec()), "x".into())]).unwrap_err().to_string();
    assert!(line.contains("SIPPO_TLS__"), "{line}");
}

#[test]
fn of_a_secret_and_its_arn_the_environments_counts() {
    let arn = "arn:aws:secretsmanager:eu-west-1:1:secret:x";
    let named = TOML.replace(&format!("adminToken = \"{TOKEN}\""), &format!("adminTokenSecretArn = \"{arn}\""));
    let xmpp = service(&named, &[("SIPPO_XMPP__ADMIN_TOKEN", TOKEN)]).xmpp;
    assert!(matches!(xmpp.cells[0].admin_token, Secret::Given(_)), "{xmpp:?}");
    let xmpp = service(TOML, &[("SIPPO_XMPP__ADMIN_TOKEN_SECRET_ARN", arn)]).xmpp;
    assert!(matches!(xmpp.cells[0].admin_token, Secret::Kept(_)), "{xmpp:?}");

    let broker = format!("{TOML}[broker]\nurl = \"amqp://mq.test\"\n");
    let events = service(&broker, &[("SIPPO_BROKER__URL_SECRET_ARN", arn)]).events;
    assert!(format!("{:?}", events.broker().unwrap()).contains(arn));

    let both = TOML.replace("[auth]", &format!("adminTokenSecretArn = \"{arn}\"\n[auth]"));
    let broker = format!("{broker}urlSecretArn = \"{arn}\"\n");
    for (toml, variables, parts) in [
        (both.as_str(), vec![], ["[xmpp] adminTokenSecretArn", "beside [xmpp] adminToken;", "remove one"]),
        (&broker, vec![], ["[broker] urlSecretArn", "beside [broker] url;", "remove one"]),
        (
            TOML,
            vec![("SIPPO_XMPP__ADMIN_TOKEN", TOKEN), ("SIPPO_XMPP__ADMIN_TOKEN_SECRET_ARN", arn)],
            ["from SIPPO_XMPP__ADMIN_TOKEN_SECRET_ARN", "adminToken (from SIPPO_XMPP__ADMIN_TOKEN)", "remove one"],
        ),
    ] {
        let line = read(Some("[xmpp]"), Some(toml), &variables).unwrap_err();
        assert!(line.contains("xmpp.toml") && parts.iter().all(|part| line.contains(part)), "{line}");
    }
}

#[test]
fn opaque_tokens_need_their_own_keys() {
    let toml = TOML.replace(
        "jwksUrl = \"https://issuer.test/keys\"",
        "introspectionUrl = \"https://issuer.test/introspect\"\nintrospectionClientId = \"chat\"\nintrospectionClientSecret = \"hush-hush\"",
    );
    let service = service(&toml, &[]);
    assert!(matches!(service.auth[0].scheme, Scheme::Introspection { .. }));
    assert!(!format!("{service:?}").contains("hush-hush"));
    let arn = "arn:aws:secretsmanager:eu-west-1:1:secret:x";
    let variables = [("SIPPO_AUTH__INTROSPECTION_CLIENT_SECRET_ARN", arn)];
    let service = self::service(&toml, &variables);
    let Scheme::Introspection { client_secret, .. } = &service.auth[0].scheme else { panic!("{service:?}") };
    assert!(matches!(client_secret, Secret::Kept(_)), "{client_secret:?}");
    let both = toml.replace("hush-hush\"", &format!("hush-hush\"\nintrospectionClientSecretArn = \"{arn}\""));
    let empty = toml.replace("hush-hush", "");
    for (toml, parts) in [
        (both, ["[auth] introspectionClientSecretArn", "beside [auth] introspectionClientSecret;"]),
        (empty, ["[auth] introspectionClientSecret", "is empty"]),
    ] {
        let line = read(Some("[xmpp]"), Some(&toml), &[]).unwrap_err();
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    for key in ["introspectionClientId", "introspectionClientSecret"] {
        let line = read(Some("[xmpp]"), Some(&toml.replace(key, &format!("# {key}"))), &[]).unwrap_err();
        assert!(line.contains(key), "{line}");
    }
}

#[test]
fn plain_urls_beyond_this_machine_are_pointed_out() {
    let exposed = |url: &str| service(TOML, &[("SIPPO_XMPP__XMPP_URL", url)]).exposed_urls().len();
    assert_eq!(exposed("ws://prosody:5280/ws"), 1);
    assert_eq!(exposed("ws://10.0.0.1/ws"), 1);
    assert_eq!(exposed("wss://prosody/ws"), 0);
    assert_eq!(exposed("ws://[::1]:5280/ws"), 0);
    assert_eq!(exposed("ws://localhost:5280/ws"), 0);
}

#[test]
fn the_events_half_asks_for_what_it_needs_when_it_needs_it() {
    let bare = service(TOML, &[]).events;
    assert_eq!((bare.table.as_str(), bare.listen.to_string().as_str()), ("sippo-xmpp-ledger", "127.0.0.1:8081"));
    let lines = [bare.broker().unwrap_err(), bare.queues().unwrap_err()].map(|error| error.to_string());
    assert!(lines[0].contains("SIPPO_BROKER__URL") && lines[1].contains("SIPPO_QUEUES__URL_PREFIX"), "{lines:?}");
    let events = service(
        TOML,
        &[
            ("SIPPO_BROKER__URL", "amqp://user:hush@mq.test/platform"),
            ("SIPPO_QUEUES__URL_PREFIX", "https://sqs.test/1/sippo-"),
            ("SIPPO_QUEUES__LONGEST_RETRY_WAIT", "3"),
        ],
    )
    .events;
    assert!(!format!("{events:?}").contains("hush"));
    assert_eq!(events.broker().unwrap().exchange, "sippo.events");
    let queues = events.queues().unwrap();
    assert_eq!(queues.longest_retry_wait.as_secs(), 3);
    assert_eq!(queues.url("domain-created"), "https://sqs.test/1/sippo-domain-created");
    let dead = queues.dead_letters_url("domain-created");
    assert_eq!(dead, "https://sqs.test/1/sippo-domain-created-dead");
}

#[test]
fn bad_values_of_the_events_half_are_told_without_their_secrets() {
    for (variable, value) in [
        ("SIPPO_BROKER__URL", "http://user:hush@mq.test"),
        ("SIPPO_BROKER__URL", "amqp://user:hush@mq.test:port/"),
        ("SIPPO_BROKER__URL_SECRET_ARN", "secret"),
        ("SIPPO_BRIDGE__LISTEN", "localhost"),
        ("SIPPO_QUEUES__URL_PREFIX", "sqs"),
        ("SIPPO_LEDGER__TABLE", ""),
    ] {
        let line = read(Some("[xmpp]"), Some(TOML), &[(variable, value)]).unwrap_err();
        assert!(line.contains(variable) && !line.contains("hush"), "{line}");
    }
    let prefix = ("SIPPO_QUEUES__URL_PREFIX", "https://sqs.test/");
    for wait in ["0", "3601"] {
        let line = read(Some("[xmpp]"), Some(TOML), &[prefix, ("SIPPO_QUEUES__LONGEST_RETRY_WAIT", wait)]).unwrap_err();
        assert!(line.contains("1 to 3600"), "{line}");
    }
}

#[test]
fn strings_in_events_may_be_user_names() {
    assert_eq!(service(TOML, &[]).events.string_names, StringNames::Jid);
    let own = service(TOML, &[("SIPPO_EVENTS__NAMES", "username")]);
    assert_eq!(own.events.string_names, StringNames::Username);
    let line = read(Some("[xmpp]"), Some(TOML), &[("SIPPO_EVENTS__NAMES", "email")]).unwrap_err();
    assert!(line.contains("[events] names") && line.contains("\"email\""), "{line}");
}

const SEVERAL: &str = r#"
[xmpp]
xmppUrl = "ws://127.0.0.1:5280/xmpp-websocket"
hostsAdminUrl = "http://127.0.0.1:5280/quobis_virtualhosts/virtualhost"
adminToken = "0123456789abcdef0123456789abcdef"
[[auth]]
issuer = "https://one.test"
audience = "chat-api"
jwksUrl = "https://one.test/keys"
domains = ["one.test", "bücher.test"]
[[auth]]
issuer = "https://two.test"
audience = "chat-api"
jwksUrl = "https://two.test/keys"
domains = ["two.test"]
usernameClaim = "sub"
"#;

#[test]
fn several_issuers_have_domains_of_their_own() {
    let service = service(SEVERAL, &[]);
    let domains: Vec<_> = service.auth.iter().map(|auth| auth.domains.join(" ")).collect();
    assert_eq!(domains, ["one.test bücher.test", "two.test"]);
    assert_eq!(service.auth[1].username_claim, "sub");
    assert_eq!(service.auth[0].username_claim, "preferred_username");
}

#[test]
fn each_of_several_issuers_is_named_in_its_error() {
    for (from, to, parts) in [
        ("domains = [\"two.test\"]\n", "", ["[[auth]] no. 2 domains", "is missing"]),
        ("[\"two.test\"]", "[\"Two.test\"]", ["[[auth]] no. 2 domains", "Two.test"]),
        ("[\"two.test\"]", "[\"xn--bcher-kva.test\"]", ["[[auth]] no. 2 domains", "canonical"]),
        ("usernameClaim", "usernameClaims", ["[[auth]] no. 2 usernameClaims", "not a known key"]),
        ("https://two.test\"", "https://one.test\"", ["[[auth]] no. 2 issuer", "another"]),
        ("[xmpp]\n", "[[xmpp]]\n", ["xmpp", "not a known section"]),
    ] {
        assert!(SEVERAL.contains(from), "{from}");
        let line = read(Some("[xmpp]"), Some(&SEVERAL.replacen(from, to, 1)), &[]).unwrap_err();
        for part in parts {
            assert!(line.contains(part), "{line}");
        }
    }
    let variables = [("SIPPO_AUTH__AUDIENCE", "other")];
    let line = read(Some("[xmpp]"), Some(SEVERAL), &variables).unwrap_err();
    assert!(line.contains("SIPPO_AUTH__AUDIENCE") && line.contains("[[auth]]"), "{line}");
}

#[test]
fn of_several_issuers_the_one_of_opaque_tokens_gets_its_secret_from_the_environment() {
    let arn = "arn:aws:secretsmanager:eu-west-1:1:secret:x";
    let opaque = "\n[[auth]]\nintrospectionUrl = \"https://three.test/\"\nintrospectionClientId = \"chat\"\ndomains = [\"three.test\"]\n";
    let several = format!("{SEVERAL}{opaque}");
    let variables = [("SIPPO_AUTH__INTROSPECTION_CLIENT_SECRET_ARN", arn)];
    for toml in [several.clone(), format!("{several}introspectionClientSecret = \"hush-hush\"\n")] {
        let service = service(&toml, &variables);
        let Scheme::Introspection { client_secret, .. } = &service.auth[2].scheme else { panic!("{service:?}") };
        assert!(matches!(client_secret, Secret::Kept(_)), "{client_secret:?}");
    }
    let line = read(Some("[xmpp]"), Some(SEVERAL), &variables).unwrap_err();
    assert!(line.contains("INTROSPECTION_CLIENT_SECRET_ARN") && line.contains("[[auth]]"), "{line}");
    let both =
        format!("{several}introspectionClientSecret = \"hush-hush\"\nintrospectionClientSecretArn = \"{arn}\"\n");
    let line = read(Some("[xmpp]"), Some(&both), &[]).unwrap_err();
    assert!(line.contains("[[auth]] no. 3 introspectionClientSecretArn") && line.contains("remove one"), "{line}");
    let bad = format!("{several}introspectionClientSecretArn = \"secret\"\n");
    let line = read(Some("[xmpp]"), Some(&bad), &[]).unwrap_err();
    assert!(line.contains("[[auth]] no. 3 introspectionClientSecretArn") && line.contains("ARN"), "{line}");
}

#[test]
fn the_headers_that_pages_may_send_are_names() {
    let tracing = service(TOML, &[]).cors.allowed_headers;
    assert!(
        ["authorization", "traceparent", "baggage", "sentry-trace"]
            .iter()
            .all(|name| tracing.iter().any(|it| it == name))
    );
    let own = service(TOML, &[("SIPPO_CORS__ALLOWED_HEADERS", "Authorization, X-Own")]);
    assert_eq!(own.cors.allowed_headers, ["authorization", "x-own"]);
    let line = read(Some("[xmpp]"), Some(TOML), &[("SIPPO_CORS__ALLOWED_HEADERS", "a b")]).unwrap_err();
    assert!(line.contains("[cors] allowedHeaders") && line.contains("\"a b\""), "{line}");
}
