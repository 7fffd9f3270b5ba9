//! The whole life of a connector's resources, against the model of AWS behind its own front.
#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::sync::Mutex;

use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use penstock_crds::{Connector, Phase, State};
use penstock_localcloud::http::{Clocks, Options, SharedCloud, serve};
use penstock_localcloud::model::ecs::{AgentCommand, TaskReport};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::cloud::Call;
use crate::plan::action::CountCause;
use crate::plan::desired::{Surroundings, desired, tags};
use crate::plan::diff::{CountRule, Rules, diff};
use crate::plan::home::Home;
use crate::plan::owner::Holder;
use crate::plan::resources::{
    Capacity, DeploymentProgress, Policy, PolicyMetric, Resources, ServiceLife, TaskHealth, Tasks,
};
use crate::samples::{connector, orders, orders_spec, owner};

mod answers;

const REGION: &str = "eu-west-1";
const ACCOUNT: &str = "123456789012";

/// AWS with a cluster, and one operator that looks at it.
struct World {
    aws: Aws,
    calls: Arc<Mutex<Vec<Call>>>,
    cloud: SharedCloud,
    _stop: DropGuard,
}

impl World {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let cloud = SharedCloud::new(Default::default(), Clocks::new(1.0));
        let stop = CancellationToken::new();
        let served = serve(
            listener,
            cloud.clone(),
            Options::default(),
            stop.clone().cancelled_owned(),
        );
        tokio::spawn(async move { served.await.unwrap() });
        let calls = Arc::new(Mutex::new(Vec::new()));
        let aws = aws(&endpoint, owner(), Arc::clone(&calls)).await;
        aws.write
            .ecs
            .create_cluster()
            .cluster_name("data")
            .capacity_providers("FARGATE")
            .capacity_providers("FARGATE_SPOT")
            .send()
            .await
            .unwrap();
        Self {
            aws,
            calls,
            cloud,
            _stop: stop.drop_guard(),
        }
    }

    async fn observe(&self) -> Observed {
        self.aws.observe(&[subject()]).await.remove(&orders()).unwrap().unwrap()
    }

    /// Makes passes until one has nothing to do; returns what they did.
    async fn reach(&self, desired: &Resources, count: CountRule) -> Vec<&'static str> {
        let mut done = Vec::new();
        for _ in 0..5 {
            let observed = self.observe().await;
            let actions = diff(desired, &observed, &rules(count));
            if actions.is_empty() {
                return done;
            }
            let mut registered = None;
            for action in &actions {
                let receipt = self.aws.apply(&subject(), action, registered.as_deref()).await;
                let receipt = receipt.unwrap_or_else(|error| panic!("{action}: {error}"));
                assert!(receipt.request_id.is_some(), "no request id of {action}");
                if matches!(action, Action::RegisterTaskDefinition { .. }) {
                    registered = receipt.arn;
                }
                done.push(action.operation());
            }
        }
        panic!("five passes were not enough: {done:?}");
    }

    /// Gives the cluster an instance that has room for several tasks.
    async fn register_instance(&self) {
        use aws_sdk_ecs::types::Resource;
        let resource = |name: &str, value| {
            Resource::builder()
                .name(name)
                .r#type("INTEGER")
                .integer_value(value)
                .build()
        };
        let identity = serde_json::json!({
            "instanceId": "i-1", "instanceType": "m5.large", "availabilityZone": "eu-west-1a",
        });
        let request = self.aws.write.ecs.register_container_instance().cluster("data");
        request
            .instance_identity_document(identity.to_string())
            .total_resources(resource("CPU", 2048))
            .total_resources(resource("MEMORY", 7680))
            .send()
            .await
            .unwrap();
    }

    /// Plays the agent once: tasks of an image that works run and are well, others fail to start.
    fn play_agent(&self) {
        self.cloud.with(|cloud, now| {
            let scope = penstock_localcloud::model::Scope {
                account: ACCOUNT.to_owned(),
                region: REGION.to_owned(),
            };
            let ecs = &mut cloud.region(&scope).ecs;
            let reports: Vec<_> = ecs.agent_work(now).into_iter().flat_map(reports).collect();
            reports.into_iter().for_each(|report| ecs.report(report, now));
            cloud.tick(now);
        });
    }

    /// Tells ECS what the agent saw of a task.
    fn report(&self, report: TaskReport) {
        self.cloud.with(|cloud, now| {
            let scope = penstock_localcloud::model::Scope {
                account: ACCOUNT.to_owned(),
                region: REGION.to_owned(),
            };
            cloud.region(&scope).ecs.report(report, now);
            cloud.tick(now);
        });
    }

    /// Plays the agent until what is observed is as awaited.
    async fn until(&self, awaited: impl Fn(&Observed) -> bool) -> Observed {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            self.play_agent();
            let observed = self.observe().await;
            if awaited(&observed) {
                return observed;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "not seen within 30 s: {observed:#?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn set_count(&self, count: i32, redeploy: bool) {
        let set = Action::SetDesiredCount {
            count,
            cause: CountCause::Wake,
            redeploy,
        };
        self.aws.apply(&subject(), &set, None).await.unwrap();
    }

    fn take_writes(&self) -> Vec<&'static str> {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        let is_write = |call: &&Call| {
            !["Describe", "List", "Get"]
                .iter()
                .any(|read| call.operation.starts_with(read))
        };
        calls.iter().filter(is_write).map(|call| call.operation).collect()
    }
}

async fn aws(endpoint: &str, owner: Owner, calls: Arc<Mutex<Vec<Call>>>) -> Aws {
    let credentials = Credentials::new(ACCOUNT, "secret", None, None, "tests");
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .http_client(https())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .load()
        .await;
    let observer: CallObserver = Arc::new(move |call| calls.lock().unwrap().push(call));
    let settings = AwsSettings {
        region: None,
        owner,
        observer: Some(observer),
    };
    Aws::over(config, settings).unwrap()
}

fn subject() -> Subject {
    Subject {
        uid: "t/0/1".to_owned(),
        ..crate::samples::subject(orders())
    }
}

fn around() -> Surroundings {
    Surroundings {
        owner: owner(),
        home: Home {
            account: ACCOUNT.to_owned(),
            region: REGION.to_owned(),
        },
        container_insights: false,
    }
}

fn state() -> State {
    serde_json::from_value(serde_json::json!({"uid": "t/0/1", "generation": 1})).unwrap()
}

fn wanted(connector: &Connector) -> Resources {
    desired(connector, Phase::Awake, &state(), None, &around())
}

fn sample() -> Connector {
    let mut connector = connector(&orders_spec());
    connector.task.environment.insert("LOG".to_owned(), "debug".to_owned());
    connector
}

fn rules(count: CountRule) -> Rules {
    let tags = tags(&sample(), &state(), &around());
    Rules {
        count,
        token: "token-1".to_owned(),
        tags,
        keep_revisions: 0,
        keep_definition: None,
        redeploy: false,
        retry: false,
    }
}

fn reports(command: AgentCommand) -> Vec<TaskReport> {
    match command {
        AgentCommand::Start(start) if start.image.contains("broken") => {
            let reason = format!("CannotPullContainerError: no image {}", start.image);
            vec![TaskReport::FailedToStart {
                task_arn: start.task_arn,
                reason,
            }]
        }
        AgentCommand::Start(start) => {
            let task_arn = start.task_arn;
            let started = TaskReport::Started {
                task_arn: task_arn.clone(),
                address: Ipv4Addr::new(127, 0, 0, 2),
            };
            vec![
                started,
                TaskReport::Health {
                    task_arn,
                    healthy: true,
                },
            ]
        }
        AgentCommand::Stop { task_arn, .. } => {
            vec![TaskReport::Exited {
                task_arn,
                exit_code: 0,
                out_of_memory: false,
            }]
        }
    }
}

fn is_completed(observed: &Observed) -> bool {
    observed
        .deployment
        .as_ref()
        .is_some_and(|one| one.progress == DeploymentProgress::Completed)
}

const AWAKE: CountRule = CountRule::Scaled { wake: 1 };

#[tokio::test]
async fn what_was_created_is_observed_as_it_was_wanted_and_left_alone() {
    let world = World::start().await;
    let wanted = wanted(&sample());
    let done = world.reach(&wanted, AWAKE).await;
    let begun = [
        "RegisterTaskDefinition",
        "CreateService",
        "RegisterScalableTarget",
        "PutScalingPolicy",
    ];
    assert_eq!(done[..4], begun);
    assert!(done.contains(&"PutMetricAlarm"));
    world.take_writes();
    let observed = world.until(is_completed).await;
    assert_eq!(observed.resources, wanted);
    assert_eq!((observed.foreign.len(), observed.life), (0, ServiceLife::Active));
    let definition = wanted.service.map(|service| service.revision.task_definition);
    assert_eq!(observed.revisions.len(), 1);
    assert_eq!(observed.revisions[0].content, definition);
    assert_eq!(observed.task_definition_arn.as_ref(), Some(&observed.revisions[0].arn));
    let deployed = observed.deployment.clone().and_then(|one| one.revision);
    assert_eq!(deployed, observed.resources.service.map(|service| service.revision));
    assert!(
        observed.arns.contains_key("penstock-orders"),
        "the target's ARN: {:?}",
        observed.arns
    );
    assert_eq!(world.take_writes(), [""; 0], "observing writes nothing");
}

#[tokio::test]
async fn a_new_image_becomes_a_new_revision_and_the_count_is_left_alone() {
    let world = World::start().await;
    let mut connector = sample();
    world.reach(&wanted(&connector), AWAKE).await;
    let before = world.until(is_completed).await;
    world.set_count(3, false).await;
    connector.task.image = "penstock-bridge:2".to_owned();
    connector.labels.insert("team".to_owned(), "payments".to_owned());
    let wanted = wanted(&connector);
    let done = world.reach(&wanted, AWAKE).await;
    assert_eq!(done, ["RegisterTaskDefinition", "UpdateService", "TagResource"]);
    let after = world.until(|seen| is_completed(seen) && seen.counts.running == 3).await;
    assert_eq!(after.resources, wanted);
    assert_eq!(after.counts.desired, 3);
    assert_ne!(after.deployment.map(|one| one.id), before.deployment.map(|one| one.id));
    let cleaned = world.reach(&wanted, AWAKE).await;
    assert_eq!(cleaned, ["DeregisterTaskDefinition", "DeleteTaskDefinitions"]);
    assert_eq!(world.observe().await.revisions.len(), 1);
}

#[tokio::test]
async fn the_health_of_all_tasks_is_read_and_those_of_another_definition_are_told_apart() {
    let world = World::start().await;
    world.reach(&wanted(&sample()), AWAKE).await;
    world.until(is_completed).await;
    // More than one page holds.
    world.set_count(120, false).await;
    let observed = world.until(|seen| seen.counts.running == 120).await;
    let arn = observed.task_definition_arn.unwrap();
    let all = TaskHealth {
        healthy: 120,
        ..TaskHealth::default()
    };
    assert_eq!(world.aws.tasks(&subject(), &arn, None).await.unwrap(), all);
    let other = world.aws.tasks(&subject(), &format!("{arn}0"), None).await.unwrap();
    let former = TaskHealth {
        former: 120,
        ..TaskHealth::default()
    };
    assert_eq!(other, former);
    assert_eq!(
        world.observe().await.tasks,
        Tasks::Unasked,
        "who only observes asks nobody"
    );
}

#[tokio::test]
async fn a_task_that_is_not_healthy_is_told_with_its_cause() {
    let world = World::start().await;
    let mut connector = sample();
    connector.task.image = "broken:1".to_owned();
    world.reach(&wanted(&connector), AWAKE).await;
    let failed = world
        .until(|seen| seen.deployment.as_ref().unwrap().progress == DeploymentProgress::Failed)
        .await;
    let arn = failed.task_definition_arn.unwrap();
    let seen = world.aws.tasks(&subject(), &arn, None).await.unwrap();
    assert_eq!(seen.healthy, 0);
    assert!(seen.cause.unwrap().contains("CannotPullContainerError"));
    let other = world.aws.tasks(&subject(), &format!("{arn}0"), None).await.unwrap();
    assert_eq!(other.cause, None, "the failure of another definition is no cause");
}

#[tokio::test]
async fn a_count_brings_a_deployment_only_when_it_is_told_to() {
    let world = World::start().await;
    let wanted = wanted(&sample());
    world.reach(&wanted, AWAKE).await;
    let before = world.until(is_completed).await.deployment.unwrap();
    world.set_count(2, false).await;
    assert_eq!(world.observe().await.deployment.unwrap().id, before.id);
    world.set_count(0, false).await;
    world.set_count(2, true).await;
    let after = world.observe().await;
    let deployment = after.deployment.unwrap();
    assert_ne!(deployment.id, before.id);
    assert_eq!(
        (deployment.progress, deployment.revision),
        (DeploymentProgress::InProgress, before.revision)
    );
    assert_eq!((after.counts.desired, after.resources), (2, wanted));
}

#[tokio::test]
async fn what_runs_is_deployed_once_more_with_the_count_that_it_has() {
    let world = World::start().await;
    let wanted = wanted(&sample());
    world.reach(&wanted, AWAKE).await;
    world.until(is_completed).await;
    world.set_count(2, false).await;
    let before = world.observe().await;
    world.aws.apply(&subject(), &Action::Redeploy, None).await.unwrap();
    let after = world.observe().await;
    let (before_it, after_it) = (before.deployment.unwrap(), after.deployment.unwrap());
    assert_ne!(after_it.id, before_it.id);
    assert_eq!(
        (after_it.progress, after_it.revision),
        (DeploymentProgress::InProgress, before_it.revision)
    );
    assert_eq!((after.counts.desired, after.resources), (2, wanted));
}

#[tokio::test]
async fn health_that_may_not_be_read_is_a_denial_that_names_the_operation() {
    let (aws, _stop) = answered_by(|| {
        (
            axum::http::StatusCode::BAD_REQUEST,
            r#"{"__type":"AccessDeniedException","message":"not authorized"}"#,
        )
    })
    .await;
    let denied = aws.tasks(&subject(), "arn", None).await.unwrap_err();
    assert!(
        matches!(&denied, Error::Deny { operation, .. } if operation == "ListTasks"),
        "{denied}"
    );
}

#[tokio::test]
async fn drift_is_seen_and_repaired() {
    let world = World::start().await;
    let wanted = wanted(&sample());
    world.reach(&wanted, AWAKE).await;
    let (name, policy) = wanted.scaling.as_ref().unwrap().policies.first_key_value().unwrap();
    let mut changed = policy.clone();
    changed.target += 5.0;
    changed.disable_scale_in = true;
    let put = Action::PutScalingPolicy {
        name: name.clone(),
        policy: Box::new(changed),
    };
    world.aws.apply(&subject(), &put, None).await.unwrap();
    let alarm = wanted.alarms.keys().next().unwrap().clone();
    world
        .aws
        .apply(
            &subject(),
            &Action::DeleteAlarms {
                names: vec![alarm.clone()],
            },
            None,
        )
        .await
        .unwrap();
    let tag = Action::TagService {
        set: [("added".to_owned(), "by hand".to_owned())].into(),
        remove: vec!["penstock:generation".to_owned()],
    };
    world.aws.apply(&subject(), &tag, None).await.unwrap();
    world
        .aws
        .write
        .ecs
        .update_service()
        .cluster("data")
        .service("penstock-orders")
        .deployment_configuration(
            aws_sdk_ecs::types::DeploymentConfiguration::builder()
                .maximum_percent(150)
                .build(),
        )
        .enable_execute_command(true)
        .send()
        .await
        .unwrap();
    let drifted = world.observe().await;
    assert!(!drifted.resources.alarms.contains_key(&alarm));
    let service = drifted.resources.service.as_ref().unwrap();
    assert_eq!((service.maximum_percent, service.execute_command), (150, true));
    let done = world.reach(&wanted, AWAKE).await;
    assert_eq!(
        done,
        ["UpdateService", "TagResource", "PutScalingPolicy", "PutMetricAlarm"]
    );
    assert_eq!(world.observe().await.resources, wanted);
}

#[tokio::test]
async fn removing_leaves_nothing_and_may_be_repeated() {
    let world = World::start().await;
    let wanted = wanted(&sample());
    world.reach(&wanted, AWAKE).await;
    world.until(is_completed).await;
    let done = world.reach_removed().await;
    assert_eq!(
        done[..4],
        [
            "DeregisterScalableTarget",
            "UpdateService",
            "DeleteService",
            "DeleteAlarms"
        ]
    );
    let gone = world.observe().await;
    assert_eq!((gone.resources, gone.life), (Resources::default(), ServiceLife::Absent));
    assert_eq!((gone.revisions.len(), gone.inactive_revisions.len()), (0, 0));
    let names = wanted.alarms.keys().cloned().collect();
    for again in [
        Action::DeregisterScalableTarget,
        Action::DeleteAlarms { names },
        Action::DeleteService,
    ] {
        world
            .aws
            .apply(&subject(), &again, None)
            .await
            .unwrap_or_else(|error| panic!("{again}: {error}"));
    }
}

impl World {
    async fn reach_removed(&self) -> Vec<&'static str> {
        let mut done = Vec::new();
        for _ in 0..10 {
            done.extend(
                self.reach(&Resources::default(), CountRule::Zero(CountCause::Delete))
                    .await,
            );
            let seen = self.until(|seen| seen.life != ServiceLife::Draining).await;
            if seen.life == ServiceLife::Absent && seen.revisions.is_empty() && seen.inactive_revisions.is_empty() {
                return done;
            }
        }
        panic!("not removed: {done:?}");
    }
}

/// An operator of the same name that keeps other documents.
fn neighbour() -> Owner {
    Owner {
        installation: "MkU3OEVBNTcwNTJENDM2Qg/other".parse().unwrap(),
        ..owner()
    }
}

/// The sample's connector as the neighbour sees it.
async fn seen_by(world: &World, owner: Owner) -> (Aws, Observed) {
    let aws = aws(world.aws.config.endpoint_url().unwrap(), owner, Arc::default()).await;
    let seen = aws.observe(&[subject()]).await.remove(&orders()).unwrap().unwrap();
    (aws, seen)
}

fn held_by(owner: &Owner) -> Holder {
    Holder {
        operator: Some(owner.tag()),
        connector: Some("orders".to_owned()),
    }
}

#[tokio::test]
async fn the_tasks_that_run_are_counted_in_one_call_and_only_of_a_service_of_ours() {
    let world = World::start().await;
    assert_eq!(running(&world.aws).await, 0, "there is no service");
    world.reach(&wanted(&sample()), AWAKE).await;
    world.until(is_completed).await;
    world.calls.lock().unwrap().clear();
    assert_eq!(running(&world.aws).await, 1);
    let calls: Vec<_> = world.calls.lock().unwrap().iter().map(|call| call.operation).collect();
    assert_eq!(calls, ["DescribeServices"]);
    let (other, _) = seen_by(&world, neighbour()).await;
    assert_eq!(running(&other).await, 0);
}

async fn running(aws: &Aws) -> i32 {
    aws.running(&[subject()]).await.remove(&orders()).unwrap().unwrap()
}

#[tokio::test]
async fn an_alarm_whose_tags_come_late_is_ours_as_soon_as_they_are_there() {
    use aws_sdk_cloudwatch::types::{ComparisonOperator, Tag};
    let world = World::start().await;
    let name = subject().alarm_name(penstock_crds::AlarmKind::OldestMessageAge);
    let cloudwatch = &world.aws.write.cloudwatch;
    let put = cloudwatch.put_metric_alarm().alarm_name(&name);
    let put = put.namespace("AWS/SQS").metric_name("ApproximateAgeOfOldestMessage");
    let put = put.statistic(aws_sdk_cloudwatch::types::Statistic::Maximum).period(60);
    let put = put.comparison_operator(ComparisonOperator::GreaterThanThreshold);
    put.threshold(1.0).evaluation_periods(1).send().await.unwrap();
    let before = world.observe().await;
    assert_eq!(before.foreign.get(&name), Some(&Holder::default()));
    let described = cloudwatch.describe_alarms().alarm_names(&name).send().await.unwrap();
    let arn = described.metric_alarms()[0].alarm_arn().unwrap().to_owned();
    let tags = tags(&sample(), &state(), &around());
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    let request = cloudwatch.tag_resource().resource_arn(arn);
    request
        .set_tags(Some(tags.iter().map(tag).collect()))
        .send()
        .await
        .unwrap();
    let after = world.observe().await;
    assert!(after.foreign.is_empty(), "{:?}", after.foreign);
    assert!(after.resources.alarms.contains_key(&name));
    world.calls.lock().unwrap().clear();
    world.observe().await;
    let calls = world.calls.lock().unwrap();
    assert!(
        calls.iter().all(|call| call.operation != "ListTagsForResource"),
        "what is ours is read once: {calls:?}"
    );
}

#[tokio::test]
async fn what_another_installation_of_the_same_name_owns_is_foreign_and_its_owner_known() {
    let world = World::start().await;
    world.reach(&wanted(&sample()), AWAKE).await;
    let (other, seen) = seen_by(&world, neighbour()).await;
    assert_eq!(seen.resources, Resources::default());
    for what in [
        "service",
        "scalable target",
        "task definitions",
        "penstock-orders-highCpuUsageAndMaxScaledOut",
    ] {
        assert_eq!(seen.foreign.get(what), Some(&held_by(&owner())), "{what}");
    }
    assert_eq!((seen.revisions.len(), seen.life), (0, ServiceLife::Absent));
    for count in [AWAKE, CountRule::Zero(CountCause::Delete)] {
        assert_eq!(diff(&wanted(&sample()), &seen, &rules(count)), []);
        assert_eq!(diff(&Resources::default(), &seen, &rules(count)), []);
    }
    let clusters = ["data".to_owned()].into();
    let owned = |found| Owned::from([("data".to_owned(), Ok(found))]);
    assert_eq!(other.owned(&clusters).await, owned(Vec::new()));
    assert_eq!(world.aws.owned(&clusters).await, owned(vec![subject()]));
}

#[tokio::test]
async fn a_stopped_connector_keeps_its_name_by_its_task_definitions() {
    let world = World::start().await;
    let wanted = wanted(&sample());
    world.reach(&wanted, AWAKE).await;
    world.until(is_completed).await;
    let keeping = Rules {
        keep_revisions: 3,
        ..rules(CountRule::Zero(CountCause::Delete))
    };
    for action in diff(&Resources::default(), &world.observe().await, &keeping) {
        world.aws.apply(&subject(), &action, None).await.unwrap();
    }
    let stopped = world.until(|seen| seen.life == ServiceLife::Absent).await;
    assert_eq!(stopped.revisions.len(), 1);
    assert!(stopped.foreign.is_empty() && !stopped.is_taken());
    let (_, seen) = seen_by(&world, neighbour()).await;
    assert_eq!(
        seen.foreign,
        [("task definitions".to_owned(), held_by(&owner()))].into()
    );
    assert_eq!(diff(&wanted, &seen, &rules(AWAKE)), []);
    assert!(world.observe().await.revisions.len() == 1, "nobody took it away");
}

#[tokio::test]
async fn a_target_that_another_left_behind_would_rule_a_service_so_none_is_made() {
    let world = World::start().await;
    world.reach(&wanted(&sample()), AWAKE).await;
    let delete = world.aws.write.ecs.delete_service().cluster("data");
    delete.service("penstock-orders").force(true).send().await.unwrap();
    world.until(|seen| seen.life == ServiceLife::Absent).await;
    let (other, seen) = seen_by(&world, neighbour()).await;
    assert_eq!(seen.foreign.get("scalable target"), Some(&held_by(&owner())));
    assert_eq!(diff(&wanted(&sample()), &seen, &rules(AWAKE)), []);
    drop(other);
    assert!(
        world.observe().await.resources.scaling.is_some(),
        "to its owner it is its own"
    );
}

#[tokio::test]
async fn task_definitions_that_two_registered_in_one_family_are_cleaned_by_their_own_operators_alone() {
    let world = World::start().await;
    let wanted = wanted(&sample());
    let service = wanted.service.as_ref().unwrap();
    let (other, _) = seen_by(&world, neighbour()).await;
    let mut tags = rules(AWAKE).tags;
    tags.insert("penstock:operator".to_owned(), neighbour().tag());
    let register = Action::RegisterTaskDefinition {
        content: Box::new(service.revision.task_definition.clone()),
        tags,
    };
    let theirs = other.apply(&subject(), &register, None).await.unwrap().arn.unwrap();
    world.aws.caches.definitions.remove(&theirs);
    let blocked = world.observe().await;
    assert!(blocked.is_taken(), "{:?}", blocked.foreign);
    let (_, seen) = seen_by(&world, neighbour()).await;
    assert_eq!(seen.revisions[0].arn, theirs);
    let free: Vec<_> = diff(&wanted, &seen, &rules(AWAKE))
        .iter()
        .map(Action::operation)
        .collect();
    assert_eq!(
        free[0], "CreateService",
        "its own definition keeps nobody from its own service"
    );
    let done = diff(&Resources::default(), &blocked, &rules(AWAKE));
    assert_eq!(done, [], "what the other registered is left alone");
}

#[tokio::test]
async fn a_policy_that_a_person_added_under_another_name_is_left_alone() {
    let world = World::start().await;
    let wanted = wanted(&sample());
    world.reach(&wanted, AWAKE).await;
    let policy = Policy {
        metric: PolicyMetric::Predefined("ECSServiceAverageCPUUtilization".to_owned()),
        ..wanted.scaling.as_ref().unwrap().policies["penstock-orders-memory"].clone()
    };
    let put = |name: &str| Action::PutScalingPolicy {
        name: name.to_owned(),
        policy: Box::new(policy.clone()),
    };
    let by_hand = "penstock-by-hand".to_owned();
    world.aws.apply(&subject(), &put(&by_hand), None).await.unwrap();
    assert_eq!(world.reach(&wanted, AWAKE).await, [""; 0]);
    assert_eq!(world.observe().await.foreign_policies, [by_hand.clone()].into());
    let removed = Action::DeleteScalingPolicy { name: by_hand };
    world.aws.apply(&subject(), &removed, None).await.unwrap();
    world
        .aws
        .apply(&subject(), &put("penstock-orders-former"), None)
        .await
        .unwrap();
    assert_eq!(world.reach(&wanted, AWAKE).await, ["DeleteScalingPolicy"]);
}

#[tokio::test]
async fn a_deployment_that_fails_is_told_with_its_cause() {
    let world = World::start().await;
    let mut connector = sample();
    world.reach(&wanted(&connector), AWAKE).await;
    world.until(is_completed).await;
    connector.task.image = "broken:1".to_owned();
    let broken = wanted(&connector);
    world.reach(&broken, AWAKE).await;
    let failed = world
        .until(|seen| {
            seen.deployment
                .as_ref()
                .is_some_and(|one| one.progress == DeploymentProgress::Failed)
        })
        .await;
    let deployment = failed.deployment.unwrap();
    assert_eq!(deployment.revision.unwrap().task_definition.container.image, "broken:1");
    assert!(deployment.reason.unwrap().contains("circuit breaker"));
    assert_eq!(
        failed
            .resources
            .service
            .unwrap()
            .revision
            .task_definition
            .container
            .image,
        "penstock-bridge:1"
    );
    let cause = failed.last_failure.unwrap();
    assert!(
        cause.starts_with("TaskFailedToStart: CannotPullContainerError"),
        "{cause}"
    );
}

#[tokio::test]
async fn a_failure_that_a_service_has_got_over_is_not_why_tasks_are_missing_later() {
    let world = World::start().await;
    world.reach(&wanted(&sample()), AWAKE).await;
    world.until(is_completed).await;
    let crash = world.aws.read.ecs.list_tasks().cluster("data").send().await.unwrap();
    world.report(TaskReport::Exited {
        task_arn: crash.task_arns()[0].clone(),
        exit_code: 78,
        out_of_memory: false,
    });
    let failed = world.observe().await;
    assert!(failed.counts.running < failed.counts.desired, "{failed:?}");
    assert!(failed.last_failure.unwrap().contains("exit code 78"));
    world
        .until(|seen| seen.counts.running == 1 && seen.steady_since > failed.steady_since)
        .await;
    world.set_count(3, false).await;
    let growing = world.observe().await;
    assert!(growing.counts.running < growing.counts.desired, "{growing:?}");
    assert_eq!(growing.last_failure, None);
    let arn = growing.task_definition_arn.clone().unwrap();
    let seen = world.aws.tasks(&subject(), &arn, growing.steady_since).await.unwrap();
    assert_eq!(seen.cause, None);
}

#[tokio::test]
async fn an_update_sends_only_what_differs() {
    let world = World::start().await;
    let mut connector = sample();
    world.reach(&wanted(&connector), AWAKE).await;
    let before = world.until(is_completed).await;
    connector.service.maximum_percent = 150;
    let done = world.reach(&wanted(&connector), AWAKE).await;
    assert_eq!(done, ["UpdateService"]);
    let after = world.observe().await;
    assert_eq!(after.deployment, before.deployment, "percentages start no deployment");
}

#[tokio::test]
async fn a_queue_is_read_with_what_was_deleted_from_it() {
    let world = World::start().await;
    let client = aws_sdk_sqs::Client::new(&world.aws.config);
    let queue_url = client
        .create_queue()
        .queue_name("orders")
        .send()
        .await
        .unwrap()
        .queue_url
        .unwrap();
    for _ in 0..3 {
        client
            .send_message()
            .queue_url(&queue_url)
            .message_body("x")
            .send()
            .await
            .unwrap();
    }
    client
        .receive_message()
        .queue_url(&queue_url)
        .max_number_of_messages(1)
        .send()
        .await
        .unwrap();
    let source = SqsSource {
        queue_url,
        ..sample().source
    };
    let depth = world.aws.queue(&source, None).await.unwrap();
    assert_eq!(
        (depth.visible, depth.in_flight, depth.delayed, depth.deleted),
        (2, 1, 0, None)
    );
    assert_eq!(world.aws.queue(&source, Some(300)).await.unwrap().deleted, Some(0));
    let gone = SqsSource {
        queue_url: source.queue_url.replace("orders", "gone"),
        ..source
    };
    assert_eq!(world.aws.queue(&gone, None).await.unwrap_err().kind(), "refuse");
}

#[tokio::test]
async fn a_backlog_can_be_published_and_calls_are_counted() {
    let world = World::start().await;
    world.aws.publish_backlog(&subject(), 12.5).await.unwrap();
    let calls = world.calls.lock().unwrap();
    let told: Vec<_> = calls
        .iter()
        .map(|call| (call.service, call.operation, call.code))
        .collect();
    assert_eq!(
        told,
        [
            ("sts", "GetCallerIdentity", "ok"),
            ("cloudwatch", "PutMetricData", "ok")
        ]
    );
}

#[tokio::test]
async fn an_absent_cluster_has_no_service_and_nothing_listens_is_no_absence() {
    let world = World::start().await;
    let elsewhere = Subject {
        cluster: "elsewhere".to_owned(),
        ..subject()
    };
    let seen = world
        .aws
        .observe(std::slice::from_ref(&elsewhere))
        .await
        .remove(&orders())
        .unwrap()
        .unwrap();
    assert_eq!((seen.life, seen.container_insights), (ServiceLife::Absent, false));
    for endpoint in ["http://127.0.0.1:1", "https://127.0.0.1:1"] {
        let nobody = aws(endpoint, owner(), Arc::default()).await;
        let unknown = nobody
            .observe(std::slice::from_ref(&elsewhere))
            .await
            .remove(&orders())
            .unwrap();
        assert_eq!(unknown.unwrap_err().kind(), "reach");
    }
}

#[tokio::test]
async fn a_policy_of_another_form_differs_from_every_form_that_is_written() {
    let world = World::start().await;
    let wanted = wanted(&sample());
    world.reach(&wanted, AWAKE).await;
    let name = wanted.scaling.as_ref().unwrap().policies.keys().next().unwrap().clone();
    let policy = Policy {
        metric: PolicyMetric::Predefined("ECSServiceAverageCPUUtilization".to_owned()),
        target: 50.0,
        scale_out_cooldown: 60,
        scale_in_cooldown: 300,
        disable_scale_in: false,
    };
    let put = Action::PutScalingPolicy {
        name: name.clone(),
        policy: Box::new(policy.clone()),
    };
    world.aws.apply(&subject(), &put, None).await.unwrap();
    assert_eq!(world.observe().await.resources.scaling.unwrap().policies[&name], policy);
}

#[tokio::test]
async fn every_field_that_is_written_comes_back() {
    let world = World::start().await;
    let mut wanted = wanted(&sample());
    let service = wanted.service.as_mut().unwrap();
    service.tags.insert("team".to_owned(), "payments".to_owned());
    service.revision.public_ip = true;
    service.revision.capacity =
        Capacity::Providers(vec![("FARGATE".to_owned(), 1, 1), ("FARGATE_SPOT".to_owned(), 0, 3)]);
    let container = &mut service.revision.task_definition.container;
    let option = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    container.labels = [option("penstock.dev/restarted-at", "2026-11-21T00:00:00Z")].into();
    container.secrets = [option(
        "PASSWORD",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:kafka:key::",
    )]
    .into();
    container.log_options = [
        option("awslogs-group", "/penstock"),
        option("awslogs-region", REGION),
        option("awslogs-stream-prefix", "orders"),
    ]
    .into();
    world.reach(&wanted, AWAKE).await;
    assert_eq!(world.observe().await.resources, wanted);
}

#[tokio::test]
async fn a_tag_that_is_no_longer_wanted_is_taken_off() {
    let world = World::start().await;
    let plain = wanted(&sample());
    let mut labelled = plain.clone();
    let tags = &mut labelled.service.as_mut().unwrap().tags;
    tags.insert("team".to_owned(), "payments".to_owned());
    world.reach(&labelled, AWAKE).await;
    assert_eq!(world.reach(&plain, AWAKE).await, ["TagResource"]);
    assert_eq!(world.observe().await.resources.service, plain.service);
}

#[tokio::test]
async fn a_service_changes_to_capacity_providers_and_back_with_a_new_deployment_each() {
    let world = World::start().await;
    let plain = wanted(&sample());
    let mut spot = plain.clone();
    spot.service.as_mut().unwrap().revision.capacity = Capacity::Providers(vec![("FARGATE_SPOT".to_owned(), 0, 1)]);
    world.reach(&plain, AWAKE).await;
    let mut before = world.until(is_completed).await.deployment;
    for wanted in [&spot, &plain] {
        assert_eq!(world.reach(wanted, AWAKE).await, ["UpdateService"]);
        let seen = world.until(is_completed).await;
        assert_eq!(&seen.resources, wanted);
        assert_ne!(seen.deployment, before);
        before = seen.deployment;
    }
}

#[tokio::test]
async fn placement_comes_back_as_it_was_meant_and_a_change_of_it_replaces_the_tasks() {
    let world = World::start().await;
    world.register_instance().await;
    let mut connector = sample();
    connector.service.capacity = penstock_crds::Capacity::LaunchType(penstock_crds::LaunchType::Ec2);
    connector.service.placement = serde_json::from_value(serde_json::json!({
        "constraints": [
            {"type": "memberOf", "expression": "attribute:ecs.instance-type =~ m5.*"}, {"type": "distinctInstance"},
        ],
        "strategies": [{"type": "binpack", "field": "memory"}, {"type": "spread", "field": "host"}],
    }))
    .unwrap();
    connector.service.minimum_healthy_percent = 0;
    connector.service.maximum_percent = 100;
    let placed = wanted(&connector);
    world.reach(&placed, AWAKE).await;
    let before = world.until(is_completed).await;
    assert_eq!(
        before.resources, placed,
        "ECS shows MEMORY for memory and instanceId for host"
    );
    assert_eq!(before.counts.running, 1);
    for strategies in [serde_json::json!([{"type": "random"}]), serde_json::json!([])] {
        let before = world.until(is_completed).await;
        connector.service.placement.strategies = serde_json::from_value(strategies).unwrap();
        let placed = wanted(&connector);
        assert_eq!(world.reach(&placed, AWAKE).await, ["UpdateService"]);
        let after = world.until(is_completed).await;
        assert_eq!(after.resources, placed);
        assert_ne!(after.deployment.map(|one| one.id), before.deployment.map(|one| one.id));
    }
}

#[tokio::test]
async fn rebalancing_that_somebody_turned_on_is_turned_off_and_replaces_no_task() {
    let world = World::start().await;
    let wanted = wanted(&sample());
    world.reach(&wanted, AWAKE).await;
    let before = world.until(is_completed).await;
    let update = world
        .aws
        .write
        .ecs
        .update_service()
        .cluster("data")
        .service("penstock-orders");
    let enabled = aws_sdk_ecs::types::AvailabilityZoneRebalancing::Enabled;
    update.availability_zone_rebalancing(enabled).send().await.unwrap();
    assert!(world.observe().await.resources.service.unwrap().rebalancing);
    assert_eq!(world.reach(&wanted, AWAKE).await, ["UpdateService"]);
    let after = world.until(is_completed).await;
    assert_eq!(after.resources, wanted);
    assert_eq!(after.deployment.map(|one| one.id), before.deployment.map(|one| one.id));
}

#[tokio::test]
async fn a_launch_type_that_ecs_cannot_change_is_refused_before_the_call() {
    let world = World::start().await;
    let mut resources = wanted(&sample());
    world.reach(&resources, AWAKE).await;
    world.take_writes();
    let service = resources.service.as_mut().unwrap();
    service.revision.capacity = Capacity::LaunchType("EC2".to_owned());
    let update = Action::UpdateService {
        service: Box::new(service.clone()),
        task_definition: None,
        new_revision: true,
    };
    let refused = world.aws.apply(&subject(), &update, None).await.unwrap_err();
    assert!(refused.to_string().contains("from FARGATE to EC2"), "{refused}");
    assert_eq!(world.take_writes(), [""; 0]);
}

#[tokio::test]
async fn without_a_region_there_is_no_aws() {
    let config = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
    let settings = AwsSettings {
        region: None,
        owner: owner(),
        observer: None,
    };
    let refused = Aws::over(config, settings).err().unwrap();
    assert!(refused.to_string().contains("AWS_REGION"), "{refused}");
}

#[tokio::test]
async fn a_queue_of_another_account_and_region_is_read_as_the_role_that_is_named() {
    let world = World::start().await;
    let theirs = Credentials::new("210987654321", "secret", None, None, "tests");
    let config = world
        .aws
        .config
        .clone()
        .into_builder()
        .region(Region::new("eu-central-1"));
    let config = config
        .credentials_provider(SharedCredentialsProvider::new(theirs))
        .build();
    let client = aws_sdk_sqs::Client::new(&config);
    let queue_url = client
        .create_queue()
        .queue_name("theirs")
        .send()
        .await
        .unwrap()
        .queue_url
        .unwrap();
    client
        .send_message()
        .queue_url(&queue_url)
        .message_body("x")
        .send()
        .await
        .unwrap();
    let arn = "arn:aws:iam::210987654321:role/reader".to_owned();
    world
        .cloud
        .with(|cloud, _| cloud.sts.external_ids.insert(arn.clone(), "id".to_owned()));
    let role = |external_id: &str| penstock_crds::AssumeRole {
        arn: arn.clone(),
        session_name: None,
        external_id: Some(external_id.to_owned()),
    };
    let region = "eu-central-1".to_owned();
    let source = SqsSource {
        queue_url,
        region,
        assume_role: Some(role("id")),
        ..sample().source
    };
    let depth = world.aws.queue(&source, Some(60)).await.unwrap();
    assert_eq!((depth.visible, depth.deleted), (1, Some(0)));
    let as_a_stranger = SqsSource {
        assume_role: Some(role("guessed")),
        ..source
    };
    let denied = world.aws.queue(&as_a_stranger, None).await.unwrap_err();
    assert_eq!(denied.kind(), "deny", "{denied}");
}

#[tokio::test]
async fn a_write_is_sent_once_and_a_read_may_be_sent_again() {
    let sent = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&sent);
    let (aws, _stop) = answered_by(move || {
        *counted.lock().unwrap() += 1;
        (
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            r#"{"__type":"ServerException","message":"try again"}"#,
        )
    })
    .await;
    let failed = aws.apply(&subject(), &Action::DeleteService, None).await.unwrap_err();
    assert_eq!((failed.kind(), *sent.lock().unwrap()), ("fail", 1));
    let owned = aws.owned(&["data", "other"].map(str::to_owned).into()).await;
    let failed = owned.values().filter(|found| found.is_err()).count();
    assert_eq!((failed, *sent.lock().unwrap()), (2, 5), "each cluster is asked twice");
}

#[tokio::test]
async fn windows_of_metrics_end_by_the_clock_of_cloudwatch() {
    let ahead = [
        ("date", "Mon, 21 Oct 2126 07:28:00 GMT"),
        ("smithy-protocol", "rpc-v2-cbor"),
    ];
    let (aws, _stop) = answered_by(move || (ahead, [0xa0_u8].as_slice())).await;
    aws.publish_backlog(&subject(), 1.0).await.unwrap();
    let seconds = aws.clock.now() - "2126-10-21T07:28:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
    assert!((0..60).contains(&seconds), "{seconds} s");
}

/// Returns an operator all of whose calls are answered by `answer`, and what stops that.
async fn answered_by<A: axum::response::IntoResponse>(
    answer: impl Fn() -> A + Clone + Send + Sync + 'static,
) -> (Aws, DropGuard) {
    let router = axum::Router::new().fallback(move || std::future::ready(answer().into_response()));
    behind(router).await
}

/// Returns an operator for which `router` is AWS, and what stops that.
async fn behind(router: axum::Router) -> (Aws, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::spawn(async move { served.await.unwrap() });
    let aws = aws(&endpoint, owner(), Arc::default()).await;
    let scope = Scope {
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
    };
    aws.identity
        .set(Identity {
            partition: "aws".to_owned(),
            scope,
        })
        .unwrap();
    (aws, stop.drop_guard())
}
