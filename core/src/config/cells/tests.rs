use super::super::tests::{TOKEN, read, service};

const REST: &str = r#"
[auth]
issuer = "https://issuer.test"
audience = "chat-api"
jwksUrl = "https://issuer.test/keys"
"#;

fn cell(name: &str, more: &str) -> String {
    format!(
        "[[cells]]\nname = \"{name}\"\nxmppUrl = \"wss://{name}.test/ws\"\nhostsAdminUrl = \"https://{name}.test/hosts/\"\n\
         adminToken = \"{TOKEN}\"\n{more}\n"
    )
}

fn error(toml: &str, variables: &[(&str, &str)]) -> String {
    read(Some("[xmpp]"), Some(&format!("{toml}{REST}")), variables).unwrap_err()
}

#[test]
fn each_of_several_is_read_with_its_defaults() {
    let toml = [
        "[xmpp]\nloginTokenTtl = 60\n".to_owned(),
        cell("one", ""),
        cell("two", "weight = 3\nopen = false\npublicXmppUrl = \"wss://chat.test/two\""),
        REST.to_owned(),
    ];
    let service = service(&toml.concat(), &[]);
    assert!(service.xmpp.has_places);
    assert_eq!(service.xmpp.login_token_ttl.as_secs(), 60);
    let told: Vec<_> = service.xmpp.cells.iter().map(|cell| (&*cell.name, cell.weight, cell.is_open)).collect();
    assert_eq!(told, [("one", 1, true), ("two", 3, false)]);
    assert_eq!(service.xmpp.cells[0].public_url, service.xmpp.cells[0].url);
    assert_eq!(service.xmpp.cells[1].public_url.as_str(), "wss://chat.test/two");
    assert_eq!(service.xmpp.cells[1].hosts_admin_url.as_str(), "https://two.test/hosts");
    assert!(!format!("{service:?}").contains(TOKEN));
}

#[test]
fn one_cell_in_double_brackets_is_one_that_others_may_follow() {
    let service = service(&format!("{}{REST}", cell("one", "")), &[]);
    assert_eq!((service.xmpp.cells.len(), service.xmpp.has_places), (1, true));
}

#[test]
fn what_is_wrong_is_told_in_one_line_that_names_the_cell() {
    let two = format!("{}{}", cell("one", ""), cell("two", ""));
    for (toml, parts) in [
        (two.replace("name = \"two\"\n", ""), ["[[cells]] no. 2 name", "is missing"]),
        (two.replace("name = \"two\"", "name = \"one\""), ["[[cells]] no. 2 name", "is another cell's too"]),
        (two.replace("name = \"two\"", "name = \"Two 2\""), ["[[cells]] no. 2 name", "lower-case"]),
        (two.replace("wss://two.test/ws", "wss://one.test/ws"), ["[[cells]] no. 2 xmppUrl", "is another cell's too"]),
        (two.replace("https://two.test/hosts/", "https://one.test/hosts"), ["hostsAdminUrl", "is another cell's too"]),
        (cell("one", "").replace("adminToken", "#"), ["[[cells]] no. 1 adminToken", "is missing"]),
        (cell("one", "").replace(TOKEN, "short"), ["[[cells]] no. 1 adminToken", "32 characters"]),
        (cell("one", "weight = 0"), ["[[cells]] no. 1 weight", "from 1 to 1000"]),
        (cell("one", "weight = \"2\""), ["[[cells]] no. 1 weight", "a whole number, without quotes"]),
        (cell("one", "open = 1"), ["[[cells]] no. 1 open", "true or false"]),
        (cell("one", "closed = true"), ["[[cells]] no. 1 closed", "is not a known key"]),
        (cell("one", "").replace("[[cells]]", "[cells]"), ["[cells]", "write [[cells]]"]),
        (format!("[xmpp]\nxmppUrl = \"wss://a.test\"\n{two}"), ["[xmpp] xmppUrl", "is set beside [[cells]]"]),
    ] {
        let line = error(&toml, &[]);
        assert!(parts.iter().all(|part| line.contains(part)) && !line.contains(TOKEN), "{toml}: {line}");
    }
}

#[test]
fn no_variable_overrides_a_key_of_one_of_several() {
    let line = error(&cell("one", ""), &[("SIPPO_CELLS__WEIGHT", "2")]);
    assert!(line.contains("SIPPO_CELLS__WEIGHT") && line.contains("cannot tell which [[cells]]"), "{line}");
    let line = error(&cell("one", ""), &[("SIPPO_XMPP__ADMIN_TOKEN", TOKEN)]);
    assert!(line.contains("SIPPO_XMPP__ADMIN_TOKEN") && line.contains("is set beside [[cells]]"), "{line}");
}
