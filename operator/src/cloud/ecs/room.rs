//! What only a service's events tell: since when it has had all its tasks, and why ECS finds no room for one, in one line,
//! as such a task never exists.

use aws_sdk_ecs::types::{Deployment, Service as SdkService, ServiceEvent};
use jiff::Timestamp;

use crate::cloud::error::one_line;
use crate::cloud::scaling::timestamp;

const UNPLACED: &str = "was unable to place a task";
const SETTLED: &str = "has reached a steady state";
/// What follows is the same in all of these events and says nothing about this one.
const POINTER: &str = " For more information, see";

/// Returns why tasks are missing that ECS could not place, unless it has placed them all since. ECS tells the same again
/// only after hours, so however old the event is, it holds for as long as tasks are missing.
pub(in crate::cloud) fn reason(service: &SdkService) -> Option<String> {
    let deployments = service.deployments();
    deployments
        .iter()
        .find(|one| one.status() == Some("PRIMARY") && lacks_tasks(one))?;
    let told = |event: &&ServiceEvent| {
        let message = event.message().unwrap_or_default();
        message.contains(SETTLED) || is_unplaced(message)
    };
    let time = |event: &&ServiceEvent| event.created_at().map(|at| (at.secs(), at.subsec_nanos()));
    // ECS lists the newest first, and of several at one moment the first counts: the last maximum is of the reversed list.
    let newest = service.events().iter().rev().filter(told).max_by_key(time)?;
    let message = newest.message().filter(|message| is_unplaced(message))?;
    Some(line(message))
}

/// Returns when ECS last said that the service has all its tasks.
pub(in crate::cloud) fn steady_since(service: &SdkService) -> Option<Timestamp> {
    let told = |event: &&ServiceEvent| event.message().is_some_and(|message| message.contains(SETTLED));
    let times = service
        .events()
        .iter()
        .filter(told)
        .filter_map(ServiceEvent::created_at);
    times.map(timestamp).max()
}

fn lacks_tasks(deployment: &Deployment) -> bool {
    deployment.running_count + deployment.pending_count < deployment.desired_count
}

/// A task that was placed and failed to start has an id, and tells more about itself than the event does.
fn is_unplaced(message: &str) -> bool {
    message.contains(UNPLACED) && !message.contains("(task ")
}

fn line(message: &str) -> String {
    let told = message.find(UNPLACED).map_or(message, |start| &message[start..]);
    let told = told.split(POINTER).next().unwrap_or(told);
    one_line(&format!("ECS {told}"))
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::primitives::DateTime;

    use super::*;

    const NO_INSTANCE: &str = "(service penstock-orders) was unable to place a task because no container instance met all of \
        its requirements. Reason: No Container Instances were found in your cluster. For more information, see the \
        Troubleshooting section of the Amazon ECS Developer Guide.";
    const STEADY: &str = "(service penstock-orders) has reached a steady state.";

    /// A service that wants two tasks and runs one, with these events, the newest first.
    fn service(events: &[(i64, &str)]) -> SdkService {
        let deployment = Deployment::builder()
            .status("PRIMARY")
            .desired_count(2)
            .running_count(1);
        let event = |(at, message): &(i64, &str)| {
            let event = ServiceEvent::builder().created_at(DateTime::from_secs(*at));
            event.message(*message).build()
        };
        SdkService::builder()
            .deployments(deployment.build())
            .set_events(Some(events.iter().map(event).collect()))
            .build()
    }

    #[test]
    fn a_task_without_room_is_explained_in_one_line() {
        let found = reason(&service(&[
            (30, "(service penstock-orders) has started 1 tasks: (task 0a1b)."),
            (20, NO_INSTANCE),
            (10, STEADY),
        ]));
        let expected = "ECS was unable to place a task because no container instance met all of its requirements. Reason: No \
                        Container Instances were found in your cluster.";
        assert_eq!(found.as_deref(), Some(expected));
        let fargate = "(service s) was unable to place a task. Reason: Capacity is unavailable at this time. Please try again \
                       later or in a different availability zone.";
        let found = reason(&service(&[(20, fargate)]));
        assert!(found.is_some_and(|line| line.contains("Capacity is unavailable")));
    }

    #[test]
    fn what_was_resolved_since_is_not_told() {
        assert_eq!(reason(&service(&[(30, STEADY), (20, NO_INSTANCE)])), None);
        assert_eq!(
            reason(&service(&[(30, STEADY), (30, NO_INSTANCE)])),
            None,
            "at one moment"
        );
        let mut all_there = service(&[(20, NO_INSTANCE)]);
        let placed = Deployment::builder()
            .status("PRIMARY")
            .desired_count(2)
            .running_count(1);
        all_there.deployments = Some(vec![placed.pending_count(1).build()]);
        assert_eq!(reason(&all_there), None);
    }

    #[test]
    fn a_task_that_failed_to_start_speaks_for_itself() {
        let failed = "(service s) was unable to place a task. Reason: CannotPullContainerError. (task 0a1b)";
        assert_eq!(reason(&service(&[(20, failed)])), None);
    }
}
