//! Access tokens: accepted is what the issuer signed, for us, now, as an access token, and nothing else.

use std::{fs, sync::LazyLock, time::SystemTime};

use futures::executor::block_on;
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};
use sippo_xmpp_core::{
    auth::AccessTokens,
    config::{Auth, Scheme},
    tls::Tls,
};
use sippo_xmpp_doubles::issuer::{Signer, hs256};
use tempfile::NamedTempFile;
use url::Url;

use crate::Input;

const ISSUER: &str = "https://issuer.test";
const AUDIENCE: &str = "chat-api";
/// Clocks may differ by so many seconds, and this process may be slow by some more.
const LEEWAY: u64 = 30;
const LEEWAY_OR_SO: usize = 50;

struct World {
    tokens: AccessTokens,
    ours: Signer,
    /// A key that the issuer has not published.
    others: Signer,
    _published: NamedTempFile,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let signer = |seed| Signer::Ed(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("32 bytes"));
    let (ours, others) = (signer(1), signer(2));
    let published = NamedTempFile::new().expect("a temporary file");
    fs::write(published.path(), json!({"keys": [ours.jwk("k1")]}).to_string()).expect("it is ours");
    World { tokens: block_on(verifier(published.path())), ours, others, _published: published }
});

/// Verifies tokens of the issuer whose keys are in the file `jwks`.
pub(super) async fn verifier(jwks: &std::path::Path) -> AccessTokens {
    let jwks_url = Url::from_file_path(jwks).expect("an absolute path");
    let auth = Auth {
        scheme: Scheme::Jwt { issuer: ISSUER.to_owned(), audience: vec![AUDIENCE.to_owned()], jwks_url },
        username_claim: "preferred_username".to_owned(),
        domain_claim: "domain".to_owned(),
        capabilities_claim: "realm_access.roles".to_owned(),
        token_types: Vec::new(),
        domains: Vec::new(),
    };
    AccessTokens::new(&[auth], &Tls::new(None)).await.expect("there is no secret to resolve")
}

pub(super) fn run(input: &mut Input<'_>) {
    let world = &*WORLD;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let header = header(input);
    let claims = claims(input, now);
    let token = match input.below(10) {
        0 => hs256(&header, &claims, &world.ours.public()),
        1 => world.others.token(&header, &claims),
        2 => input.text(&["eyJhbGciOiJFZERTQSJ9", ".", "e30", "bm9uZQ", "=", "AAAA"], 6),
        _ => world.ours.token(&header, &claims),
    };
    let signed = world.ours.token(&header, &claims);
    let shown =
        if input.one_in(6) { String::from_utf8(input.damaged(token.as_bytes())).unwrap_or(token) } else { token };
    let _ = world.tokens.unverified_user(&shown);
    match block_on(world.tokens.verify(&shown)) {
        Ok(identity) => {
            assert_eq!(shown, signed, "accepted is what the issuer did not sign");
            assert!(is_good(&header, &claims, now), "accepted: {header} {claims}");
            let words = |value: &Value| match value {
                Value::String(words) => words.split_ascii_whitespace().any(|word| word == "chat"),
                Value::Array(all) => all.contains(&json!("chat")),
                _ => false,
            };
            let may_chat = words(&claims["realm_access"]["roles"]) || words(&claims["realm_access.roles"]);
            assert!(may_chat || identity.may_chat != Ok(true), "may chat by {claims}");
            let username = identity.username.ok().flatten();
            assert_eq!(username.as_deref(), claims["preferred_username"].as_str());
        }
        Err(error) => {
            assert!(shown != signed || !is_plain(&header, &claims, now), "{error}: {header} {claims}");
            assert!(!error.to_string().contains(&shown) || shown.len() < 20, "the error shows the token");
        }
    }
}

fn header(input: &mut Input<'_>) -> Value {
    let mut header = json!({"alg": "EdDSA", "kid": "k1"});
    if input.one_in(3) {
        let alg = ["none", "HS256", "ES256", "RS256", "eddsa", "EdDSA"];
        let (name, value) = match input.below(5) {
            0 => ("alg", json!(input.pick(&alg))),
            1 => ("kid", json!(input.pick(&["k2", "", "k1"]))),
            2 => ("typ", json!(input.pick(&["JWT", "at+jwt", "logout+jwt", "dpop+jwt", "ID", ""]))),
            3 => ("crit", json!(["exp"])),
            _ => ("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"})),
        };
        header[name] = value;
    }
    header
}

fn claims(input: &mut Input<'_>, now: u64) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "exp": now + 300, "preferred_username": "alice", "domain": "example.test",
        "realm_access": {"roles": ["chat"]},
    });
    for _ in 0..input.below(3) {
        let name = input.pick(&[
            "exp",
            "nbf",
            "iat",
            "iss",
            "aud",
            "typ",
            "token_use",
            "token_type",
            "cnf",
            "events",
            "at_hash",
            "preferred_username",
            "domain",
            "realm_access",
            "realm_access.roles",
            "sub",
        ]);
        // Mostly what nearly fits.
        let kind = match name {
            "exp" | "nbf" | "iat" if input.one_in(2) => 11 + input.below(2),
            "realm_access" | "realm_access.roles" if input.one_in(2) => 5 + input.below(5),
            _ => input.below(14),
        };
        claims[name] = match kind {
            0 => json!(now + 3_600),
            1 => json!(now.saturating_sub(3_600)),
            2 => json!(input.number()),
            3 => json!(-1),
            4 => json!(1e300),
            5 => json!(input.pick(&["Bearer", "access", "ID", "Refresh", "", ISSUER, AUDIENCE, "chat audio"])),
            6 => json!([AUDIENCE, ISSUER]),
            7 => json!([input.pick(&["chat", "audio"]), 5]),
            8 => json!({"roles": input.pick(&["chat", "audio", "achat chats"])}),
            9 => json!({"roles": {"chat": true}}),
            10 => json!(true),
            // Somewhat before or behind what is forgiven.
            11 => json!(now.saturating_sub(input.below(2 * LEEWAY_OR_SO) as u64)),
            12 => json!(now + input.below(5 * LEEWAY_OR_SO) as u64),
            _ => Value::Null,
        };
    }
    claims
}

/// What has to hold of whatever is accepted (RFC 7515, RFC 7519, RFC 9068).
fn is_good(header: &Value, claims: &Value, now: u64) -> bool {
    let is_ours = |value: &Value| value == AUDIENCE;
    let has_audience = is_ours(&claims["aud"]) || claims["aud"].as_array().is_some_and(|all| all.iter().any(is_ours));
    let number = |name: &str| claims[name].as_f64();
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
    let is_now = number("exp").is_some_and(|exp| exp > now.saturating_sub(LEEWAY + 1) as f64)
        && (claims["nbf"].is_null() || number("nbf").is_some_and(|nbf| nbf < (now + LEEWAY + 60) as f64));
    let marks = ["typ", "token_use", "token_type"].map(|name| &claims[name]);
    let is_access = |mark: &Value| {
        let known = ["bearer", "access", "jwt", "at+jwt"];
        mark.as_str().is_some_and(|mark| known.contains(&mark.to_ascii_lowercase().as_str()))
    };
    let is_foreign = ["cnf", "events", "at_hash"].iter().any(|name| !claims[*name].is_null());
    header["alg"] == "EdDSA"
        && header["kid"] == "k1"
        && header["crit"].is_null()
        && (header["typ"].is_null() || is_access(&header["typ"]))
        && claims["iss"] == ISSUER
        && has_audience
        && is_now
        && marks.into_iter().all(|mark| mark.is_null() || is_access(mark))
        && !is_foreign
}

/// What has to be accepted: nothing but the user, the domain and the capabilities differs from an ordinary token.
fn is_plain(header: &Value, claims: &Value, now: u64) -> bool {
    let ordinary = ["iss", "aud", "exp", "preferred_username", "domain", "realm_access", "realm_access.roles", "sub"];
    let has_more = claims.as_object().is_some_and(|all| all.keys().any(|name| !ordinary.contains(&name.as_str())));
    *header == json!({"alg": "EdDSA", "kid": "k1"})
        && claims["iss"] == ISSUER
        && claims["aud"] == AUDIENCE
        && claims["exp"].as_u64().is_some_and(|exp| (now + 60..now + 7_200).contains(&exp))
        // RFC 7519, section 4.1.2: a string.
        && (claims["sub"].is_null() || claims["sub"].is_string())
        && !has_more
}
