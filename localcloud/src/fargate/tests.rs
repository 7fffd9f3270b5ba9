//! The agent with real, small processes.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Agent, AgentOptions};
use crate::http::{Clocks, SharedCloud};
use crate::model::{Cloud, Scope, Service};

struct Rig {
    cloud: SharedCloud,
    scope: Scope,
    directory: PathBuf,
    shutdown: Option<oneshot::Sender<()>>,
    agent: JoinHandle<()>,
}

impl Rig {
    /// An agent whose one image `script` is this shell script.
    fn start(name: &str, script: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("penstock-fargate-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        let cloud = SharedCloud::new(Cloud::default(), Clocks::new(1.0));
        let command = ["/bin/sh", "-c", script, "script"].map(str::to_owned).to_vec();
        let options = AgentOptions {
            images: [("script".to_owned(), command)].into(),
            endpoint_url: "http://127.0.0.1:1".to_owned(),
            log_dir: directory.clone(),
        };
        let agent = Agent::new(cloud.clone(), options).unwrap();
        let (shutdown, down) = oneshot::channel();
        let agent = tokio::spawn(agent.run(async move {
            let _ = down.await;
        }));
        let scope = Scope {
            account: "123456789012".into(),
            region: "eu-west-1".into(),
        };
        let rig = Self {
            cloud,
            scope,
            directory,
            shutdown: Some(shutdown),
            agent,
        };
        rig.call("CreateCluster", json!({}));
        rig
    }

    fn call(&self, operation: &str, input: Value) -> Value {
        self.cloud
            .with(|cloud, now| cloud.handle(Service::Ecs, &self.scope, operation, &input, now))
            .unwrap()
    }

    /// Runs one task of this container.
    fn serve(&self, container: Value) {
        let mut definition = json!({"name": "c", "image": "script", "stopTimeout": 2});
        definition
            .as_object_mut()
            .unwrap()
            .extend(container.as_object().unwrap().clone());
        self.call(
            "RegisterTaskDefinition",
            json!({
                "family": "f", "cpu": "256", "memory": "512", "networkMode": "awsvpc",
                "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [definition],
                "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
            }),
        );
        self.call(
            "CreateService",
            json!({
                "serviceName": "s", "taskDefinition": "f", "desiredCount": 1, "launchType": "FARGATE",
                "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
            }),
        );
    }

    /// Waits, with the scheduler at work, until a task looks as wanted.
    async fn task(&self, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let search = async {
            loop {
                self.cloud.with(|cloud, now| cloud.region(&self.scope).ecs.advance(now));
                if let Some(task) = self.tasks().into_iter().find(&is_wanted) {
                    return task;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(60), search).await;
        found.unwrap_or_else(|_| panic!("no task {what}: {:#?}", self.tasks()))
    }

    async fn running(&self) -> Value {
        self.task("runs", |task| task["lastStatus"] == "RUNNING").await
    }

    async fn stopped(&self) -> Value {
        self.task("stopped", |task| task["lastStatus"] == "STOPPED").await
    }

    fn tasks(&self) -> Vec<Value> {
        let list = |status| {
            self.call("ListTasks", json!({"desiredStatus": status}))["taskArns"]
                .as_array()
                .unwrap()
                .clone()
        };
        let arns = [list("RUNNING"), list("STOPPED")].concat();
        if arns.is_empty() {
            return arns;
        }
        self.call("DescribeTasks", json!({"tasks": arns}))["tasks"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// Waits until the task's log has a line that begins so, and returns the log.
    async fn log(&self, task: &Value, beginning: &str) -> String {
        let id = task["taskArn"].as_str().unwrap().rsplit('/').next().unwrap();
        let path = self.directory.join(format!("{id}.log"));
        wait_for(&format!("'{beginning}' in the log"), || {
            let log = std::fs::read_to_string(&path).unwrap_or_default();
            log.lines().any(|line| line.starts_with(beginning)).then_some(log)
        })
        .await
    }

    async fn end(mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(60), &mut self.agent)
            .await
            .unwrap()
            .unwrap();
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

async fn wait_for<T>(what: &str, probe: impl Fn() -> Option<T>) -> T {
    let search = async {
        loop {
            if let Some(found) = probe() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), search)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

fn number_after(log: &str, beginning: &str) -> String {
    log.lines()
        .find_map(|line| line.strip_prefix(beginning))
        .unwrap()
        .trim()
        .to_owned()
}

#[tokio::test]
async fn a_process_gets_the_definitions_environment_and_the_stand_ins_alone() {
    let rig = Rig::start("environment", "/usr/bin/env; echo args: $*; echo done; sleep 60");
    rig.serve(json!({"environment": [{"name": "MINE", "value": "a b"}], "command": ["one", "two"]}));
    let task = rig.running().await;
    let log = rig.log(&task, "done").await;
    let interface = task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut names: Vec<_> = log
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name)
        .collect();
    names.sort_unstable();
    let expected = [
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_EXECUTION_ENV",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "HOME",
        "MINE",
        "PATH",
        "PENSTOCK_LISTEN",
        "PWD",
    ];
    // The shell itself adds PWD, and some shells more than that.
    names.retain(|name| !matches!(*name, "_" | "SHLVL" | "OLDPWD"));
    assert_eq!(names, expected);
    assert!(log.contains("MINE=a b\n") && log.contains("args: one two\n"), "{log}");
    assert!(log.contains(&format!("PENSTOCK_LISTEN={interface}:8080\n")), "{log}");
    rig.end().await;
}

#[tokio::test]
async fn a_process_that_ends_on_sigterm_keeps_its_exit_code() {
    let rig = Rig::start(
        "term",
        "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done",
    );
    // Ample, as it is not the time that is to end it.
    rig.serve(json!({"stopTimeout": 30}));
    let task = rig.running().await;
    rig.log(&task, "ready").await;
    rig.call("StopTask", json!({"task": task["taskArn"], "reason": "test"}));
    let task = rig.stopped().await;
    assert_eq!(
        (&task["containers"][0]["exitCode"], &task["stopCode"]),
        (&json!(7), &json!("UserInitiated"))
    );
    rig.log(&task, "bye").await;
    rig.end().await;
}

#[tokio::test]
async fn a_process_that_ignores_sigterm_is_killed_after_its_stop_timeout_with_all_it_started() {
    let rig = Rig::start(
        "kill",
        "trap '' TERM; sleep 300 & echo child $!; echo ready; while :; do sleep 1; done",
    );
    rig.serve(json!({"stopTimeout": 1}));
    let task = rig.running().await;
    let log = rig.log(&task, "ready").await;
    rig.call("StopTask", json!({"task": task["taskArn"]}));
    assert_eq!(rig.stopped().await["containers"][0]["exitCode"], 137);
    let child = format!("/proc/{}/stat", number_after(&log, "child "));
    wait_for("the child's end", || is_gone(Path::new(&child)).then_some(())).await;
    rig.end().await;
}

/// Whether no living process is behind this `stat` file.
fn is_gone(stat: &Path) -> bool {
    std::fs::read_to_string(stat).map_or(true, |stat| stat.contains(") Z "))
}

#[tokio::test]
async fn an_unknown_image_fails_to_start_with_the_reason_of_ecs() {
    let rig = Rig::start("image", "sleep 60");
    rig.serve(json!({"image": "nowhere/unknown:1"}));
    let task = rig.stopped().await;
    assert_eq!(task["stopCode"], "TaskFailedToStart");
    assert!(
        task["stoppedReason"]
            .as_str()
            .unwrap()
            .starts_with("CannotPullContainerError"),
        "{task}"
    );
    rig.end().await;
}

#[tokio::test]
async fn a_missing_secret_fails_to_start_with_the_reason_of_ecs() {
    let rig = Rig::start("no-secret", "sleep 60");
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:none-abcdef";
    rig.serve(json!({"secrets": [{"name": "PASSWORD", "valueFrom": arn}]}));
    let task = rig.stopped().await;
    assert!(
        task["stoppedReason"]
            .as_str()
            .unwrap()
            .starts_with("ResourceInitializationError"),
        "{task}"
    );
    rig.end().await;
}

#[tokio::test]
async fn a_secret_reaches_the_process_by_its_json_key() {
    let rig = Rig::start("secret", "echo \"got $PASSWORD\"; sleep 60");
    let input = json!({"Name": "db", "SecretString": r#"{"password": "opensesame"}"#, "ClientRequestToken": "0123456789abcdef0123456789abcdef"});
    let made = rig
        .cloud
        .with(|cloud, now| cloud.handle(Service::Secrets, &rig.scope, "CreateSecret", &input, now));
    let arn = made.unwrap()["ARN"].as_str().unwrap().to_owned();
    rig.serve(json!({"secrets": [{"name": "PASSWORD", "valueFrom": format!("{arn}:password::")}]}));
    let task = rig.running().await;
    rig.log(&task, "got opensesame").await;
    rig.end().await;
}

#[tokio::test]
async fn health_checks_run_and_an_unhealthy_task_is_replaced() {
    let rig = Rig::start("health", "echo well > \"$STATE\"; sleep 300");
    let state = rig.directory.join("state");
    let shell = format!("test -e {}", state.display());
    rig.serve(json!({
        "environment": [{"name": "STATE", "value": state.display().to_string()}],
        "healthCheck": {"command": ["CMD-SHELL", shell], "interval": 5, "timeout": 2, "retries": 1},
    }));
    let task = rig.task("healthy", |task| task["healthStatus"] == "HEALTHY").await;
    std::fs::remove_file(&state).unwrap();
    let ended = rig.stopped().await;
    assert_eq!(
        (&ended["taskArn"], &ended["stoppedReason"]),
        (&task["taskArn"], &json!("Task failed container health checks"))
    );
    rig.task("replaces it", |other| {
        other["lastStatus"] == "RUNNING" && other["taskArn"] != task["taskArn"]
    })
    .await;
    rig.end().await;
}

#[tokio::test]
async fn what_uses_more_memory_than_its_task_has_is_killed() {
    let rig = Rig::start("memory", "{ head -c 900m /dev/zero; sleep 60; } | tail -n 1");
    rig.serve(json!({}));
    let task = rig.stopped().await;
    let container = &task["containers"][0];
    assert_eq!(
        (&container["exitCode"], &task["stopCode"]),
        (&json!(137), &json!("EssentialContainerExited"))
    );
    assert_eq!(
        container["reason"],
        "OutOfMemoryError: Container killed due to memory usage"
    );
    rig.end().await;
}

#[tokio::test]
async fn real_use_shows_in_the_metrics_relative_to_what_the_task_has() {
    let rig = Rig::start("usage", "while :; do :; done");
    rig.serve(json!({}));
    rig.running().await;
    // A quarter of a CPU is reserved, so that a busy loop uses a multiple of it even on a busy host.
    wait_for("a busy process", || {
        let metrics = rig.cloud.with(|cloud, _| cloud.region(&rig.scope).ecs.metrics());
        metrics[0]
            .samples
            .iter()
            .any(|(cpu, memory)| *cpu > 50.0 && *memory > 0.0)
            .then_some(())
    })
    .await;
    rig.end().await;
}

#[tokio::test]
async fn nothing_outlives_the_agent() {
    let rig = Rig::start("shutdown", "echo pid $$; echo ready; sleep 300");
    rig.serve(json!({}));
    let task = rig.running().await;
    let log = rig.log(&task, "ready").await;
    rig.end().await;
    assert!(is_gone(Path::new(&format!(
        "/proc/{}/stat",
        number_after(&log, "pid ")
    ))));
}
