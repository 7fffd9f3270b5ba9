//! Fields of a connector that would change nothing beside its own queue. From a profile they may come: it is for many.

use crate::{ConnectorSpec, Fault, GroupFailure};

/// Refuses what the connector says in vain of groups that failed.
pub(crate) fn faults_of_idle(spec: &ConnectorSpec) -> Vec<Fault> {
    let sqs = spec.source.as_ref().and_then(|source| source.sqs.as_ref());
    let (Some(queue_url), Some(errors)) = (sqs.and_then(|sqs| sqs.queue_url.as_deref()), &spec.errors) else {
        return Vec::new();
    };
    if errors.on_group_failure != Some(GroupFailure::Hold) {
        return Vec::new();
    }
    let fault = match &errors.dead_letter_topic {
        _ if !queue_url.trim_end().ends_with(".fifo") => Fault::with_value(
            "spec.errors.onGroupFailure",
            "hold",
            "would do nothing: a standard queue has no groups whose order could be kept",
            "remove it",
        ),
        Some(topic) => Fault::with_value(
            "spec.errors.deadLetterTopic",
            topic,
            "is never written, since `onGroupFailure: hold` lets a group wait instead",
            "remove it, or use `onGroupFailure: dlq-and-continue`",
        ),
        None => return Vec::new(),
    };
    vec![fault]
}
