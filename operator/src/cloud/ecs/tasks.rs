//! The tasks of a service: how their health checks find them.

use aws_sdk_ecs::types::{Container, DesiredStatus, HealthStatus, Task};
use jiff::Timestamp;

use crate::cloud::Error;
use crate::cloud::aws::Aws;
use crate::cloud::budget::Category;
use crate::cloud::ecs::failure;
use crate::cloud::error::one_line;
use crate::plan::resources::{Subject, TaskHealth};

/// Tasks per `DescribeTasks`, and so per page of `ListTasks`.
const DESCRIBED: i32 = 100;

/// Pages: a service runs 5,000 tasks at most.
const PAGES: usize = 50;

/// Counts the healthy tasks among those that the service should run, of `task_definition` and of others, and says why
/// those of the one are not.
pub(in crate::cloud) async fn health(
    aws: &Aws,
    subject: &Subject,
    task_definition: &str,
    steady_since: Option<Timestamp>,
) -> Result<TaskHealth, Error> {
    let is_counted = |task: &Task| task.task_definition_arn() == Some(task_definition);
    let (mut tasks, mut token) = (Vec::new(), None);
    for _ in 0..PAGES {
        let (found, next) = page(aws, subject, DesiredStatus::Running, token).await?;
        tasks.extend(found);
        token = next;
        if token.is_none() {
            break;
        }
    }
    let (tasks, others): (Vec<_>, Vec<_>) = tasks.into_iter().partition(is_counted);
    let seen = TaskHealth {
        former: healthy(&others),
        ..told(&tasks)
    };
    let all_healthy = usize::try_from(seen.healthy) == Ok(tasks.len()) && !tasks.is_empty();
    if all_healthy || seen.cause.is_some() {
        return Ok(seen);
    }
    // A failure of another definition is no reason why these tasks are not healthy.
    let counts = |task: &Task| is_counted(task) && failure::is_after(task, steady_since);
    let cause = failure::newest(aws, subject, counts).await?;
    Ok(TaskHealth { cause, ..seen })
}

/// Returns a page of a service's tasks of that desired status, and the way to the next one.
pub(super) async fn page(
    aws: &Aws,
    subject: &Subject,
    status: DesiredStatus,
    token: Option<String>,
) -> Result<(Vec<Task>, Option<String>), Error> {
    let request = aws
        .read
        .ecs
        .list_tasks()
        .cluster(&subject.cluster)
        .service_name(subject.service_name())
        .desired_status(status)
        .max_results(DESCRIBED)
        .set_next_token(token);
    let listed = aws.call(Category::TaskRead, "ListTasks", request.send()).await?;
    let arns = listed.task_arns.unwrap_or_default();
    if arns.is_empty() {
        return Ok((Vec::new(), listed.next_token));
    }
    let request = aws
        .read
        .ecs
        .describe_tasks()
        .cluster(&subject.cluster)
        .set_tasks(Some(arns));
    let answer = aws.call(Category::TaskRead, "DescribeTasks", request.send()).await?;
    // A task that went between the two calls is among the failures, and no longer the service's.
    Ok((answer.tasks.unwrap_or_default(), listed.next_token))
}

fn told(tasks: &[Task]) -> TaskHealth {
    let is_unhealthy = |task: &&Task| task.health_status() == Some(&HealthStatus::Unhealthy);
    TaskHealth {
        healthy: healthy(tasks),
        former: 0,
        cause: tasks.iter().find(is_unhealthy).map(line),
    }
}

fn healthy(tasks: &[Task]) -> i32 {
    let is_healthy =
        |task: &&Task| task.last_status() == Some("RUNNING") && task.health_status() == Some(&HealthStatus::Healthy);
    i32::try_from(tasks.iter().filter(is_healthy).count()).unwrap_or(i32::MAX)
}

fn line(task: &Task) -> String {
    let id = task
        .task_arn()
        .and_then(|arn| arn.rsplit('/').next())
        .unwrap_or_default();
    let is_unhealthy = |container: &&Container| container.health_status() == Some(&HealthStatus::Unhealthy);
    let culprit = task.containers().iter().find(is_unhealthy);
    let name = culprit.and_then(Container::name).unwrap_or_default();
    one_line(&format!(
        "task {id} is UNHEALTHY: container {name} fails its health check"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(status: &str, health: Option<HealthStatus>) -> Task {
        let container = Container::builder()
            .name("penstock-bridge")
            .set_health_status(health.clone())
            .build();
        Task::builder()
            .task_arn("arn:aws:ecs:eu-west-1:123456789012:task/data/0a1b")
            .last_status(status)
            .set_health_status(health)
            .containers(container)
            .build()
    }

    #[test]
    fn only_a_task_that_runs_and_passed_its_health_check_is_healthy() {
        let tasks = [
            task("RUNNING", Some(HealthStatus::Healthy)),
            task("RUNNING", Some(HealthStatus::UnknownValue)),
            task("RUNNING", None),
            task("DEACTIVATING", Some(HealthStatus::Healthy)),
            task("PENDING", Some(HealthStatus::UnknownValue)),
        ];
        assert_eq!(
            told(&tasks),
            TaskHealth {
                healthy: 1,
                ..TaskHealth::default()
            }
        );
    }

    #[test]
    fn an_unhealthy_task_is_named_with_its_container() {
        let tasks = [
            task("RUNNING", Some(HealthStatus::UnknownValue)),
            task("RUNNING", Some(HealthStatus::Unhealthy)),
        ];
        let cause = "task 0a1b is UNHEALTHY: container penstock-bridge fails its health check";
        assert_eq!(told(&tasks).cause.as_deref(), Some(cause));
    }
}
