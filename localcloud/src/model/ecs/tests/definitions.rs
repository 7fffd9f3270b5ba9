//! Task definitions.

use serde_json::json;

use super::{World, definition, service};

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
fn a_definition_of_more_than_64_kib_is_refused() {
    let mut world = World::new();
    let long = json!({"environment": [{"name": "A", "value": "x".repeat(65_000)}]});
    world.call("RegisterTaskDefinition", definition(long)).unwrap();
    let longer = json!({"environment": [{"name": "A", "value": "x".repeat(65_536)}]});
    assert!(
        world
            .code("RegisterTaskDefinition", definition(longer))
            .1
            .contains("65536")
    );
}

#[test]
fn an_arn_of_another_account_or_region_names_no_definition_here() {
    let mut world = World::new();
    let arn = world.register(json!({}));
    for (from, to) in [("123456789012", "210987654321"), ("eu-west-1", "eu-west-2")] {
        let arn = arn.replace(from, to);
        for (operation, input) in [
            ("DescribeTaskDefinition", json!({"taskDefinition": arn})),
            ("DeregisterTaskDefinition", json!({"taskDefinition": arn})),
            ("DeleteTaskDefinitions", json!({"taskDefinitions": [arn]})),
            ("ListTagsForResource", json!({"resourceArn": arn})),
            ("CreateService", service(1, json!({"taskDefinition": arn}))),
        ] {
            assert_eq!(
                world.code(operation, input).0,
                "InvalidParameterException",
                "{operation}"
            );
        }
    }
}
