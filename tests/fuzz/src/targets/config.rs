//! Configuration: read or refused, in one line that names file and key and shows no secret.

use std::{collections::BTreeMap, fs, sync::LazyLock};

use sippo_xmpp_core::config::Config;

use crate::Input;

const SAMPLE: &str = include_str!("../../../../config/xmpp.toml");
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const BASE: &[(&str, &str, &str)] = &[
    ("xmpp", "xmppUrl", "\"ws://127.0.0.1:5280/xmpp-websocket\""),
    ("xmpp", "hostsAdminUrl", "\"http://127.0.0.1:5280/virtualhost\""),
    ("xmpp", "adminToken", "\"0123456789abcdef0123456789abcdef\""),
    ("auth", "issuer", "\"https://issuer.test\""),
    ("auth", "audience", "\"chat-api\""),
    ("auth", "jwksUrl", "\"https://issuer.test/keys\""),
];
const VALUES: &[&str] = &[
    "\"\"",
    "\"x\"",
    "7",
    "-1",
    "0",
    "9223372036854775807",
    "true",
    "1.5",
    "[]",
    "[\"a\", \"b\"]",
    "[1]",
    "{}",
    "1979-05-27",
    "\"http://a b\"",
    "\"https://user:password@a.test\"",
    "\"127.0.0.1:1\"",
    "\"*\"",
    "\"https://a.test/\"",
    "\"\\n\"",
    "\"jid\"",
    "\"file:///x\"",
    "\"arn:aws:secretsmanager:eu-west-1:1:secret:a\"",
    "'a@b.test'",
    "[\"https://a.test\"]",
];

/// Sections and keys, as the sample names them, commented out or not.
static KEYS: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let (mut section, mut keys) = ("", Vec::new());
    for line in SAMPLE.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ")
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            keys.push((section, key));
        }
    }
    keys
});

pub(super) fn run(input: &mut Input<'_>) {
    let mut set: BTreeMap<(&str, &str), String> =
        BASE.iter().map(|(section, key, value)| ((*section, *key), (*value).to_owned())).collect();
    let mut variables = BTreeMap::new();
    let mut touched = Vec::new();
    for _ in 0..=input.below(3) {
        let (section, key) = KEYS[input.below(KEYS.len())];
        let is_secret = ["adminToken", "adminTokenPrevious", "introspectionClientSecret"].contains(&key)
            || (section, key) == ("broker", "url");
        let value = match input.below(4) {
            0 => quoted(&input.text(&["://", "a.test", "@"], 4)),
            1 if is_secret => {
                format!("\"{}{SECRET}{}\"", input.pick(&["", "amqp://u:", " "]), input.pick(&["", "@a.test", "\\t"]))
            }
            _ => input.pick(VALUES).to_owned(),
        };
        touched.push((section, key));
        if input.one_in(4) {
            variables.insert(variable(section, key), value.trim_matches('"').to_owned());
        } else {
            set.insert((section, key), value);
        }
    }
    // A key that nobody knows may be any text.
    let odd_key = input.one_in(8).then(|| quoted(&input.text(&["adminToken", "\n", "."], 4)));
    if let Some(key) = &odd_key {
        set.insert((KEYS[input.below(KEYS.len())].0, key), "1".to_owned());
    }
    let mut text = toml(&set);
    let is_whole = !input.one_in(6);
    if !is_whole {
        text = String::from_utf8_lossy(&input.damaged(text.as_bytes())).into_owned();
    }
    let ini = if input.one_in(8) {
        input.text(&["[xmpp]", "[log]", "level=", "debug", "\n", "[", "]", ";"], 8)
    } else {
        "[xmpp]".to_owned()
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("wac.ini"), &ini).expect("it is ours");
    fs::write(folder.path().join("xmpp.toml"), &text).expect("it is ours");
    match Config::read(folder.path(), &variables) {
        Ok(config) => assert!(!format!("{config:?}").contains(SECRET), "Debug shows a secret: {text}"),
        Err(error) => {
            let line = error.to_string();
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert!(!line.contains(SECRET), "{line} shows a secret");
            assert!(line.contains("xmpp.toml: ") || line.contains("wac.ini: "), "{line} names no file");
            if is_whole && odd_key.is_none() && ini == "[xmpp]" {
                let names = |(section, key): &(&str, &str)| line.contains(&format!("[{section}] {key}"));
                let needed = ["introspection", "adminToken", "issuer", "audience", "jwksUrl"];
                assert!(
                    touched.iter().any(names) || needed.iter().any(|part| line.contains(part)),
                    "{line} names none of {touched:?}"
                );
            }
        }
    }
}

/// JSON's strings are TOML's, but for one character.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "")
}

fn toml(set: &BTreeMap<(&str, &str), String>) -> String {
    let (mut text, mut last) = (String::new(), "");
    for ((section, key), value) in set {
        if *section != last {
            text = format!("{text}[{section}]\n");
            last = section;
        }
        text = format!("{text}{key} = {value}\n");
    }
    text
}

/// `SIPPO_XMPP__ADMIN_TOKEN` for `[xmpp] adminToken`.
fn variable(section: &str, key: &str) -> String {
    let mut name = format!("SIPPO_{}__", section.to_uppercase());
    for character in key.chars() {
        if character.is_uppercase() {
            name.push('_');
        }
        name.extend(character.to_uppercase());
    }
    name
}
