//! What must hold of the topics before the first message is taken.

use penstock_kafka::{Admin, AdminError, Settings};

/// A batch limit for topics that do not tell theirs: Kafka's default.
const DEFAULT_LIMIT: usize = 1_048_588;

/// What is known of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicFacts {
    /// Its `max.message.bytes`.
    pub max_message_bytes: usize,
}

/// Why a topic cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// It does not exist.
    #[error(
        "the topic `{0}` does not exist: make it, or correct the name in the connector; the bridge makes no topics"
    )]
    Missing(String),
    /// Kafka refuses to say.
    #[error("the topic `{topic}` cannot be checked")]
    Refused {
        /// Which topic.
        topic: String,
        /// What Kafka said.
        source: AdminError,
    },
    /// Kafka cannot be reached; it may be a moment later.
    #[error("Kafka cannot be asked for the topic `{topic}`")]
    Unreachable {
        /// Which topic.
        topic: String,
        /// What Kafka said.
        source: AdminError,
    },
}

/// Asks Kafka for a topic. Where reading its settings is not allowed, the default limit is assumed and said.
pub async fn inspect(settings: &Settings, topic: &str) -> Result<TopicFacts, TopicError> {
    let unreachable = |source| TopicError::Unreachable {
        topic: topic.to_owned(),
        source,
    };
    let admin = Admin::connect(settings).await.map_err(unreachable)?;
    let described = admin.describe(topic).await;
    // Its threads may wait for a name server, and whoever drops it waits for them: not the one thread that hears of a stop.
    std::thread::spawn(move || drop(admin));
    match described {
        Ok(Some(summary)) => {
            let limit = summary
                .config
                .get("max.message.bytes")
                .and_then(|limit| limit.parse().ok());
            Ok(TopicFacts {
                max_message_bytes: limit.unwrap_or(DEFAULT_LIMIT),
            })
        }
        Ok(None) => Err(TopicError::Missing(topic.to_owned())),
        Err(error @ (AdminError::DescribeConfig { .. } | AdminError::MissingTopicId(_))) if !error.is_transient() => {
            tracing::warn!(topic, %error, "The topic's max.message.bytes is not known; assuming Kafka's default");
            Ok(TopicFacts {
                max_message_bytes: DEFAULT_LIMIT,
            })
        }
        Err(source) if source.is_transient() => Err(unreachable(source)),
        Err(source) => Err(TopicError::Refused {
            topic: topic.to_owned(),
            source,
        }),
    }
}
