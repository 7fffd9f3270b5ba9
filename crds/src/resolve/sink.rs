//! `spec.sink` and `spec.errors`: the topics that the bridge writes.

use super::faults::Faults;
use crate::{Duration, Errors, ErrorsSpec, GroupFailure, KafkaSink, KafkaSinkSpec, RecordKey, SinkSpec, SqsSource};

pub(super) fn sink(spec: Option<&SinkSpec>, source: &SqsSource, faults: &mut Faults) -> KafkaSink {
    let kafka = spec.and_then(|sink| sink.kafka.clone());
    match spec {
        None => faults.missing("spec.sink", "say where messages go: `sink: {kafka: {topic: …}}`"),
        Some(SinkSpec { kafka: None }) => {
            faults.missing("spec.sink.kafka", "name exactly one kind of sink: `kafka: {topic: …}`")
        }
        Some(SinkSpec { kafka: Some(_) }) => {}
    }
    kafka_sink(&kafka.clone().unwrap_or_default(), kafka.is_some(), source, faults)
}

pub(super) fn errors(spec: Option<&ErrorsSpec>, sink: &KafkaSink, faults: &mut Faults) -> Errors {
    let spec = spec.cloned().unwrap_or_default();
    let path = "spec.errors.deadLetterTopic";
    if let Some(topic) = &spec.dead_letter_topic {
        check_topic(path, topic, faults);
        if *topic == sink.topic {
            faults.refuse(
                path,
                topic,
                "is the topic that good messages go to",
                "name another topic",
            );
        }
    }
    let natural = match spec.dead_letter_topic {
        Some(_) => GroupFailure::DlqAndContinue,
        None => GroupFailure::Hold,
    };
    let on_group_failure = spec.on_group_failure.unwrap_or(natural);
    if on_group_failure == GroupFailure::DlqAndContinue && spec.dead_letter_topic.is_none() {
        faults.refuse(
            "spec.errors.onGroupFailure",
            "dlq-and-continue",
            "needs a topic to park the message in, and there is no `deadLetterTopic`",
            "add `deadLetterTopic`, or use `hold`",
        );
    }
    Errors {
        on_group_failure,
        dead_letter_topic: spec.dead_letter_topic,
        max_retries: faults.within(
            "spec.errors.maxRetries",
            spec.max_retries,
            3,
            0..=100,
            "is more often than a message that fails for its own content is worth trying",
        ),
        backoff: faults.lasting(
            "spec.errors.backoff",
            spec.backoff,
            Duration::from_secs(1),
            Duration::from_millis(10)..=Duration::from_secs(15 * 60),
            "is no wait before a retry: shorter is a busy loop, longer holds up what is behind",
        ),
    }
}

fn kafka_sink(spec: &KafkaSinkSpec, is_there: bool, source: &SqsSource, faults: &mut Faults) -> KafkaSink {
    let path = "spec.sink.kafka.topic";
    let topic = if is_there {
        faults.required(path, spec.topic.as_deref(), "name the topic to write")
    } else {
        None
    };
    if let Some(topic) = &topic {
        check_topic(path, topic, faults);
    }
    KafkaSink {
        topic: topic.unwrap_or_default(),
        key: key(spec.key, source, faults),
        compression: spec.compression.unwrap_or_default(),
        linger: faults.lasting(
            "spec.sink.kafka.linger",
            spec.linger,
            Duration::from_millis(if source.is_fifo() { 0 } else { 5 }),
            Duration::from_millis(0)..=Duration::from_secs(1),
            "is longer than a record may wait for others",
        ),
    }
}

/// On a FIFO queue only the group as key keeps the order of a group: one key, one partition.
fn key(spec: Option<RecordKey>, source: &SqsSource, faults: &mut Faults) -> RecordKey {
    let natural = if source.is_fifo() {
        RecordKey::MessageGroupId
    } else {
        RecordKey::MessageId
    };
    let key = spec.unwrap_or(natural);
    if source.is_fifo() && key != RecordKey::MessageGroupId {
        let name = if key == RecordKey::None { "none" } else { "messageId" };
        faults.refuse(
            "spec.sink.kafka.key",
            name,
            "would lose the order of a FIFO queue: messages of one group would go to several partitions",
            "use `messageGroupId`, or leave the field out",
        );
    }
    key
}

fn check_topic(path: &str, topic: &str, faults: &mut Faults) {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fits = (1..=249).contains(&topic.len()) && topic.bytes().all(sound) && topic != "." && topic != "..";
    if !fits {
        faults.refuse(
            path,
            topic,
            "cannot be the name of a Kafka topic",
            "use 1 to 249 letters, digits, dots, underscores and hyphens",
        );
    }
}
