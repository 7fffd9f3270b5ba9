//! One way to connect to Kafka, shared by operator, bridge and command line; it knows nothing of connectors.
//!
//! [`Settings`] say where the brokers are and who we are; from them come a client configuration, made of an allow-list
//! of keys and nothing a user could add to, and the clients: [`Admin`], [`Follower`], [`Producer`] and
//! [`TransactionalProducer`]. A client of one's own embeds [`Context`], so that it authenticates and logs as these do.
//! [`chain`] tells an error with all its causes.
//!
//! Promises: a secret is never printed, whatever is logged; every wait ends; the loss of every broker is outlived.

mod admin;
mod args;
mod chain;
mod complaint;
mod context;
mod follower;
mod iam;
mod native;
mod patience;
mod pem;
mod producer;
mod record;
mod secret;
mod settings;
mod transaction;

pub use admin::{Admin, AdminError, NewTopic, TopicSummary};
pub use args::{ArgsError, KafkaArgs, SecurityMode, read_secret};
pub use chain::chain;
pub use context::Context;
pub use follower::{Event, Follower, LossReason, Progress, ReadError, read_to_end};
pub use iam::TokenError;
pub use patience::{Patience, Waits};
pub use producer::{Delivered, Producer, SendError};
pub use record::{OutgoingRecord, Record};
pub use secret::Secret;
pub use settings::{ScramMechanism, Security, Settings, SettingsError};
pub use transaction::{CommitError, TransactionalProducer};

/// The environment variable that carries the SCRAM user name.
pub const USERNAME_VARIABLE: &str = "PENSTOCK_KAFKA_USERNAME";
/// The environment variable that carries the SCRAM password.
pub const PASSWORD_VARIABLE: &str = "PENSTOCK_KAFKA_PASSWORD";
/// The environment variable that carries the client certificate as PEM.
pub const CERTIFICATE_VARIABLE: &str = "PENSTOCK_KAFKA_CERTIFICATE";
/// The environment variable that carries the client's private key as PEM.
pub const PRIVATE_KEY_VARIABLE: &str = "PENSTOCK_KAFKA_PRIVATE_KEY";
/// The environment variable that carries the private key's password.
pub const PRIVATE_KEY_PASSWORD_VARIABLE: &str = "PENSTOCK_KAFKA_PRIVATE_KEY_PASSWORD";
