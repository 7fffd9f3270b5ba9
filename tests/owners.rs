//! What an operator makes is its own: another installation of the same name takes nothing of it, and says whose it is; one
//! that moved takes over what it made; and what nobody owns any more is told of. Real operators, broker and model of AWS.

use std::time::Duration;

use aws_sdk_cloudwatch::types::MetricAlarm;
use aws_sdk_ecs::types::{
    Compatibility, ContainerDefinition, LaunchType, NetworkConfiguration, NetworkMode, Service, ServiceField, Tag,
};
use penstock_crds::{Condition, ConditionType, Health, Phase, Status, Truth};
use penstock_tests::aws::Endpoint;
use penstock_tests::scene::{Scene, TURN, idle_tasks};
use penstock_tests::stage::{CLUSTER, IMAGE, Stage};
use penstock_tests::story::expected;
use penstock_tests::story::{CONNECTOR, SERVICE};
use penstock_tests::{Error, wait_until};
use serde_json::json;

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn told(status: &Status, kind: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|one| one.r#type == kind)
}

/// Whether a status says that somebody else has the names, naming whom in full.
fn says_taken_by(status: &Status, owner: &str) -> bool {
    let told = told(status, ConditionType::Synced);
    told.is_some_and(|told| {
        (told.status, told.reason.as_str()) == (Truth::False, "NameTaken")
            && told.message.contains(&format!("`{owner}`"))
            && told.message.contains("another --name")
            && told.message.contains("--installation")
    })
}

/// Writes the example's documents to an installation that may not make what they ask.
async fn write(scene: &Scene) -> Result<i64, Error> {
    scene.stage.write("Profile/default", Some(&scene.profile()?)).await?;
    scene.stage.write("Connector/orders", Some(&scene.orders()?)).await
}

/// What the first installation has in AWS, in so far as nothing moves it but its operator.
async fn held(stage: &Stage) -> Result<(Vec<Option<String>>, Vec<MetricAlarm>, Vec<String>), Error> {
    let service = expected::described_service(stage).await?;
    let of_service = |one: Service| vec![one.service_arn, one.status, one.task_definition];
    let mut alarms = expected::described_alarms(stage).await?;
    for alarm in &mut alarms {
        // Its state is the world's.
        *alarm = MetricAlarm::builder()
            .set_alarm_name(alarm.alarm_name.take())
            .set_alarm_configuration_updated_timestamp(alarm.alarm_configuration_updated_timestamp)
            .build();
    }
    Ok((
        service.map(of_service).unwrap_or_default(),
        alarms,
        definitions(stage.aws(), SERVICE).await,
    ))
}

async fn definitions(aws: &Endpoint, family: &str) -> Vec<String> {
    let listed = aws.ecs().list_task_definitions().family_prefix(family).send().await;
    let listed = listed.expect("they are listed");
    listed.task_definition_arns.unwrap_or_default()
}

async fn service(aws: &Endpoint, name: &str) -> Option<Service> {
    let described = aws.ecs().describe_services().cluster(CLUSTER).services(name);
    let described = described
        .include(ServiceField::Tags)
        .send()
        .await
        .expect("it is described");
    let found = described.services.unwrap_or_default().into_iter().next();
    found.filter(|service| service.status() == Some("ACTIVE"))
}

fn tag<'a>(service: &'a Service, key: &str) -> Option<&'a str> {
    let found = service.tags().iter().find(|tag| tag.key() == Some(key));
    found.and_then(Tag::value)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_installations_of_one_name_leave_each_other_alone_and_with_two_names_both_run() -> Outcome {
    let first = Scene::set(idle_tasks()).await?;
    let generation = first.begin().await?.accepted_generation.unwrap_or_default();
    expected::service(&first.stage).await?;
    let before = held(&first.stage).await?;

    let mut second = Scene::on(first.stage.beside()).await?;
    write(&second).await?;
    let taken = |status: &Status| says_taken_by(status, &first.stage.owner());
    let status = second
        .status_when("the second to say whose the names are", taken)
        .await?;
    let message = &told(&status, ConditionType::Synced)
        .expect("it is always there")
        .message;
    for what in [
        format!("the service `{SERVICE}`"),
        format!("the alarm `{SERVICE}-oldestMessageAge`"),
    ] {
        assert!(message.contains(&what), "{message}");
    }
    assert!(status.resources.is_empty(), "{status:?}");
    second.passes(3).await?;
    second.stage.write("Connector/orders", None).await?;
    second
        .status_when("the second's connector to end", |status| {
            status.health == Health::Deleted
        })
        .await?;
    first.passes(3).await?;
    assert_eq!(held(&first.stage).await?, before, "the first has what it had");
    assert_eq!(second.metrics().await?.writes(), 0.0, "the second changed nothing");

    // Stopped, the first has no service any more, and keeps its name all the same.
    first.ask(json!({"state": "stopped"})).await?;
    let stopped = |status: &Status| status.phase == Some(Phase::Stopped) && status.resources.is_empty();
    first.status_when("the first to be stopped", stopped).await?;
    write(&second).await?;
    second.status_when("the second to say so again", taken).await?;
    second.passes(3).await?;
    assert_eq!(second.metrics().await?.writes(), 0.0, "the second changed nothing");
    first.ask(json!({"state": "running"})).await?;
    first.settled(CONNECTOR, generation).await?;
    expected::service(&first.stage).await?;
    let before = held(&first.stage).await?;

    second.stage.flags = vec!["--name".to_owned(), "second".to_owned()];
    second.replace_operator().await?;
    let synced = |status: &Status| {
        told(status, ConditionType::Synced).is_some_and(|told| told.status == Truth::True)
            && status.resources.iter().all(|one| one.name.starts_with("second-orders"))
            && status
                .resources
                .iter()
                .any(|one| one.name == "second-orders-oldestMessageAge")
    };
    second.status_when("the second to run beside the first", synced).await?;
    let made = service(second.stage.aws(), "second-orders").await.expect("it runs");
    let owner = second.stage.owner().replacen("penstock@", "second@", 1);
    assert_eq!(tag(&made, "penstock:operator"), Some(owner.as_str()));
    assert_eq!(held(&first.stage).await?, before, "the first has what it had");

    // What was made as `second` would be made once more under another name.
    second.operator.terminate(Duration::from_secs(30)).await?;
    second.stage.flags.clear();
    let renamed = second.stage.start_operator()?;
    let ended = renamed.ended(TURN).await?;
    assert_eq!(ended.code(), Some(1), "{}", renamed.log_text());
    let log = renamed.log_text();
    assert!(
        log.contains(&owner) && log.contains("go on as the one that made it"),
        "{log}"
    );
    second.stage.flags = vec!["--name".to_owned(), "second".to_owned()];
    second.replace_operator().await?;
    second.stage.write("Connector/orders", None).await?;
    second
        .status_when("the second's connector to end", |status| {
            status.health == Health::Deleted
        })
        .await?;
    assert!(service(second.stage.aws(), "second-orders").await.is_none());
    assert_eq!(definitions(second.stage.aws(), "second-orders").await, [""; 0]);
    assert_eq!(held(&first.stage).await?, before, "the first has what it had");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_go_on_with_what_is_there_leaves_the_one_that_does_alone() -> Outcome {
    let scene = Scene::set(idle_tasks()).await?;
    scene.begin().await?;
    for (flag, value, told) in [
        ("--installation", "elsewhere/first", "go on as the one that made it"),
        ("--region", "us-east-1", "`111122223333/us-east-1`"),
    ] {
        let other = scene.stage.with_flags(&[flag, value]).start_operator()?;
        let ended = other.ended(TURN).await?;
        assert_eq!(ended.code(), Some(1), "{}", other.log_text());
        assert!(other.log_text().contains(told), "{}", other.log_text());
    }
    // A write of the former would end it, had the others taken its place as the one that may write.
    let generation = write(&scene).await?;
    scene.settled(CONNECTOR, generation).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_moves_to_other_topics_takes_over_what_it_made_when_it_says_which_installation_it_is() -> Outcome {
    let first = Scene::set(idle_tasks()).await?;
    first.begin().await?;
    let before = held(&first.stage).await?;
    first.operator.terminate(Duration::from_secs(30)).await?;

    let mut moved = first.stage.beside();
    let installation = first.stage.owner().replacen("penstock@", "", 1);
    moved.flags = vec!["--installation".to_owned(), installation];
    let moved = Scene::on(moved).await?;
    let generation = write(&moved).await?;
    moved.settled(CONNECTOR, generation).await?;
    let after = held(&first.stage).await?;
    assert_eq!(
        (after.0.first(), after.1),
        (before.0.first(), before.1),
        "the service and the alarms are the same"
    );
    assert_eq!(moved.metrics().await?.calls("CreateService"), 0.0);
    Ok(())
}

/// Makes a service as an operator of that tag would have made it that lost its topics.
async fn leave_behind(aws: &Endpoint, owner: &str) -> Outcome {
    let container = ContainerDefinition::builder().name("bridge").image(IMAGE).build();
    let definition = aws.ecs().register_task_definition().family("penstock-lost");
    let definition = definition.cpu("256").memory("512").network_mode(NetworkMode::Awsvpc);
    let definition = definition.requires_compatibilities(Compatibility::Fargate);
    definition.container_definitions(container).send().await?;
    let vpc = aws_sdk_ecs::types::AwsVpcConfiguration::builder()
        .subnets("subnet-0a1b2c3d4e5f60718")
        .security_groups("sg-0123456789abcdef0")
        .build()?;
    let network = NetworkConfiguration::builder().awsvpc_configuration(vpc).build();
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let create = aws
        .ecs()
        .create_service()
        .cluster(CLUSTER)
        .service_name("penstock-lost");
    let create = create
        .task_definition("penstock-lost")
        .desired_count(0)
        .launch_type(LaunchType::Fargate);
    let create = create
        .network_configuration(network)
        .tags(tag("penstock:operator", owner));
    create
        .tags(tag("penstock:connector", "lost"))
        .tags(tag("penstock:generation", "4"))
        .send()
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_is_told_of_once_and_again_when_it_is_gone() -> Outcome {
    let scene = Scene::set(idle_tasks()).await?;
    let (stage, aws) = (&scene.stage, scene.stage.aws());
    leave_behind(aws, &stage.owner()).await?;
    let orphaned = |status: &Status| {
        told(status, ConditionType::Degraded).is_some_and(|told| {
            told.reason == "Orphaned"
                && told.message.contains("`penstock-lost`")
                && told.message.contains("`penstock prune lost --confirm`")
        })
    };
    let status = stage
        .status_when("lost", "the orphan to be told of", TURN, orphaned)
        .await?;
    assert_eq!((status.health, status.observed_generation), (Health::Degraded, Some(4)));
    let looks = scene.metrics().await?.calls("ListServices");
    wait_until("more looks for orphans", TURN, || async {
        let made = scene
            .metrics()
            .await
            .map_err(|error| error.to_string())?
            .calls("ListServices")
            - looks;
        if made >= 5.0 {
            Ok(())
        } else {
            Err(format!("{made} looks"))
        }
    })
    .await?;
    assert_eq!(stage.statuses("lost").await?.len(), 1, "told once");
    assert!(service(aws, "penstock-lost").await.is_some(), "and left alone");
    assert_eq!(scene.metrics().await?.writes(), 0.0);

    let delete = aws.ecs().delete_service().cluster(CLUSTER).service("penstock-lost");
    delete.force(true).send().await?;
    let over = |status: &Status| status.health == Health::Deleted;
    stage
        .status_when("lost", "the orphan's end to be told", TURN, over)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_was_never_accepted_ends_with_its_tombstone() -> Outcome {
    let scene = Scene::set(idle_tasks()).await?;
    let (stage, specs) = (&scene.stage, scene.stage.operator_topic("specs"));
    stage
        .broker
        .produce(&specs, "Connector/garbled", Some(b"not json"))
        .await?;
    let refused = |status: &Status| status.health == Health::Unassigned && !status.faults.is_empty();
    stage
        .status_when("garbled", "the refusal to be told", TURN, refused)
        .await?;
    stage.write("Connector/garbled", None).await?;
    let over = |status: &Status| status.health == Health::Deleted;
    stage.status_when("garbled", "its end to be told", TURN, over).await?;
    Ok(())
}
