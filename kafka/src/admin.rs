//! Topics: whether they exist, what they are set to, and how they are made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier, TopicReplication};
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::complaint::{amiss, silence};
use crate::iam::TokenError;
use crate::native::{self, Description};
use crate::{Context, Settings};

/// The longest that one request waits for its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks for topics and makes them.
pub struct Admin {
    client: Arc<AdminClient<Context>>,
}

/// What a topic is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSummary {
    /// Its name.
    pub name: String,
    /// Its id; a topic that was deleted and made again has another one.
    pub id: String,
    /// How many partitions it has.
    pub partitions: usize,
    /// Its settings, the broker's defaults included.
    pub config: BTreeMap<String, String>,
}

/// A topic to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions it gets.
    pub partitions: i32,
    /// How many replicas each partition gets; -1 leaves it to the broker.
    pub replication_factor: i32,
    /// The settings that differ from the broker's defaults.
    pub config: BTreeMap<String, String>,
}

/// Why a topic could not be asked for or made.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The client could not be made.
    #[error("could not make the admin client{}", amiss(.0))]
    CreateClient(#[source] KafkaError),
    /// There is no token to authenticate with.
    #[error("could not get a token for the admin client")]
    GetToken(#[source] TokenError),
    /// No broker could be talked to.
    #[error("could not talk to a broker: {0}")]
    Reach(String),
    /// The topic could not be described.
    #[error("could not describe the topic `{topic}`; it needs the ACL Describe on it")]
    DescribeTopic {
        /// Which topic.
        topic: String,
        /// What Kafka said.
        source: KafkaError,
    },
    /// The brokers are too old to give topics an id.
    #[error("the brokers know no id of the topic `{0}`: Kafka 2.8 or later is needed")]
    MissingTopicId(String),
    /// The topic's settings could not be read.
    #[error("could not read the settings of the topic `{topic}`; it needs the ACL DescribeConfigs on it")]
    DescribeConfig {
        /// Which topic.
        topic: String,
        /// What Kafka said.
        source: KafkaError,
    },
    /// The topic could not be made.
    #[error("could not make the topic `{topic}`; it needs the ACL Create on it")]
    CreateTopic {
        /// Which topic.
        topic: String,
        /// What Kafka said.
        source: KafkaError,
    },
    /// The process is shutting down.
    #[error("the request was abandoned, since the process is shutting down")]
    Abandoned,
}

impl AdminError {
    /// Returns whether the brokers may answer otherwise in a while, with nothing mended by a person.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::GetToken(_) | Self::Reach(_) => true,
            Self::DescribeTopic { source, .. }
            | Self::DescribeConfig { source, .. }
            | Self::CreateTopic { source, .. } => code(source).is_some_and(is_transient),
            Self::CreateClient(_) | Self::MissingTopicId(_) | Self::Abandoned => false,
        }
    }
}

impl Admin {
    /// Makes a client; it connects with the first request.
    pub async fn connect(settings: &Settings) -> Result<Self, AdminError> {
        let config = settings.client_config();
        let context = Context::new(settings);
        let client = config.create_with_context(context).map_err(AdminError::CreateClient)?;
        Ok(Self {
            client: Arc::new(client),
        })
    }

    /// Returns what the topic is, or `None` if there is none.
    pub async fn describe(&self, topic: &str) -> Result<Option<TopicSummary>, AdminError> {
        let Some(Description { id, partitions }) = self.describe_topic(topic).await? else {
            return Ok(None);
        };
        if id == ZERO_ID {
            return Err(AdminError::MissingTopicId(topic.to_owned()));
        }
        let config = self.config_of(topic).await?;
        Ok(Some(TopicSummary {
            name: topic.to_owned(),
            id,
            partitions,
            config,
        }))
    }

    /// Returns whether there is such a topic; it needs the ACL Describe on it, and no more.
    pub async fn exists(&self, topic: &str) -> Result<bool, AdminError> {
        Ok(self.describe_topic(topic).await?.is_some())
    }

    /// Returns the id of the cluster, or `None` if its brokers tell none. It needs no ACL.
    pub async fn cluster_id(&self) -> Result<Option<String>, AdminError> {
        self.prime().await?;
        let client = Arc::clone(&self.client);
        let ask = move || match client.inner().fetch_cluster_id(REQUEST_TIMEOUT) {
            Some(id) => Ok(Some(id)),
            // Brokers that tell no id and brokers that do not answer look the same, but for what the client complained of.
            None => native::complaint(client.inner()).map_or(Ok(None), |why| Err(AdminError::Reach(why))),
        };
        tokio::task::spawn_blocking(ask)
            .await
            .map_err(|_| AdminError::Abandoned)?
    }

    /// Makes the topic; returns false if somebody else made it first.
    pub async fn create(&self, topic: &NewTopic) -> Result<bool, AdminError> {
        self.prime().await?;
        let failed = |source| AdminError::CreateTopic {
            topic: topic.name.clone(),
            source,
        };
        let replication = TopicReplication::Fixed(topic.replication_factor);
        let wanted = rdkafka::admin::NewTopic::new(&topic.name, topic.partitions, replication);
        let wanted = topic
            .config
            .iter()
            .fold(wanted, |wanted, (key, value)| wanted.set(key, value));
        let options = options().operation_timeout(Some(REQUEST_TIMEOUT));
        let results = self.client.create_topics([&wanted], &options).await.map_err(failed)?;
        match results.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, code))) => Err(failed(KafkaError::AdminOp(code))),
            Some(Ok(_)) => Ok(true),
            None => Err(failed(KafkaError::AdminOp(RDKafkaErrorCode::BadMessage))),
        }
    }

    async fn describe_topic(&self, topic: &str) -> Result<Option<Description>, AdminError> {
        self.prime().await?;
        let (client, name) = (Arc::clone(&self.client), topic.to_owned());
        let describe = move || describe(client.inner(), &name, REQUEST_TIMEOUT);
        let described = tokio::task::spawn_blocking(describe);
        described.await.map_err(|_| AdminError::Abandoned)?
    }

    async fn config_of(&self, topic: &str) -> Result<BTreeMap<String, String>, AdminError> {
        let failed = |source| AdminError::DescribeConfig {
            topic: topic.to_owned(),
            source,
        };
        let specifier = ResourceSpecifier::Topic(topic);
        let results = self.client.describe_configs([&specifier], &options());
        match results.await.map_err(failed)?.into_iter().next() {
            Some(Ok(resource)) => {
                let entries = resource.entries.into_iter();
                Ok(entries.filter_map(|entry| Some((entry.name, entry.value?))).collect())
            }
            Some(Err(code)) => Err(failed(KafkaError::AdminOp(code))),
            None => Err(failed(KafkaError::AdminOp(RDKafkaErrorCode::BadMessage))),
        }
    }

    /// The admin client's own queue never sees a request for a token, so it is given one before each request.
    async fn prime(&self) -> Result<(), AdminError> {
        let client = Arc::clone(&self.client);
        let prime = move || prime(client.inner());
        tokio::task::spawn_blocking(prime)
            .await
            .map_err(|_| AdminError::Abandoned)?
    }
}

/// What brokers say of a topic that has no id.
const ZERO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Gives a client its token, if it needs one; it blocks while AWS answers.
pub(crate) fn prime(client: &Client<Context>) -> Result<(), AdminError> {
    match client.context().token() {
        None => Ok(()),
        Some(Err(error)) => Err(AdminError::GetToken(error)),
        Some(Ok(token)) => native::set_token(client, &token).map_err(AdminError::CreateClient),
    }
}

/// A request that is never answered does not know why. What the client complained of meanwhile tells: a wrong password, an
/// address that refuses, a certificate. Only for clients whose main queue nobody reads: admin clients, and consumers that have not begun.
pub(crate) fn describe(
    client: &Client<Context>,
    topic: &str,
    timeout: Duration,
) -> Result<Option<Description>, AdminError> {
    native::describe_topic(client, topic, timeout).map_err(|source| {
        let complaints = client.context().complaints();
        if let Some(complaint) = native::complaint(client) {
            complaints.note(&complaint);
        }
        let why = match code(&source) {
            Some(code) if is_transient(code) => complaints.recent(),
            _ => None,
        };
        let unanswered = code(&source) == Some(RDKafkaErrorCode::OperationTimedOut);
        match why.or_else(|| unanswered.then(|| silence(timeout))) {
            Some(why) => AdminError::Reach(why),
            None => AdminError::DescribeTopic {
                topic: topic.to_owned(),
                source,
            },
        }
    })
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT))
}

fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        error => error.rdkafka_error_code(),
    }
}

/// A refused connection looks to librdkafka like a broker that is away, and so does a wrong password at first.
fn is_transient(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::AllBrokersDown
            | Code::BrokerTransportFailure
            | Code::BrokerNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::LeaderNotAvailable
            | Code::NetworkException
            | Code::NotController
            | Code::NotCoordinator
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::Resolve
            | Code::ThrottlingQuotaExceeded
            | Code::TimedOutQueue
            | Code::UnknownTopicOrPartition
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(code: RDKafkaErrorCode) -> AdminError {
        AdminError::DescribeTopic {
            topic: "penstock.specs".to_owned(),
            source: KafkaError::AdminOp(code),
        }
    }

    #[test]
    fn a_broker_that_is_away_is_asked_again_but_a_refusal_is_final() {
        assert!(failed(RDKafkaErrorCode::BrokerTransportFailure).is_transient());
        assert!(failed(RDKafkaErrorCode::OperationTimedOut).is_transient());
        assert!(!failed(RDKafkaErrorCode::TopicAuthorizationFailed).is_transient());
        assert!(!AdminError::MissingTopicId("penstock.specs".to_owned()).is_transient());
    }
}
