//! An issuer that changes its keys, and one that is down meanwhile.

use std::time::Duration;

use serde_json::{Value, json};
use sippo_xmpp_doubles::issuer::{Signer, hs256};

use super::*;

/// The keys are a file: what is no key set in it is an issuer that is down.
struct Issuer {
    published: tempfile::NamedTempFile,
    jwt: Jwt,
}

impl Issuer {
    fn new(cool_down: Duration) -> Self {
        let published = tempfile::NamedTempFile::new().unwrap();
        let url = Url::from_file_path(published.path()).unwrap();
        let policy = RefreshPolicy { cool_down, ..RefreshPolicy::default() };
        let jwt =
            Jwt::with_keys("https://issuer.test", &["chat-api".to_owned()], Jwks::new(url, Tls::new(None), policy));
        Self { published, jwt }
    }

    fn publish(&self, keys: &[Value]) {
        std::fs::write(self.published.path(), json!({"keys": keys}).to_string()).unwrap();
    }

    fn break_down(&self) {
        std::fs::write(self.published.path(), "out of order").unwrap();
    }

    async fn verify(&self, signer: &Signer, kid: Option<&str>) -> Result<(), TokenError> {
        let header = json!({"alg": signer.alg(), "kid": kid});
        self.jwt.verify(&signer.token(&header, &claims())).await.map(drop)
    }
}

fn claims() -> Value {
    json!({"iss": "https://issuer.test", "aud": "chat-api", "exp": jsonwebtoken::get_current_timestamp() + 300})
}

fn is_refused(outcome: &Result<(), TokenError>) -> bool {
    matches!(outcome, Err(TokenError::Invalid(_)))
}

fn is_unavailable(outcome: &Result<(), TokenError>) -> bool {
    matches!(outcome, Err(TokenError::Unavailable(_)))
}

#[tokio::test]
async fn while_the_issuer_is_down_an_unknown_kid_is_not_refused() {
    let issuer = Issuer::new(Duration::ZERO);
    let (known, new) = (Signer::ed25519(), Signer::p256());
    issuer.publish(&[known.jwk("known")]);
    issuer.verify(&known, Some("known")).await.unwrap();
    issuer.break_down();
    let outcome = issuer.verify(&new, Some("new")).await;
    assert!(is_unavailable(&outcome), "{outcome:?}");
    issuer.verify(&known, Some("known")).await.unwrap();
    issuer.publish(&[known.jwk("known")]);
    let outcome = issuer.verify(&new, Some("new")).await;
    assert!(is_refused(&outcome), "{outcome:?}");
    issuer.publish(&[known.jwk("known"), new.jwk("new")]);
    issuer.verify(&new, Some("new")).await.unwrap();
    let confused = hs256(&json!({"alg": "HS256", "kid": "new"}), &claims(), &new.public());
    assert!(is_refused(&issuer.jwt.verify(&confused).await.map(drop)));
}

#[tokio::test]
async fn keys_that_were_changed_under_the_same_kid_or_none_are_found() {
    let issuer = Issuer::new(Duration::ZERO);
    let (old, new, stranger) = (Signer::p256(), Signer::p256(), Signer::p256());
    issuer.publish(&[old.jwk("key")]);
    issuer.verify(&old, None).await.unwrap();
    issuer.publish(&[new.jwk("key")]);
    issuer.verify(&new, None).await.unwrap();
    issuer.publish(&[old.jwk("key")]);
    issuer.verify(&old, Some("key")).await.unwrap();
    for kid in [None, Some("key")] {
        let outcome = issuer.verify(&stranger, kid).await;
        assert!(is_refused(&outcome), "{outcome:?}");
    }

    issuer.break_down();
    let outcome = issuer.verify(&new, None).await;
    assert!(is_unavailable(&outcome), "it may be one of the issuer's: {outcome:?}");
    let outcome = issuer.verify(&new, Some("key")).await;
    assert!(is_refused(&outcome), "that key is known: {outcome:?}");
    issuer.verify(&old, None).await.unwrap();
}

#[tokio::test]
async fn bad_signatures_cannot_hammer_the_issuer() {
    let issuer = Issuer::new(Duration::from_hours(1));
    let (known, stranger) = (Signer::ed25519(), Signer::ed25519());
    issuer.publish(&[known.jwk("key")]);
    issuer.verify(&known, None).await.unwrap();
    issuer.publish(&[stranger.jwk("key")]);
    for kid in [None, Some("key")] {
        let outcome = issuer.verify(&stranger, kid).await;
        assert!(is_refused(&outcome), "the new key is not fetched yet: {outcome:?}");
    }
    issuer.verify(&known, None).await.unwrap();
}
