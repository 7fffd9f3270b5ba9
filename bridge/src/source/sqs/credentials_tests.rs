//! Credentials are asked for once, renewed in time, and kept while they last.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future;
use tokio::sync::Semaphore;

use super::*;

const HOUR: u64 = 3600;

/// A provider that hands out sessions of an hour, by number, each when the test lets it.
#[derive(Debug, Clone)]
struct Provider {
    now: Arc<AtomicU64>,
    asked: Arc<AtomicU64>,
    may_answer: Arc<Semaphore>,
    /// From which session on it fails.
    fails_from: Arc<AtomicU64>,
}

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            self.may_answer.acquire().await.expect("it is never closed").forget();
            if number >= self.fails_from.load(Ordering::SeqCst) {
                return Err(CredentialsError::provider_error("the provider is down"));
            }
            let end = UNIX_EPOCH + Duration::from_secs(self.now.load(Ordering::SeqCst) + HOUR);
            let token = Some(format!("token-{number}"));
            Ok(Secrets::new(
                format!("ASIA{number}"),
                "a secret",
                token,
                Some(end),
                "test",
            ))
        })
    }
}

impl Provider {
    fn new(answers: usize) -> Self {
        Self {
            now: Arc::new(AtomicU64::new(1_000_000)),
            asked: Arc::new(AtomicU64::new(0)),
            may_answer: Arc::new(Semaphore::new(answers)),
            fails_from: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }

    fn credentials(&self) -> Arc<Credentials> {
        let now = self.now.clone();
        let clock = Clock::reading(move || UNIX_EPOCH + Duration::from_secs(now.load(Ordering::SeqCst)));
        Credentials::new(Some(SharedCredentialsProvider::new(self.clone())), Arc::new(clock))
    }

    /// Lets time pass, for both clocks.
    async fn pass(&self, seconds: u64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    async fn until_asked(&self, times: u64) {
        while self.asked() < times {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn id(credentials: &Arc<Credentials>) -> String {
    credentials.keys().await.expect("credentials").id().to_owned()
}

async fn until_id_is(credentials: &Arc<Credentials>, wanted: &str) {
    while id(credentials).await != wanted {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_share_one_answer() {
    let provider = Provider::new(1);
    let credentials = provider.credentials();
    let asking: Vec<_> = (0..10)
        .map(|_| {
            tokio::spawn({
                let credentials = credentials.clone();
                async move { id(&credentials).await }
            })
        })
        .collect();
    for asking in asking {
        assert_eq!(asking.await.expect("no panic"), "ASIA1");
    }
    assert_eq!(provider.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn they_are_renewed_ahead_and_nobody_waits_for_it() {
    let provider = Provider::new(1);
    let credentials = provider.credentials();
    assert_eq!(id(&credentials).await, "ASIA1");
    provider.pass(HOUR - 8 * 60).await;
    assert_eq!(id(&credentials).await, "ASIA1");
    assert_eq!(provider.asked(), 1, "not yet");
    provider.pass(4 * 60).await;
    assert_eq!(id(&credentials).await, "ASIA1");
    provider.until_asked(2).await;
    assert_eq!(id(&credentials).await, "ASIA1", "the provider has not answered");
    provider.may_answer.add_permits(1);
    until_id_is(&credentials, "ASIA2").await;
    assert_eq!(provider.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn those_that_last_stay_in_force_when_a_renewal_fails() {
    let provider = Provider::new(100);
    let credentials = provider.credentials();
    assert_eq!(id(&credentials).await, "ASIA1");
    provider.fails_from.store(2, Ordering::SeqCst);
    provider.pass(HOUR - 2 * 60).await;
    assert_eq!(id(&credentials).await, "ASIA1");
    provider.until_asked(2).await;
    for _ in 0..5 {
        assert_eq!(id(&credentials).await, "ASIA1");
    }
    assert_eq!(provider.asked(), 2, "it rests between renewals");
    provider.pass(60).await;
    assert_eq!(id(&credentials).await, "ASIA1");
    provider.until_asked(3).await;
    provider.pass(61).await;
    let error = credentials.keys().await.expect_err("they ended");
    assert!(error.contains("the provider is down"), "{error}");
    provider.fails_from.store(u64::MAX, Ordering::SeqCst);
    provider.pass(2).await;
    assert_ne!(id(&credentials).await, "ASIA1");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_takes_the_answer_from_nobody() {
    let provider = Provider::new(0);
    let credentials = provider.credentials();
    assert!(timeout(Duration::from_secs(1), credentials.keys()).await.is_err());
    provider.may_answer.add_permits(1);
    assert_eq!(id(&credentials).await, "ASIA1");
    assert_eq!(provider.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_is_given_up() {
    let provider = Provider::new(0);
    let error = provider.credentials().keys().await.expect_err("it hangs");
    assert!(error.contains("within 20 s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_by_those_who_ask_at_once() {
    let provider = Provider::new(100);
    provider.fails_from.store(1, Ordering::SeqCst);
    let credentials = provider.credentials();
    for _ in 0..10 {
        assert!(credentials.keys().await.is_err());
    }
    assert_eq!(provider.asked(), 1);
    provider.pass(2).await;
    assert!(credentials.keys().await.is_err());
    assert_eq!(provider.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn refused_ones_are_replaced_once_for_all_who_had_them() {
    let provider = Provider::new(100);
    let credentials = provider.credentials();
    let refused = credentials.keys().await.expect("credentials");
    for _ in 0..3 {
        let others = credentials.instead_of(&refused).await.expect("others");
        assert_eq!(others.id(), "ASIA2");
    }
    let others = credentials.keys().await.expect("credentials");
    assert!(
        credentials.instead_of(&others).await.is_none(),
        "they came a moment ago"
    );
    assert_eq!(provider.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn those_without_an_end_are_kept() {
    let secrets = Secrets::new("AKIA", "a secret", None, None, "test");
    let provider = Provider::new(0);
    let now = provider.now.clone();
    let clock = Clock::reading(move || UNIX_EPOCH + Duration::from_secs(now.load(Ordering::SeqCst)));
    let credentials = Credentials::new(Some(SharedCredentialsProvider::new(secrets)), Arc::new(clock));
    let first = credentials.keys().await.expect("credentials");
    provider.pass(1000 * HOUR).await;
    let last = credentials.keys().await.expect("credentials");
    assert!(Arc::ptr_eq(&first, &last));
    assert!(credentials.instead_of(&first).await.is_none(), "there are no others");
}

#[test]
fn short_sessions_are_renewed_within_their_time() {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let keys = |end| Keys::new(Secrets::new("ASIA", "a secret", None, Some(at(end)), "test")).expect("keys");
    for _ in 0..100 {
        let hour = keys(HOUR).renew_at(at(0)).expect("it ends");
        assert!(hour <= at(HOUR - 300) && hour > at(HOUR - 450), "{hour:?}");
        let minute = keys(60).renew_at(at(0)).expect("it ends");
        assert!(minute <= at(45) && minute > at(37), "{minute:?}");
    }
}
