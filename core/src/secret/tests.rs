use futures::future::join_all;
use tokio::time::{Instant, advance};

use super::*;
use crate::testing::SecretKeeper;

#[tokio::test(start_paused = true)]
async fn a_change_is_seen_within_five_minutes() {
    let keeper = SecretKeeper::of("first");
    let secret = keeper.secret().await.unwrap();
    let began = Instant::now();
    let change = async {
        tokio::time::sleep(Duration::from_mins(61)).await;
        keeper.change("second");
    };
    tokio::join!(secret.changed(), change);
    let late = began.elapsed().saturating_sub(Duration::from_mins(61));
    assert!(late < Duration::from_mins(5), "{late:?}");
    assert!(keeper.asked() < 20, "not asked for all the time");
    assert_eq!(secret.current().await.expose_secret(), "second");
}

#[tokio::test(start_paused = true)]
async fn whoever_uses_it_after_five_minutes_gets_what_was_changed() {
    let keeper = SecretKeeper::of("first");
    let secret = keeper.secret().await.unwrap();
    keeper.change("second");
    for _ in 0..10 {
        assert_eq!(secret.current().await.expose_secret(), "first", "nobody had a reason to ask");
    }
    advance(Duration::from_mins(5)).await;
    for _ in 0..10 {
        assert_eq!(secret.current().await.expose_secret(), "second");
    }
    assert_eq!(keeper.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_it_is_read_at_once() {
    let keeper = SecretKeeper::of("first");
    let secret = keeper.secret().await.unwrap();
    let old = secret.current().await;
    assert!(secret.changed_since(&old).await.is_none());
    keeper.change("second");
    assert_eq!(secret.current().await.expose_secret(), "first", "nobody had a reason to ask");
    advance(Duration::from_secs(10)).await;
    assert_eq!(secret.changed_since(&old).await.unwrap().expose_secret(), "second");
    assert_eq!(secret.changed_since(&old).await.unwrap().expose_secret(), "second", "known already");
    assert_eq!(keeper.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refused_attempt_is_made_once_more_if_the_secret_has_changed() {
    let keeper = SecretKeeper::of("first");
    let secret = keeper.secret().await.unwrap();
    let wanted = Mutex::new("second");
    let attempt = |value: SecretString| {
        let is_right = value.expose_secret() == *wanted.lock().unwrap();
        std::future::ready(is_right.then_some(value).ok_or("refused"))
    };
    assert!(secret.attempt(attempt, Result::is_err).await.is_err(), "it has not changed yet");
    keeper.change("second");
    advance(Duration::from_secs(10)).await;
    assert!(secret.attempt(attempt, Result::is_err).await.is_ok());
    *wanted.lock().unwrap() = "third";
    assert!(secret.attempt(attempt, Result::is_err).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn who_refuses_again_and_again_causes_few_readings() {
    let keeper = SecretKeeper::of("first");
    let secret = keeper.secret().await.unwrap();
    let old = secret.current().await;
    for _ in 0..600 {
        assert!(secret.changed_since(&old).await.is_none());
        advance(Duration::from_millis(100)).await;
    }
    assert!((5..=13).contains(&keeper.asked()), "{}", keeper.asked());
}

#[tokio::test(start_paused = true)]
async fn all_who_need_it_share_one_reading() {
    let keeper = SecretKeeper::of("first");
    let secret = keeper.secret().await.unwrap();
    let old = secret.current().await;
    keeper.change("second");
    keeper.take(Duration::from_millis(100));
    for value in join_all((0..100).map(|_| secret.changed_since(&old))).await {
        assert_eq!(value.unwrap().expose_secret(), "second");
    }
    assert_eq!(keeper.asked(), 2);
    advance(Duration::from_mins(5)).await;
    join_all((0..100).map(|_| secret.current())).await;
    assert_eq!(keeper.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn while_it_cannot_be_read_the_old_one_serves_and_nobody_is_hammered() {
    let keeper = SecretKeeper::of("first");
    let secret = keeper.secret().await.unwrap();
    keeper.fail(true);
    advance(Duration::from_mins(5)).await;
    for _ in 0..600 {
        assert_eq!(secret.current().await.expose_secret(), "first");
        advance(Duration::from_millis(100)).await;
    }
    assert!((2..=4).contains(&keeper.asked()), "{}", keeper.asked());
    keeper.change("second");
    keeper.fail(false);
    advance(Duration::from_mins(1)).await;
    assert_eq!(secret.current().await.expose_secret(), "second", "not only after another five minutes");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_keeper_that_hangs_still_has_time_for_their_call() {
    let keeper = SecretKeeper::of("first");
    let secret = keeper.secret().await.unwrap();
    keeper.take(Duration::from_hours(1));
    advance(Duration::from_mins(5)).await;
    let began = Instant::now();
    assert_eq!(secret.current().await.expose_secret(), "first");
    assert!(secret.changed_since(&secret.current().await).await.is_none());
    assert!(began.elapsed() < Duration::from_millis(2_500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn one_that_is_given_stays_and_nothing_shows_in_debug_output() {
    let given = RotatingSecret::from("hush-hush");
    assert!(given.changed_since(&given.current().await).await.is_none());
    let kept = SecretKeeper::of("hush-hush").secret().await.unwrap();
    let shown = format!("{given:?} {kept:?}");
    assert!(!shown.contains("hush"), "{shown}");
}

#[tokio::test]
async fn one_that_cannot_be_read_at_all_is_an_error() {
    let keeper = SecretKeeper::of("first");
    keeper.fail(true);
    assert!(keeper.secret().await.is_err());
}
