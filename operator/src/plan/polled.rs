//! Which queues the operator itself has to read between passes, and what for.

use penstock_crds::{AlarmKind, Connector};

use crate::plan::desired::{Surroundings, is_foreign_queue};

/// Whether the operator's own work depends on the queue: sleep, a wake, or the backlog that it publishes.
pub fn is_polled(connector: &Connector, around: &Surroundings) -> bool {
    may_sleep(connector) || is_published(connector, around)
}

/// Whether all tasks may go, and messages that come then have to be seen.
pub fn may_sleep(connector: &Connector) -> bool {
    connector.scaling.as_ref().is_some_and(|scaling| scaling.min == 0)
}

/// Whether a policy or an alarm reads the backlog per task that the operator publishes, since none can read the queue.
pub fn is_published(connector: &Connector, around: &Surroundings) -> bool {
    let is_alarm = |kind| connector.alarms.iter().any(|alarm| alarm.kind == kind);
    let is_read = connector.scaling.is_some() || is_alarm(AlarmKind::BacklogHighAndMaxScaledOut);
    is_read && is_foreign_queue(connector, around)
}
