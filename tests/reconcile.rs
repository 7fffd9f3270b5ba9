//! A connector stays as its document says: what others change is repaired and named, a failing image is tried once, and
//! neither the operator's end nor Kafka's changes that. Real operator, broker and model of AWS; tasks that move nothing.

use std::time::Duration;

use aws_sdk_applicationautoscaling::types::{PolicyType, ScalableDimension, ServiceNamespace, SuspendedState};
use aws_sdk_ecs::types::{AvailabilityZoneRebalancing, DeploymentConfiguration, HealthStatus, Task};
use penstock_crds::{ActionStatus, ConditionType, Difference, Health, Phase, Status, Truth};
use penstock_tests::scene::{Scene, TURN, idle_tasks};
use penstock_tests::stage::{CLUSTER, IMAGE, Settings, bodies, lay};
use penstock_tests::story::expected::{self, RESOURCE_ID};
use penstock_tests::story::{CONNECTOR, SERVICE, condition};
use penstock_tests::{Error, http, wait_until};
use serde_json::{Value, json};

const AGE: &str = "penstock-orders-oldestMessageAge";
const CPU: &str = "penstock-orders-highCpuUsageAndMaxScaledOut";
const BACKLOG: &str = "penstock-orders-backlog";

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Waits for a record that names the difference and the call that removed it.
async fn told(scene: &Scene, mark: usize, (resource, field): (&str, &str), operation: &str) -> Result<(), Error> {
    let what = format!("a status that names {resource} {field} and {operation}");
    let named = |one: &Difference| one.resource == resource && one.field == field;
    let done = |one: &ActionStatus| one.operation == operation && one.error.is_none();
    let judge = |status: &Status| status.differences.iter().any(named) && status.actions.iter().any(done);
    scene.told_since(mark, &what, judge).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_is_repaired_and_the_status_names_it() -> Outcome {
    let scene = Scene::set(idle_tasks()).await?;
    let generation = scene.begin().await?.accepted_generation.unwrap_or_default();
    let mark = scene.mark().await?;
    meddle_with_alarms(&scene).await?;
    meddle_with_scaling(&scene).await?;
    meddle_with_service(&scene).await?;
    for (resource, field, operation) in [
        (format!("alarm {AGE}"), "", format!("PutMetricAlarm {AGE}")),
        (
            format!("alarm {CPU}"),
            "actions_enabled",
            format!("PutMetricAlarm {CPU}"),
        ),
        (
            "scaling".to_owned(),
            &*format!("policies.{BACKLOG}.target"),
            format!("PutScalingPolicy {BACKLOG}"),
        ),
        (
            "scaling".to_owned(),
            "max",
            "RegisterScalableTarget min=1 max=3 suspended=false".to_owned(),
        ),
        (
            "scaling".to_owned(),
            "suspended",
            "RegisterScalableTarget min=1 max=3 suspended=false".to_owned(),
        ),
        ("service".to_owned(), "tags.team", "TagResource".to_owned()),
        (
            "service".to_owned(),
            "minimum_healthy_percent",
            "UpdateService".to_owned(),
        ),
        ("service".to_owned(), "rebalancing", "UpdateService".to_owned()),
    ] {
        told(&scene, mark, (&resource, field), &operation).await?;
    }
    scene.settled(CONNECTOR, generation).await?;
    is_as_the_document_says(&scene).await?;

    let mark = scene.mark().await?;
    let delete = scene
        .stage
        .aws()
        .ecs()
        .delete_service()
        .cluster(CLUSTER)
        .service(SERVICE);
    delete.force(true).send().await?;
    told(&scene, mark, ("service", ""), "CreateService").await?;
    scene.settled(CONNECTOR, generation).await?;
    is_as_the_document_says(&scene).await?;
    Ok(())
}

async fn meddle_with_alarms(scene: &Scene) -> Outcome {
    let cloudwatch = scene.stage.aws().cloudwatch();
    cloudwatch.delete_alarms().alarm_names(AGE).send().await?;
    cloudwatch.disable_alarm_actions().alarm_names(CPU).send().await?;
    Ok(())
}

async fn meddle_with_scaling(scene: &Scene) -> Outcome {
    let scaling = scene.stage.aws().scaling();
    let described = scaling
        .describe_scaling_policies()
        .service_namespace(ServiceNamespace::Ecs);
    let described = described.resource_id(RESOURCE_ID).policy_names(BACKLOG).send().await?;
    let mut tracking = described.scaling_policies()[0]
        .target_tracking_scaling_policy_configuration()
        .cloned();
    tracking.as_mut().expect("it tracks a target").target_value = 7.0;
    let put = scaling
        .put_scaling_policy()
        .policy_name(BACKLOG)
        .policy_type(PolicyType::TargetTrackingScaling);
    put.set_target_tracking_scaling_policy_configuration(tracking)
        .service_namespace(ServiceNamespace::Ecs)
        .resource_id(RESOURCE_ID)
        .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
        .send()
        .await?;
    // Suspended in part only, which is easily taken for not suspended.
    let suspended = SuspendedState::builder().dynamic_scaling_out_suspended(true).build();
    let register = scaling
        .register_scalable_target()
        .service_namespace(ServiceNamespace::Ecs)
        .resource_id(RESOURCE_ID);
    let register = register.scalable_dimension(ScalableDimension::EcsServiceDesiredCount);
    register.max_capacity(50).suspended_state(suspended).send().await?;
    Ok(())
}

async fn meddle_with_service(scene: &Scene) -> Outcome {
    let ecs = scene.stage.aws().ecs();
    let service = expected::described_service(&scene.stage)
        .await?
        .expect("there is a service");
    let untag = ecs
        .untag_resource()
        .resource_arn(service.service_arn().unwrap_or_default());
    untag.tag_keys("penstock:spec-hash").tag_keys("team").send().await?;
    let rollout = DeploymentConfiguration::builder()
        .minimum_healthy_percent(0)
        .maximum_percent(200)
        .build();
    let update = ecs
        .update_service()
        .cluster(CLUSTER)
        .service(SERVICE)
        .deployment_configuration(rollout)
        .availability_zone_rebalancing(AvailabilityZoneRebalancing::Enabled);
    update.send().await?;
    Ok(())
}

async fn is_as_the_document_says(scene: &Scene) -> Result<(), Error> {
    expected::task_definition(&scene.stage).await?;
    expected::service(&scene.stage).await?;
    expected::target(&scene.stage, 1, 3).await?;
    expected::policies(&scene.stage).await?;
    expected::alarms(&scene.stage).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_idle_passes_write_nothing_and_a_count_that_others_set_stays() -> Outcome {
    let scene = Scene::set(Settings {
        speed: 240,
        ..idle_tasks()
    })
    .await?;
    scene.begin().await?;
    // The last thing to happen by itself: Application Auto Scaling would scale in, and may not.
    let at_rest = |status: &Status| {
        status
            .scaling
            .as_ref()
            .is_some_and(|scaling| scaling.not_scaled.is_some())
    };
    scene.status_when("scaling to come to rest", at_rest).await?;
    let first = scene.metrics().await?;
    let before = (first.writes(), records(&scene).await?);
    scene.passes(10).await?;
    let last = scene.metrics().await?;
    let after = (last.writes(), records(&scene).await?);
    assert!(last.leads(), "{last:?}");
    assert!(
        last.last_progress(CONNECTOR) > first.last_progress(CONNECTOR),
        "ten passes saw it do its job: {last:?}"
    );
    let news = scene.stage.statuses(CONNECTOR).await?;
    let news = serde_json::to_string_pretty(news.get(before.1.1 - 1..).unwrap_or_default())?;
    assert_eq!(
        after, before,
        "calls that change something, and records of state and status; the news: {news}"
    );

    let update = scene
        .stage
        .aws()
        .ecs()
        .update_service()
        .cluster(CLUSTER)
        .service(SERVICE)
        .desired_count(2);
    update.send().await?;
    scene.passes(3).await?;
    assert_eq!(
        scene.metrics().await?.writes(),
        before.0,
        "the count is Application Auto Scaling's to rule"
    );
    Ok(())
}

async fn records(scene: &Scene) -> Result<(usize, usize), Error> {
    let count = |role| async move { scene.stage.broker.read_all(&scene.stage.operator_topic(role)).await };
    Ok((count("state").await?.len(), count("status").await?.len()))
}

/// Returns the example with another image.
fn with_image(scene: &Scene, image: &str) -> Result<Value, Error> {
    let mut orders = scene.orders()?;
    lay(&mut orders, json!({"spec": {"task": {"image": image}}}));
    Ok(orders)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_image_is_rolled_back_named_in_one_line_and_not_tried_again() -> Outcome {
    let mut scene = Scene::set(idle_tasks()).await?;
    scene.begin().await?;
    let bad = scene
        .stage
        .write("Connector/orders", Some(&with_image(&scene, "nonesuch:1")?))
        .await?;
    let told = |status: &Status| {
        status.accepted_generation == Some(bad)
            && reason(status, ConditionType::Degraded) == (Truth::True, "RolledBack")
            && condition(status, ConditionType::Progressing) == Truth::False
    };
    let status = scene.status_when("the status to tell of the rollback", told).await?;
    let cause = status
        .conditions
        .iter()
        .find(|one| one.r#type == ConditionType::Synced)
        .expect("it is always there");
    assert!(cause.message.contains("CannotPullContainerError"), "{cause:?}");
    assert!(!cause.message.contains('\n'), "{cause:?}");
    assert_eq!(
        condition(&status, ConditionType::Ready),
        Truth::True,
        "the earlier revision runs: {status:?}"
    );

    scene.passes(5).await?;
    let metrics = scene.metrics().await?;
    assert_eq!(
        metrics.calls("RegisterTaskDefinition"),
        2.0,
        "the good one and the bad one"
    );
    assert_eq!(metrics.calls("UpdateService"), 1.0, "one try");
    scene.replace_operator().await?;
    scene.passes(5).await?;
    assert_eq!(scene.metrics().await?.writes(), 0.0, "not after a restart either");

    scene.ask(json!({"reconcileAt": "2026-11-21T08:00:00Z"})).await?;
    wait_until("one more try", TURN, || async {
        let calls = scene
            .metrics()
            .await
            .map_err(|error| error.to_string())?
            .calls("UpdateService");
        if calls >= 1.0 {
            Ok(())
        } else {
            Err(format!("{calls} calls"))
        }
    })
    .await?;
    scene.status_when("the second rollback to be told", told).await?;
    scene.passes(5).await?;
    assert_eq!(
        scene.metrics().await?.calls("UpdateService"),
        1.0,
        "asked once, tried once"
    );

    let good = scene
        .stage
        .write("Connector/orders", Some(&with_image(&scene, "penstock-bridge:2")?))
        .await?;
    scene.settled(CONNECTOR, good).await?;
    assert_eq!(image(&scene).await?.as_deref(), Some("penstock-bridge:2"));
    Ok(())
}

fn reason(status: &Status, kind: ConditionType) -> (Truth, &str) {
    let found = status.conditions.iter().find(|one| one.r#type == kind);
    found.map_or((Truth::Unknown, ""), |one| (one.status, one.reason.as_str()))
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_outlives_the_operator_and_resume_restart_and_stop_do_what_they_say() -> Outcome {
    let mut scene = Scene::set(idle_tasks()).await?;
    let generation = scene.begin().await?.accepted_generation.unwrap_or_default();

    scene.ask(json!({"state": "paused"})).await?;
    let quiet = |status: &Status| {
        status.health == Health::Paused
            && status.tasks.desired + status.tasks.running == 0
            && condition(status, ConditionType::Progressing) == Truth::False
    };
    scene.status_when("the connector to be paused", quiet).await?;
    paused(&scene).await?;
    scene.replace_operator().await?;
    scene.passes(3).await?;
    assert_eq!(scene.metrics().await?.writes(), 0.0, "a paused connector stays paused");
    paused(&scene).await?;

    scene.ask(json!({"state": "running"})).await?;
    scene.settled(CONNECTOR, generation).await?;
    expected::target(&scene.stage, 1, 3).await?;
    expected::alarms(&scene.stage).await?;
    let before = tasks(&scene).await?;
    assert_eq!(before.len(), 1);

    let updates = scene.metrics().await?.calls("UpdateService");
    scene
        .ask(json!({"state": "running", "restartedAt": "2026-11-21T08:00:00Z"}))
        .await?;
    wait_until("another task in place of the first", TURN, || async {
        let now = tasks(&scene).await.map_err(|error| error.to_string())?;
        if now.len() == 1 && now != before {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await?;
    scene.settled(CONNECTOR, generation).await?;
    scene.replace_operator().await?;
    scene.passes(3).await?;
    assert_eq!(
        scene.metrics().await?.calls("UpdateService"),
        0.0,
        "a restart is made once, not once an operator"
    );
    assert!(updates >= 1.0);

    scene.ask(json!({"state": "stopped"})).await?;
    let stopped = |status: &Status| status.health == Health::Stopped && status.phase == Some(Phase::Stopped);
    scene.status_when("the connector to be stopped", stopped).await?;
    wait_until("nothing to be left but task definitions", TURN, || async {
        gone(&scene).await.map_err(|error| error.to_string())
    })
    .await?;
    scene.ask(json!({"state": "running"})).await?;
    scene.settled(CONNECTOR, generation).await?;
    expected::service(&scene.stage).await?;
    Ok(())
}

/// Holds that no task is wanted, nothing scales and nobody is told.
async fn paused(scene: &Scene) -> Outcome {
    let service = expected::described_service(&scene.stage)
        .await?
        .expect("a paused connector keeps its service");
    assert_eq!((service.desired_count(), service.running_count()), (0, 0));
    let targets = scene
        .stage
        .aws()
        .scaling()
        .describe_scalable_targets()
        .service_namespace(ServiceNamespace::Ecs);
    let targets = targets.resource_ids(RESOURCE_ID).send().await?;
    let target = &targets.scalable_targets()[0];
    assert_eq!((target.min_capacity(), target.max_capacity()), (0, 3));
    let all = SuspendedState::builder()
        .dynamic_scaling_in_suspended(true)
        .dynamic_scaling_out_suspended(true)
        .scheduled_scaling_suspended(true)
        .build();
    assert_eq!(target.suspended_state(), Some(&all));
    let alarms = expected::described_alarms(&scene.stage).await?;
    assert_eq!(alarms.len(), 4);
    assert!(
        alarms.iter().all(|alarm| alarm.actions_enabled() == Some(false)),
        "{alarms:?}"
    );
    Ok(())
}

async fn tasks(scene: &Scene) -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>> {
    let listed = scene
        .stage
        .aws()
        .ecs()
        .list_tasks()
        .cluster(CLUSTER)
        .service_name(SERVICE)
        .send()
        .await?;
    Ok(listed.task_arns.unwrap_or_default())
}

async fn gone(scene: &Scene) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let service = expected::described_service(&scene.stage).await?;
    let alarms = expected::described_alarms(&scene.stage).await?;
    match (service, alarms.len()) {
        (None, 0) => Ok(()),
        (service, alarms) => Err(format!("{:?}, {alarms} alarms", service.map(|one| one.status)).into()),
    }
}

/// An image whose program runs and answers nobody.
const DEAF: (&str, &str) = ("deaf", "/bin/sleep infinity");

/// Returns the example with another image; it falls asleep soon after its queue is empty.
fn sleepy(scene: &Scene, image: &str) -> Result<Value, Error> {
    let mut orders = with_image(scene, image)?;
    lay(
        &mut orders,
        json!({"spec": {"scaling": {"cooldowns": {"sleep": "10s"}}}}),
    );
    Ok(orders)
}

/// Sends what three tasks are needed for.
async fn wake(scene: &Scene) -> Result<(), Error> {
    scene.stage.send(&bodies("wake", 0..250)).await
}

async fn asleep(scene: &Scene, generation: i64) -> Result<Status, Error> {
    let asleep = |status: &Status| {
        status.accepted_generation == Some(generation)
            && status.tasks.running == 0
            && reason(status, ConditionType::Ready) == (Truth::True, "Asleep")
            && reason(status, ConditionType::Synced) == (Truth::True, "InSync")
            && condition(status, ConditionType::Progressing) == Truth::False
    };
    scene.status_when("the connector to sleep", asleep).await
}

async fn image(scene: &Scene) -> Result<Option<String>, Box<dyn std::error::Error + Send + Sync>> {
    let service = expected::described_service(&scene.stage)
        .await?
        .expect("there is a service");
    let definition = scene.stage.aws().ecs().describe_task_definition();
    let definition = definition.set_task_definition(service.task_definition).send().await?;
    let definition = definition.task_definition();
    Ok(definition.and_then(|one| one.container_definitions()[0].image.clone()))
}

fn is_ready(status: &Status) -> bool {
    condition(status, ConditionType::Ready) == Truth::True
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_deployed_asleep_that_fails_its_health_check_never_counts_as_ready() -> Outcome {
    let scene = Scene::set(Settings {
        images: &[DEAF],
        ..idle_tasks()
    })
    .await?;
    scene.stage.write("Profile/default", Some(&scene.profile()?)).await?;
    wake(&scene).await?;
    let first = sleepy(&scene, IMAGE)?;
    let first = scene.stage.write("Connector/orders", Some(&first)).await?;
    scene.settled(CONNECTOR, first).await?;
    scene.stage.empty_queue().await?;
    asleep(&scene, first).await?;
    let bad = scene
        .stage
        .write("Connector/orders", Some(&sleepy(&scene, DEAF.0)?))
        .await?;
    asleep(&scene, bad).await?;
    let calls = scene.metrics().await?.calls("UpdateService");

    let mark = scene.mark().await?;
    wake(&scene).await?;
    let told = |status: &Status| reason(status, ConditionType::Degraded) == (Truth::True, "RolledBack");
    let status = scene.told_since(mark, "the failure to be told", told).await?;
    let cause = status
        .conditions
        .iter()
        .find(|one| one.r#type == ConditionType::Degraded);
    let cause = &cause.expect("it is always there").message;
    assert!(cause.contains("health check"), "{cause}");
    let news = scene.stage.statuses(CONNECTOR).await?.split_off(mark);
    let failure = news.iter().position(told).expect("it was found");
    assert!(!news[..=failure].iter().any(is_ready), "{news:?}");
    // The image before it had proved itself, and ECS would not go back to it.
    let stands_in = |status: &Status| is_ready(status) && told(status);
    scene
        .told_since(mark, "the earlier image to stand in", stands_in)
        .await?;
    assert_eq!(image(&scene).await?.as_deref(), Some(IMAGE));
    scene.passes(5).await?;
    let more = scene.metrics().await?.calls("UpdateService") - calls;
    assert_eq!(more, 2.0, "the wake and the earlier image: no loop");

    let mended = sleepy(&scene, "penstock-bridge:2")?;
    let mended = scene.stage.write("Connector/orders", Some(&mended)).await?;
    let status = scene.settled(CONNECTOR, mended).await?;
    assert_eq!(reason(&status, ConditionType::Degraded), (Truth::False, "AsWanted"));
    assert_eq!(image(&scene).await?.as_deref(), Some("penstock-bridge:2"));

    // What has proved itself wakes without a deployment, and is Ready only once it is healthy.
    scene.stage.empty_queue().await?;
    asleep(&scene, mended).await?;
    let mark = scene.mark().await?;
    wake(&scene).await?;
    let unproved = |status: &Status| reason(status, ConditionType::Ready) == (Truth::False, "NotHealthy");
    scene
        .told_since(mark, "tasks that run and are not healthy yet", unproved)
        .await?;
    scene
        .told_since(mark, "the woken connector to be Ready", is_ready)
        .await?;
    let listed = tasks(&scene).await?;
    let described = scene.stage.aws().ecs().describe_tasks().cluster(CLUSTER);
    let described = described.set_tasks(Some(listed)).send().await?;
    let is_healthy = |task: &&Task| task.health_status() == Some(&HealthStatus::Healthy);
    assert!(described.tasks().iter().any(|task| is_healthy(&task)), "{described:?}");
    let news = scene.stage.statuses(CONNECTOR).await?.split_off(mark);
    let done = |status: &Status| status.actions.iter().any(|action| action.operation.contains("(Wake)"));
    let forced = |status: &Status| {
        let mut actions = status.actions.iter();
        actions.any(|action| action.operation.contains("forceNewDeployment"))
    };
    assert!(news.iter().any(done) && !news.iter().any(forced), "{news:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_never_ran_and_fails_when_it_is_resumed_is_told_and_not_tried_again() -> Outcome {
    let scene = Scene::set(idle_tasks()).await?;
    scene.stage.write("Profile/default", Some(&scene.profile()?)).await?;
    let mut bad = with_image(&scene, "nonesuch:1")?;
    lay(&mut bad, json!({"spec": {"initialState": "paused"}}));
    scene.stage.write("Connector/orders", Some(&bad)).await?;
    let quiet = |status: &Status| {
        status.health == Health::Paused
            && condition(status, ConditionType::Synced) == Truth::True
            && condition(status, ConditionType::Progressing) == Truth::False
    };
    scene.status_when("the connector to be paused", quiet).await?;
    let mark = scene.mark().await?;
    scene.ask(json!({"state": "running"})).await?;
    let told = |status: &Status| {
        reason(status, ConditionType::Degraded) == (Truth::True, "RolledBack")
            && condition(status, ConditionType::Progressing) == Truth::False
    };
    let status = scene.status_when("the failure to be told", told).await?;
    let cause = status
        .conditions
        .iter()
        .find(|one| one.r#type == ConditionType::Degraded);
    let cause = &cause.expect("it is always there").message;
    assert!(cause.contains("CannotPullContainerError"), "{cause}");
    let writes = scene.metrics().await?.writes();
    // What has tasks that fail is looked at once a minute; what is in motion, as in a loop, every 5 s.
    scene.passes(1).await?;
    assert_eq!(scene.metrics().await?.writes(), writes, "no loop");
    let news = scene.stage.statuses(CONNECTOR).await?.split_off(mark);
    assert!(!news.iter().any(is_ready), "{news:?}");

    let good = scene
        .stage
        .write("Connector/orders", Some(&with_image(&scene, IMAGE)?))
        .await?;
    let status = scene.settled(CONNECTOR, good).await?;
    assert_eq!(reason(&status, ConditionType::Degraded), (Truth::False, "AsWanted"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_killed_while_it_creates_is_completed_by_the_next() -> Outcome {
    let mut scene = Scene::set(idle_tasks()).await?;
    scene.stage.write("Profile/default", Some(&scene.profile()?)).await?;
    let generation = scene.stage.write("Connector/orders", Some(&scene.orders()?)).await?;
    wait_until("the first call that made something", TURN, || async {
        let listed = scene
            .stage
            .aws()
            .ecs()
            .list_task_definitions()
            .family_prefix(SERVICE)
            .send()
            .await;
        match listed.map_err(|error| error.to_string())?.task_definition_arns().len() {
            0 => Err("no task definition"),
            _ => Ok(()),
        }
        .map_err(str::to_owned)
    })
    .await?;
    scene.replace_operator().await?;
    scene.settled(CONNECTOR, generation).await?;
    expected::service(&scene.stage).await?;
    expected::target(&scene.stage, 1, 3).await?;
    expected::policies(&scene.stage).await?;
    expected::alarms(&scene.stage).await?;
    let listed = scene
        .stage
        .aws()
        .ecs()
        .list_task_definitions()
        .family_prefix(SERVICE)
        .send()
        .await?;
    assert_eq!(listed.task_definition_arns().len(), 1, "nothing is registered twice");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_without_its_broker_goes_on_repairing_and_tells_of_it_later() -> Outcome {
    let scene = Scene::set(Settings {
        own_broker: true,
        ..idle_tasks()
    })
    .await?;
    scene.begin().await?;
    let mark = scene.mark().await?;
    scene.stage.broker.kill().await?;

    scene
        .stage
        .aws()
        .cloudwatch()
        .delete_alarms()
        .alarm_names(AGE)
        .send()
        .await?;
    wait_until("the alarm to be back while there is no Kafka", TURN, || async {
        expected::alarms(&scene.stage)
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    })
    .await?;
    let alive = http::get(&format!("http://127.0.0.1:{}/livez", scene.stage.operator_port)).await?;
    assert_eq!(alive.0, 200, "no restart would mend Kafka: {}", alive.1);

    scene.stage.broker.restart().await?;
    scene
        .told_since(mark, "the repair to be told", |status| {
            status
                .actions
                .iter()
                .any(|action| action.operation == format!("PutMetricAlarm {AGE}"))
        })
        .await?;
    let mut orders = scene.orders()?;
    lay(&mut orders, json!({"spec": {"scaling": {"max": 4}}}));
    let generation = scene.stage.write("Connector/orders", Some(&orders)).await?;
    scene.settled(CONNECTOR, generation).await?;
    expected::target(&scene.stage, 1, 4).await?;
    assert_eq!(scene.operator.exit_status(), None, "it is the same process");
    let ended = scene.operator.terminate(Duration::from_secs(30)).await?;
    assert!(ended.success(), "{ended}");
    Ok(())
}
