//! Services, from creation to their end.

use serde_json::json;

use super::{World, definition, service};
use crate::model::ecs::TaskReport;

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
    world.now.fast += 3_600_000;
    world.step();
    assert_eq!(world.described()["status"], "INACTIVE", "the hour is of real time");
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
fn an_arn_of_another_account_region_or_cluster_does_not_reach_the_own_service() {
    let mut world = World::new();
    let made = world.create(1, json!({"tags": [{"key": "team", "value": "a"}]}));
    world.settle();
    let arn = made["serviceArn"].as_str().unwrap().to_owned();
    let task = world.tasks("RUNNING")[0].clone();
    for (from, to) in [
        ("123456789012", "210987654321"),
        ("eu-west-1", "eu-west-2"),
        ("arn:aws:", "arn:aws-cn:"),
        ("/default/", "/other/"),
    ] {
        let (arn, task) = (arn.replace(from, to), task.replace(from, to));
        let cluster = made["clusterArn"].as_str().unwrap().replace(from, to);
        for (operation, input) in [
            ("DescribeServices", json!({"services": [arn]})),
            ("UpdateService", json!({"service": arn, "desiredCount": 0})),
            ("DeleteService", json!({"service": arn, "force": true})),
            ("ListServiceDeployments", json!({"service": arn})),
            ("ListTasks", json!({"serviceName": arn})),
            (
                "TagResource",
                json!({"resourceArn": arn, "tags": [{"key": "team", "value": "b"}]}),
            ),
            ("DescribeTasks", json!({"tasks": [task]})),
            ("StopTask", json!({"task": task})),
        ] {
            assert_eq!(
                world.code(operation, input).0,
                "InvalidParameterException",
                "{operation}"
            );
        }
        if cluster != made["clusterArn"] {
            let input = json!({"cluster": cluster, "services": ["s"]});
            assert_eq!(world.code("DescribeServices", input).0, "InvalidParameterException");
        }
    }
    let seen = world.described();
    assert_eq!((&seen["status"], &seen["desiredCount"]), (&json!("ACTIVE"), &json!(1)));
    let answer = world
        .call("DescribeServices", json!({"services": [arn], "include": ["TAGS"]}))
        .unwrap();
    assert_eq!(answer["services"][0]["tags"], json!([{"key": "team", "value": "a"}]));
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

#[test]
fn the_token_of_a_service_that_was_deleted_makes_no_new_one() {
    let mut world = World::new();
    world.create(0, json!({"clientToken": "a"}));
    world.call("DeleteService", json!({"service": "s"})).unwrap();
    world.step();
    assert_eq!(world.create(0, json!({"clientToken": "a"}))["status"], "INACTIVE");
    assert_eq!(world.create(0, json!({"clientToken": "b"}))["status"], "ACTIVE");
}
