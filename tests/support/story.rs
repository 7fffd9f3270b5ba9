//! The story: what a person sees from the first document to the last, each line read back through an AWS API or a topic
//! and checked. The test and the demo tell the same one.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_ecs::types::{HealthStatus, Tag};
use penstock_crds::{ConditionType, Health, Phase, Status, Truth};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::error::{aws, equal, lacking};
use crate::stage::{self, CLUSTER, Stage};
use crate::{Error, wait_until};

pub mod expected;

/// How long one turn of the story may take.
const TURN: Duration = Duration::from_secs(180);
/// The connector's name.
pub const CONNECTOR: &str = "orders";
/// Its ECS service's name.
pub const SERVICE: &str = "penstock-orders";

/// Tells the story's lines to whoever listens.
pub type Narrator = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// The turn of a line that tells what is awaited.
pub const WAITING: &str = "waiting";

/// A narrator for a test's log.
pub fn quiet() -> Narrator {
    Arc::new(|turn, line| {
        if turn != WAITING {
            eprintln!("{turn:>10}  {line}");
        }
    })
}

/// The story on its stage.
pub struct Story<'a> {
    stage: &'a Stage,
    say: Narrator,
    sent: AtomicU64,
    began: Instant,
}

impl<'a> Story<'a> {
    /// Begins on a stage whose operator is ready.
    pub fn new(stage: &'a Stage, say: Narrator) -> Self {
        Self {
            stage,
            say,
            sent: AtomicU64::new(0),
            began: Instant::now(),
        }
    }

    /// Tells it from the first document to the last.
    pub async fn tell(&self) -> Result<(), Error> {
        self.spec().await?;
        self.resources().await?;
        self.tasks().await?;
        self.messages().await?;
        self.scale_out_and_alarm().await?;
        self.scale_in().await?;
        self.asleep().await?;
        self.awake().await?;
        self.nothing_lost().await?;
        self.audit().await?;
        self.delete().await
    }

    async fn status_when(&self, what: &str, judge: impl Fn(&Status) -> bool) -> Result<Status, Error> {
        (self.say)(WAITING, what);
        self.stage.status_when(CONNECTOR, what, TURN, judge).await
    }

    /// Waits for a condition, and tells what is awaited.
    async fn until<T, Look, Looking>(&self, what: &str, look: Look) -> Result<T, Error>
    where
        Look: FnMut() -> Looking,
        Looking: Future<Output = Result<T, String>>,
    {
        (self.say)(WAITING, what);
        wait_until(what, TURN, look).await
    }

    fn line(&self, turn: &str, line: impl AsRef<str>) {
        let at = self.began.elapsed().as_secs();
        (self.say)(turn, &format!("{:>4} s  {}", at, line.as_ref()));
    }

    /// Writes the example's documents.
    pub async fn spec(&self) -> Result<(), Error> {
        for (key, document) in self.stage.documents()? {
            let offset = self.stage.write(&key, Some(&document)).await?;
            self.line(
                "spec",
                format!(
                    "{key} written to {} at offset {offset}",
                    self.stage.operator_topic("specs")
                ),
            );
        }
        Ok(())
    }

    /// Waits for the resources, and holds every field that matters against what it should be.
    pub async fn resources(&self) -> Result<(), Error> {
        self.service_when("the service to be ACTIVE", |service| service.status() == Some("ACTIVE"))
            .await?;
        let synced =
            |status: &Status| condition(status, ConditionType::Synced) == Truth::True && status.scaling.is_some();
        self.status_when("the status to say Synced", synced).await?;
        expected::task_definition(self.stage).await?;
        expected::service(self.stage).await?;
        self.line(
            "service",
            format!("{SERVICE} is ACTIVE on {CLUSTER}; task definition, breaker and tags as they should be"),
        );
        expected::target(self.stage, 1, 3).await?;
        let policies = expected::policies(self.stage).await?;
        self.line(
            "service",
            format!("scalable target 1..3 and policies {}", policies.join(", ")),
        );
        let alarms = expected::alarms(self.stage).await?;
        self.line("service", format!("alarms {}", alarms.join(", ")));
        Ok(())
    }

    /// Waits for a task that runs and has passed its health check, and for the status to say Ready.
    pub async fn tasks(&self) -> Result<(), Error> {
        let ecs = self.stage.aws().ecs();
        let task = self
            .until("a healthy task", || async {
                let listed = ecs
                    .list_tasks()
                    .cluster(CLUSTER)
                    .service_name(SERVICE)
                    .send()
                    .await
                    .map_err(|error| error.to_string())?;
                let arns = listed.task_arns.unwrap_or_default();
                if arns.is_empty() {
                    return Err("no task yet".to_owned());
                }
                let described = ecs.describe_tasks().cluster(CLUSTER).set_tasks(Some(arns)).send().await;
                let tasks = described.map_err(|error| error.to_string())?.tasks.unwrap_or_default();
                let healthy = tasks.iter().find(|task| {
                    task.last_status() == Some("RUNNING") && task.health_status() == Some(&HealthStatus::Healthy)
                });
                healthy
                    .cloned()
                    .ok_or_else(|| format!("{:?}", tasks.iter().map(|task| task.last_status()).collect::<Vec<_>>()))
            })
            .await?;
        let id = task
            .task_arn()
            .and_then(|arn| arn.rsplit('/').next())
            .unwrap_or_default();
        self.line("tasks", format!("task {id} is RUNNING and HEALTHY"));
        let ready = |status: &Status| condition(status, ConditionType::Ready) == Truth::True;
        let status = self.status_when("the status to say Ready", ready).await?;
        equal("the health", status.health, Health::Healthy)?;
        self.line(
            "tasks",
            format!(
                "status: Ready, {} of {} tasks",
                status.tasks.running, status.tasks.desired
            ),
        );
        Ok(())
    }

    /// Sends messages and finds each of them once in the topic, with key and headers.
    pub async fn messages(&self) -> Result<(), Error> {
        self.send(100).await?;
        self.moved(100).await?;
        let records = self.stage.broker.read_all(&self.stage.topic).await?;
        let record = records.first().ok_or_else(|| lacking("read the topic", "a record"))?;
        equal("the key", record.header("sqs.message.id"), Some(record.key_text()))?;
        for header in ["sqs.sent.timestamp", "sqs.approximate.receive.count", "sqs.md5.of.body"] {
            record.header(header).ok_or_else(|| lacking("read a record", header))?;
        }
        self.line(
            "messages",
            format!("100 sent to the queue, 100 in {}, each once", self.stage.topic),
        );
        Ok(())
    }

    /// Holds the load above what one task can do until the stored policy scales out and the stored alarm reaches SNS.
    pub async fn scale_out_and_alarm(&self) -> Result<(), Error> {
        let done = AtomicBool::new(false);
        let watch = async {
            let outcome = self.watch_load().await;
            done.store(true, Ordering::Relaxed);
            outcome
        };
        let (load, watched) = tokio::join!(self.hold_load(&done), watch);
        load.and(watched)
    }

    async fn hold_load(&self, done: &AtomicBool) -> Result<(), Error> {
        self.line("load", "the queue is kept at 900 messages, far above 100 per task");
        while !done.load(Ordering::Relaxed) {
            let missing = 900_u64.saturating_sub(self.stage.backlog().await?);
            if missing >= 10 {
                self.send(missing - missing % 10).await?;
            } else {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    async fn watch_load(&self) -> Result<(), Error> {
        let service = self
            .service_when("the policy to scale out to 3", |service| service.desired_count() == 3)
            .await?;
        let activity = self.activity("to 3").await?;
        self.line("scale-out", format!("desired {}: {activity}", service.desired_count()));
        let notice = self.notice("penstock-orders-backlogHighAndMaxScaledOut").await?;
        self.line("alarm", format!("SNS told the queue `notices`: {notice}"));
        let limited = |status: &Status| condition(status, ConditionType::ScalingLimited) == Truth::True;
        self.status_when("the status to say ScalingLimited", limited).await?;
        self.line("alarm", "status: ScalingLimited, AtMaximum");
        Ok(())
    }

    /// Waits for the alarm's notice.
    async fn notice(&self, alarm: &str) -> Result<String, Error> {
        let sqs = self.stage.aws().sqs();
        self.until("the alarm to reach SNS", || async {
            let call = sqs
                .receive_message()
                .queue_url(&self.stage.notices_url)
                .max_number_of_messages(10)
                .wait_time_seconds(1);
            let received = call.send().await.map_err(|error| error.to_string())?;
            let bodies: Vec<_> = received
                .messages()
                .iter()
                .filter_map(|message| message.body())
                .collect();
            let notices = bodies
                .iter()
                .filter_map(|body| serde_json::from_str::<Value>(body).ok());
            let wanted = |notice: &Value| notice["AlarmName"] == alarm && notice["NewStateValue"] == "ALARM";
            let found = notices.into_iter().find(wanted);
            found
                .map(|_| format!("{alarm} is ALARM"))
                .ok_or_else(|| format!("{} other notices", bodies.len()))
        })
        .await
    }

    /// Waits until the queue is empty and the policies have taken all tasks back but one.
    pub async fn scale_in(&self) -> Result<(), Error> {
        self.empty().await?;
        self.line("scale-in", "the queue is empty");
        let service = self
            .service_when("the policies to scale in to 1", |service| service.desired_count() == 1)
            .await?;
        let activity = self.activity("to 1").await?;
        self.line("scale-in", format!("desired {}: {activity}", service.desired_count()));
        Ok(())
    }

    /// Waits until the operator has put the connector to sleep.
    pub async fn asleep(&self) -> Result<(), Error> {
        let quiet =
            |service: &aws_sdk_ecs::types::Service| service.desired_count() == 0 && service.running_count() == 0;
        self.service_when("no task to run", quiet).await?;
        expected::target(self.stage, 0, 3).await?;
        let asleep = |status: &Status| {
            status.phase == Some(Phase::Asleep) && condition(status, ConditionType::Ready) == Truth::True
        };
        self.status_when("the status to say asleep", asleep).await?;
        self.line("asleep", "no task runs, the target is 0..3, status: Ready, Asleep");
        Ok(())
    }

    /// Sends one message and waits until it has arrived, by a task that woke for it.
    pub async fn awake(&self) -> Result<(), Error> {
        self.send(1).await?;
        self.service_when("a task to be wanted", |service| service.desired_count() >= 1)
            .await?;
        self.until("the target to be 1..3 again", || async {
            expected::target(self.stage, 1, 3)
                .await
                .map_err(|error| error.to_string())
        })
        .await?;
        self.line("awake", "one message sent: a task is wanted, the target is 1..3");
        self.empty().await?;
        self.line("awake", "the message has arrived");
        Ok(())
    }

    /// Holds what was sent against what arrived: every id once, in the topic or among the dead letters.
    pub async fn nothing_lost(&self) -> Result<(), Error> {
        let sent = self.sent.load(Ordering::Relaxed);
        self.moved(sent).await?;
        self.line(
            "messages",
            format!("{sent} sent in all, {sent} in the topic, none lost, none twice, none dead"),
        );
        Ok(())
    }

    /// Reads the story once more from the status topic.
    pub async fn audit(&self) -> Result<(), Error> {
        let statuses = self.stage.statuses(CONNECTOR).await?;
        let operations: Vec<_> = statuses
            .iter()
            .flat_map(|status| &status.actions)
            .map(|action| &action.operation)
            .collect();
        for wanted in [
            "RegisterTaskDefinition",
            "CreateService",
            "RegisterScalableTarget min=1 max=3 suspended=false",
            "PutScalingPolicy penstock-orders-backlog",
            "PutMetricAlarm penstock-orders-backlogHighAndMaxScaledOut",
            "RegisterScalableTarget min=0 max=3 suspended=false",
            "UpdateService desiredCount=0 (Sleep)",
            "UpdateService desiredCount=1 (Wake)",
        ] {
            if !operations.iter().any(|operation| *operation == wanted) {
                return Err(lacking("read the audit", &format!("`{wanted}`; it has {operations:?}")));
            }
        }
        if let Some(action) = statuses
            .iter()
            .flat_map(|status| &status.actions)
            .find(|action| action.request_id.is_none())
        {
            return Err(lacking(
                "read the audit",
                &format!("the request id of {}", action.operation),
            ));
        }
        let text = serde_json::to_string(&statuses).unwrap_or_default();
        if text.contains(crate::kafka::SCRAM_PASSWORD) {
            return Err(lacking("read the audit", "discretion: it holds the password"));
        }
        self.line(
            "audit",
            format!(
                "{} status records tell of {} calls, each with its request id",
                statuses.len(),
                operations.len()
            ),
        );
        Ok(())
    }

    /// Withdraws the document and waits until nothing is left.
    pub async fn delete(&self) -> Result<(), Error> {
        self.stage.write("Connector/orders", None).await?;
        let deleted = |status: &Status| status.health == Health::Deleted;
        self.status_when("the status to say Deleted", deleted).await?;
        expected::nothing(self.stage).await?;
        self.line(
            "delete",
            "service, target, policies, alarms and task definitions are gone; status: Deleted",
        );
        Ok(())
    }

    /// Sends so many numbered messages.
    pub async fn send(&self, count: u64) -> Result<(), Error> {
        let first = self.sent.fetch_add(count, Ordering::Relaxed);
        self.stage.send(&stage::bodies("story", first..first + count)).await
    }

    async fn moved(&self, count: u64) -> Result<(), Error> {
        self.until("every message to arrive", || async {
            let (topic, dead) = (&self.stage.topic, &self.stage.dead_letters);
            let arrived = stage::numbers(self.stage.broker, topic, "story")
                .await
                .map_err(|error| error.to_string())?;
            let dead = stage::numbers(self.stage.broker, dead, "story")
                .await
                .map_err(|error| error.to_string())?;
            if let Some((number, times)) = arrived.iter().find(|(_, times)| **times > 1) {
                return Err(format!("message {number} arrived {times} times"));
            }
            let once = u64::try_from(arrived.len()).unwrap_or_default() == count && dead.is_empty();
            if once {
                Ok(())
            } else {
                Err(format!("{} arrived, {} dead", arrived.len(), dead.len()))
            }
        })
        .await
    }

    async fn empty(&self) -> Result<(), Error> {
        self.until("the queue to be empty", || async {
            match self.stage.backlog().await {
                Ok(0) => Ok(()),
                Ok(backlog) => Err(format!("{backlog} messages")),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    async fn activity(&self, what: &str) -> Result<String, Error> {
        self.until("the scaling activity", || async {
            let scaling = self.stage.aws().scaling();
            let call = scaling
                .describe_scaling_activities()
                .service_namespace(aws_sdk_applicationautoscaling::types::ServiceNamespace::Ecs)
                .resource_id(format!("service/{CLUSTER}/{SERVICE}"));
            let described = call.send().await.map_err(|error| error.to_string())?;
            let found = described
                .scaling_activities()
                .iter()
                .find(|activity| activity.description().trim_end_matches('.').ends_with(what));
            found
                .map(|activity| activity.cause().to_owned())
                .ok_or_else(|| "no such activity".to_owned())
        })
        .await
    }

    async fn service_when(
        &self,
        what: &str,
        judge: impl Fn(&aws_sdk_ecs::types::Service) -> bool,
    ) -> Result<aws_sdk_ecs::types::Service, Error> {
        self.until(what, || async {
            let service = expected::described_service(self.stage)
                .await
                .map_err(|error| error.to_string())?;
            let Some(service) = service else {
                return Err("no service".to_owned());
            };
            if judge(&service) {
                Ok(service)
            } else {
                let (desired, running) = (service.desired_count(), service.running_count());
                Err(format!("{:?}, desired {desired}, running {running}", service.status()))
            }
        })
        .await
    }
}

/// Returns whether a condition of a status holds.
pub fn condition(status: &Status, kind: ConditionType) -> Truth {
    let found = status.conditions.iter().find(|one| one.r#type == kind);
    found.map_or(Truth::Unknown, |one| one.status)
}

/// Returns a resource's tags as JSON.
pub(crate) fn tags(tags: &[Tag]) -> Value {
    tags.iter()
        .map(|tag| {
            (
                tag.key().unwrap_or_default().to_owned(),
                json!(tag.value().unwrap_or_default()),
            )
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Names the step that a call of the story was part of.
pub(crate) fn call<E: std::error::Error>(step: &str) -> impl FnOnce(E) -> Error {
    aws(step.to_owned())
}
