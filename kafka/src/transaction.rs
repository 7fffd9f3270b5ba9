//! Writes records of several topics so that a reader sees all of them or none.
//!
//! One producer holds its transactional id: who connects with the same id later fences it, and a fenced producer never
//! writes again. Whoever reads back what was written connects first, since that also ends a transaction which a
//! predecessor left open.
//!
//! A commit that gave up may still take place, as after any lost answer; the next call settles it first. After one gave
//! up, one at a time tries whether the brokers are back, and what comes meanwhile fails at once: whoever cannot write has
//! other things to do than to wait for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;
use tracing::warn;

use crate::complaint::amiss;
use crate::patience::Waits;
use crate::{Context, OutgoingRecord, Patience, Settings};

/// The largest record that a producer of ours sends: what a broker takes with its default settings.
pub(crate) const MAX_RECORD_BYTES: &str = "1048588";
/// The longest that one call to the transaction coordinator waits.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the records of one try wait for their acknowledgement.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);
/// How long brokers keep a transaction open whose producer is silent. Too short, and a long loss of the brokers looks
/// like a fencing; the next producer with the same id ends it at once in any case.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(300);
/// How long one commit waits for others and is tried, all in all.
const COMMITTING: Patience = Patience::lasting(Duration::from_secs(45));

/// Writes records in transactions, one after the other; cheap to clone.
#[derive(Clone)]
pub struct TransactionalProducer {
    id: Arc<str>,
    client: Arc<ThreadedProducer<TransactionContext>>,
    phase: Arc<tokio::sync::Mutex<Phase>>,
    /// Why the last commit gave up, until one is answered.
    failing: Arc<Mutex<Option<KafkaError>>>,
    patience: Patience,
}

/// Where the transaction that was begun last stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// There is none.
    Idle,
    /// It is open: it can be aborted.
    Open,
    /// Its commit was sent and not answered: only the same call can end it.
    Committing,
}

/// Why records were not written.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The client could not be made.
    #[error("could not make the transactional producer `{id}`{}", amiss(source))]
    CreateClient {
        /// Its transactional id.
        id: String,
        /// What librdkafka said.
        source: KafkaError,
    },
    /// The transactional id could not be taken over.
    #[error(
        "could not take over the transactional id `{id}`; it needs the ACLs Write and Describe on it, and three brokers \
         or a smaller transaction.state.log.replication.factor"
    )]
    Initialize {
        /// The transactional id.
        id: String,
        /// What Kafka said.
        source: KafkaError,
    },
    /// No broker could be talked to, to take the transactional id over.
    #[error("could not take over the transactional id `{id}`: {why}")]
    Reach {
        /// The transactional id.
        id: String,
        /// What the client complained of.
        why: String,
    },
    /// Another producer took the transactional id over.
    #[error(
        "another process has taken over the transactional id `{id}`, or the brokers were away for longer than a \
         transaction may stay open; this process must not write any more: make sure that only one runs, and start it anew"
    )]
    Fenced {
        /// The transactional id.
        id: String,
        /// What Kafka said.
        source: KafkaError,
    },
    /// Kafka refuses these records, and would again.
    #[error("Kafka refuses the record `{key}` on the topic `{topic}`: check its ACL Write and max.message.bytes")]
    Refuse {
        /// The topic of the record that was refused.
        topic: String,
        /// Its key.
        key: String,
        /// What Kafka said.
        source: KafkaError,
    },
    /// Kafka could not be reached in time.
    #[error("could not commit with the transactional id `{id}` in time; it will be tried again")]
    Commit {
        /// The transactional id.
        id: String,
        /// The last failure.
        source: KafkaError,
    },
    /// The process is shutting down.
    #[error("the commit was abandoned, since the process is shutting down")]
    Abandoned,
}

impl CommitError {
    /// Returns whether this producer can never write again.
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::CreateClient { .. } | Self::Initialize { .. } | Self::Reach { .. } | Self::Fenced { .. }
        )
    }
}

impl TransactionalProducer {
    /// Takes over the transactional id: fences who held it before, and ends the transaction that it left open.
    pub async fn connect(settings: &Settings, id: &str, patience: Patience) -> Result<Self, CommitError> {
        let created = |source| CommitError::CreateClient {
            id: id.to_owned(),
            source,
        };
        let client = Arc::new(client(settings, id).map_err(created)?);
        let mut waits = patience.waits();
        loop {
            let initializing = Arc::clone(&client);
            let initialize = move || initializing.init_transactions(CALL_TIMEOUT);
            let source = match tokio::task::spawn_blocking(initialize)
                .await
                .map_err(|_| CommitError::Abandoned)?
            {
                Ok(()) => break,
                Err(source) => source,
            };
            let fatal = client.client().fatal_error().is_some() || is_refusal(&source);
            match waits.next() {
                Some(wait) if !fatal => {
                    warn!(transactional_id = id, error = %source, "Could not take over the transactional id yet");
                    tokio::time::sleep(wait).await;
                }
                _ => return Err(not_taken_over(id, &client, source, fatal)),
            }
        }
        Ok(Self {
            id: id.into(),
            client,
            phase: Arc::new(tokio::sync::Mutex::new(Phase::Idle)),
            failing: Arc::default(),
            patience: COMMITTING,
        })
    }

    /// Writes all the records in one transaction; calls wait for each other. It tries again with backoff while the
    /// brokers are away, and gives up after 45 s. A try that is in hand then, or when the caller goes away, ends by itself
    /// before the next begins.
    pub async fn commit(&self, records: Vec<OutgoingRecord>) -> Result<(), CommitError> {
        let waits = self.patience.waits();
        let phase = self.turn(&waits).await?;
        let (left, mut last) = (waits.remaining(), out_of_time());
        let trying = self.go_on_trying(phase, records, waits, &mut last);
        let committed = match timeout(left, trying).await {
            Ok(committed) => committed,
            Err(_) => Err(self.gave_up(last)),
        };
        match &committed {
            Ok(()) | Err(CommitError::Refuse { .. }) => *self.lock_failing() = None,
            Err(CommitError::Commit { source, .. }) => *self.lock_failing() = Some(source.clone()),
            Err(_) => {}
        }
        committed
    }

    /// Waits for the turn of a commit; not while another finds out whether the brokers are back.
    async fn turn(&self, waits: &Waits) -> Result<OwnedMutexGuard<Phase>, CommitError> {
        let phase = Arc::clone(&self.phase);
        let failing = self.lock_failing().clone();
        let turn = match failing {
            Some(source) => phase.try_lock_owned().map_err(|_| source),
            None => timeout(waits.remaining(), phase.lock_owned())
                .await
                .map_err(|_| out_of_time()),
        };
        turn.map_err(|source| self.gave_up(source))
    }

    /// Makes one try after the other, and notes why the last one failed.
    async fn go_on_trying(
        &self,
        mut phase: OwnedMutexGuard<Phase>,
        records: Vec<OutgoingRecord>,
        mut waits: Waits,
        last: &mut KafkaError,
    ) -> Result<(), CommitError> {
        let records = Arc::new(records);
        let mut begun = false;
        loop {
            let attempt = Attempt {
                client: Arc::clone(&self.client),
                records: Arc::clone(&records),
                phase,
                begun,
            };
            let (attempt, tried) = tokio::task::spawn_blocking(|| attempt.make())
                .await
                .map_err(|_| CommitError::Abandoned)?;
            (phase, begun) = (attempt.phase, attempt.begun);
            let source = match tried {
                Ok(()) => return Ok(()),
                Err(source) => source,
            };
            if let Some(error) = self.final_error(&source, &records) {
                return Err(error);
            }
            *last = source;
            let Some(wait) = waits.next() else {
                return Err(self.gave_up(last.clone()));
            };
            warn!(transactional_id = %self.id, error = %last, "Could not commit yet");
            tokio::time::sleep(wait).await;
        }
    }

    fn gave_up(&self, source: KafkaError) -> CommitError {
        CommitError::Commit {
            id: self.id.to_string(),
            source,
        }
    }

    fn lock_failing(&self) -> MutexGuard<'_, Option<KafkaError>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the error if another try cannot mend it.
    fn final_error(&self, source: &KafkaError, records: &[OutgoingRecord]) -> Option<CommitError> {
        let id = || self.id.to_string();
        if let Some((code, _)) = self.client.client().fatal_error() {
            return Some(CommitError::Fenced {
                id: id(),
                source: KafkaError::Global(code),
            });
        }
        if let Some(refused) = self.client.client().context().take_refused() {
            return Some(CommitError::Refuse {
                topic: refused.topic,
                key: refused.key,
                source: refused.source,
            });
        }
        let first = records.first().filter(|_| is_refusal(source))?;
        Some(CommitError::Refuse {
            topic: first.topic.clone(),
            key: first.key.clone(),
            source: source.clone(),
        })
    }
}

/// A call that was never answered does not know why; the client's last complaint does.
fn not_taken_over(
    id: &str,
    client: &ThreadedProducer<TransactionContext>,
    source: KafkaError,
    answered: bool,
) -> CommitError {
    let id = id.to_owned();
    match client.client().context().kafka.complaints().recent() {
        Some(why) if !answered => CommitError::Reach { id, why },
        _ => CommitError::Initialize { id, source },
    }
}

fn client(settings: &Settings, id: &str) -> Result<ThreadedProducer<TransactionContext>, KafkaError> {
    let mut config = settings.client_config();
    config
        .set("transactional.id", id)
        .set("transaction.timeout.ms", TRANSACTION_TIMEOUT.as_millis().to_string())
        .set("message.timeout.ms", DELIVERY_TIMEOUT.as_millis().to_string())
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "0")
        .set("message.max.bytes", MAX_RECORD_BYTES);
    let context = TransactionContext {
        kafka: Context::new(settings),
        refused: Mutex::new(None),
    };
    config.create_with_context(context)
}

/// One try, on a thread that may block. It owns the lock on the phase, so that a caller who goes away does not let the
/// next commit in before this try has ended.
struct Attempt {
    client: Arc<ThreadedProducer<TransactionContext>>,
    records: Arc<Vec<OutgoingRecord>>,
    phase: OwnedMutexGuard<Phase>,
    /// Whether the transaction that `phase` speaks of holds these records.
    begun: bool,
}

impl Attempt {
    fn make(mut self) -> (Self, Result<(), KafkaError>) {
        let tried = match self.settle() {
            Ok(()) if self.begun => Ok(()),
            Ok(()) => self.write(),
            Err(source) => Err(source),
        };
        (self, tried)
    }

    /// Ends the transaction that was begun last. If it was begun for these records and its commit holds, they are written.
    fn settle(&mut self) -> Result<(), KafkaError> {
        let finished = match *self.phase {
            Phase::Committing => self.finish(),
            Phase::Idle | Phase::Open => Ok(()),
        };
        match *self.phase {
            Phase::Open => self.abort(),
            Phase::Idle | Phase::Committing => finished,
        }
    }

    fn write(&mut self) -> Result<(), KafkaError> {
        let written = self.write_open();
        if written.is_err() && *self.phase == Phase::Open {
            // Readers wait for an open transaction. If this fails too, the next try begins with it.
            let _ = self.abort();
        }
        written
    }

    fn write_open(&mut self) -> Result<(), KafkaError> {
        self.client.client().context().take_refused();
        self.client.begin_transaction()?;
        (*self.phase, self.begun) = (Phase::Open, true);
        for record in self.records.iter() {
            send(&self.client, record)?;
        }
        self.client.flush(DELIVERY_TIMEOUT)?;
        *self.phase = Phase::Committing;
        self.finish()
    }

    fn finish(&mut self) -> Result<(), KafkaError> {
        let committed = self.client.commit_transaction(CALL_TIMEOUT);
        match &committed {
            Ok(()) => *self.phase = Phase::Idle,
            Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => *self.phase = Phase::Open,
            Err(_) => {}
        }
        committed
    }

    fn abort(&mut self) -> Result<(), KafkaError> {
        self.client.abort_transaction(CALL_TIMEOUT)?;
        (*self.phase, self.begun) = (Phase::Idle, false);
        Ok(())
    }
}

/// What is told where no try has failed yet.
fn out_of_time() -> KafkaError {
    KafkaError::Global(RDKafkaErrorCode::OperationTimedOut)
}

fn send(client: &ThreadedProducer<TransactionContext>, record: &OutgoingRecord) -> Result<(), KafkaError> {
    let outgoing: BaseRecord<'_, String, Vec<u8>> = BaseRecord {
        topic: &record.topic,
        partition: record.partition,
        payload: record.value.as_ref(),
        key: Some(&record.key),
        timestamp: None,
        headers: record.native_headers(),
        delivery_opaque: (),
    };
    client.send(outgoing).map_err(|(source, _)| {
        client
            .client()
            .context()
            .note(&record.topic, record.key.as_bytes(), &source);
        source
    })
}

/// A record that Kafka would refuse again.
struct Refused {
    topic: String,
    key: String,
    source: KafkaError,
}

/// Remembers the record that Kafka refused, since the transaction's own error names none.
struct TransactionContext {
    kafka: Context,
    refused: Mutex<Option<Refused>>,
}

impl TransactionContext {
    fn note(&self, topic: &str, key: &[u8], source: &KafkaError) {
        if is_refusal(source) {
            let key = String::from_utf8_lossy(key).into_owned();
            let refused = Refused {
                topic: topic.to_owned(),
                key,
                source: source.clone(),
            };
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused);
        }
    }

    fn take_refused(&self) -> Option<Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for TransactionContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.kafka.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.kafka.error(error, reason);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.kafka.generate_oauth_token(config)
    }
}

impl ProducerContext for TransactionContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if let Err((error, message)) = result {
            self.note(message.topic(), message.key().unwrap_or_default(), error);
        }
    }
}

fn is_refusal(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::MessageSizeTooLarge
                | Code::MessageBatchTooLarge
                | Code::InvalidRecord
                | Code::PolicyViolation
                | Code::TopicAuthorizationFailed
                | Code::TransactionalIdAuthorizationFailed
                | Code::ClusterAuthorizationFailed
        )
    )
}

#[cfg(test)]
mod tests;
