//! Dead-letter queues: who may be whose.

use super::attributes::{Attributes, Permission};
use super::{Sqs, invalid, queue_arn};
use crate::model::{Fault, Scope};

/// Refuses a redrive policy whose target is not here, is of the other kind, or does not want this source.
pub(super) fn check_target(queues: &Sqs, scope: &Scope, source: &str, attributes: &Attributes) -> Result<(), Fault> {
    let Some(redrive) = &attributes.redrive else {
        return Ok(());
    };
    let wrong = |why: &str| {
        let policy = attributes.text("RedrivePolicy").unwrap_or_default();
        invalid(format!(
            "Value {policy} for parameter RedrivePolicy is invalid. Reason: {why}"
        ))
    };
    let target = name_in(scope, &redrive.target).and_then(|name| queues.queues.get(name));
    let target = target.ok_or_else(|| wrong("Dead letter target does not exist."))?;
    if target.attributes.fifo != attributes.fifo {
        return Err(wrong("Dead-letter queue must be same type of queue as the source."));
    }
    if !admits(&target.attributes, &queue_arn(scope, source)) {
        return Err(wrong("Dead-letter queue does not allow this source queue."));
    }
    Ok(())
}

/// Returns the queue's name in an ARN of this account and region.
pub(super) fn name_in<'a>(scope: &Scope, arn: &'a str) -> Option<&'a str> {
    arn.strip_prefix(&queue_arn(scope, ""))
}

/// Says whether the target's RedriveAllowPolicy names the source.
fn admits(target: &Attributes, source_arn: &str) -> bool {
    match &target.redrive_allow {
        Permission::AllowAll => true,
        Permission::DenyAll => false,
        Permission::ByQueue(sources) => sources.iter().any(|source| source == source_arn),
    }
}
