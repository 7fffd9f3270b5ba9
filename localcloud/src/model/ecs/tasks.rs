//! The operations on tasks, protection from scale-in included.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Ecs;
use super::capacity::LaunchType;
use super::instances::instance_arn;
use super::names::{arn_in, family_and_revision, name_in};
use super::paging::{Page, page};
use super::services::service_not_found;
use super::task::{StopCode, Task};
use super::wire::{Include, failure, invalid, put, read, seconds};
use crate::model::{Answer, Call, Fault, Scope};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListTasks {
    cluster: Option<String>,
    family: Option<String>,
    next_token: Option<String>,
    max_results: Option<i32>,
    started_by: Option<String>,
    service_name: Option<String>,
    desired_status: Option<DesiredStatus>,
    launch_type: Option<ListedLaunchType>,
    container_instance: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum DesiredStatus {
    Running,
    Pending,
    Stopped,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum ListedLaunchType {
    Fargate,
    Ec2,
    External,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DescribeTasks {
    cluster: Option<String>,
    tasks: Vec<String>,
    #[serde(default)]
    include: Vec<Include>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StopTask {
    cluster: Option<String>,
    task: String,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateTaskProtection {
    cluster: String,
    tasks: Vec<String>,
    protection_enabled: bool,
    expires_in_minutes: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GetTaskProtection {
    cluster: String,
    #[serde(default)]
    tasks: Vec<String>,
}

impl Ecs {
    pub(super) fn list_tasks(&self, call: &Call<'_>) -> Answer {
        let input: ListTasks = read(call)?;
        let cluster = self.cluster(call.scope, input.cluster.as_deref())?.name.clone();
        let service = match &input.service_name {
            Some(reference) => {
                let name = name_in(call.scope, "service", &cluster, reference)?;
                let service = self.service(&cluster, name).ok_or_else(service_not_found)?;
                Some(service.name.clone())
            }
            None => None,
        };
        let wants_stopped = input.desired_status == Some(DesiredStatus::Stopped);
        // No task ever has the desired status PENDING, as the API's documentation says.
        let nothing = input.desired_status == Some(DesiredStatus::Pending);
        let has_launch_type = |task: &Task| match input.launch_type {
            None => true,
            Some(ListedLaunchType::Fargate) => task.launch_type == LaunchType::Fargate,
            Some(ListedLaunchType::Ec2) => task.launch_type == LaunchType::Ec2,
            Some(ListedLaunchType::External) => false,
        };
        let host = input
            .container_instance
            .as_deref()
            .map(|reference| instance_arn(call.scope, &cluster, reference))
            .transpose()?;
        let is_on_host = |task: &Task| {
            let own = task.host.as_ref().map(|host| &host.arn);
            host.is_none() || own == host.as_ref()
        };
        let is_listed = |task: &&Task| {
            !nothing
                && has_launch_type(task)
                && is_on_host(task)
                && task.cluster == cluster
                && task.is_wanted() != wants_stopped
                && service.as_ref().is_none_or(|service| *service == task.service)
                && input.started_by.as_ref().is_none_or(|by| *by == task.deployment)
                && input
                    .family
                    .as_ref()
                    .is_none_or(|family| *family == family_and_revision(&task.definition_arn).0)
        };
        let listed = self.tasks.values().filter(is_listed);
        let entries = listed.map(|task| (task.arn.clone(), json!(task.arn))).collect();
        let ask = Page {
            token: input.next_token.as_deref(),
            size: input.max_results,
            default_size: 100,
        };
        page("taskArns", ask, false, entries)
    }

    pub(super) fn describe_tasks(&self, call: &Call<'_>) -> Answer {
        let input: DescribeTasks = read(call)?;
        let cluster = self.cluster(call.scope, input.cluster.as_deref())?.name.clone();
        check_count(&input.tasks)?;
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for reference in &input.tasks {
            let arn = task_arn(call.scope, &cluster, reference)?;
            match self.tasks.get(&arn) {
                Some(task) => tasks.push(task.json(!input.include.is_empty())),
                None => failures.push(failure(&arn, "MISSING")),
            }
        }
        Ok(json!({"tasks": tasks, "failures": failures}))
    }

    pub(super) fn stop_task(&mut self, call: &Call<'_>) -> Answer {
        let input: StopTask = read(call)?;
        let cluster = self.cluster(call.scope, input.cluster.as_deref())?.name.clone();
        let task = self
            .tasks
            .get_mut(&task_arn(call.scope, &cluster, &input.task)?)
            .ok_or_else(|| invalid("The referenced task was not found."))?;
        let reason = input.reason.unwrap_or_else(|| "Task stopped by user".to_owned());
        task.ask_to_stop(StopCode::UserInitiated, &reason, call.now);
        Ok(json!({"task": task.json(false)}))
    }

    pub(super) fn update_task_protection(&mut self, call: &Call<'_>) -> Answer {
        let input: UpdateTaskProtection = read(call)?;
        let cluster = self.cluster(call.scope, Some(&input.cluster))?.name.clone();
        if input.tasks.is_empty() || input.tasks.len() > 10 {
            return Err(invalid("tasks must name 1 to 10 tasks."));
        }
        let minutes = match (input.protection_enabled, input.expires_in_minutes) {
            (true, minutes) => minutes.unwrap_or(120),
            (false, _) => 1,
        };
        if !(1..=2880).contains(&minutes) {
            return Err(invalid("expiresInMinutes must be between 1 and 2880."));
        }
        let until = input.protection_enabled.then_some(call.now.real + minutes * 60_000);
        let (mut protected, mut failures) = (Vec::new(), Vec::new());
        for reference in &input.tasks {
            let arn = task_arn(call.scope, &cluster, reference)?;
            match self.tasks.get_mut(&arn) {
                None => failures.push(failure(&arn, "MISSING")),
                Some(task) if !task.is_wanted() => failures.push(failure(&arn, "TASK_NOT_VALID")),
                Some(task) => {
                    task.protected_until = until;
                    protected.push(protection_json(task, call));
                }
            }
        }
        Ok(json!({"protectedTasks": protected, "failures": failures}))
    }

    pub(super) fn get_task_protection(&self, call: &Call<'_>) -> Answer {
        let input: GetTaskProtection = read(call)?;
        let cluster = self.cluster(call.scope, Some(&input.cluster))?.name.clone();
        let (mut protected, mut failures) = (Vec::new(), Vec::new());
        if input.tasks.is_empty() {
            let of_cluster = self
                .tasks
                .values()
                .filter(|task| task.cluster == cluster && task.is_protected(call.now));
            protected.extend(of_cluster.map(|task| protection_json(task, call)));
        }
        for reference in &input.tasks {
            let arn = task_arn(call.scope, &cluster, reference)?;
            match self.tasks.get(&arn) {
                Some(task) => protected.push(protection_json(task, call)),
                None => failures.push(failure(&arn, "MISSING")),
            }
        }
        Ok(json!({"protectedTasks": protected, "failures": failures}))
    }
}

fn task_arn(scope: &Scope, cluster: &str, reference: &str) -> Result<String, Fault> {
    arn_in(scope, "task", cluster, reference)
}

fn protection_json(task: &Task, call: &Call<'_>) -> Value {
    let is_protected = task.is_protected(call.now);
    let mut json = json!({"taskArn": task.arn, "protectionEnabled": is_protected});
    put(
        &mut json,
        "expirationDate",
        task.protected_until.filter(|_| is_protected).map(seconds),
    );
    json
}

fn check_count(tasks: &[String]) -> Result<(), Fault> {
    match tasks.len() {
        0 => Err(invalid("Tasks cannot be empty.")),
        1..=100 => Ok(()),
        _ => Err(invalid("Tasks cannot have more than 100 elements.")),
    }
}
