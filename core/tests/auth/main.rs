//! Access tokens against issuers of every mood.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::future::join_all;
use serde_json::{Value, json};
use sippo_xmpp_core::{
    auth::{AccessTokens, Identity, TokenError},
    config::{Auth, Scheme},
    tls::Tls,
};
use sippo_xmpp_doubles::{
    HttpFake,
    issuer::{Signer, hs256, unsigned},
};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn auth(scheme: Scheme) -> Auth {
    Auth {
        scheme,
        username_claim: "preferred_username".into(),
        domain_claim: "domain".into(),
        capabilities_claim: "capabilities".into(),
        token_types: Vec::new(),
        domains: Vec::new(),
    }
}

async fn jwt_tokens(url: url::Url) -> AccessTokens {
    let scheme = Scheme::Jwt { issuer: "https://issuer.test".into(), audience: vec!["chat-api".into()], jwks_url: url };
    AccessTokens::new(&[auth(scheme)], &Tls::new(None)).await.unwrap()
}

fn claims() -> Value {
    json!({"iss": "https://issuer.test", "aud": "chat-api", "exp": now() + 300,
        "preferred_username": "alice", "domain": "example.test", "capabilities": ["chat", "audio"]})
}

fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn claims_without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn reason(outcome: Result<Identity, TokenError>) -> String {
    match outcome {
        Err(TokenError::Invalid(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_accepted_algorithm_verifies_and_names_the_caller() {
    for signer in [Signer::ed25519(), Signer::p256()] {
        let fake = HttpFake::start(&json!({"keys": [signer.jwk("k1")]})).await;
        let tokens = jwt_tokens(fake.url.clone()).await;
        let identity =
            tokens.verify(&signer.token(&json!({"alg": signer.alg(), "kid": "k1"}), &claims())).await.unwrap();
        assert_eq!(identity.username, Ok(Some("alice".to_owned())));
        assert_eq!(identity.may_chat, Ok(true));
        let without_kid = signer.token(&json!({"alg": signer.alg()}), &claims());
        assert!(tokens.verify(&without_kid).await.is_ok());
        let array = signer.token(&json!({"alg": signer.alg()}), &claims_with("aud", json!(["other", "chat-api"])));
        assert!(tokens.verify(&array).await.is_ok());
        assert_eq!(fake.count(), 1, "keys are kept");
    }
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let signer = Signer::p256();
    let fake = HttpFake::start(&json!({"keys": [signer.jwk("k1"), Signer::ed25519().jwk("k2")]})).await;
    let tokens = jwt_tokens(fake.url.clone()).await;
    let header = json!({"alg": "ES256", "kid": "k1"});
    let good = signer.token(&header, &claims());
    assert!(tokens.verify(&good).await.is_ok());

    let mut bad = vec![
        unsigned(&json!({"alg": "none", "kid": "k1"}), &claims()) + ".",
        unsigned(&json!({"alg": "ES256", "kid": "k1"}), &claims()) + ".",
        hs256(&json!({"alg": "HS256", "kid": "k1"}), &claims(), &signer.public()),
        hs256(&json!({"alg": "HS256", "kid": "k1"}), &claims(), signer.jwk("k1").to_string().as_bytes()),
        signer.token(&json!({"alg": "EdDSA", "kid": "k1"}), &claims()),
        signer.token(&json!({"alg": "EdDSA", "kid": "k2"}), &claims()),
        signer.token(&json!({"alg": "ES256", "kid": "k2"}), &claims()),
        signer.token(&json!({"alg": "RS256", "kid": "k1"}), &claims()),
        signer.token(&json!({"alg": "ES384", "kid": "k1"}), &claims()),
        signer.token(&json!({"alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false}), &claims()),
        signer.token(&json!({"kid": "k1"}), &claims()),
        Signer::p256().token(&header, &claims()),
        "a.b.c".into(),
        "a.b".into(),
        String::new(),
        good.clone() + "x",
        good.clone() + ".x",
    ];
    let parts: Vec<_> = good.split('.').collect();
    let other = signer.token(&header, &claims_with("preferred_username", json!("mallory")));
    bad.push(format!("{}.{}.{}", parts[0], other.split('.').nth(1).unwrap(), parts[2]));
    for token in bad {
        let outcome = tokens.verify(&token).await;
        assert!(matches!(outcome, Err(TokenError::Invalid(_))), "{token}: {outcome:?}");
    }
}

#[tokio::test]
async fn claims_are_checked() {
    let signer = Signer::ed25519();
    let fake = HttpFake::start(&json!({"keys": [signer.jwk("k1")]})).await;
    let tokens = jwt_tokens(fake.url.clone()).await;
    for (claims, why) in [
        (claims_with("exp", json!(now() - 61)), "expired"),
        (claims_with("nbf", json!(now() + 61)), "not valid yet"),
        (claims_with("iss", json!("https://other.test")), "iss"),
        (claims_with("aud", json!("other")), "aud"),
        (claims_with("aud", json!(["other"])), "aud"),
        (claims_without("exp"), "exp"),
        (claims_without("iss"), "iss"),
        (claims_without("aud"), "aud"),
        (claims_with("iss", json!(["https://issuer.test"])), "iss"),
        (claims_with("exp", json!("soon")), ""),
        (claims_with("exp", json!(null)), ""),
        (claims_with("aud", json!(null)), ""),
        (claims_with("aud", json!([])), ""),
        (json!([1]), ""),
    ] {
        let token = signer.token(&json!({"alg": "EdDSA", "kid": "k1"}), &claims);
        let reason = reason(tokens.verify(&token).await);
        assert!(reason.contains(why), "{claims}: {reason}");
    }
}

#[tokio::test]
async fn capabilities_are_an_array_of_strings_or_a_string_of_words() {
    let signer = Signer::ed25519();
    let fake = HttpFake::start(&json!({"keys": [signer.jwk("k1")]})).await;
    let tokens = jwt_tokens(fake.url.clone()).await;
    for (value, may_chat) in [
        (json!(["chat"]), Some(true)),
        (json!(["chatter", "CHAT"]), Some(false)),
        (json!([]), Some(false)),
        (json!("chat"), Some(true)),
        (json!("audio chat video"), Some(true)),
        (json!("chatter"), Some(false)),
        (json!({"chat": true}), None),
        (json!([["chat"], 1]), None),
        (json!(null), Some(false)),
    ] {
        let token = signer.token(&json!({"alg": "EdDSA"}), &claims_with("capabilities", value.clone()));
        assert_eq!(tokens.verify(&token).await.unwrap().may_chat.ok(), may_chat, "{value}");
    }
}

/// Issuers sign ID, refresh and logout tokens with the keys of their access tokens.
#[tokio::test]
async fn other_tokens_than_access_tokens_are_refused() {
    let signer = Signer::ed25519();
    let keys = HttpFake::start(&json!({"keys": [signer.jwk("k1")]})).await;
    let tokens = jwt_tokens(keys.url.clone()).await;
    let logout = signer.token(&json!({"alg": "EdDSA", "typ": "logout+jwt"}), &claims());
    assert!(reason(tokens.verify(&logout).await).contains("typ of the header"));
    for (claim, value) in
        [("typ", json!("ID")), ("token_use", json!("id")), ("token_type", json!("refresh_token")), ("cnf", json!({}))]
    {
        let token = signer.token(&json!({"alg": "EdDSA", "typ": "JWT"}), &claims_with(claim, value.clone()));
        assert!(reason(tokens.verify(&token).await).contains(claim), "{claim}");
        let mut answer = claims_with(claim, value);
        answer["active"] = json!(true);
        let endpoint = HttpFake::start(&answer).await;
        assert!(
            reason(opaque_tokens(endpoint.url.clone(), &[]).await.verify("opaque").await).contains(claim),
            "{claim}"
        );
    }
    let access = signer.token(&json!({"alg": "EdDSA", "typ": "at+jwt"}), &claims_with("typ", json!("Bearer")));
    assert!(tokens.verify(&access).await.is_ok());
}

/// Each issuer is asked about its own tokens only, and speaks for its own domains.
#[tokio::test]
async fn of_several_issuers_each_speaks_for_its_domains() {
    let (one, two) = (Signer::ed25519(), Signer::p256());
    let keys = [
        HttpFake::start(&json!({"keys": [one.jwk("k1")]})).await,
        HttpFake::start(&json!({"keys": [two.jwk("k1")]})).await,
    ];
    let mut answer = claims_with("domain", json!("opaque.test"));
    answer["active"] = json!(true);
    let endpoint = HttpFake::start(&answer).await;
    let issuer = |number: usize, domain: &str| Auth {
        domains: vec![domain.into()],
        ..auth(Scheme::Jwt {
            issuer: format!("https://issuer-{number}.test"),
            audience: vec!["chat-api".into()],
            jwks_url: keys[number].url.clone(),
        })
    };
    let opaque = Scheme::Introspection {
        url: endpoint.url.clone(),
        client_id: "chat".into(),
        client_secret: "secret".into(),
        audience: Vec::new(),
    };
    let opaque = Auth { domains: vec!["opaque.test".into()], ..auth(opaque) };
    let tokens =
        AccessTokens::new(&[issuer(0, "zero.test"), issuer(1, "one.test"), opaque], &Tls::new(None)).await.unwrap();
    let token = |signer: &Signer, number: usize, domain: &str| {
        let mut claims = claims_with("domain", json!(domain));
        claims["iss"] = json!(format!("https://issuer-{number}.test"));
        signer.token(&json!({"alg": signer.alg(), "kid": "k1"}), &claims)
    };
    for (signer, number, domain, is_its_own) in
        [(&one, 0, "zero.test", true), (&two, 1, "one.test", true), (&one, 0, "one.test", false)]
    {
        let identity = tokens.verify(&token(signer, number, domain)).await.unwrap();
        assert_eq!(identity.is_from_its_issuer, is_its_own, "{number} {domain}");
    }
    assert_eq!(endpoint.count(), 0);
    reason(tokens.verify(&token(&two, 0, "zero.test")).await);
    assert!(tokens.verify("opaque").await.unwrap().is_from_its_issuer);
    assert!(tokens.verify(&token(&one, 7, "opaque.test")).await.is_ok(), "a JWT may be opaque to us");
    assert_eq!(endpoint.count(), 2);
}

#[tokio::test]
async fn unknown_key_ids_cannot_hammer_the_issuer() {
    let signer = Signer::ed25519();
    let fake = HttpFake::start(&json!({"keys": [signer.jwk("k1")]})).await;
    let tokens = jwt_tokens(fake.url.clone()).await;
    let storm = (0..200).map(|number| {
        let token = signer.token(&json!({"alg": "EdDSA", "kid": format!("unknown-{number}")}), &claims());
        let tokens = &tokens;
        async move { tokens.verify(&token).await }
    });
    for outcome in join_all(storm).await {
        assert!(matches!(outcome, Err(TokenError::Invalid(_))));
    }
    assert_eq!(fake.count(), 1);
    assert!(tokens.verify(&signer.token(&json!({"alg": "EdDSA", "kid": "k1"}), &claims())).await.is_ok());
    assert_eq!(fake.count(), 1);
}

#[tokio::test]
async fn an_issuer_that_is_down_is_not_the_callers_fault() {
    let signer = Signer::ed25519();
    let fake = HttpFake::start(&json!({})).await;
    fake.answer_with(500, &json!({}));
    let tokens = jwt_tokens(fake.url.clone()).await;
    let token = signer.token(&json!({"alg": "EdDSA"}), &claims());
    for _ in 0..20 {
        assert!(matches!(tokens.verify(&token).await, Err(TokenError::Unavailable(_))));
    }
    assert_eq!(fake.count(), 1, "nor is it asked again at once");
    for rubbish in [json!([]), json!({"keys": []}), json!({"keys": [{"kty": "oct", "k": "AAAA"}]})] {
        let fake = HttpFake::start(&rubbish).await;
        assert!(matches!(jwt_tokens(fake.url.clone()).await.verify(&token).await, Err(TokenError::Unavailable(_))));
    }
}

#[tokio::test]
async fn strange_keys_beside_good_ones_do_no_harm() {
    let signer = Signer::p256();
    let strange = json!([{"kty": "XYZ"}, {"kty": "EC", "crv": "P-999", "x": "", "y": ""}, 7, null,
        {"kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB", "kid": "k1"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k1", "alg": "HS256"}, signer.jwk("k1")]);
    let fake = HttpFake::start(&json!({"keys": strange})).await;
    let tokens = jwt_tokens(fake.url.clone()).await;
    assert!(tokens.verify(&signer.token(&json!({"alg": "ES256", "kid": "k1"}), &claims())).await.is_ok());
    let confused = hs256(&json!({"alg": "HS256", "kid": "k1"}), &claims(), b"secret");
    assert!(matches!(tokens.verify(&confused).await, Err(TokenError::Invalid(_))));
}

async fn opaque_tokens(url: url::Url, audience: &[&str]) -> AccessTokens {
    let scheme = Scheme::Introspection {
        url,
        client_id: "chat".into(),
        client_secret: "s3cr3t/+".into(),
        audience: audience.iter().map(ToString::to_string).collect(),
    };
    AccessTokens::new(&[auth(scheme)], &Tls::new(None)).await.unwrap()
}

#[tokio::test]
async fn opaque_tokens_are_asked_about_and_remembered() {
    let mut answer = claims();
    answer["active"] = json!(true);
    let fake = HttpFake::start(&answer).await;
    let tokens = opaque_tokens(fake.url.clone(), &["chat-api"]).await;
    for _ in 0..3 {
        assert_eq!(tokens.verify("opaque-1").await.unwrap().username, Ok(Some("alice".to_owned())));
    }
    assert_eq!(fake.count(), 1);
    assert!(tokens.verify("opaque-2").await.is_ok());
    assert_eq!(fake.count(), 2);
    let seen = fake.seen.lock().unwrap()[0].to_ascii_lowercase();
    assert!(seen.contains("authorization: basic y2hhddpzm2nym3qlmkylmki="), "{seen}");
    assert!(seen.contains("token=opaque-1"), "{seen}");
}

#[tokio::test]
async fn a_kept_connection_that_died_costs_one_repetition() {
    let mut answer = claims();
    answer["active"] = json!(true);
    let fake = HttpFake::start_forgetful(&answer).await;
    let tokens = opaque_tokens(fake.url.clone(), &[]).await;
    for token in ["opaque-1", "opaque-2", "opaque-3"] {
        tokens.verify(token).await.unwrap();
    }
    assert_eq!(fake.count(), 3);
    assert!(fake.seen.lock().unwrap().len() > 3, "no connection was used again: nothing was tested");
}

#[tokio::test]
async fn a_client_secret_that_is_given_is_not_asked_about_twice() {
    let fake = HttpFake::start(&json!({"error": "invalid_client"})).await;
    fake.answer_with(401, &json!({"error": "invalid_client"}));
    let tokens = opaque_tokens(fake.url.clone(), &[]).await;
    let refused = tokens.verify("opaque").await;
    assert!(matches!(&refused, Err(TokenError::Unavailable(cause)) if cause.contains("401")), "{refused:?}");
    assert_eq!(fake.count(), 1);
}

/// RFC 6749, section 2.3.1 and appendix B.
#[tokio::test]
async fn credentials_are_form_encoded() {
    let mut answer = claims();
    answer["active"] = json!(true);
    let fake = HttpFake::start(&answer).await;
    let scheme = Scheme::Introspection {
        url: fake.url.clone(),
        client_id: "chat-api.v1_*".into(),
        client_secret: "a b~%:é".into(),
        audience: Vec::new(),
    };
    AccessTokens::new(&[auth(scheme)], &Tls::new(None)).await.unwrap().verify("opaque").await.unwrap();
    let expected = BASE64_STANDARD.encode("chat-api.v1_*:a+b%7E%25%3A%C3%A9");
    let seen = fake.seen.lock().unwrap()[0].clone();
    assert!(seen.contains(&format!("Basic {expected}\r\n")), "{seen}");
}

#[tokio::test]
async fn an_answer_never_outlives_its_token() {
    let mut answer = claims_with("exp", json!(now() + 1));
    answer["active"] = json!(true);
    let fake = HttpFake::start(&answer).await;
    let tokens = opaque_tokens(fake.url.clone(), &[]).await;
    assert!(tokens.verify("short").await.is_ok());
    while now() < answer["exp"].as_u64().unwrap() {
        tokio::task::yield_now().await;
    }
    assert!(reason(tokens.verify("short").await).contains("expired"));
    assert_eq!(fake.count(), 2);
}

#[tokio::test]
async fn inactive_misdirected_and_expired_opaque_tokens_are_refused() {
    let active = |mut claims: Value| {
        claims["active"] = json!(true);
        claims
    };
    for answer in [
        json!({"active": false}),
        json!({}),
        json!({"active": "true"}),
        claims(),
        active(claims_with("exp", json!(now() - 1))),
        active(claims_with("exp", json!("soon"))),
        active(claims_with("nbf", json!(now() + 120))),
        active(claims_with("aud", json!("other"))),
        active(claims_without("aud")),
    ] {
        let fake = HttpFake::start(&answer).await;
        let tokens = opaque_tokens(fake.url.clone(), &["chat-api"]).await;
        for _ in 0..2 {
            let outcome = tokens.verify("opaque").await;
            assert!(matches!(outcome, Err(TokenError::Invalid(_))), "{answer}: {outcome:?}");
        }
        assert_eq!(fake.count(), 1, "refusals are remembered for seconds");
    }
}

/// Numbers that some libraries refuse (RFC 7519, section 2: any number), and what is none: the same of a JWT and in an answer.
#[tokio::test]
async fn times_count_alike_in_a_jwt_and_in_an_introspection_answer() {
    let signer = Signer::ed25519();
    let keys = HttpFake::start(&json!({"keys": [signer.jwk("k1")]})).await;
    let jwts = jwt_tokens(keys.url.clone()).await;
    let far = now() + 300;
    let (ok, expired, early) = (Ok(()), Err("the token has expired"), Err("the token is not valid yet"));
    let (no_exp, no_nbf) = (Err("exp is a string and not a time"), Err("nbf is a string and not a time"));
    for (name, value, outcome) in [
        ("exp", json!(1e300), ok),
        ("exp", json!(18_446_744_073_709_551_616_f64), ok),
        ("exp", json!(u64::MAX), ok),
        ("exp", json!(4_000_000_000.5), ok),
        ("exp", json!(0), expired),
        ("exp", json!(0.5), expired),
        ("exp", json!(-5), expired),
        ("exp", json!(-1e300), expired),
        ("exp", json!("4000000000"), no_exp),
        ("exp", json!("soon"), no_exp),
        ("exp", json!(true), Err("exp is a boolean and not a time")),
        ("nbf", json!(null), ok),
        ("nbf", json!(-5), ok),
        ("nbf", json!(-1e300), ok),
        ("nbf", json!(0.5), ok),
        ("nbf", json!(now() + 10), ok),
        ("nbf", json!(far), early),
        ("nbf", json!(1e300), early),
        ("nbf", json!(u64::MAX), early),
        ("nbf", json!("0"), no_nbf),
        // Reading a JWT ends at these already.
        ("exp", json!([far]), Err("")),
        ("nbf", json!({}), Err("")),
    ] {
        let claims = claims_with(name, value);
        let mut answer = claims.clone();
        answer["active"] = json!(true);
        let endpoint = HttpFake::start(&answer).await;
        let opaque = opaque_tokens(endpoint.url.clone(), &[]).await.verify("opaque").await;
        let jwt = jwts.verify(&signer.token(&json!({"alg": "EdDSA"}), &claims)).await;
        for (found, kind) in [(jwt, "JWT"), (opaque, "introspection")] {
            let is_right = match (&found, outcome) {
                (Ok(_), Ok(())) => true,
                (Err(TokenError::Invalid(found)), Err(wanted)) => wanted.is_empty() || found == wanted,
                _ => false,
            };
            assert!(is_right, "{kind}, {claims}: {found:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let mut answer = claims();
    (answer["active"], answer["keys"], answer["more"]) = (json!(true), json!([]), json!("x".repeat(1 << 20)));
    let fake = HttpFake::start(&answer).await;
    for tokens in [opaque_tokens(fake.url.clone(), &[]).await, jwt_tokens(fake.url.clone()).await] {
        let token = Signer::ed25519().token(&json!({"alg": "EdDSA"}), &claims());
        let outcome = tokens.verify(&token).await;
        assert!(matches!(&outcome, Err(TokenError::Unavailable(why)) if why.contains("larger")), "{outcome:?}");
    }
}

#[tokio::test]
async fn an_introspection_endpoint_that_fails_is_unavailable() {
    let fake = HttpFake::start(&json!({})).await;
    for status in [401, 404, 500] {
        fake.answer_with(status, &json!({"active": true}));
        let outcome = opaque_tokens(fake.url.clone(), &[]).await.verify("opaque").await;
        assert!(matches!(outcome, Err(TokenError::Unavailable(_))), "{status}: {outcome:?}");
    }
}
