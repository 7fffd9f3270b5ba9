//! Where tasks run is what the document says: on instances by constraints and strategies, on capacity providers by base and
//! weight. Real operator, broker and bridges; localcloud's instances are modelled, the processes on them are real.

use std::collections::BTreeSet;

use aws_sdk_ecs::types::{
    PlacementConstraint, PlacementConstraintType, PlacementStrategy, PlacementStrategyType, Service, Task,
};
use penstock_crds::{ActionStatus, ConditionType, Difference, Status, Truth};
use penstock_tests::capacity::{Instance, create_provider, give_providers};
use penstock_tests::scene::{Scene, TURN, idle_tasks};
use penstock_tests::stage::{self, CLUSTER, Settings, bodies, lay};
use penstock_tests::story::{CONNECTOR, SERVICE, condition, expected};
use penstock_tests::{unique, wait_until};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Outcome = Result<(), Failure>;

/// Settings of a stage whose tasks move messages and whose operator looks again every second.
fn moving() -> Settings {
    Settings {
        resync: "1s",
        ..Settings::default()
    }
}

/// Returns the example with this service section laid over it and exactly so many tasks.
fn orders(scene: &Scene, tasks: u32, service: Value) -> Result<Value, Failure> {
    let mut orders = scene.orders()?;
    lay(
        &mut orders,
        json!({"spec": {"scaling": {"min": tasks, "max": tasks}, "service": service}}),
    );
    Ok(orders)
}

async fn write(scene: &Scene, document: &Value) -> Result<i64, Failure> {
    Ok(scene.stage.write("Connector/orders", Some(document)).await?)
}

async fn service(scene: &Scene) -> Result<Service, Failure> {
    let service = expected::described_service(&scene.stage).await?;
    Ok(service.ok_or("there is no service")?)
}

/// Returns the running tasks of the service.
async fn tasks(scene: &Scene) -> Result<Vec<Task>, Failure> {
    let ecs = scene.stage.aws().ecs();
    let listed = ecs.list_tasks().cluster(CLUSTER).service_name(SERVICE).send().await?;
    let arns = listed.task_arns.unwrap_or_default();
    if arns.is_empty() {
        return Ok(Vec::new());
    }
    let described = ecs
        .describe_tasks()
        .cluster(CLUSTER)
        .set_tasks(Some(arns))
        .send()
        .await?;
    let tasks = described.tasks.unwrap_or_default();
    Ok(tasks
        .into_iter()
        .filter(|task| task.last_status() == Some("RUNNING"))
        .collect())
}

/// Returns the container instances of the running tasks, sorted.
async fn hosts(scene: &Scene) -> Result<Vec<String>, Failure> {
    let mut hosts: Vec<_> = tasks(scene)
        .await?
        .into_iter()
        .filter_map(|task| task.container_instance_arn)
        .collect();
    hosts.sort();
    Ok(hosts)
}

/// Returns the capacity providers of the running tasks, sorted.
async fn providers(scene: &Scene) -> Result<Vec<String>, Failure> {
    let mut providers: Vec<_> = tasks(scene)
        .await?
        .into_iter()
        .map(|task| task.capacity_provider_name.unwrap_or_default())
        .collect();
    providers.sort();
    Ok(providers)
}

async fn deployment(scene: &Scene) -> Result<String, Failure> {
    let service = service(scene).await?;
    let primary = service.deployments().first().and_then(|one| one.id.clone());
    Ok(primary.ok_or("there is no deployment")?)
}

fn sorted(arns: &[&String]) -> Vec<String> {
    let mut arns: Vec<_> = arns.iter().map(|arn| (*arn).clone()).collect();
    arns.sort();
    arns
}

/// Sends messages and waits until each of them is in the topic.
async fn moves(scene: &Scene) -> Outcome {
    const COUNT: u64 = 12;
    let run = unique("run");
    scene.stage.send(&bodies(&run, 0..COUNT)).await?;
    wait_until("the messages to arrive", TURN, || async {
        let arrived = stage::numbers(scene.stage.broker, &scene.stage.topic, &run)
            .await
            .map_err(|error| error.to_string())?;
        let numbers: BTreeSet<_> = arrived.keys().copied().collect();
        if numbers == (0..COUNT).collect() {
            Ok(())
        } else {
            Err(format!("{numbers:?}"))
        }
    })
    .await?;
    Ok(())
}

/// Each task on an m5 of its own, over both zones. So that a rollout needs no third instance, it may stop one task first.
fn placement() -> Value {
    json!({
        "placement": {
            "constraints": [
                {"type": "distinctInstance"}, {"type": "memberOf", "expression": "attribute:ecs.instance-type =~ m5.*"},
            ],
            "strategies": [
                {"type": "spread", "field": "attribute:ecs.availability-zone"}, {"type": "binpack", "field": "memory"},
            ],
        },
        "rollout": {"minimumHealthyPercent": 50, "maximumPercent": 100},
    })
}

fn on(capacity: Value) -> Value {
    let mut service = placement();
    lay(&mut service, capacity);
    service
}

#[tokio::test(flavor = "multi_thread")]
async fn on_instances_tasks_stay_where_the_placement_says() -> Outcome {
    let scene = Scene::set(moving()).await?;
    let aws = scene.stage.aws();
    let first = Instance::new("m5.large", "a").register(aws, CLUSTER).await?;
    Instance::new("c5.large", "b").register(aws, CLUSTER).await?;
    scene.stage.write("Profile/default", Some(&scene.profile()?)).await?;
    let generation = write(&scene, &orders(&scene, 2, on(json!({"launchType": "EC2"})))?).await?;
    no_room_for_the_second(&scene).await?;
    let second = Instance::new("m5.large", "b").register(aws, CLUSTER).await?;
    scene.settled(CONNECTOR, generation).await?;
    let wanted = sorted(&[&first, &second]);
    assert_eq!(hosts(&scene).await?, wanted);
    moves(&scene).await?;

    put_back(&scene).await?;
    scene.settled(CONNECTOR, generation).await?;
    assert_eq!(hosts(&scene).await?, wanted, "and the tasks went where they belong");

    // The same, on the instances of an Auto Scaling group.
    let group = [Instance::new("m5.large", "a"), Instance::new("m5.xlarge", "b")];
    let mut instances = Vec::new();
    for instance in group {
        instances.push(instance.of("batch-group").register(aws, CLUSTER).await?);
    }
    create_provider(aws, "batch", "batch-group").await?;
    give_providers(aws, CLUSTER, &["batch"]).await?;
    let before = deployment(&scene).await?;
    let providers_of = json!({"capacityProviders": [{"name": "batch"}]});
    let generation = write(&scene, &orders(&scene, 2, on(providers_of))?).await?;
    scene.settled(CONNECTOR, generation).await?;
    assert_ne!(deployment(&scene).await?, before);
    assert_eq!(hosts(&scene).await?, sorted(&instances.iter().collect::<Vec<_>>()));
    assert_eq!(providers(&scene).await?, ["batch", "batch"]);
    moves(&scene).await
}

/// One task runs; the other is told of in an event, and the status repeats it.
async fn no_room_for_the_second(scene: &Scene) -> Outcome {
    wait_until("the event about the second task", TURN, || async {
        let service = service(scene).await.map_err(|error| error.to_string())?;
        let unplaced = |message: &str| {
            message.contains("no container instance met all of its requirements")
                && message.contains("placement constraint unsatisfied")
        };
        let told = service
            .events()
            .iter()
            .any(|event| event.message().is_some_and(unplaced));
        match (told, service.running_count(), service.pending_count()) {
            (true, 1, 0) => Ok(()),
            other => Err(format!("told, running, pending: {other:?}")),
        }
    })
    .await?;
    let told = |status: &Status| {
        let mut conditions = status.conditions.iter();
        conditions.any(|one| one.reason == "NoRoom" && one.message.contains("placement constraint unsatisfied"))
    };
    let too_few = |status: &Status| {
        status.tasks.running == 1 && condition(status, ConditionType::Ready) == Truth::False && told(status)
    };
    scene
        .status_when("the status to miss a task and to say why", too_few)
        .await?;
    Ok(())
}

/// Sends the tasks elsewhere by hand, and waits until the placement is back.
async fn put_back(scene: &Scene) -> Outcome {
    let mark = scene.mark().await?;
    let update = scene
        .stage
        .aws()
        .ecs()
        .update_service()
        .cluster(CLUSTER)
        .service(SERVICE);
    let elsewhere = PlacementConstraint::builder()
        .r#type(PlacementConstraintType::MemberOf)
        .expression("attribute:ecs.instance-type =~ c5.*");
    let random = PlacementStrategy::builder().r#type(PlacementStrategyType::Random);
    let update = update
        .placement_constraints(elsewhere.build())
        .placement_strategy(random.build());
    let updated = update.force_new_deployment(true).send().await?.service;
    let astray = updated.and_then(|service| service.deployments.unwrap_or_default().into_iter().next());
    let astray = astray.and_then(|deployment| deployment.id);
    for field in ["revision.placement_constraints", "revision.placement_strategies"] {
        let differs = |one: &Difference| one.resource == "service" && one.field == field;
        let updated = |one: &ActionStatus| one.operation == "UpdateService" && one.error.is_none();
        let repaired = |status: &Status| status.differences.iter().any(differs) && status.actions.iter().any(updated);
        scene
            .told_since(mark, &format!("the repair of {field}"), repaired)
            .await?;
    }
    let service = service(scene).await?;
    assert_eq!(
        (
            service.placement_constraints().len(),
            service.placement_strategy().len()
        ),
        (2, 2)
    );
    assert_ne!(Some(deployment(scene).await?), astray, "the repair replaces the tasks");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_fargate_the_base_and_the_weights_hold_and_another_strategy_deploys() -> Outcome {
    let scene = Scene::set(moving()).await?;
    scene.stage.write("Profile/default", Some(&scene.profile()?)).await?;
    let mixed = json!({"capacityProviders": [
        {"name": "FARGATE", "base": 1, "weight": 0}, {"name": "FARGATE_SPOT", "weight": 3},
    ]});
    let generation = write(&scene, &orders(&scene, 3, mixed)?).await?;
    let refused = |status: &Status| {
        let mut conditions = status.conditions.iter();
        conditions.any(|one| one.message.contains("not associated with the cluster"))
    };
    scene
        .status_when("the status to say what the cluster lacks", refused)
        .await?;
    give_providers(scene.stage.aws(), CLUSTER, &["FARGATE", "FARGATE_SPOT"]).await?;
    scene.settled(CONNECTOR, generation).await?;
    assert_eq!(providers(&scene).await?, ["FARGATE", "FARGATE_SPOT", "FARGATE_SPOT"]);
    assert!(hosts(&scene).await?.is_empty());
    moves(&scene).await?;

    let before = deployment(&scene).await?;
    let spot = json!({"capacityProviders": [{"name": "FARGATE_SPOT"}]});
    let generation = write(&scene, &orders(&scene, 3, spot)?).await?;
    scene.settled(CONNECTOR, generation).await?;
    assert_ne!(deployment(&scene).await?, before);
    assert_eq!(providers(&scene).await?, ["FARGATE_SPOT"; 3]);
    moves(&scene).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_go_together_is_refused_before_anything_is_done() -> Outcome {
    let scene = Scene::set(idle_tasks()).await?;
    scene.stage.write("Profile/default", Some(&scene.profile()?)).await?;
    let distinct = json!({"constraints": [{"type": "distinctInstance"}]});
    let packed = json!({"strategies": [{"type": "binpack", "field": "disk"}]});
    let cases = [
        (
            json!({"launchType": "FARGATE", "placement": distinct}),
            "spec.service.placement",
        ),
        (
            json!({"capacityProviders": [{"name": "FARGATE_SPOT"}], "placement": distinct}),
            "spec.service.placement",
        ),
        (json!({"launchType": "EC2", "publicIp": true}), "spec.service.publicIp"),
        (
            json!({"launchType": "EC2", "capacityProviders": [{"name": "batch"}]}),
            "spec.service.launchType",
        ),
        (
            json!({"capacityProviders": [{"name": "FARGATE"}, {"name": "batch"}]}),
            "spec.service.capacityProviders",
        ),
        (
            json!({"launchType": "EC2", "placement": packed}),
            "spec.service.placement.strategies[0].field",
        ),
    ];
    for (service, path) in cases {
        let offset = write(&scene, &orders(&scene, 1, service)?).await?;
        let told = |status: &Status| {
            status.observed_generation == Some(offset) && status.faults.iter().any(|fault| fault.starts_with(path))
        };
        let status = scene.status_when(&format!("the refusal of {path}"), told).await?;
        assert_eq!(status.accepted_generation, None, "{status:?}");
    }
    assert_eq!(scene.metrics().await?.writes(), 0.0, "nothing was asked of AWS");
    let ecs = scene.stage.aws().ecs();
    let definitions = ecs.list_task_definitions().family_prefix(SERVICE).send().await?;
    assert!(definitions.task_definition_arns().is_empty());
    assert!(expected::described_service(&scene.stage).await?.is_none());
    Ok(())
}
