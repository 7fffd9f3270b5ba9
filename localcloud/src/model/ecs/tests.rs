//! Services and their tasks driven by hand: calls go in, and reports stand for the agent.
#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{AgentCommand, Ecs, StartTask, TaskReport};
use crate::model::{Answer, Call, Now, Scope};

mod capacity;
mod definitions;
mod instances;
mod rollouts;
mod services;
mod tasks;

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
