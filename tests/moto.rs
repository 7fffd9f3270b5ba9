//! The part of the story that needs no running task, against moto, which others wrote: a document becomes a service, a
//! target, policies and alarms with the right content, and a null record removes them.
//!
//! moto keeps less than AWS does (no deployment configuration, no tasks, no deployments), so that the operator finds the
//! service different whenever it looks, and says so. It has to go on all the same, less and less often; that a change
//! made in vain is followed by a backoff is held by a test of the pass itself.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_applicationautoscaling::types::ServiceNamespace;
use aws_sdk_ecs::types::{ServiceField, TaskDefinitionField};
use penstock_crds::{Health, Status};
use penstock_tests::aws::Endpoint;
use penstock_tests::binaries::ours;
use penstock_tests::kafka::Broker;
use penstock_tests::moto::{ACCOUNT, Moto};
use penstock_tests::ports::free_port;
use penstock_tests::process::Process;
use penstock_tests::stage::{CLUSTER, REGION, create_cluster, create_queue, example, lay};
use penstock_tests::story::SERVICE;
use penstock_tests::story::expected::RESOURCE_ID;
use penstock_tests::{unique, wait_until};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TURN: Duration = Duration::from_secs(90);

struct World {
    broker: &'static Broker,
    aws: Endpoint,
    prefix: String,
    queue_url: String,
    network: (String, String),
    operator: Process,
}

impl World {
    async fn new(moto: &Moto) -> Result<Self, Failure> {
        let (broker, aws, prefix) = (Broker::shared().await, moto.endpoint().clone(), unique("penstock"));
        create_cluster(&aws, true).await?;
        let queue_url = create_queue(&aws, "orders").await?;
        let operator = ours("penstock-operator")?
            .args([
                "--topic-prefix",
                &prefix,
                "--bootstrap-servers",
                &broker.bootstrap(),
                "--queue-poll",
                "1s",
            ])
            .args(["--listen", &format!("127.0.0.1:{}", free_port()), "--resync", "5s"])
            .envs(aws.environment())
            .spawn()?;
        let network = moto.network().await?;
        let specs = format!("{prefix}.specs");
        operator
            .ready("the operator's topics", TURN, || async {
                broker.read_all(&specs).await.map(drop)
            })
            .await?;
        Ok(Self {
            broker,
            aws,
            prefix,
            queue_url,
            network,
            operator,
        })
    }

    async fn write(&self, key: &str, document: Option<&Value>) -> Result<(), Failure> {
        let bytes = document.map(Value::to_string);
        let topic = format!("{}.specs", self.prefix);
        self.broker
            .produce(&topic, key, bytes.as_deref().map(str::as_bytes))
            .await?;
        Ok(())
    }

    fn documents(&self) -> Result<(Value, Value), Failure> {
        let role = |name: &str| format!("arn:aws:iam::{ACCOUNT}:role/{name}");
        let mut profile = example("profile")?;
        lay(
            &mut profile,
            json!({"spec": {
                "task": {"roles": {"task": role("task"), "execution": role("execution")}, "logs": {"region": REGION}},
                "service": {
                    "cluster": CLUSTER, "subnets": [self.network.0], "securityGroups": [self.network.1],
                },
                "alarms": {"topics": [format!("arn:aws:sns:{REGION}:{ACCOUNT}:hot")]},
            }}),
        );
        let mut orders = example("orders")?;
        let sqs = json!({"queueUrl": self.queue_url, "region": REGION});
        lay(
            &mut orders,
            json!({"spec": {"source": {"sqs": sqs}, "scaling": {"cooldowns": {"sleep": "1h"}}}}),
        );
        Ok((profile, orders))
    }

    async fn status_when(&self, what: &str, judge: impl Fn(&Status) -> bool) -> Result<Status, Failure> {
        let status = wait_until(what, TURN, || async {
            let records = self.broker.read_all(&format!("{}.status", self.prefix)).await;
            let records = records.map_err(|error| error.to_string())?;
            let last = records.last().map(|record| record.value_text()).unwrap_or_default();
            let status: Status = serde_json::from_str(&last).map_err(|fault| format!("{fault}: {last}"))?;
            if judge(&status) { Ok(status) } else { Err(last) }
        })
        .await;
        Ok(status.map_err(|error| format!("{error}\n{}", self.operator.log_text()))?)
    }

    async fn made(&self) -> Result<(), Failure> {
        let services = self.aws.ecs().describe_services().cluster(CLUSTER).services(SERVICE);
        let services = services.include(ServiceField::Tags).send().await?;
        let service = services.services().first().ok_or("no service")?;
        assert_eq!((service.status(), service.desired_count()), (Some("ACTIVE"), 1));
        let tagged = |key: &str| {
            service
                .tags()
                .iter()
                .find(|tag| tag.key() == Some(key))
                .and_then(|tag| tag.value())
        };
        assert_eq!(
            (tagged("penstock:connector"), tagged("team")),
            (Some("orders"), Some("checkout"))
        );
        let definition = self
            .aws
            .ecs()
            .describe_task_definition()
            .include(TaskDefinitionField::Tags);
        let definition = definition
            .set_task_definition(service.task_definition.clone())
            .send()
            .await?;
        let definition = definition.task_definition().ok_or("no task definition")?;
        assert_eq!((definition.cpu(), definition.memory()), (Some("256"), Some("512")));
        let container = &definition.container_definitions()[0];
        let secrets: Vec<_> = container.secrets().iter().map(|secret| secret.value_from()).collect();
        assert!(
            secrets
                .iter()
                .all(|secret| secret.starts_with("arn:aws:secretsmanager:")),
            "{secrets:?}"
        );
        self.scaling_made().await?;
        self.alarms_made().await
    }

    async fn scaling_made(&self) -> Result<(), Failure> {
        let scaling = self.aws.scaling();
        let targets = scaling
            .describe_scalable_targets()
            .service_namespace(ServiceNamespace::Ecs);
        let targets = targets.resource_ids(RESOURCE_ID).send().await?;
        let target = targets.scalable_targets().first().ok_or("no target")?;
        assert_eq!((target.min_capacity(), target.max_capacity()), (1, 6));
        let policies = scaling
            .describe_scaling_policies()
            .service_namespace(ServiceNamespace::Ecs);
        let policies = policies.resource_id(RESOURCE_ID).send().await?;
        let names: BTreeSet<_> = policies
            .scaling_policies()
            .iter()
            .map(|policy| policy.policy_name())
            .collect();
        assert_eq!(names, ["penstock-orders-backlog", "penstock-orders-memory"].into());
        let backlog = policies
            .scaling_policies()
            .iter()
            .find(|policy| policy.policy_name().ends_with("backlog"));
        let backlog = backlog.and_then(|policy| policy.target_tracking_scaling_policy_configuration());
        let backlog = backlog.ok_or("the backlog policy tracks no target")?;
        assert_eq!(
            (backlog.target_value(), backlog.scale_in_cooldown()),
            (1000.0, Some(300))
        );
        let metrics = backlog
            .customized_metric_specification()
            .ok_or("no metric of its own")?
            .metrics();
        let returned: Vec<_> = metrics.iter().filter(|line| line.return_data() == Some(true)).collect();
        assert_eq!(returned.len(), 1, "{metrics:?}");
        assert_eq!(returned[0].expression(), Some("(visible + inflight) / running"));
        Ok(())
    }

    async fn alarms_made(&self) -> Result<(), Failure> {
        let alarms = self
            .aws
            .cloudwatch()
            .describe_alarms()
            .alarm_name_prefix("penstock-orders-")
            .send()
            .await?;
        assert_eq!(alarms.metric_alarms().len(), 4);
        for alarm in alarms.metric_alarms() {
            assert_eq!(
                (alarm.evaluation_periods(), alarm.threshold()),
                (Some(15), Some(1.0)),
                "{alarm:?}"
            );
            assert_eq!(alarm.alarm_actions(), [format!("arn:aws:sns:{REGION}:{ACCOUNT}:hot")]);
            let hot = alarm.metrics().iter().find(|line| line.return_data() == Some(true));
            assert!(
                hot.and_then(|line| line.expression())
                    .is_some_and(|text| text.starts_with("IF(")),
                "{alarm:?}"
            );
        }
        Ok(())
    }

    /// AWS removes a target's policies with the target, and so does localcloud; moto keeps them, so they are not looked at.
    async fn nothing_left(&self) -> Result<(), Failure> {
        let services = self
            .aws
            .ecs()
            .describe_services()
            .cluster(CLUSTER)
            .services(SERVICE)
            .send()
            .await?;
        assert!(
            services
                .services()
                .iter()
                .all(|service| service.status() == Some("INACTIVE")),
            "{services:?}"
        );
        let targets = self
            .aws
            .scaling()
            .describe_scalable_targets()
            .service_namespace(ServiceNamespace::Ecs);
        assert_eq!(targets.send().await?.scalable_targets().len(), 0);
        let alarms = self
            .aws
            .cloudwatch()
            .describe_alarms()
            .alarm_name_prefix("penstock-")
            .send()
            .await?;
        assert_eq!(alarms.metric_alarms().len(), 0);
        let definitions = self
            .aws
            .ecs()
            .list_task_definitions()
            .family_prefix(SERVICE)
            .send()
            .await?;
        assert_eq!(definitions.task_definition_arns().len(), 0);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_moto_a_document_makes_what_it_asks_and_a_null_record_removes_it() -> Result<(), Failure> {
    let moto = Moto::start().await?;
    let world = World::new(&moto).await?;
    let (profile, orders) = world.documents()?;
    world.write("Profile/default", Some(&profile)).await?;
    world.write("Connector/orders", Some(&orders)).await?;
    let complete = |status: &Status| {
        let made = |kind: &str| {
            status
                .resources
                .iter()
                .filter(|resource| resource.r#type.contains(kind))
                .count()
        };
        status
            .scaling
            .as_ref()
            .is_some_and(|scaling| scaling.policies.len() == 2)
            && made("Alarm") == 4
    };
    world.status_when("the status to name every resource", complete).await?;
    world.made().await?;
    let repeated = |status: &Status| {
        let differs = status.differences.iter().all(|one| one.resource == "service");
        differs && status.actions.iter().any(|action| action.operation == "UpdateService")
    };
    world
        .status_when("the status to tell what moto does not keep", repeated)
        .await?;
    world.made().await?;

    world.write("Connector/orders", None).await?;
    world
        .status_when("the status to say Deleted", |status| status.health == Health::Deleted)
        .await?;
    world.nothing_left().await
}
