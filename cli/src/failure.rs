//! Why a command could not do its work: what, where, why, and what to do.

use std::path::PathBuf;
use std::time::Duration;

use penstock_crds::{DocumentKey, NameError};
use penstock_kafka::{AdminError, ArgsError, LossReason, ReadError, SendError, chain};
use penstock_operator::plan::home::Elsewhere;
use penstock_operator::plan::owner::OwnerError;
use penstock_operator::topics::PrefixError;

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("could not read {}: check the path given to -f", path.display())]
    ReadFile { path: PathBuf, source: std::io::Error },
    #[error("{} is not in UTF-8: save it in that encoding", path.display())]
    RefuseEncoding { path: PathBuf },
    #[error("{} has more than {most} bytes: split it into several files", path.display())]
    RefuseSize { path: PathBuf, most: u64 },
    #[error("the flags do not say how to reach Kafka")]
    ReadFlags(#[source] ArgsError),
    #[error("--topic-prefix cannot be used")]
    RefusePrefix(#[source] PrefixError),
    #[error("{flag} cannot be used")]
    RefuseOwner { flag: &'static str, source: OwnerError },
    #[error("could not ask Kafka for its cluster's id; check --bootstrap-servers and the brokers' health")]
    AskCluster(#[source] Box<AdminError>),
    #[error("could not tell which installation keeps these topics")]
    TellInstallation(#[source] OwnerError),
    #[error("another operator keeps these topics")]
    KeepOthers(#[source] OwnerError),
    #[error("what these topics remember is not where this command looks")]
    LookElsewhere(#[source] Elsewhere),
    #[error(
        "nothing says that these topics are those of `{owner}`, whose documents may stand elsewhere: name the connectors \
         that are to go"
    )]
    RefusePrune { owner: String },
    #[error("`{text}` cannot be a name")]
    ReadName { text: String, source: NameError },
    #[error("could not ask Kafka for the topic `{topic}`; check --bootstrap-servers and the brokers' health")]
    AskTopic { topic: String, source: Box<AdminError> },
    #[error(
        "there is no topic `{topic}` on these brokers: start penstock-operator, which makes it, or check --topic-prefix"
    )]
    FindTopic { topic: String },
    #[error("could not start to read the topic `{topic}`")]
    StartReading { topic: String, source: ReadError },
    #[error(
        "did not read the topic `{topic}` to its end within {timeout:?}: {hindrance}; check the brokers' health and the \
         ACL Read on the topic"
    )]
    ReachEnd {
        topic: String,
        timeout: Duration,
        hindrance: String,
    },
    #[error("lost the topic `{topic}` while reading it: run the command again")]
    KeepTopic { topic: String, source: LossReason },
    #[error("could not make a producer")]
    MakeProducer(#[source] SendError),
    #[error(
        "could not write `{key}`; it needs the ACL Write on the topic. Whether it was written can be seen by `penstock get`"
    )]
    Write { key: String, source: SendError },
    #[error("there is no {key} in the topic `{topic}`: `penstock get` lists what there is")]
    FindDocument { key: DocumentKey, topic: String },
    #[error("`{0}` is no kind here: write `connector` or `profile`")]
    ReadKind(String),
    #[error("`{0}` has no schema: write `connector`, `profile`, `target-state` or `status`")]
    FindSchema(String),
    #[error("profile `{profile}` is used by {users}: let them name another first, or give --force")]
    RefuseDelete { profile: String, users: String },
    #[error("could not reach AWS; check the credentials and the region")]
    PrepareAws(#[source] Box<penstock_operator::cloud::Error>),
    #[error(
        "could not list the services that carry the operator's tag in the cluster `{cluster}`, which may hold orphans: allow \
         `ecs:ListServices` and `ecs:DescribeServices` on it, or run the command again later"
    )]
    ListOwned {
        cluster: String,
        source: Box<penstock_operator::cloud::Error>,
    },
    #[error("no cluster is known to look in: give --cluster")]
    FindCluster,
    #[error("could not remove what is left of `{name}`: run the command again to go on")]
    Remove {
        name: String,
        source: Box<penstock_operator::reconcile::Error>,
    },
    #[error(
        "the state of `{key}` at offset {offset} of the topic `{topic}` cannot be read: use the operator's version of penstock"
    )]
    ReadState {
        key: String,
        offset: i64,
        topic: String,
        source: serde_json::Error,
    },
    #[error("could not write to standard output")]
    Print(#[source] std::io::Error),
    #[error("could not write the answer as {format}: {reason}")]
    Format { format: &'static str, reason: String },
    #[error("`{text}` is nothing to wait for: write ready, deleted, synced, asleep or generation=N")]
    ReadGoal { text: String },
}

impl Failure {
    /// Returns the whole chain, one cause behind the other.
    pub(crate) fn report(&self) -> String {
        format!("error: {}", chain(self))
    }
}
