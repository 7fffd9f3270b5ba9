//! Who we are: credentials that are asked for once, kept, and renewed before they end.
//!
//! Whoever needs them waits only while there are none. They are renewed in a task of its own, one at a time, so that a
//! caller whose time is up takes nothing from the others. A renewal that fails leaves what is there in force until its
//! end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as Secrets;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::sign::v4::generate_signing_key;
use hyper::header::HeaderValue;
use tokio::time::{Instant, timeout};

use super::chain;
use super::clock::Clock;
use super::error::readable_by_anybody;
use super::sign::SERVICE;
use crate::source::ErrorKind;
use crate::telemetry::Outage;

/// How long a provider may take.
const PROVIDER_LIMIT: Duration = Duration::from_secs(20);

/// How long before their end credentials are renewed, if they last long enough.
const AHEAD: Duration = Duration::from_secs(5 * 60);

/// How long a failure is told to others who ask, how long nobody asks again though the service refuses what came, and
/// how long a renewal that failed rests at least while the old credentials last.
const FAILURE_HOLDS: Duration = Duration::from_secs(1);
const REFUSAL_RESTS: Duration = Duration::from_secs(5);
const RENEWAL_RESTS: Duration = Duration::from_secs(15);

/// The credentials for one queue.
#[derive(Debug)]
pub(super) struct Credentials {
    provider: Option<SharedCredentialsProvider>,
    clock: Arc<Clock>,
    held: RwLock<Option<Held>>,
    /// Held by the one who asks the provider.
    turn: tokio::sync::Mutex<Option<Asked>>,
    renewing: Mutex<Outage>,
}

/// When the provider was asked last, for what, and why it failed, if it did.
#[derive(Debug, Clone)]
struct Asked {
    at: Instant,
    in_place_of_refused: bool,
    failure: Option<String>,
}

/// What is in force.
#[derive(Debug, Clone)]
struct Held {
    keys: Arc<Keys>,
    renew_at: Option<SystemTime>,
}

/// Credentials, and what is derived from them for signatures.
#[derive(Debug)]
pub(super) struct Keys {
    secrets: Secrets,
    token: Option<HeaderValue>,
    /// The key of a day, which is derived in four steps. There is one region for one set of credentials.
    of_day: Mutex<Option<(u64, DayKey)>>,
}

#[derive(Clone, Copy)]
struct DayKey([u8; 32]);

impl std::fmt::Debug for DayKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("DayKey")
    }
}

/// Why credentials are renewed.
#[derive(Debug, Clone)]
enum Reason {
    /// There are none, they ended, or their end is near.
    Due,
    /// The service refused these.
    Refused(Arc<Keys>),
}

impl Credentials {
    /// Makes them; nothing is asked yet.
    pub(super) fn new(provider: Option<SharedCredentialsProvider>, clock: Arc<Clock>) -> Arc<Self> {
        Arc::new(Self {
            provider,
            clock,
            held: RwLock::new(None),
            turn: tokio::sync::Mutex::new(None),
            renewing: Mutex::new(Outage::new("Renewing the credentials, which still hold,")),
        })
    }

    /// Returns what is in force; waits only if nothing is.
    pub(super) async fn keys(self: &Arc<Self>) -> Result<Arc<Keys>, String> {
        let now = self.clock.now();
        match self.held() {
            Some(held) if held.lasts(now) => {
                if held.is_due(now) && self.turn.try_lock().is_ok() {
                    tokio::spawn(self.clone().renew(Reason::Due));
                }
                Ok(held.keys)
            }
            _ => self.renewed(Reason::Due).await,
        }
    }

    /// Returns others than those that the service refused, if there are any.
    pub(super) async fn instead_of(self: &Arc<Self>, refused: &Arc<Keys>) -> Option<Arc<Keys>> {
        let keys = self.renewed(Reason::Refused(refused.clone())).await.ok()?;
        (!keys.are_the_same_as(refused)).then_some(keys)
    }

    async fn renewed(self: &Arc<Self>, reason: Reason) -> Result<Arc<Keys>, String> {
        let renewal = tokio::spawn(self.clone().renew(reason));
        renewal
            .await
            .unwrap_or_else(|_| Err("the provider of credentials broke off".to_owned()))
    }

    async fn renew(self: Arc<Self>, reason: Reason) -> Result<Arc<Keys>, String> {
        let mut turn = self.turn.lock().await;
        let held = self.held();
        // Somebody else may have had the turn meanwhile.
        if let Some(held) = held.as_ref().filter(|held| held.answers(&reason, self.clock.now())) {
            return Ok(held.keys.clone());
        }
        if let Some(why) = turn.as_ref().and_then(|asked| asked.too_recent(&reason)) {
            return Err(why);
        }
        let answer = self.ask().await;
        *turn = Some(Asked {
            at: Instant::now(),
            in_place_of_refused: matches!(reason, Reason::Refused(_)),
            failure: answer.as_ref().err().cloned(),
        });
        let now = self.clock.now();
        match (&answer, held) {
            (Ok(keys), _) => {
                self.renewing().worked(Instant::now());
                self.hold(Held {
                    keys: keys.clone(),
                    renew_at: keys.renew_at(now),
                });
            }
            (Err(error), Some(held)) if held.lasts(now) => {
                let kind = ErrorKind::Credentials.as_str();
                self.renewing().failed(kind, error, Instant::now());
                let renew_at = held.renew_at.map(|_| now + jittered(RENEWAL_RESTS));
                self.hold(Held { renew_at, ..held });
            }
            (Err(_), _) => {}
        }
        answer
    }

    async fn ask(&self) -> Result<Arc<Keys>, String> {
        let provider = self.provider.as_ref().ok_or("there is no provider of credentials")?;
        match timeout(PROVIDER_LIMIT, provider.provide_credentials()).await {
            Ok(Ok(secrets)) => Keys::new(secrets).map(Arc::new),
            // STS may say more than a log may hear.
            Ok(Err(error)) => Err(readable_by_anybody(&chain(&error))),
            Err(_) => Err(format!("no credentials within {} s", PROVIDER_LIMIT.as_secs())),
        }
    }

    fn held(&self) -> Option<Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn renewing(&self) -> MutexGuard<'_, Outage> {
        self.renewing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, held: Held) {
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(held);
    }
}

impl Asked {
    fn too_recent(&self, reason: &Reason) -> Option<String> {
        let past = self.at.elapsed();
        match (reason, &self.failure) {
            (_, Some(why)) if past < FAILURE_HOLDS => Some(why.clone()),
            (Reason::Refused(_), _) if self.in_place_of_refused && past < REFUSAL_RESTS => {
                Some("they were renewed a moment ago".to_owned())
            }
            _ => None,
        }
    }
}

impl Held {
    /// Whether this is what somebody wants who comes for that reason.
    fn answers(&self, reason: &Reason, now: SystemTime) -> bool {
        match reason {
            Reason::Due => self.lasts(now) && !self.is_due(now),
            Reason::Refused(keys) => !Arc::ptr_eq(keys, &self.keys),
        }
    }

    fn lasts(&self, now: SystemTime) -> bool {
        self.keys.secrets.expiry().is_none_or(|end| now < end)
    }

    fn is_due(&self, now: SystemTime) -> bool {
        self.renew_at.is_some_and(|at| at <= now)
    }
}

impl Keys {
    /// Takes credentials over.
    pub(super) fn new(secrets: Secrets) -> Result<Self, String> {
        let token = secrets.session_token().map(HeaderValue::from_str).transpose();
        let mut token = token.map_err(|_| "the session's token cannot stand in a header".to_owned())?;
        if HeaderValue::from_str(secrets.access_key_id()).is_err() {
            return Err("the access key's id cannot stand in a header".to_owned());
        }
        if let Some(token) = &mut token {
            token.set_sensitive(true);
        }
        Ok(Self {
            secrets,
            token,
            of_day: Mutex::new(None),
        })
    }

    /// Returns the access key's id, which is no secret.
    pub(super) fn id(&self) -> &str {
        self.secrets.access_key_id()
    }

    /// Returns the session's token.
    pub(super) fn token(&self) -> Option<&HeaderValue> {
        self.token.as_ref()
    }

    /// Returns the key that signs on a day in a region.
    pub(super) fn signing_key(&self, day: u64, time: SystemTime, region: &str) -> [u8; 32] {
        let mut of_day = self.of_day.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = of_day.filter(|(of, _)| *of == day) {
            return key.0;
        }
        let mut key = [0; 32];
        key.copy_from_slice(generate_signing_key(self.secrets.secret_access_key(), time, region, SERVICE).as_ref());
        *of_day = Some((day, DayKey(key)));
        key
    }

    /// Takes out of a text what nobody may read.
    pub(super) fn conceal(&self, text: &str) -> String {
        let secrets = [Some(self.secrets.secret_access_key()), self.secrets.session_token()];
        let secrets = secrets.into_iter().flatten().filter(|secret| !secret.is_empty());
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
    }

    fn are_the_same_as(&self, other: &Self) -> bool {
        self.id() == other.id() && self.token == other.token
    }

    fn renew_at(&self, now: SystemTime) -> Option<SystemTime> {
        let end = self.secrets.expiry()?;
        let lasts = end.duration_since(now).unwrap_or_default();
        end.checked_sub(jittered(AHEAD.min(lasts / 4)))
    }
}

/// Returns a length up to half as long again, so that many processes do not ask at once.
fn jittered(length: Duration) -> Duration {
    length.mul_f64(rand::random_range(1.0..1.5))
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
