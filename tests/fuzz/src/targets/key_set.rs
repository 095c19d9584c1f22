//! The issuer's keys: whatever is published, no token is accepted that no published key of its algorithm signed.

use std::fs;

use futures::executor::block_on;
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};
use sippo_xmpp_doubles::issuer::Signer;
use tempfile::NamedTempFile;

use super::access_token::verifier;
use crate::Input;

pub(super) fn run(input: &mut Input<'_>) {
    let signer = Signer::Ed(Ed25519KeyPair::from_seed_unchecked(&[1; 32]).expect("32 bytes"));
    let real = signer.jwk("k1");
    let keys: Vec<Value> = (0..input.below(4)).map(|_| key(input, &real)).collect();
    let text = json!({ "keys": keys }).to_string();
    let text = if input.one_in(4) { input.damaged(text.as_bytes()) } else { text.into_bytes() };
    let published = NamedTempFile::new().expect("a temporary file");
    fs::write(published.path(), &text).expect("it is ours");
    let kid = input.pick(&[&Some("k1"), &None, &Some("k2")]);
    let header = json!({"alg": input.pick(&["EdDSA", "ES256", "RS256"]), "kid": kid});
    let claims = json!({"iss": "https://issuer.test", "aud": "chat-api", "exp": 4_000_000_000_u64});
    let outcome = block_on(async { verifier(published.path()).await.verify(&signer.token(&header, &claims)).await });
    let served: Value = serde_json::from_slice(&text).unwrap_or_default();
    let is_it = |key: &Value| {
        let fits = |name: &str, value: &str| key[name].is_null() || key[name] == value;
        let is_named = kid.is_none_or(|kid| key["kid"] == kid);
        key["kty"] == "OKP"
            && key["crv"] == "Ed25519"
            && key["x"] == real["x"]
            && is_named
            && fits("alg", "EdDSA")
            && fits("use", "sig")
    };
    let keys = served["keys"].as_array().filter(|_| header["alg"] == "EdDSA").map_or(&[][..], Vec::as_slice);
    let (may_be, has_to_be) = (keys.iter().any(is_it), keys.contains(&real) && kid != &Some("k2"));
    assert!(
        outcome.is_ok() <= may_be && outcome.is_ok() >= has_to_be,
        "{outcome:?}: {header} by {}",
        text.escape_ascii()
    );
}

/// A JWK (RFC 7517), in one of three cases the real one.
fn key(input: &mut Input<'_>, real: &Value) -> Value {
    let mut key = real.clone();
    if input.one_in(3) {
        return key;
    }
    for _ in 0..=input.below(3) {
        let name = input.pick(&["kty", "crv", "kid", "use", "alg", "x", "y", "n", "e", "key_ops"]);
        key[name] = match input.below(6) {
            0 => json!(input.pick(&["OKP", "EC", "RSA", "oct"])),
            1 => json!(input.pick(&["Ed25519", "P-256", "X25519", "P-521", "Ed448"])),
            2 => json!(input.pick(&["sig", "enc", "k1", "k2", "EdDSA", "ES256", "HS256"])),
            3 => json!(input.pick(&["", "AQAB", "AAAA", "!", "AA=="])),
            4 => Value::Null,
            _ => json!(["verify"]),
        };
    }
    if input.one_in(6) { json!(input.pick(&["", "key"])) } else { key }
}
