//! The stage that the story and its relatives play on: a broker, localcloud with the bridge as its image, the operator, and
//! what an account has before Penstock comes: a cluster, queues, an SNS topic, a secret, Kafka topics.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ecs::types::{ClusterSetting, ClusterSettingName};
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use penstock_crds::{DocumentKey, Kind, Name, Status};
use serde_json::{Value, json};

use crate::aws::Endpoint;
use crate::binaries::{bin, ours};
use crate::error::{aws, io, lacking};
use crate::kafka::{Broker, CLUSTER_ID, SCRAM_PASSWORD, SCRAM_USER};
use crate::localcloud::{ACCOUNT, LocalCloud};
use crate::parts::checkout;
use crate::ports::free_port;
use crate::process::Process;
use crate::{Error, unique, wait_until};

/// The image that the agent runs the bridge for.
pub const IMAGE: &str = "penstock-bridge";
/// The region that everything is in.
pub const REGION: &str = "eu-west-1";

/// How a stage is set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many times as fast as real time CloudWatch, Auto Scaling and deployments run.
    pub speed: u32,
    /// How long each SQS call takes at least.
    pub sqs_delay: Duration,
    /// Whether the cluster has Container Insights.
    pub container_insights: bool,
    /// Which of our programs the agent runs for [`IMAGE`]: the bridge, or something that costs less and moves nothing.
    pub program: &'static str,
    /// Further images, and the commands that the agent runs for them.
    pub images: &'static [(&'static str, &'static str)],
    /// How often the operator looks again at what has settled.
    pub resync: &'static str,
    /// Whether the broker is one that no other test needs, so that it may be stopped.
    pub own_broker: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            speed: 30,
            sqs_delay: Duration::from_millis(20),
            container_insights: true,
            program: "penstock-bridge",
            images: &[],
            resync: "20s",
            own_broker: false,
        }
    }
}

/// The stage, set.
#[derive(Clone)]
pub struct Stage {
    /// The broker.
    pub broker: &'static Broker,
    /// AWS.
    pub cloud: Arc<LocalCloud>,
    /// What names on this stage begin with, so that stages on one broker stay apart.
    pub prefix: String,
    /// The queue that is to be moved.
    pub queue_url: String,
    /// The queue that hears what SNS tells.
    pub notices_url: String,
    /// The SNS topic of the alarms.
    pub sns_topic: String,
    /// The ARN of the secret with the Kafka user.
    pub secret: String,
    /// The Kafka topic that takes the messages.
    pub topic: String,
    /// The Kafka topic that takes messages that failed.
    pub dead_letters: String,
    /// Where the operator answers.
    pub operator_port: u16,
    /// What the operator is told beside what every operator of a stage is.
    pub flags: Vec<String>,
    resync: &'static str,
}

/// The ECS cluster of the stage.
pub const CLUSTER: &str = "connectors";

impl Stage {
    /// Sets the stage.
    pub async fn set(settings: Settings) -> Result<Self, Error> {
        let program = bin(settings.program)?;
        let mut cloud = LocalCloud::builder()?.image(IMAGE, &program);
        for (image, command) in settings.images {
            cloud = cloud.image(image, Path::new(command));
        }
        let cloud = cloud
            .arg(&format!("--speed={}", settings.speed))
            .arg(&format!("--sqs-delay={}ms", settings.sqs_delay.as_millis()));
        let (broker, cloud) = tokio::join!(broker(settings.own_broker), cloud.start());
        let (broker, cloud) = (broker?, cloud?);
        let prefix = unique("penstock");
        let aws = cloud.endpoint().clone();
        create_cluster(&aws, settings.container_insights).await?;
        let queue_url = create_queue(&aws, "orders").await?;
        let notices_url = create_queue(&aws, "notices").await?;
        let sns_topic = subscribe(&aws, &notices_url).await?;
        let secret = create_secret(&aws).await?;
        let (topic, dead_letters) = (format!("{prefix}.orders"), format!("{prefix}.orders-dead"));
        broker.topic(&topic, 6, &[]).await?;
        broker.topic(&dead_letters, 1, &[]).await?;
        Ok(Self {
            broker,
            cloud: Arc::new(cloud),
            prefix,
            queue_url,
            notices_url,
            sns_topic,
            secret,
            topic,
            dead_letters,
            operator_port: free_port(),
            flags: Vec::new(),
            resync: settings.resync,
        })
    }

    /// Returns a stage for another installation in the same account and cluster, on the same broker.
    pub fn beside(&self) -> Self {
        Self {
            prefix: unique("penstock"),
            ..self.with_flags(&[])
        }
    }

    /// Returns the stage of one more operator of the same topics, beside the one that runs.
    pub fn with_flags(&self, flags: &[&str]) -> Self {
        Self {
            operator_port: free_port(),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            ..self.clone()
        }
    }

    /// Returns the value of the tag by which an operator that is told no name and no installation knows its own.
    pub fn owner(&self) -> String {
        format!("penstock@{CLUSTER_ID}/{}", self.prefix)
    }

    /// Returns the clients' way to AWS.
    pub fn aws(&self) -> &Endpoint {
        self.cloud.endpoint()
    }

    /// Returns the name of one of the operator's topics.
    pub fn operator_topic(&self, role: &str) -> String {
        format!("{}.{role}", self.prefix)
    }

    /// Starts the operator and waits until it is ready.
    pub async fn operator(&self) -> Result<Process, Error> {
        let operator = self.start_operator()?;
        let url = format!("http://127.0.0.1:{}/readyz", self.operator_port);
        let ready = || async {
            match crate::http::get(&url).await {
                Ok((200, _)) => Ok(()),
                Ok((_, body)) => Err(body),
                Err(error) => Err(error.to_string()),
            }
        };
        operator
            .ready("the operator to be ready", Duration::from_secs(120), ready)
            .await?;
        Ok(operator)
    }

    /// Starts the operator without waiting.
    pub fn start_operator(&self) -> Result<Process, Error> {
        ours("penstock-operator")?
            .args(["--topic-prefix", &self.prefix])
            .args(["--bootstrap-servers", &self.broker.bootstrap()])
            .args(["--listen", &format!("127.0.0.1:{}", self.operator_port)])
            .args(["--queue-poll", "1s", "--resync", self.resync, "--clusters", CLUSTER])
            .args(&self.flags)
            .envs(self.aws().environment())
            .spawn()
    }

    /// Returns the example documents, profile first, with what belongs to this stage put in: addresses, accounts, names. The
    /// tasks are slow on purpose (one receiver, one message a call), so that a load is held above what one of them can do.
    pub fn documents(&self) -> Result<Vec<(String, Value)>, Error> {
        let mut profile = example("profile")?;
        let role = |name: &str| format!("arn:aws:iam::{ACCOUNT}:role/{name}");
        lay(
            &mut profile,
            json!({"spec": {
                "kafka": {
                    "bootstrapServers": [self.broker.sasl_bootstrap()],
                    "security": {"scram": {"tls": false}},
                },
                "secrets": {"kafka": self.secret},
                "task": {
                    "image": IMAGE,
                    "roles": {"task": role("PenstockBridgeTask"), "execution": role("ecsTaskExecutionRole")},
                    "logs": {"region": REGION},
                },
                "service": {"cluster": CLUSTER},
                "alarms": {"topics": [self.sns_topic]},
            }}),
        );
        let mut orders = example("orders")?;
        lay(
            &mut orders,
            json!({"spec": {
                "source": {"sqs": {
                    "queueUrl": self.queue_url, "region": REGION, "receivers": 1, "maxMessages": 1, "waitTime": "1s",
                }},
                "sink": {"kafka": {"topic": self.topic}},
                "errors": {"deadLetterTopic": self.dead_letters},
                "scaling": {"max": 3, "backlog": {"perTask": 100}, "cooldowns": {"in": "1m", "sleep": "75s"}},
                "alarms": {"backlogHighAndMaxScaledOut": {"threshold": 150}},
            }}),
        );
        Ok(vec![
            ("Profile/default".to_owned(), profile),
            ("Connector/orders".to_owned(), orders),
        ])
    }

    /// Writes a document, or withdraws it, and returns its offset.
    pub async fn write(&self, key: &str, document: Option<&Value>) -> Result<i64, Error> {
        let bytes = document.map(Value::to_string);
        let (_, offset) = self
            .broker
            .produce(&self.operator_topic("specs"), key, bytes.as_deref().map(str::as_bytes))
            .await?;
        Ok(offset)
    }

    /// Returns every status record of a connector that is still in the topic, oldest first.
    pub async fn statuses(&self, name: &str) -> Result<Vec<Status>, Error> {
        let key = DocumentKey {
            kind: Kind::Connector,
            name: name.parse::<Name>().expect("tests use sound names"),
        };
        let records = self.broker.read_all(&self.operator_topic("status")).await?;
        let of_name = records.iter().filter(|record| record.key_text() == key.to_string());
        of_name
            .filter(|record| record.value.is_some())
            .map(|record| {
                serde_json::from_str(&record.value_text()).map_err(|fault| {
                    lacking(
                        format!("read the status at offset {}", record.offset),
                        &fault.to_string(),
                    )
                })
            })
            .collect()
    }

    /// Waits until the latest status passes `judge`, which says what it sees instead when it does not.
    pub async fn status_when(
        &self,
        name: &str,
        what: &str,
        timeout: Duration,
        judge: impl Fn(&Status) -> bool,
    ) -> Result<Status, Error> {
        wait_until(what, timeout, || async {
            let statuses = self.statuses(name).await.map_err(|error| error.to_string())?;
            let Some(last) = statuses.into_iter().next_back() else {
                return Err("no status yet".to_owned());
            };
            if judge(&last) {
                Ok(last)
            } else {
                Err(serde_json::to_string(&last).unwrap_or_default())
            }
        })
        .await
    }

    /// Creates another queue and returns its URL.
    pub async fn queue(&self, name: &str) -> Result<String, Error> {
        create_queue(self.aws(), name).await
    }

    /// Sends messages with these bodies.
    pub async fn send(&self, bodies: &[String]) -> Result<(), Error> {
        send(&self.aws().sqs(), &self.queue_url, bodies).await
    }

    /// Takes every message out of the queue.
    pub async fn empty_queue(&self) -> Result<(), Error> {
        let purge = self.aws().sqs().purge_queue().queue_url(&self.queue_url);
        purge.send().await.map(drop).map_err(aws("empty the queue"))
    }

    /// Returns the messages that are waiting or in flight.
    pub async fn backlog(&self) -> Result<u64, Error> {
        backlog(&self.aws().sqs(), &self.queue_url).await
    }
}

/// Sends messages to a queue by tens.
pub async fn send(sqs: &aws_sdk_sqs::Client, queue_url: &str, bodies: &[String]) -> Result<(), Error> {
    for batch in bodies.chunks(10) {
        let mut call = sqs.send_message_batch().queue_url(queue_url);
        for (index, body) in batch.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(body)
                .build();
            call = call.entries(entry.map_err(aws("build a message"))?);
        }
        let sent = call.send().await.map_err(aws("send messages"))?;
        if let Some(failed) = sent.failed().first() {
            return Err(lacking(
                "send messages",
                &format!("an entry that failed: {}", failed.code()),
            ));
        }
    }
    Ok(())
}

/// Returns the messages of a queue that are waiting or in flight.
pub async fn backlog(sqs: &aws_sdk_sqs::Client, queue_url: &str) -> Result<u64, Error> {
    use QueueAttributeName::{ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible};
    let attributes = sqs
        .get_queue_attributes()
        .queue_url(queue_url)
        .attribute_names(ApproximateNumberOfMessages)
        .attribute_names(ApproximateNumberOfMessagesNotVisible)
        .send()
        .await
        .map_err(aws("read the queue's attributes"))?;
    let attributes = attributes.attributes.unwrap_or_default();
    Ok(attributes.values().filter_map(|value| value.parse::<u64>().ok()).sum())
}

/// What is leaked is still ended: the kernel is asked to end every program with the test binary.
async fn broker(own: bool) -> Result<&'static Broker, Error> {
    if own {
        Ok(Box::leak(Box::new(Broker::start().await?)))
    } else {
        Ok(Broker::shared().await)
    }
}

/// Creates the cluster, with or without Container Insights.
pub async fn create_cluster(endpoint: &Endpoint, container_insights: bool) -> Result<(), Error> {
    let value = if container_insights { "enabled" } else { "disabled" };
    let setting = ClusterSetting::builder()
        .name(ClusterSettingName::ContainerInsights)
        .value(value)
        .build();
    let created = endpoint
        .ecs()
        .create_cluster()
        .cluster_name(CLUSTER)
        .settings(setting)
        .send()
        .await;
    created.map(|_| ()).map_err(aws("create the cluster"))
}

/// Creates a queue and returns its URL.
pub async fn create_queue(endpoint: &Endpoint, name: &str) -> Result<String, Error> {
    let created = endpoint
        .sqs()
        .create_queue()
        .queue_name(name)
        .send()
        .await
        .map_err(aws("create a queue"))?;
    created.queue_url.ok_or_else(|| lacking("create a queue", "its URL"))
}

async fn subscribe(endpoint: &Endpoint, queue_url: &str) -> Result<String, Error> {
    let sns = endpoint.sns();
    let topic = sns
        .create_topic()
        .name("connect-alarms")
        .send()
        .await
        .map_err(aws("create the SNS topic"))?;
    let topic = topic
        .topic_arn
        .ok_or_else(|| lacking("create the SNS topic", "its ARN"))?;
    let name = queue_url.rsplit('/').next().unwrap_or_default();
    let queue_arn = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}");
    let subscribed = sns
        .subscribe()
        .topic_arn(&topic)
        .protocol("sqs")
        .endpoint(queue_arn)
        .attributes("RawMessageDelivery", "true")
        .send();
    subscribed.await.map_err(aws("subscribe the queue"))?;
    Ok(topic)
}

async fn create_secret(endpoint: &Endpoint) -> Result<String, Error> {
    let value = json!({"username": SCRAM_USER, "password": SCRAM_PASSWORD}).to_string();
    let created = endpoint
        .secrets()
        .create_secret()
        .name("AmazonMSK_connect")
        .secret_string(value)
        .send()
        .await;
    let created = created.map_err(aws("create the secret"))?;
    created.arn.ok_or_else(|| lacking("create the secret", "its ARN"))
}

/// Returns a document of `manifests/examples`.
pub fn example(name: &str) -> Result<Value, Error> {
    let path: PathBuf = checkout().join(format!("manifests/examples/{name}.yaml"));
    let text = std::fs::read_to_string(&path).map_err(io(format!("read {}", path.display())))?;
    serde_saphyr::from_str(&text).map_err(|fault| lacking(format!("read {}", path.display()), &fault.to_string()))
}

/// Lays `over` on `base`: objects are joined, everything else is replaced.
pub fn lay(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                lay(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

/// Returns bodies that tell the checker which message each is.
pub fn bodies(run: &str, numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers
        .map(|number| json!({"run": run, "n": number}).to_string())
        .collect()
}

/// Counts how often each number of a run is in a topic.
pub async fn numbers(broker: &Broker, topic: &str, run: &str) -> Result<BTreeMap<u64, u32>, Error> {
    let mut counted = BTreeMap::new();
    for record in broker.read_all(topic).await? {
        let Ok(body) = serde_json::from_str::<Value>(&record.value_text()) else {
            continue;
        };
        if let (Some(number), true) = (body["n"].as_u64(), body["run"] == run) {
            *counted.entry(number).or_default() += 1;
        }
    }
    Ok(counted)
}
