//! Services and their tasks driven by hand: calls go in, and reports stand for the agent.
#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{AgentCommand, Ecs, StartTask, TaskReport};
use crate::model::{Answer, Call, Now, Scope};

struct World {
    ecs: Ecs,
    scope: Scope,
    now: Now,
}

impl World {
    /// A cluster with a task definition `orders:1` of the image `good`.
    fn new() -> Self {
        let scope = Scope {
            account: "123456789012".into(),
            region: "eu-west-1".into(),
        };
        let mut world = Self {
            ecs: Ecs::default(),
            scope,
            now: Now {
                real: 1_000_000,
                fast: 1_000_000,
            },
        };
        world
            .call(
                "CreateCluster",
                json!({"capacityProviders": ["FARGATE", "FARGATE_SPOT"]}),
            )
            .unwrap();
        world.register(json!({}));
        world
    }

    fn call(&mut self, operation: &str, input: Value) -> Answer {
        let call = Call {
            scope: &self.scope,
            operation,
            input: &input,
            now: self.now,
        };
        self.ecs.handle(&call)
    }

    fn code(&mut self, operation: &str, input: Value) -> (String, String) {
        let fault = self.call(operation, input).unwrap_err();
        (fault.code, fault.message)
    }

    fn register(&mut self, container: Value) -> String {
        let answer = self.call("RegisterTaskDefinition", definition(container)).unwrap();
        answer["taskDefinition"]["taskDefinitionArn"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn create(&mut self, desired: i32, more: Value) -> Value {
        self.call("CreateService", service(desired, more)).unwrap()["service"].clone()
    }

    fn update(&mut self, change: Value) -> Value {
        self.call("UpdateService", merge(json!({"service": "s"}), change))
            .unwrap()["service"]
            .clone()
    }

    fn described(&mut self) -> Value {
        self.call("DescribeServices", json!({"services": ["s"]})).unwrap()["services"][0].clone()
    }

    fn record(&mut self) -> Value {
        let list = self.call("ListServiceDeployments", json!({"service": "s"})).unwrap();
        let arn = list["serviceDeployments"][0]["serviceDeploymentArn"].clone();
        let answer = self
            .call("DescribeServiceDeployments", json!({"serviceDeploymentArns": [arn]}))
            .unwrap();
        answer["serviceDeployments"][0].clone()
    }

    fn sleep(&mut self, seconds: i64) {
        self.now = Now {
            real: self.now.real + seconds * 1000,
            fast: self.now.fast + seconds * 1000,
        };
    }

    /// One round of scheduler and agent. Images named `bad` fail to start; what is stopped ends at once.
    fn step(&mut self) -> Vec<AgentCommand> {
        self.sleep(1);
        self.ecs.advance(self.now);
        let work = self.ecs.agent_work(self.now);
        for command in work.clone() {
            match command {
                AgentCommand::Start(start) if start.image == "bad" => self.report(TaskReport::FailedToStart {
                    task_arn: start.task_arn,
                    reason: "CannotPullContainerError: no such image".into(),
                }),
                AgentCommand::Start(start) => self.report(started(&start)),
                AgentCommand::Stop { task_arn, .. } => {
                    self.report(TaskReport::Exited {
                        task_arn,
                        exit_code: 143,
                        out_of_memory: false,
                    });
                }
            }
        }
        work
    }

    fn report(&mut self, report: TaskReport) {
        self.ecs.report(report, self.now);
    }

    fn settle(&mut self) {
        for _ in 0..50 {
            self.step();
        }
    }

    fn tasks(&mut self, status: &str) -> Vec<String> {
        let answer = self
            .call("ListTasks", json!({"serviceName": "s", "desiredStatus": status}))
            .unwrap();
        answer["taskArns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|arn| arn.as_str().unwrap().to_owned())
            .collect()
    }

    fn describe_task(&mut self, arn: &str) -> Value {
        self.call("DescribeTasks", json!({"tasks": [arn]})).unwrap()["tasks"][0].clone()
    }

    fn messages(&mut self) -> Vec<String> {
        let events = self.described()["events"].as_array().unwrap().clone();
        events
            .iter()
            .map(|event| event["message"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn started(start: &StartTask) -> TaskReport {
    TaskReport::Started {
        task_arn: start.task_arn.clone(),
        address: Ipv4Addr::new(127, 0, 1, 2),
    }
}

fn definition(container: Value) -> Value {
    json!({
        "family": "orders", "cpu": "256", "memory": "512", "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "containerDefinitions": [merge(json!({"name": "bridge", "image": "good", "essential": true}), container)],
    })
}

fn service(desired: i32, more: Value) -> Value {
    let base = json!({
        "serviceName": "s", "taskDefinition": "orders", "desiredCount": desired, "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}},
    });
    merge(base, more)
}

fn merge(mut base: Value, more: Value) -> Value {
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
}

fn breaker(rollback: bool) -> Value {
    json!({"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": rollback}}})
}

fn checked() -> Value {
    json!({"healthCheck": {"command": ["CMD", "true"]}})
}

#[test]
fn a_service_comes_to_its_desired_count_and_says_so() {
    let mut world = World::new();
    let made = world.create(2, json!({}));
    assert_eq!(
        (made["runningCount"].as_i64(), made["status"].as_str()),
        (Some(0), Some("ACTIVE"))
    );
    assert_eq!(made["deployments"][0]["rolloutState"], "IN_PROGRESS");
    world.settle();
    let seen = world.described();
    assert_eq!(seen["runningCount"], 2);
    assert_eq!(seen["deployments"][0]["rolloutState"], "COMPLETED");
    assert_eq!(world.record()["status"], "SUCCESSFUL");
    assert_eq!(world.messages()[0], "(service s) has reached a steady state.");
    assert_eq!(world.messages().iter().filter(|m| m.contains("steady")).count(), 1);
    assert_eq!(world.ecs.service_counts("default", "s"), Some((2, 2)));
}

#[test]
fn the_same_token_gives_the_same_service_and_other_parameters_are_refused() {
    let mut world = World::new();
    let first = world.create(1, json!({"clientToken": "a"}));
    assert_eq!(
        world.create(1, json!({"clientToken": "a"}))["createdAt"],
        first["createdAt"]
    );
    let refused = (
        "InvalidParameterException".into(),
        "Creation of service was not idempotent.".into(),
    );
    assert_eq!(
        world.code("CreateService", service(2, json!({"clientToken": "a"}))),
        refused
    );
    assert_eq!(
        world.code("CreateService", service(1, json!({"clientToken": "b"}))),
        refused
    );
}

#[test]
fn a_service_is_deleted_through_draining_to_inactive_and_can_be_made_again() {
    let mut world = World::new();
    world.create(1, json!({"clientToken": "a"}));
    world.settle();
    let (_, message) = world.code("DeleteService", json!({"service": "s"}));
    assert_eq!(message, "The service cannot be stopped while it is scaled above 0.");
    let gone = world
        .call("DeleteService", json!({"service": "s", "force": true}))
        .unwrap();
    assert_eq!(gone["service"]["status"], "DRAINING");
    let (_, message) = world.code("CreateService", service(1, json!({"clientToken": "b"})));
    assert_eq!(message, "Unable to Start a service that is still Draining.");
    assert!(
        world.call("ListServices", json!({})).unwrap()["serviceArns"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    world.settle();
    assert_eq!(world.described()["status"], "INACTIVE");
    assert_eq!(
        world.code("UpdateService", json!({"service": "s"})).0,
        "ServiceNotActiveException"
    );
    assert_eq!(
        world.code("DeleteService", json!({"service": "s"})).0,
        "ServiceNotFoundException"
    );
    assert_eq!(world.create(1, json!({"clientToken": "b"}))["status"], "ACTIVE");
    world.settle();
    assert_eq!(world.described()["runningCount"], 1);
}

#[test]
fn an_inactive_service_is_missing_after_an_hour() {
    let mut world = World::new();
    world.create(0, json!({}));
    world.call("DeleteService", json!({"service": "s"})).unwrap();
    world.step();
    assert_eq!(world.described()["status"], "INACTIVE");
    world.sleep(3600);
    world.step();
    let answer = world.call("DescribeServices", json!({"services": ["s"]})).unwrap();
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
    assert_eq!(
        world.code("UpdateService", json!({"service": "s"})).0,
        "ServiceNotFoundException"
    );
}

#[test]
fn what_is_missing_is_named_as_aws_names_it() {
    let mut world = World::new();
    assert_eq!(
        world
            .code("DescribeServices", json!({"cluster": "no", "services": ["s"]}))
            .0,
        "ClusterNotFoundException"
    );
    assert_eq!(
        world
            .code("CreateService", service(1, json!({"taskDefinition": "no"})))
            .1,
        "TaskDefinition not found."
    );
    let eleven: Vec<_> = (0..11).map(|n| format!("s{n}")).collect();
    assert_eq!(
        world.code("DescribeServices", json!({"services": eleven})).0,
        "InvalidParameterException"
    );
}

#[test]
fn what_is_not_implemented_is_refused_by_name() {
    let mut world = World::new();
    let (code, message) = world.code("CreateService", service(1, json!({"serviceConnectConfiguration": {}})));
    assert_eq!(code, "ClientException");
    assert!(message.contains("serviceConnectConfiguration"), "{message}");
    let (_, message) = world.code(
        "CreateService",
        service(1, json!({"loadBalancers": [{"containerPort": 1}]})),
    );
    assert!(message.contains("loadBalancers"), "{message}");
    let (_, message) = world.code("RegisterTaskDefinition", definition(json!({"links": ["a"]})));
    assert!(message.contains("links"), "{message}");
}

#[test]
fn a_rolling_update_keeps_within_its_bounds() {
    for (least, most) in [(100, 200), (50, 150), (0, 100), (50, 100)] {
        let mut world = World::new();
        let bounds = json!({"deploymentConfiguration": {"minimumHealthyPercent": least, "maximumPercent": most}});
        world.create(4, bounds);
        world.settle();
        let next = world.register(json!({}));
        world.update(json!({"taskDefinition": next}));
        for _ in 0..50 {
            world.step();
            let seen = world.described();
            let (running, pending) = (
                seen["runningCount"].as_i64().unwrap(),
                seen["pendingCount"].as_i64().unwrap(),
            );
            assert!(running >= 4 * least / 100, "{least}/{most}: {running} run");
            assert!(
                running + pending <= 4 * most / 100,
                "{least}/{most}: {running} run, {pending} come"
            );
        }
        let seen = world.described();
        assert_eq!(seen["deployments"].as_array().unwrap().len(), 1, "{least}/{most}");
        assert_eq!(
            (&seen["deployments"][0]["rolloutState"], &seen["taskDefinition"]),
            (&json!("COMPLETED"), &json!(next))
        );
        assert_eq!(seen["runningCount"], 4);
    }
}

#[test]
fn only_a_changed_workload_or_force_begins_a_deployment() {
    let mut world = World::new();
    world.create(1, json!({}));
    world.settle();
    let id = world.described()["deployments"][0]["id"].clone();
    world.update(json!({
        "desiredCount": 2, "taskDefinition": "orders:1", "propagateTags": "SERVICE", "enableExecuteCommand": true,
        "deploymentConfiguration": {"maximumPercent": 150}, "healthCheckGracePeriodSeconds": 5,
    }));
    world.settle();
    let seen = world.described();
    assert_eq!(seen["deployments"][0]["id"], id);
    assert_eq!(
        (&seen["runningCount"], &seen["propagateTags"]),
        (&json!(2), &json!("SERVICE"))
    );
    assert_eq!(seen["deploymentConfiguration"]["maximumPercent"], 150);
    assert_eq!(seen["deploymentConfiguration"]["minimumHealthyPercent"], 100);
    let forced = world.update(json!({"forceNewDeployment": true}));
    assert_eq!(forced["deployments"].as_array().unwrap().len(), 2);
    assert!(world.ecs.deployment_in_progress("default", "s"));
    world.settle();
    assert!(!world.ecs.deployment_in_progress("default", "s"));
}

#[test]
fn the_breaker_rolls_back_to_the_last_completed_deployment() {
    let mut world = World::new();
    world.create(2, breaker(true));
    world.settle();
    let before = world.described();
    let bad = world.register(json!({"image": "bad"}));
    world.update(json!({"taskDefinition": bad}));
    world.settle();
    let after = world.described();
    assert_eq!(after["taskDefinition"], before["taskDefinition"]);
    assert_eq!(after["deployments"][0]["id"], before["deployments"][0]["id"]);
    assert_eq!(after["deployments"].as_array().unwrap().len(), 1);
    let record = world.record();
    assert_eq!(record["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(record["deploymentCircuitBreaker"]["status"], "TRIGGERED");
    assert_eq!(record["deploymentCircuitBreaker"]["threshold"], 3);
    assert_eq!(
        record["rollback"]["serviceRevisionArn"],
        record["sourceServiceRevisions"][0]["arn"]
    );
    let messages = world.messages();
    assert!(
        messages
            .iter()
            .any(|m| m.contains("deployment failed: tasks failed to start.")),
        "{messages:?}"
    );
    assert!(
        messages.iter().any(|m| m.contains("was unable to place a task")),
        "{messages:?}"
    );
    assert_eq!(after["runningCount"], 2);
}

#[test]
fn a_first_deployment_that_fails_has_nothing_to_roll_back_to_and_stands_still() {
    let mut world = World::new();
    world.register(json!({"image": "bad"}));
    world.create(1, breaker(true));
    world.settle();
    assert_eq!(world.described()["deployments"][0]["rolloutState"], "FAILED");
    assert_eq!(world.record()["status"], "ROLLBACK_FAILED");
    let ended = world.tasks("STOPPED").len();
    world.settle();
    assert_eq!(world.tasks("STOPPED").len(), ended);
    let task = world.tasks("STOPPED")[0].clone();
    let task = world.describe_task(&task);
    assert_eq!(
        (&task["stopCode"], &task["lastStatus"]),
        (&json!("TaskFailedToStart"), &json!("STOPPED"))
    );
    assert!(
        task["stoppedReason"]
            .as_str()
            .unwrap()
            .starts_with("CannotPullContainerError")
    );
}

#[test]
fn without_rollback_a_failed_deployment_stops_and_the_old_tasks_stay() {
    let mut world = World::new();
    world.create(1, breaker(false));
    world.settle();
    let old = world.tasks("RUNNING");
    let bad = world.register(json!({"image": "bad"}));
    world.update(json!({"taskDefinition": bad}));
    world.settle();
    assert_eq!(world.record()["status"], "STOPPED");
    assert_eq!(world.tasks("RUNNING"), old);
    let good = world.register(json!({}));
    world.update(json!({"taskDefinition": good}));
    world.settle();
    assert_eq!(world.record()["status"], "SUCCESSFUL");
}

#[test]
fn without_a_breaker_starts_are_tried_again_ever_more_slowly() {
    let mut world = World::new();
    world.register(json!({"image": "bad"}));
    world.create(1, json!({}));
    for _ in 0..600 {
        world.step();
    }
    let tries = world.tasks("STOPPED").len();
    assert!((6..=12).contains(&tries), "{tries} tries in ten minutes");
    assert_eq!(world.described()["deployments"][0]["rolloutState"], "IN_PROGRESS");
}

#[test]
fn a_user_can_roll_a_deployment_back() {
    let mut world = World::new();
    world.create(1, json!({}));
    world.settle();
    let bad = world.register(json!({"image": "bad"}));
    world.update(json!({"taskDefinition": bad}));
    world.step();
    let arn = world.record()["serviceDeploymentArn"].clone();
    world
        .call("StopServiceDeployment", json!({"serviceDeploymentArn": arn}))
        .unwrap();
    world.settle();
    assert_eq!(world.record()["status"], "ROLLBACK_SUCCESSFUL");
    assert!(
        world.described()["taskDefinition"]
            .as_str()
            .unwrap()
            .ends_with("orders:1")
    );
    assert_eq!(
        world
            .code("StopServiceDeployment", json!({"serviceDeploymentArn": arn}))
            .0,
        "ConflictException"
    );
}

#[test]
fn a_deployment_waits_for_health_and_replaces_what_is_unhealthy() {
    let mut world = World::new();
    world.register(checked());
    world.create(1, json!({}));
    world.settle();
    assert_eq!(world.described()["deployments"][0]["rolloutState"], "IN_PROGRESS");
    let first = world.tasks("RUNNING")[0].clone();
    world.report(TaskReport::Health {
        task_arn: first.clone(),
        healthy: true,
    });
    world.step();
    assert_eq!(world.described()["deployments"][0]["rolloutState"], "COMPLETED");
    world.report(TaskReport::Health {
        task_arn: first.clone(),
        healthy: false,
    });
    world.settle();
    let task = world.describe_task(&first);
    assert_eq!(task["stoppedReason"], "Task failed container health checks");
    assert_eq!(task["containers"][0]["exitCode"], 143);
    assert_eq!(world.described()["runningCount"], 1);
    assert!(
        world
            .messages()
            .iter()
            .any(|m| m.contains("failed container health checks"))
    );
}

#[test]
fn a_crash_says_how_the_container_ended() {
    let mut world = World::new();
    world.create(1, json!({}));
    world.settle();
    let task_arn = world.tasks("RUNNING")[0].clone();
    world.report(TaskReport::Exited {
        task_arn: task_arn.clone(),
        exit_code: 137,
        out_of_memory: true,
    });
    let task = world.describe_task(&task_arn);
    assert_eq!(
        (&task["stopCode"], &task["desiredStatus"]),
        (&json!("EssentialContainerExited"), &json!("STOPPED"))
    );
    assert_eq!(
        task["containers"][0]["reason"],
        "OutOfMemoryError: Container killed due to memory usage"
    );
    assert_eq!(task["containers"][0]["exitCode"], 137);
    world.settle();
    assert_eq!(world.described()["runningCount"], 1);
}

#[test]
fn scale_in_spares_protected_tasks_and_takes_the_oldest_of_the_others() {
    let mut world = World::new();
    world.create(1, json!({}));
    world.settle();
    let oldest = world.tasks("RUNNING")[0].clone();
    let protect = |on: bool| json!({"cluster": "default", "tasks": [oldest], "protectionEnabled": on, "expiresInMinutes": on.then_some(60)});
    world.call("UpdateTaskProtection", protect(true)).unwrap();
    assert!(world.ecs.set_desired("default", "s", 3, world.now));
    world.settle();
    world.ecs.set_desired("default", "s", 1, world.now);
    world.settle();
    assert_eq!(world.tasks("RUNNING"), [oldest.clone()]);
    world.ecs.set_desired("default", "s", 0, world.now);
    world.settle();
    assert_eq!(world.described()["runningCount"], 1);
    assert!(world.messages()[0].contains("protection"));
    let input = merge(protect(false), json!({"expiresInMinutes": null}));
    world.call("UpdateTaskProtection", input).unwrap();
    world.settle();
    assert_eq!(world.described()["runningCount"], 0);
}

#[test]
fn a_stopped_task_is_replaced_and_readable_for_an_hour() {
    let mut world = World::new();
    world.create(1, json!({}));
    world.settle();
    let task = world.tasks("RUNNING")[0].clone();
    world
        .call("StopTask", json!({"task": task, "reason": "by hand"}))
        .unwrap();
    assert_eq!(world.describe_task(&task)["lastStatus"], "DEACTIVATING");
    world.settle();
    let seen = world.describe_task(&task);
    assert_eq!(
        (&seen["stopCode"], &seen["stoppedReason"]),
        (&json!("UserInitiated"), &json!("by hand"))
    );
    assert_eq!(world.described()["runningCount"], 1);
    world.sleep(3600);
    world.step();
    let answer = world.call("DescribeTasks", json!({"tasks": [task]})).unwrap();
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
}

#[test]
fn every_order_is_handed_out_once() {
    let mut world = World::new();
    world.create(2, json!({}));
    assert_eq!(world.step().len(), 2);
    assert!(world.step().is_empty());
    world.update(json!({"desiredCount": 0}));
    assert_eq!(world.step().len(), 2);
    assert!(world.step().is_empty());
}

#[test]
fn the_order_to_start_holds_what_the_definition_says() {
    let mut world = World::new();
    let mut input = definition(json!({
        "command": ["run"], "stopTimeout": 7, "environment": [{"name": "A", "value": "1"}],
        "secrets": [{"name": "B", "valueFrom": "arn:secret"}],
    }));
    input["executionRoleArn"] = json!("arn:aws:iam::123456789012:role/x");
    world.call("RegisterTaskDefinition", input).unwrap();
    world.create(1, json!({}));
    let work = world.step();
    let [AgentCommand::Start(start)] = work.as_slice() else {
        panic!("one start, not {work:?}")
    };
    assert_eq!(
        (start.command.as_slice(), start.stop_timeout_s),
        (["run".to_owned()].as_slice(), 7)
    );
    assert_eq!(start.environment, [("A".to_owned(), "1".to_owned())]);
    assert_eq!(start.secrets[0].value_from, "arn:secret");
}

#[test]
fn lists_come_in_pages() {
    let mut world = World::new();
    for n in 0..12 {
        world.create(0, json!({"serviceName": format!("s{n:02}")}));
    }
    let first = world.call("ListServices", json!({})).unwrap();
    assert_eq!(first["serviceArns"].as_array().unwrap().len(), 10);
    let second = world
        .call("ListServices", json!({"nextToken": first["nextToken"]}))
        .unwrap();
    assert_eq!(second["serviceArns"].as_array().unwrap().len(), 2);
    assert!(second.get("nextToken").is_none());
    for _ in 0..4 {
        world.register(json!({}));
    }
    let newest = world
        .call("ListTaskDefinitions", json!({"sort": "DESC", "maxResults": 1}))
        .unwrap();
    assert!(newest["taskDefinitionArns"][0].as_str().unwrap().ends_with("orders:5"));
}

#[test]
fn a_task_definition_goes_from_active_over_inactive_to_gone() {
    let mut world = World::new();
    world.create(1, json!({}));
    world.settle();
    let named = json!({"taskDefinitions": ["orders:1"]});
    let answer = world.call("DeleteTaskDefinitions", named.clone()).unwrap();
    assert!(
        answer["failures"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("still in ACTIVE status")
    );
    let answer = world
        .call("DeregisterTaskDefinition", json!({"taskDefinition": "orders:1"}))
        .unwrap();
    assert_eq!(answer["taskDefinition"]["status"], "INACTIVE");
    assert_eq!(
        world
            .code("DescribeTaskDefinition", json!({"taskDefinition": "orders"}))
            .0,
        "ClientException"
    );
    world.call("DeleteTaskDefinitions", named).unwrap();
    world.settle();
    let seen = world
        .call("DescribeTaskDefinition", json!({"taskDefinition": "orders:1"}))
        .unwrap();
    assert_eq!(seen["taskDefinition"]["status"], "DELETE_IN_PROGRESS");
    world
        .call("DeleteService", json!({"service": "s", "force": true}))
        .unwrap();
    world.settle();
    assert_eq!(
        world
            .code("DescribeTaskDefinition", json!({"taskDefinition": "orders:1"}))
            .0,
        "ClientException"
    );
    assert!(world.register(json!({})).ends_with("orders:2"));
}

#[test]
fn a_registered_definition_shows_what_was_written_and_what_ecs_filled_in() {
    let mut world = World::new();
    let container = json!({
        "portMappings": [{"containerPort": 8080}], "user": "1000", "readonlyRootFilesystem": true, "stopTimeout": 60,
        "linuxParameters": {"initProcessEnabled": true}, "healthCheck": {"command": ["CMD", "x"], "startPeriod": 10},
        "ulimits": [{"name": "nofile", "softLimit": 10, "hardLimit": 20}], "command": ["a"],
    });
    let answer = world
        .call("RegisterTaskDefinition", definition(container.clone()))
        .unwrap();
    let seen = &answer["taskDefinition"]["containerDefinitions"][0];
    for (field, value) in container.as_object().unwrap() {
        match field.as_str() {
            "portMappings" => assert_eq!(
                seen[field][0],
                json!({"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"})
            ),
            "healthCheck" => assert_eq!(
                seen[field],
                json!({"command": ["CMD", "x"], "startPeriod": 10, "interval": 30, "timeout": 5, "retries": 3})
            ),
            _ => assert_eq!(&seen[field], value, "{field}"),
        }
    }
}

#[test]
fn secrets_and_logs_need_an_execution_role() {
    let mut world = World::new();
    let secrets = json!({"secrets": [{"name": "A", "valueFrom": "arn"}]});
    assert!(
        world
            .code("RegisterTaskDefinition", definition(secrets))
            .1
            .contains("executionRoleArn")
    );
    let logs = json!({"logConfiguration": {"logDriver": "awslogs", "options": {}}});
    assert!(
        world
            .code("RegisterTaskDefinition", definition(logs))
            .1
            .contains("execution role")
    );
}

#[test]
fn capacity_providers_get_their_base_and_then_their_weights() {
    let mut world = World::new();
    let strategy = json!([
        {"capacityProvider": "FARGATE", "base": 2, "weight": 1},
        {"capacityProvider": "FARGATE_SPOT", "weight": 3},
    ]);
    let mut input = service(10, json!({"capacityProviderStrategy": strategy}));
    assert!(
        world
            .code("CreateService", input.clone())
            .1
            .contains("both a launch type")
    );
    input.as_object_mut().unwrap().remove("launchType");
    world.call("CreateService", input).unwrap();
    world.settle();
    let tasks = world.tasks("RUNNING");
    let spot = tasks
        .iter()
        .filter(|arn| world.describe_task(arn)["capacityProviderName"] == "FARGATE_SPOT")
        .count();
    assert_eq!((tasks.len(), spot), (10, 6));
}

#[test]
fn tasks_carry_the_tags_that_are_propagated() {
    let mut world = World::new();
    let tags = json!([{"key": "penstock:connector", "value": "orders"}]);
    world.create(
        1,
        json!({"tags": tags, "propagateTags": "SERVICE", "enableECSManagedTags": true}),
    );
    world.settle();
    let arn = world.tasks("RUNNING")[0].clone();
    let keys: Vec<_> = world.call("ListTagsForResource", json!({"resourceArn": arn})).unwrap()["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["key"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        keys,
        ["penstock:connector", "aws:ecs:clusterName", "aws:ecs:serviceName"]
    );
}

#[test]
fn tags_are_added_changed_and_removed_by_arn() {
    let mut world = World::new();
    let arn = world.create(0, json!({"tags": [{"key": "a", "value": "1"}]}))["serviceArn"].clone();
    world
        .call(
            "TagResource",
            json!({"resourceArn": arn, "tags": [{"key": "a", "value": "2"}, {"key": "b", "value": "3"}]}),
        )
        .unwrap();
    world
        .call("UntagResource", json!({"resourceArn": arn, "tagKeys": ["b"]}))
        .unwrap();
    let seen = world.call("ListTagsForResource", json!({"resourceArn": arn})).unwrap();
    assert_eq!(seen, json!({"tags": [{"key": "a", "value": "2"}]}));
    let bare = world.described();
    assert!(bare.get("tags").is_none());
}

#[test]
fn metrics_have_one_sample_per_running_task_in_percent_of_its_reservation() {
    let mut world = World::new();
    world.create(2, json!({}));
    world.settle();
    let task_arn = world.tasks("RUNNING")[0].clone();
    let usage = TaskReport::Usage {
        task_arn,
        cpu_seconds: 0.25,
        over_seconds: 1.0,
        memory_bytes: 256 << 20,
    };
    world.report(usage);
    let metrics = world.ecs.metrics();
    assert_eq!(
        (metrics[0].desired, metrics[0].running, metrics[0].container_insights),
        (2, 2, false)
    );
    assert_eq!(metrics[0].samples.len(), 2);
    assert!(metrics[0].samples.contains(&(100.0, 50.0)), "{:?}", metrics[0].samples);
    assert_eq!(
        (metrics[0].cpu_units, metrics[0].memory_mib, metrics[0].cpu_units_used),
        (512, 1024, 256.0)
    );
    world
        .call(
            "UpdateClusterSettings",
            json!({"cluster": "default", "settings": [{"name": "containerInsights", "value": "enhanced"}]}),
        )
        .unwrap();
    assert!(world.ecs.metrics()[0].container_insights);
}

#[test]
fn a_cluster_in_use_is_not_deleted() {
    let mut world = World::new();
    world.create(0, json!({}));
    assert_eq!(
        world.code("DeleteCluster", json!({"cluster": "default"})).0,
        "ClusterContainsServicesException"
    );
    world.call("DeleteService", json!({"service": "s"})).unwrap();
    world.step();
    world.call("DeleteCluster", json!({"cluster": "default"})).unwrap();
    assert_eq!(world.code("ListServices", json!({})).0, "ClusterNotFoundException");
}
