//! What CloudWatch is told about a queue.

use crate::model::Millis;

use super::queue::Queue;

/// What a queue holds at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueGauges {
    /// `ApproximateNumberOfMessagesVisible`
    pub visible: u64,
    /// `ApproximateNumberOfMessagesNotVisible`
    pub not_visible: u64,
    /// `ApproximateNumberOfMessagesDelayed`
    pub delayed: u64,
    /// `ApproximateAgeOfOldestMessage`; messages that were received three times count no more, as on AWS.
    pub oldest_age_seconds: u64,
}

/// What happened at a queue since the last reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueCounters {
    /// `NumberOfMessagesSent`
    pub sent: u64,
    /// `NumberOfMessagesReceived`
    pub received: u64,
    /// `NumberOfMessagesDeleted`
    pub deleted: u64,
    /// `NumberOfEmptyReceives`
    pub empty_receives: u64,
}

impl Queue {
    /// Returns what the queue holds.
    pub(super) fn gauges(&mut self, now: Millis) -> QueueGauges {
        self.store.settle(now, self.attributes.retention);
        let counts = self.store.counts();
        let age = self.store.oldest_entry().map_or(0, |entered| (now - entered) / 1000);
        QueueGauges {
            visible: counts.visible as u64,
            not_visible: counts.in_flight as u64,
            delayed: counts.delayed as u64,
            oldest_age_seconds: u64::try_from(age).unwrap_or(0),
        }
    }
}
