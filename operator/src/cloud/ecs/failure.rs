//! Why a task of a service failed, in one line.

use aws_sdk_ecs::types::{Container, DesiredStatus, Task, TaskStopCode};
use jiff::Timestamp;

use crate::cloud::Error;
use crate::cloud::aws::Aws;
use crate::cloud::ecs::tasks::page;
use crate::cloud::error::one_line;
use crate::cloud::scaling::timestamp;
use crate::plan::resources::Subject;

/// Pages of stopped tasks, of a hundred each and in no order that ECS promises. It starts the tasks of a service whose tasks
/// fail ever more slowly, so an hour has no more.
const PAGES: usize = 10;

/// Returns why the newest task that failed did so, of those that `counts`. ECS shows stopped tasks for about an hour.
pub(in crate::cloud) async fn newest(
    aws: &Aws,
    subject: &Subject,
    counts: impl Fn(&Task) -> bool + Send,
) -> Result<Option<String>, Error> {
    let (mut tasks, mut token) = (Vec::new(), None);
    for _ in 0..PAGES {
        let (found, next) = page(aws, subject, DesiredStatus::Stopped, token).await?;
        tasks.extend(found.into_iter().filter(&counts));
        token = next;
        if token.is_none() {
            break;
        }
    }
    Ok(of_newest(&tasks))
}

/// Whether a task stopped after that time; true where there is no such time.
pub(in crate::cloud) fn is_after(task: &Task, time: Option<Timestamp>) -> bool {
    let stopped = task.stopped_at().or(task.stopping_at()).map(timestamp);
    time.is_none_or(|time| stopped.is_none_or(|stopped| stopped > time))
}

fn of_newest(tasks: &[Task]) -> Option<String> {
    let time = |task: &Task| {
        task.stopped_at
            .or(task.stopping_at)
            .map(|at| (at.secs(), at.subsec_nanos()))
    };
    tasks
        .iter()
        .filter(|task| is_failure(task))
        .max_by_key(|task| time(task))
        .map(line)
}

/// Tasks that ECS or a person stopped did not fail, but for those whose health check did.
fn is_failure(task: &Task) -> bool {
    let exits_badly = |container: &Container| container.exit_code().is_some_and(|code| code != 0);
    match task.stop_code() {
        Some(TaskStopCode::TaskFailedToStart) => true,
        Some(TaskStopCode::EssentialContainerExited) => task.containers().iter().any(exits_badly),
        _ => task
            .stopped_reason()
            .is_some_and(|reason| reason.contains("health check")),
    }
}

fn line(task: &Task) -> String {
    let code = task.stop_code().map_or("Stopped", TaskStopCode::as_str);
    let mut text = format!("{code}: {}", task.stopped_reason().unwrap_or("no reason"));
    let culprit = task
        .containers()
        .iter()
        .find(|container| container.reason().is_some() || container.exit_code().is_some());
    if let Some(container) = culprit {
        text += &format!("; container {}", container.name().unwrap_or_default());
        if let Some(exit) = container.exit_code() {
            text += &format!(" exit code {exit}");
        }
        if let Some(reason) = container.reason() {
            text += &format!(": {reason}");
        }
    }
    one_line(&text)
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::primitives::DateTime;

    use super::*;

    fn task(at: i64, code: TaskStopCode, reason: &str, exit: Option<i32>) -> Task {
        let container = Container::builder().name("bridge").set_exit_code(exit).build();
        Task::builder()
            .stopped_at(DateTime::from_secs(at))
            .stop_code(code)
            .stopped_reason(reason)
            .containers(container)
            .build()
    }

    #[test]
    fn the_newest_failure_counts_and_what_was_stopped_on_purpose_does_not() {
        let tasks = [
            task(
                10,
                TaskStopCode::TaskFailedToStart,
                "CannotPullContainerError: no such\nimage",
                None,
            ),
            task(
                20,
                TaskStopCode::EssentialContainerExited,
                "Essential container in task exited",
                Some(78),
            ),
            task(
                30,
                TaskStopCode::ServiceSchedulerInitiated,
                "Scaling activity initiated by deployment",
                Some(0),
            ),
            task(
                40,
                TaskStopCode::EssentialContainerExited,
                "Essential container in task exited",
                Some(0),
            ),
        ];
        let told = of_newest(&tasks);
        let expected = "EssentialContainerExited: Essential container in task exited; container bridge exit code 78";
        assert_eq!(told.as_deref(), Some(expected));
        let first = of_newest(&tasks[..1]);
        assert_eq!(
            first.as_deref(),
            Some("TaskFailedToStart: CannotPullContainerError: no such image")
        );
    }

    #[test]
    fn what_a_service_got_over_is_no_failure_of_today() {
        let failed = task(
            10,
            TaskStopCode::EssentialContainerExited,
            "Essential container in task exited",
            Some(78),
        );
        let at = |second| Timestamp::from_second(second).ok();
        assert!(is_after(&failed, None) && is_after(&failed, at(9)));
        assert!(!is_after(&failed, at(10)) && !is_after(&failed, at(3_000)));
    }

    #[test]
    fn a_failed_health_check_is_a_failure_though_ecs_stopped_the_task() {
        let tasks = [task(
            1,
            TaskStopCode::ServiceSchedulerInitiated,
            "Task failed container health checks",
            Some(137),
        )];
        assert!(of_newest(&tasks).is_some_and(|line| line.contains("health checks; container bridge exit code 137")));
    }
}
