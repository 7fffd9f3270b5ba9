//! Capacity providers: where clusters get them, how services change them, and which tasks they get.

use serde_json::{Value, json};

use super::instances::on_ec2;
use super::{World, definition, merge, service};

fn strategy(items: &[(&str, i32, i32)]) -> Value {
    let item =
        |(name, base, weight): &(&str, i32, i32)| json!({"capacityProvider": name, "base": base, "weight": weight});
    json!({"capacityProviderStrategy": items.iter().map(item).collect::<Vec<_>>()})
}

fn provider(name: &str) -> Value {
    let group =
        format!("arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:1:autoScalingGroupName/group-{name}");
    json!({
        "name": name,
        "autoScalingGroupProvider": {"autoScalingGroupArn": group, "managedScaling": {"status": "DISABLED"}},
    })
}

fn of_group(name: &str) -> Value {
    json!({"attributes": [{"name": "localcloud.auto-scaling-group", "value": format!("group-{name}")}]})
}

impl World {
    fn put(&mut self, providers: &[&str]) -> Value {
        let input =
            json!({"cluster": "default", "capacityProviders": providers, "defaultCapacityProviderStrategy": []});
        self.call("PutClusterCapacityProviders", input).unwrap()["cluster"].clone()
    }

    /// A service without a launch type.
    fn create_on(&mut self, desired: i32, more: Value) -> Value {
        let mut input = service(desired, more);
        input.as_object_mut().unwrap().remove("launchType");
        self.call("CreateService", input).unwrap()["service"].clone()
    }

    fn providers(&mut self) -> Vec<String> {
        let arns = self.tasks("RUNNING");
        let name = |world: &mut Self, arn: &String| world.describe_task(arn)["capacityProviderName"].clone();
        let mut names: Vec<_> = arns
            .iter()
            .map(|arn| name(self, arn).as_str().unwrap_or("none").to_owned())
            .collect();
        names.sort();
        names
    }

    fn with_groups(names: &[&str]) -> Self {
        let mut world = Self::new();
        let for_ec2 = json!({"requiresCompatibilities": ["EC2"], "memory": "1024"});
        world
            .call("RegisterTaskDefinition", merge(definition(json!({})), for_ec2))
            .unwrap();
        for name in names {
            world.call("CreateCapacityProvider", provider(name)).unwrap();
        }
        world.put(names);
        world
    }
}

#[test]
fn a_strategy_is_changed_only_by_a_forced_deployment_and_taken_back_by_an_empty_list() {
    let mut world = World::new();
    world.create(4, json!({}));
    world.settle();
    let wanted = strategy(&[("FARGATE", 1, 0), ("FARGATE_SPOT", 0, 3)]);
    let (code, message) = world.code("UpdateService", merge(json!({"service": "s"}), wanted.clone()));
    assert_eq!(code, "InvalidParameterException");
    assert!(message.contains("you must force a new deployment"), "{message}");
    let forced = world.update(merge(json!({"forceNewDeployment": true}), wanted.clone()));
    assert_eq!(forced["capacityProviderStrategy"], wanted["capacityProviderStrategy"]);
    assert!(forced.get("launchType").is_none());
    world.settle();
    assert_eq!(
        world.providers(),
        ["FARGATE", "FARGATE_SPOT", "FARGATE_SPOT", "FARGATE_SPOT"]
    );
    let id = world.described()["deployments"][0]["id"].clone();
    let same = world.update(wanted);
    assert_eq!(same["deployments"][0]["id"], id, "the same is no change");
    let back = world.update(json!({"forceNewDeployment": true, "capacityProviderStrategy": []}));
    assert_eq!(back["launchType"], "FARGATE");
    world.settle();
    assert_eq!(world.providers(), ["none"; 4]);
}

#[test]
fn scale_in_keeps_the_base_and_the_weights() {
    let mut world = World::new();
    world.create_on(4, strategy(&[("FARGATE", 1, 0), ("FARGATE_SPOT", 0, 1)]));
    world.settle();
    for (desired, expected) in [
        (2, vec!["FARGATE", "FARGATE_SPOT"]),
        (1, vec!["FARGATE"]),
        (3, vec!["FARGATE", "FARGATE_SPOT", "FARGATE_SPOT"]),
    ] {
        world.update(json!({"desiredCount": desired}));
        world.settle();
        assert_eq!(world.providers(), expected);
    }
}

#[test]
fn a_cluster_has_the_providers_that_it_was_given() {
    let mut world = World::with_groups(&["blue"]);
    let cluster = world.put(&["blue", "FARGATE"]);
    assert_eq!(cluster["capacityProviders"], json!(["blue", "FARGATE"]));
    let on_spot = || {
        let mut input = service(0, strategy(&[("FARGATE_SPOT", 0, 1)]));
        input.as_object_mut().unwrap().remove("launchType");
        input
    };
    assert!(
        world
            .code("CreateService", on_spot())
            .1
            .contains("not associated with the cluster")
    );
    let unknown = json!({"cluster": "default", "capacityProviders": ["red"], "defaultCapacityProviderStrategy": []});
    assert!(
        world
            .code("PutClusterCapacityProviders", unknown)
            .1
            .contains("was not found")
    );
    world.create_on(0, strategy(&[("blue", 0, 1)]));
    let without =
        json!({"cluster": "default", "capacityProviders": ["FARGATE"], "defaultCapacityProviderStrategy": []});
    assert_eq!(
        world.code("PutClusterCapacityProviders", without.clone()).0,
        "ResourceInUseException"
    );
    assert!(
        world
            .code("DeleteCapacityProvider", json!({"capacityProvider": "blue"}))
            .1
            .contains("in use")
    );
    world.call("DeleteService", json!({"service": "s"})).unwrap();
    world.step();
    world.call("PutClusterCapacityProviders", without).unwrap();
    let gone = world
        .call("DeleteCapacityProvider", json!({"capacityProvider": "blue"}))
        .unwrap();
    assert_eq!(gone["capacityProvider"]["status"], "INACTIVE");
    let all = world.call("DescribeCapacityProviders", json!({})).unwrap();
    let names: Vec<_> = all["capacityProviders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].clone())
        .collect();
    assert_eq!(names, ["FARGATE", "FARGATE_SPOT"]);
}

#[test]
fn what_would_need_auto_scaling_is_refused() {
    let mut world = World::new();
    let with = |name: &str, field: &str, value: Value| {
        let mut input = provider(name);
        input["autoScalingGroupProvider"][field] = value;
        input
    };
    for (field, value) in [
        ("managedScaling", json!({"status": "ENABLED"})),
        ("managedTerminationProtection", json!("ENABLED")),
    ] {
        let (_, message) = world.code("CreateCapacityProvider", with("blue", field, value));
        assert!(message.contains(field), "{message}");
    }
    for name in ["fargate-2", "awsome", "ECS", "a b"] {
        let (_, message) = world.code("CreateCapacityProvider", provider(name));
        assert!(message.contains("name is invalid"), "{message}");
    }
    world.call("CreateCapacityProvider", provider("blue")).unwrap();
    assert!(
        world
            .code("CreateCapacityProvider", provider("blue"))
            .1
            .contains("already exists")
    );
}

#[test]
fn tasks_of_a_provider_go_to_its_instances_alone_and_a_full_one_holds_no_other_back() {
    let mut world = World::with_groups(&["blue", "green"]);
    let stranger = world.instance("m5.large", "a", json!({}));
    let blue = world.instance("m5.large", "a", of_group("blue"));
    world.create_on(6, strategy(&[("blue", 0, 1), ("green", 0, 1)]));
    world.settle();
    let empty = "Reason: No Container Instances were found in your capacity provider.";
    let messages = world.messages();
    assert!(messages.iter().any(|message| message.contains(empty)), "{messages:?}");
    let green = world.instance("m5.large", "a", of_group("green"));
    world.settle();
    assert_eq!(
        world.spread_over(&[stranger.clone(), blue, green.clone()]),
        [0, 2, 2],
        "each has room for two"
    );
    assert_eq!(world.providers(), ["blue", "blue", "green", "green"]);
    let described = world
        .call(
            "DescribeContainerInstances",
            json!({"containerInstances": [stranger, green]}),
        )
        .unwrap();
    let described = &described["containerInstances"];
    assert_eq!(
        (
            described[0].get("capacityProviderName"),
            &described[1]["capacityProviderName"]
        ),
        (None, &json!("green"))
    );
    assert_eq!(world.described()["runningCount"], 4);
    world.instance("m5.large", "b", of_group("blue"));
    world.instance("m5.large", "b", of_group("green"));
    world.settle();
    assert_eq!(world.described()["runningCount"], 6);
}

#[test]
fn a_service_may_go_from_fargate_to_instances_and_back_by_its_strategy() {
    let mut world = World::with_groups(&["blue"]);
    world.put(&["blue", "FARGATE_SPOT"]);
    world.instance("m5.large", "a", of_group("blue"));
    world.instance("m5.large", "a", of_group("blue"));
    world.create_on(1, strategy(&[("blue", 0, 1)]));
    world.settle();
    let launch_type = |world: &mut World| {
        let arn = world.tasks("RUNNING")[0].clone();
        world.describe_task(&arn)["launchType"].clone()
    };
    assert_eq!(launch_type(&mut world), "EC2");
    let small = json!({"forceNewDeployment": true, "taskDefinition": "orders:1"});
    let placed = json!({"placementStrategy": [{"type": "random"}], "availabilityZoneRebalancing": "DISABLED"});
    world.update(placed);
    let to_spot = merge(small, strategy(&[("FARGATE_SPOT", 0, 1)]));
    let refused = world.code("UpdateService", merge(json!({"service": "s"}), to_spot.clone()));
    assert!(refused.1.contains("not supported with FARGATE"), "{refused:?}");
    world.update(merge(to_spot, json!({"placementStrategy": []})));
    world.settle();
    assert_eq!(launch_type(&mut world), "FARGATE");
    assert_eq!(world.described()["platformVersion"], "LATEST");
}

#[test]
fn without_launch_type_and_strategy_the_clusters_default_holds_or_else_ec2() {
    let mut world = World::new();
    assert_eq!(world.create_on(0, json!({"serviceName": "plain"}))["launchType"], "EC2");
    let defaults = json!([{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]);
    let put = json!({
        "cluster": "default", "capacityProviders": ["FARGATE", "FARGATE_SPOT"], "defaultCapacityProviderStrategy": defaults,
    });
    world.call("PutClusterCapacityProviders", put).unwrap();
    let seen = world.create_on(0, json!({"serviceName": "by-default"}));
    assert_eq!(seen["capacityProviderStrategy"], defaults);
    assert_eq!(
        world.create(0, on_ec2(json!({"serviceName": "own"})))["launchType"],
        "EC2"
    );
}
