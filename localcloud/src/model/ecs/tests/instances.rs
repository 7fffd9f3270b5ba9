//! Tasks on container instances: where they go, and what is told of those that find no room.

use serde_json::{Value, json};

use super::{World, definition, merge, service};
use crate::model::ecs::AgentCommand;

impl World {
    /// Makes `orders` a definition for EC2 with this much CPU and memory.
    fn register_for_ec2(&mut self, cpu: &str, memory: &str) {
        let more = json!({"requiresCompatibilities": ["EC2"], "cpu": cpu, "memory": memory});
        self.call("RegisterTaskDefinition", merge(definition(json!({})), more))
            .unwrap();
    }

    /// Registers an instance of 1024 CPU units and 2048 MiB, and returns its ARN.
    pub(super) fn instance(&mut self, kind: &str, zone: &str, more: Value) -> String {
        let input = merge(registration(kind, zone), more);
        let answer = self.call("RegisterContainerInstance", input).unwrap();
        answer["containerInstance"]["containerInstanceArn"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// How many tasks run on each of these instances.
    pub(super) fn spread_over(&mut self, instances: &[String]) -> Vec<usize> {
        let list = |world: &mut Self, instance: &String| {
            let listed = world.call("ListTasks", json!({"containerInstance": instance})).unwrap();
            listed["taskArns"].as_array().unwrap().len()
        };
        instances.iter().map(|instance| list(self, instance)).collect()
    }
}

fn registration(kind: &str, zone: &str) -> Value {
    let identity = json!({"instanceId": format!("i-{kind}-{zone}"), "instanceType": kind, "availabilityZone": zone, "region": "x"});
    json!({
        "instanceIdentityDocument": identity.to_string(),
        "totalResources": [
            {"name": "CPU", "type": "INTEGER", "integerValue": 1024},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": 2048},
        ],
    })
}

pub(super) fn on_ec2(more: Value) -> Value {
    merge(json!({"launchType": "EC2"}), more)
}

fn spread(field: &str) -> Value {
    json!({"type": "spread", "field": field})
}

const ZONE: &str = "attribute:ecs.availability-zone";

#[test]
fn a_task_on_an_instance_takes_of_its_room_and_says_where_it_is() {
    let mut world = World::new();
    world.register_for_ec2("300", "700");
    let instance = world.instance("m5.large", "eu-west-1b", json!({}));
    let made = world.create(1, on_ec2(json!({})));
    assert_eq!(made["launchType"], "EC2");
    for absent in ["platformVersion", "platformFamily"] {
        assert!(made.get(absent).is_none() && made["deployments"][0].get(absent).is_none());
    }
    let work = world.step();
    let [AgentCommand::Start(start)] = work.as_slice() else {
        panic!("one start, not {work:?}")
    };
    assert_eq!(start.execution_environment, "AWS_ECS_EC2");
    world.settle();
    let arn = world.tasks("RUNNING")[0].clone();
    let task = world.describe_task(&arn);
    assert_eq!(
        (
            &task["containerInstanceArn"],
            &task["launchType"],
            &task["availabilityZone"]
        ),
        (&json!(instance), &json!("EC2"), &json!("eu-west-1b"))
    );
    assert!(task.get("platformVersion").is_none() && task.get("capacityProviderName").is_none());
    let described = world
        .call("DescribeContainerInstances", json!({"containerInstances": [instance]}))
        .unwrap();
    let described = &described["containerInstances"][0];
    let left: Vec<_> = described["remainingResources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["integerValue"].clone())
        .collect();
    assert_eq!(left, [724, 1348]);
    assert_eq!(
        (&described["runningTasksCount"], &described["ec2InstanceId"]),
        (&json!(1), &json!("i-m5.large-eu-west-1b"))
    );
    for (launch_type, count) in [("EC2", 1), ("FARGATE", 0)] {
        for (operation, list) in [("ListTasks", "taskArns"), ("ListServices", "serviceArns")] {
            let listed = world.call(operation, json!({"launchType": launch_type})).unwrap();
            assert_eq!(
                listed[list].as_array().unwrap().len(),
                count,
                "{operation} {launch_type}"
            );
        }
    }
}

#[test]
fn without_a_strategy_tasks_are_spread_over_zones_and_then_over_instances() {
    let mut world = World::new();
    world.register_for_ec2("128", "128");
    let instances = ["a", "a", "a", "b"].map(|zone| world.instance("m5.large", zone, json!({})));
    world.create(6, on_ec2(json!({})));
    world.settle();
    assert_eq!(world.spread_over(&instances), [1, 1, 1, 3]);
}

#[test]
fn strategies_are_followed_in_their_order() {
    let cases = [
        (json!([spread("instanceId")]), [2, 2, 2]),
        (json!([spread(ZONE)]), [3, 0, 3]),
        (json!([spread(ZONE), {"type": "binpack", "field": "memory"}]), [3, 0, 3]),
        (json!([spread(ZONE), spread("host")]), [2, 1, 3]),
        (json!([{"type": "binpack", "field": "cpu"}]), [4, 2, 0]),
        (
            json!([{"type": "binpack", "field": "memory"}, spread("host")]),
            [4, 2, 0],
        ),
    ];
    for (strategy, expected) in cases {
        let mut world = World::new();
        world.register_for_ec2("256", "256");
        let instances = ["a", "a", "b"].map(|zone| world.instance("m5.large", zone, json!({})));
        world.create(6, on_ec2(json!({"placementStrategy": strategy})));
        world.settle();
        assert_eq!(world.spread_over(&instances), expected, "{strategy}");
    }
}

#[test]
fn packing_takes_the_instance_with_the_least_of_what_it_packs_by() {
    let wide = json!({"totalResources": [
        {"name": "CPU", "type": "INTEGER", "integerValue": 4096},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": 1024},
    ]});
    for (field, expected) in [("cpu", [1, 0]), ("memory", [0, 1])] {
        let mut world = World::new();
        world.register_for_ec2("256", "256");
        let instances = [
            world.instance("m5.large", "a", json!({})),
            world.instance("c5.xlarge", "a", wide.clone()),
        ];
        world.create(
            1,
            on_ec2(json!({"placementStrategy": [{"type": "binpack", "field": field}]})),
        );
        world.settle();
        assert_eq!(world.spread_over(&instances), expected, "{field}");
    }
}

#[test]
fn random_placement_finds_every_instance() {
    let mut world = World::new();
    world.register_for_ec2("128", "128");
    let instances = ["a", "b", "c"].map(|zone| world.instance("m5.large", zone, json!({})));
    world.create(18, on_ec2(json!({"placementStrategy": [{"type": "random"}]})));
    world.settle();
    let spread = world.spread_over(&instances);
    assert_eq!(spread.iter().sum::<usize>(), 18);
    assert!(spread.iter().all(|count| *count > 0), "{spread:?}");
}

#[test]
fn what_finds_no_room_is_told_once_and_placed_when_there_is_room() {
    let mut world = World::new();
    world.register_for_ec2("256", "512");
    world.instance("m5.large", "a", json!({}));
    world.create(
        2,
        on_ec2(json!({"placementConstraints": [{"type": "distinctInstance"}]})),
    );
    world.settle();
    let seen = world.described();
    assert_eq!(
        (&seen["runningCount"], &seen["pendingCount"]),
        (&json!(1), &json!(0)),
        "what is not placed is no task"
    );
    assert_eq!(seen["deployments"][0]["rolloutState"], "IN_PROGRESS");
    let told = |world: &mut World| {
        let mut messages = world.messages();
        messages.retain(|message| message.contains("DistinctInstance placement constraint unsatisfied."));
        messages.len()
    };
    assert_eq!(told(&mut world), 1, "{:?}", world.messages());
    world.sleep(6 * 3600);
    world.settle();
    assert_eq!(told(&mut world), 2, "after six hours it is told again");
    world.instance("m5.large", "a", json!({}));
    world.settle();
    assert_eq!(world.described()["runningCount"], 2);
    assert_eq!(world.described()["deployments"][0]["rolloutState"], "COMPLETED");
}

#[test]
fn the_reason_names_the_closest_instance_and_what_it_lacks() {
    let member = |expression: &str| json!({"placementConstraints": [{"type": "memberOf", "expression": expression}]});
    let platform = json!({"runtimePlatform": {"cpuArchitecture": "ARM64"}});
    let cases = [
        (
            json!({}),
            "256",
            "2049",
            json!({}),
            "has insufficient memory available.",
        ),
        (
            json!({}),
            "1025",
            "512",
            json!({}),
            "has insufficient CPU units available.",
        ),
        (
            json!({}),
            "256",
            "512",
            member("attribute:ecs.instance-type =~ c5.*"),
            "encountered error \"MemberOf placement constraint unsatisfied.\".",
        ),
        (
            platform,
            "256",
            "512",
            json!({}),
            "is missing an attribute required by your task.",
        ),
    ];
    for (more, cpu, memory, constraint, expected) in cases {
        let mut world = World::new();
        let sized = merge(
            definition(json!({})),
            json!({"requiresCompatibilities": ["EC2"], "cpu": cpu, "memory": memory}),
        );
        world.call("RegisterTaskDefinition", merge(sized, more)).unwrap();
        let instance = world.instance("m5.large", "a", json!({}));
        world.create(1, on_ec2(constraint));
        world.step();
        let id = instance.rsplit('/').next().unwrap();
        let message = world.messages()[0].clone();
        let words = format!(
            "(service s) was unable to place a task because no container instance met all of its requirements. \
             The closest matching (container-instance {id}) {expected} \
             For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
        );
        assert_eq!(message, words);
        assert!(world.tasks("RUNNING").is_empty());
    }
}

#[test]
fn a_cluster_without_instances_says_so() {
    let mut world = World::new();
    world.register_for_ec2("256", "512");
    world.create(1, on_ec2(json!({})));
    world.settle();
    assert!(world.messages()[0].contains("Reason: No Container Instances were found in your cluster."));
}

#[test]
fn another_placement_waits_for_the_next_deployment() {
    let mut world = World::new();
    world.register_for_ec2("128", "128");
    let instances = ["a", "b"].map(|zone| world.instance("m5.large", zone, json!({})));
    let only = |zone: &str| json!([{"type": "memberOf", "expression": format!("{ZONE} == {zone}")}]);
    world.create(1, on_ec2(json!({"placementConstraints": only("a")})));
    world.settle();
    let before = world.described()["deployments"][0]["id"].clone();
    let updated = world.update(json!({"placementConstraints": only("b"), "placementStrategy": [spread("host")]}));
    assert_eq!(updated["placementConstraints"], only("b"), "it is shown at once");
    assert_eq!(updated["placementStrategy"], json!([spread("instanceId")]));
    world.update(json!({"desiredCount": 2}));
    world.settle();
    assert_eq!(world.described()["deployments"][0]["id"], before);
    assert_eq!(world.spread_over(&instances), [2, 0]);
    world.update(json!({"forceNewDeployment": true}));
    world.settle();
    assert_eq!(world.spread_over(&instances), [0, 2]);
    let emptied = world.update(json!({"placementConstraints": [], "placementStrategy": []}));
    assert_eq!(
        (&emptied["placementConstraints"], &emptied["placementStrategy"]),
        (&json!([]), &json!([]))
    );
}

#[test]
fn a_rollout_with_one_task_an_instance_needs_a_free_one_or_lets_one_go_first() {
    let distinct = json!({"placementConstraints": [{"type": "distinctInstance"}]});
    for (least, most, state) in [(100, 200, "IN_PROGRESS"), (50, 100, "COMPLETED")] {
        let mut world = World::new();
        world.register_for_ec2("128", "128");
        let instances = ["a", "b"].map(|zone| world.instance("m5.large", zone, json!({})));
        let bounds = json!({"deploymentConfiguration": {"minimumHealthyPercent": least, "maximumPercent": most}});
        world.create(2, on_ec2(merge(distinct.clone(), bounds)));
        world.settle();
        world.update(json!({"forceNewDeployment": true}));
        world.settle();
        assert_eq!(world.described()["deployments"][0]["rolloutState"], state);
        assert_eq!(world.spread_over(&instances), [1, 1]);
    }
}

#[test]
fn what_does_not_go_together_with_the_launch_type_is_refused() {
    let mut world = World::new();
    let refused = |world: &mut World, more: Value| world.code("CreateService", service(0, more)).1;
    let distinct = json!({"placementConstraints": [{"type": "distinctInstance"}]});
    let random = json!({"placementStrategy": [{"type": "random"}]});
    assert_eq!(
        refused(&mut world, distinct.clone()),
        "Placement constraints are not supported with FARGATE launch type."
    );
    assert_eq!(
        refused(&mut world, random),
        "Placement strategies are not supported with FARGATE launch type."
    );
    let public = json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}}});
    assert_eq!(
        refused(&mut world, on_ec2(public)),
        "Assign public IP is not supported for this launch type."
    );
    let version = refused(&mut world, on_ec2(json!({"platformVersion": "1.4.0"})));
    assert!(version.contains("platform version must be null"), "{version}");
    world.create(0, json!({}));
    let update = merge(json!({"service": "s"}), distinct);
    assert!(
        world
            .code("UpdateService", update)
            .1
            .contains("not supported with FARGATE")
    );
    world.register_for_ec2("256", "300");
    let named = json!({"serviceName": "other"});
    assert_eq!(
        refused(&mut world, named),
        "Task definition does not support launch_type FARGATE."
    );
}

#[test]
fn a_definition_says_what_it_can_run_on() {
    let mut world = World::new();
    let mut compatibilities = |more: Value| {
        let input = merge(definition(json!({})), more);
        world
            .call("RegisterTaskDefinition", input)
            .map(|answer| answer["taskDefinition"]["compatibilities"].clone())
            .map_err(|fault| fault.message)
    };
    let ec2 = json!({"requiresCompatibilities": ["EC2"]});
    assert_eq!(compatibilities(json!({})).unwrap(), json!(["EC2", "FARGATE"]));
    assert_eq!(compatibilities(ec2.clone()).unwrap(), json!(["EC2", "FARGATE"]));
    assert_eq!(
        compatibilities(merge(ec2, json!({"memory": "300"}))).unwrap(),
        json!(["EC2"])
    );
    let both = json!({"requiresCompatibilities": ["EC2", "FARGATE"], "memory": "300"});
    assert!(compatibilities(both).unwrap_err().contains("No Fargate configuration"));
    assert!(
        compatibilities(json!({"requiresCompatibilities": ["EXTERNAL"]}))
            .unwrap_err()
            .contains("EXTERNAL")
    );
}

#[test]
fn instances_come_go_and_are_found_by_query() {
    let mut world = World::new();
    world.register_for_ec2("256", "512");
    let custom = json!({"attributes": [{"name": "stack", "value": "prod"}]});
    let first = world.instance("m5.large", "a", json!({}));
    let second = world.instance("c5.large", "b", custom);
    let found = |world: &mut World, filter: &str| {
        let listed = world.call("ListContainerInstances", json!({"filter": filter})).unwrap();
        listed["containerInstanceArns"].clone()
    };
    assert_eq!(found(&mut world, "attribute:ecs.instance-type =~ m5.*"), json!([first]));
    assert_eq!(found(&mut world, "attribute:stack == prod"), json!([second]));
    assert_eq!(
        world
            .code("ListContainerInstances", json!({"filter": "agentVersion < 1"}))
            .0,
        "InvalidParameterException"
    );
    world.create(1, on_ec2(json!({})));
    world.settle();
    assert_eq!(
        found(&mut world, "task:group == service:s and runningTasksCount == 1"),
        json!([first])
    );
    let go = |instance: &str| json!({"containerInstance": instance});
    assert_eq!(
        world.code("DeregisterContainerInstance", go(&first)).1,
        "Found running tasks on the instance."
    );
    world
        .call("DeleteService", json!({"service": "s", "force": true}))
        .unwrap();
    world.settle();
    assert_eq!(
        world.code("DeleteCluster", json!({"cluster": "default"})).0,
        "ClusterContainsContainerInstancesException"
    );
    for instance in [&first, &second] {
        let gone = world.call("DeregisterContainerInstance", go(instance)).unwrap();
        assert_eq!(gone["containerInstance"]["status"], "INACTIVE");
    }
    world.call("DeleteCluster", json!({"cluster": "default"})).unwrap();
}

#[test]
fn an_instance_is_told_by_its_document_and_its_resources() {
    let mut world = World::new();
    let refused = |world: &mut World, more: Value| {
        let input = merge(registration("m5.large", "a"), more);
        world.code("RegisterContainerInstance", input).1
    };
    assert!(refused(&mut world, json!({"instanceIdentityDocument": "{}"})).contains("instanceId"));
    assert!(refused(&mut world, json!({"totalResources": []})).contains("CPU"));
    let ports = json!({"totalResources": [{"name": "PORTS", "type": "STRINGSET"}]});
    assert!(refused(&mut world, ports).contains("PORTS"));
    let own = json!({"attributes": [{"name": "ecs.instance-type", "value": "x"}]});
    assert!(refused(&mut world, own).contains("ecs.instance-type"));
}

#[test]
fn rebalancing_is_on_by_default_where_it_can_work() {
    let mut world = World::new();
    world.register_for_ec2("256", "512");
    let shown = |world: &mut World, name: &str, more: Value| {
        let named = merge(json!({"serviceName": name}), more);
        world.create(0, on_ec2(named))["availabilityZoneRebalancing"].clone()
    };
    let binpack = json!({"placementStrategy": [{"type": "binpack", "field": "cpu"}]});
    let stop_first = json!({"deploymentConfiguration": {"maximumPercent": 100, "minimumHealthyPercent": 0}});
    assert_eq!(shown(&mut world, "a", json!({})), "ENABLED");
    assert_eq!(
        shown(&mut world, "b", json!({"placementStrategy": [spread(ZONE)]})),
        "ENABLED"
    );
    assert_eq!(shown(&mut world, "c", binpack.clone()), "DISABLED");
    assert_eq!(shown(&mut world, "d", stop_first), "DISABLED");
    let enable = json!({"service": "d", "availabilityZoneRebalancing": "ENABLED"});
    assert!(world.code("UpdateService", enable).1.contains("maximumPercent <= 100"));
    let pack = merge(json!({"service": "a"}), binpack.clone());
    assert!(
        world
            .code("UpdateService", pack.clone())
            .1
            .contains("first placement strategy")
    );
    let off = merge(pack, json!({"availabilityZoneRebalancing": "DISABLED"}));
    world.call("UpdateService", off).unwrap();
}
