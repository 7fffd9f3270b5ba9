//! Deployments: bounds, the circuit breaker, rollbacks.

use serde_json::json;

use super::{World, breaker, checked};
use crate::model::ecs::TaskReport;
use crate::model::ids::Ids;

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
fn a_protected_task_holds_a_deployment_until_it_is_let_go() {
    let mut world = World::new();
    world.create(2, json!({}));
    world.settle();
    let held = world.tasks("RUNNING")[0].clone();
    let protect = |on: bool| json!({"cluster": "default", "tasks": [held], "protectionEnabled": on});
    world.call("UpdateTaskProtection", protect(true)).unwrap();
    world.update(json!({"forceNewDeployment": true}));
    world.settle();
    assert_eq!(world.described()["deployments"][0]["rolloutState"], "IN_PROGRESS");
    assert!(world.tasks("RUNNING").contains(&held));
    world.call("UpdateTaskProtection", protect(false)).unwrap();
    world.settle();
    assert_eq!(world.described()["deployments"][0]["rolloutState"], "COMPLETED");
    assert!(!world.tasks("RUNNING").contains(&held));
}

#[test]
fn whatever_happens_a_service_comes_to_rest_when_nothing_more_does() {
    for seed in 0..60 {
        let mut choices = Ids::new(seed, "choices");
        let mut world = World::new();
        world.create(3, breaker(true));
        for _ in 0..40 {
            disturb(&mut world, &choices.text(1, "0123456789"));
            let mut orders: Vec<_> = world.step().iter().map(|order| format!("{order:?}")).collect();
            let count = orders.len();
            orders.sort();
            orders.dedup();
            assert_eq!(orders.len(), count, "seed {seed}: an order was given twice");
        }
        let good = world.register(json!({}));
        world.update(json!({"taskDefinition": good, "desiredCount": 4}));
        world.settle();
        let seen = world.described();
        assert_eq!(
            (&seen["runningCount"], &seen["pendingCount"]),
            (&json!(4), &json!(0)),
            "seed {seed}"
        );
        assert_eq!(seen["deployments"].as_array().unwrap().len(), 1, "seed {seed}");
        assert_eq!(seen["deployments"][0]["rolloutState"], "COMPLETED", "seed {seed}");
        assert_eq!(world.record()["status"], "SUCCESSFUL", "seed {seed}");
    }
}

/// Does one thing that may happen to a service, if its time has come.
fn disturb(world: &mut World, choice: &str) {
    let victim = world.tasks("RUNNING").first().cloned();
    match (choice, victim) {
        ("0", _) => drop(world.update(json!({"desiredCount": 0}))),
        ("1", _) => drop(world.update(json!({"desiredCount": 5}))),
        ("2", _) => drop(world.update(json!({"forceNewDeployment": true}))),
        ("3", _) => {
            let bad = world.register(json!({"image": "bad"}));
            world.update(json!({"taskDefinition": bad}));
        }
        ("4", Some(task)) => drop(world.call("StopTask", json!({"task": task}))),
        ("5", Some(task_arn)) => world.report(TaskReport::Exited {
            task_arn,
            exit_code: 1,
            out_of_memory: false,
        }),
        _ => {}
    }
}

#[test]
fn health_checks_that_fail_within_the_grace_period_stop_nothing() {
    let mut world = World::new();
    world.register(checked());
    world.create(1, json!({"healthCheckGracePeriodSeconds": 100}));
    world.settle();
    let task_arn = world.tasks("RUNNING")[0].clone();
    let unhealthy = TaskReport::Health {
        task_arn: task_arn.clone(),
        healthy: false,
    };
    world.report(unhealthy.clone());
    assert_eq!(world.describe_task(&task_arn)["healthStatus"], "UNHEALTHY");
    assert_eq!(world.describe_task(&task_arn)["desiredStatus"], "RUNNING");
    world.sleep(100);
    world.report(unhealthy);
    assert_eq!(world.describe_task(&task_arn)["desiredStatus"], "STOPPED");
}
