//! Tasks and the orders to the agent.

use serde_json::json;

use super::{World, definition, merge, service};
use crate::model::ecs::{AgentCommand, TaskReport};

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
    assert_eq!(world.tasks("RUNNING"), std::slice::from_ref(&oldest));
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
    world.now.fast += 3_600_000;
    world.step();
    assert_eq!(
        world.describe_task(&task)["stoppedReason"],
        "by hand",
        "the hour is of real time"
    );
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
