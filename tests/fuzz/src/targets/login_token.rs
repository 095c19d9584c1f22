//! Login tokens: what Rust issues, the XMPP server takes for that user, that domain and that time, and nothing else.

use std::time::{Duration, SystemTime};

use futures::executor::block_on;
use sippo_xmpp_core::{address::UserJid, auth::LoginTokens};

use crate::{
    Input,
    lua::ask,
    samples::{domain, name},
};

const TTL: u64 = 300;
const ADMIN_TOKENS: [&str; 3] = [
    "0123456789abcdef0123456789abcdef",
    "fedcba9876543210fedcba9876543210",
    " !\"#$%&'()*+,-./0123456789:;<=>?@[\\]^_`{|}~",
];

pub(super) fn run(input: &mut Input<'_>) {
    let (mut username, mut tenant) = (name(input), domain(input));
    if input.one_in(8) {
        // Near to what a password may have, on either side.
        username = "\\40".repeat(input.below(51));
        tenant = format!("{}test", "a.".repeat(input.below(125)));
    }
    let Ok(user) = UserJid::of_username(&username, &tenant) else { return };
    let admin_token = ADMIN_TOKENS[input.below(3)];
    let tokens = LoginTokens::new(admin_token.into(), Duration::from_secs(TTL));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let Ok(issued) = block_on(tokens.mint(&user)) else { return };
    let token = exposed(&issued);
    let verdict = |token: &str, admin_token: &str, user: &str, host: &str, at: u64| {
        ask("verify", &[token, admin_token, user, host, &at.to_string()]).expect("true or a reason")
    };
    let (localpart, host) = (user.localpart(), user.domain().as_str());
    assert_eq!(verdict(&token, admin_token, localpart, host, now), "good", "{user}");
    assert_eq!(verdict(&token, admin_token, localpart, host, now + TTL - 1), "good", "{user}");
    // The token may have been made a second later than `now` was taken; nothing else makes it last longer.
    assert_ne!(verdict(&token, admin_token, localpart, host, now + TTL + 5), "good", "{user}");
    let other = name(input);
    if other != localpart {
        assert_ne!(verdict(&token, admin_token, &other, host, now), "good", "{user} is {other}");
    }
    let elsewhere = domain(input);
    if elsewhere != host {
        assert_ne!(verdict(&token, admin_token, localpart, &elsewhere, now), "good", "{user} is at {elsewhere}");
    }
    let other_token = ADMIN_TOKENS[input.below(3)];
    assert_eq!(verdict(&token, other_token, localpart, host, now) == "good", other_token == admin_token);
    if let Ok(damaged) = String::from_utf8(input.damaged(token.as_bytes())) {
        assert_eq!(verdict(&damaged, admin_token, localpart, host, now) == "good", damaged == token, "{damaged}");
    }
}

fn exposed(issued: &sippo_xmpp_core::auth::LoginToken) -> String {
    secrecy::ExposeSecret::expose_secret(&issued.token).to_owned()
}
