//! One bridge between one queue and one topic, and what can be asked of it from outside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use penstock_tests::binaries::ours;
use penstock_tests::elasticmq::ElasticMq;
use penstock_tests::http;
use penstock_tests::kafka::Broker;
use penstock_tests::ports::free_port;
use penstock_tests::process::{Process, Program};
use penstock_tests::records::Record;
use penstock_tests::stage::lay;
use penstock_tests::unique;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::checker::{Sent, Verdict, judge};
use crate::queue::Queue;

/// How long anything may take that is not limited otherwise.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// The drain timeout of every bridge here.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);
/// How long a bridge may take to end: its drain timeout, and what a busy machine adds.
pub(crate) const STOPPED: Duration = Duration::from_secs(25);

const PARTITIONS: i32 = 6;

/// Queue, topics, and the configuration that joins them.
pub(crate) struct Rig<'a> {
    pub(crate) broker: &'a Broker,
    pub(crate) queue: Queue,
    pub(crate) topic: String,
    pub(crate) dead_letters: String,
    /// The `BridgeConfig` as the operator would write it.
    pub(crate) config: Value,
    pub(crate) arguments: Vec<String>,
}

impl<'a> Rig<'a> {
    /// Joins a queue to new topics.
    pub(crate) async fn new(broker: &'a Broker, queue: Queue) -> Self {
        Self::with_topic(broker, queue, &[]).await
    }

    /// Joins a queue to new topics, of which the first has these settings.
    pub(crate) async fn with_topic(broker: &'a Broker, queue: Queue, settings: &[(&str, &str)]) -> Self {
        let topic = unique("orders");
        let dead_letters = format!("{topic}-dead");
        broker.topic(&topic, PARTITIONS, settings).await.expect("a topic");
        broker
            .topic(&dead_letters, 1, &[])
            .await
            .expect("a topic for dead letters");
        let key = if queue.url.ends_with(".fifo") {
            "messageGroupId"
        } else {
            "messageId"
        };
        let config = json!({
            "connector": "orders",
            "source": {
                "queueUrl": queue.url, "region": "eu-west-1", "maxMessages": 10, "waitTime": "1s",
                "visibilityTimeout": "30s", "attributes": true, "receivers": 4,
            },
            "sink": {"topic": topic, "key": key, "compression": "none", "linger": "5ms"},
            "kafka": {"bootstrapServers": [broker.bootstrap()], "security": {"plaintext": {}}},
            "errors": {"deadLetterTopic": dead_letters, "maxRetries": 1, "backoff": "100ms"},
            "drainTimeout": format!("{}s", DRAIN.as_secs()),
        });
        Self {
            broker,
            queue,
            topic,
            dead_letters,
            config,
            arguments: Vec::new(),
        }
    }

    /// Lays other settings over the configuration.
    #[must_use]
    pub(crate) fn set(mut self, over: Value) -> Self {
        lay(&mut self.config, over);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Starts a bridge.
    pub(crate) async fn bridge(&self) -> Bridge {
        let port = free_port();
        let program = program(port).await.env("PENSTOCK_CONNECTOR", self.config.to_string());
        Bridge {
            process: program.args(&self.arguments).spawn().expect("the bridge starts"),
            port,
        }
    }

    /// Starts a bridge and waits until it says that it is healthy.
    pub(crate) async fn healthy_bridge(&self) -> Bridge {
        let bridge = self.bridge().await;
        bridge.healthy().await;
        bridge
    }

    /// Waits until the topic holds that many records.
    pub(crate) async fn stored(&self, bridge: &Bridge, count: u64, timeout: Duration) {
        let consumer: Arc<BaseConsumer> = Arc::new(self.broker.client().create().expect("a consumer"));
        let what = format!("{count} records in the topic");
        let look = || async {
            let stored = stored(Arc::clone(&consumer), self.topic.clone()).await?;
            if stored >= count {
                Ok(())
            } else {
                Err(format!("{stored} records"))
            }
        };
        bridge
            .process
            .ready(&what, timeout, look)
            .await
            .expect("records arrive");
    }

    /// Returns the records of the topic.
    pub(crate) async fn records(&self) -> Vec<Record> {
        self.broker.read_all(&self.topic).await.expect("the topic is read")
    }

    /// Returns the records of the dead-letter topic.
    pub(crate) async fn dead(&self) -> Vec<Record> {
        self.broker
            .read_all(&self.dead_letters)
            .await
            .expect("the dead letters are read")
    }

    /// Holds what arrived against what was sent.
    pub(crate) async fn verdict(&self, sent: &[Sent]) -> Verdict {
        judge(sent, &self.records().await, &self.dead().await)
    }
}

/// Returns the bridge's program, told where SQS is and nothing else.
pub(crate) async fn program(port: u16) -> Program {
    let environment = ElasticMq::shared().await.endpoint().environment();
    let program = ours("penstock-bridge").expect("the bridge is built");
    program
        .envs(environment)
        .env("PENSTOCK_LISTEN", format!("127.0.0.1:{port}"))
}

async fn stored(consumer: Arc<BaseConsumer>, topic: String) -> Result<u64, String> {
    let look = spawn_blocking(move || {
        let ends = (0..PARTITIONS).map(|partition| {
            let ends = consumer.fetch_watermarks(&topic, partition, Duration::from_secs(5));
            ends.map(|(_, end)| u64::try_from(end).unwrap_or_default())
                .map_err(|error| error.to_string())
        });
        ends.sum()
    });
    look.await.map_err(|error| error.to_string())?
}

/// A bridge that was started.
pub(crate) struct Bridge {
    pub(crate) process: Process,
    pub(crate) port: u16,
}

impl Bridge {
    /// Waits until it says that it is healthy.
    pub(crate) async fn healthy(&self) {
        let look = || async {
            match self.page("healthz").await {
                Some((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        };
        self.process
            .ready("a healthy bridge", SOON, look)
            .await
            .expect("it becomes healthy");
    }

    /// Sends SIGTERM and returns the exit code.
    pub(crate) async fn stop(&self) -> Option<i32> {
        self.process.terminate(STOPPED).await.expect("it ends in time").code()
    }

    /// Returns a page of its server, while it answers.
    pub(crate) async fn page(&self, name: &str) -> Option<(u16, String)> {
        http::get(&format!("http://127.0.0.1:{}/{name}", self.port)).await.ok()
    }

    /// Returns its metrics, while it answers.
    pub(crate) async fn metrics(&self) -> Option<Metrics> {
        scrape(self.port).await
    }

    /// Waits until its metrics pass `judge`.
    pub(crate) async fn metrics_when(&self, what: &str, judge: impl Fn(&Metrics) -> bool) -> Metrics {
        let look = || async {
            let metrics = self.metrics().await.ok_or_else(|| "no metrics".to_owned())?;
            if judge(&metrics) {
                Ok(metrics)
            } else {
                Err(format!("{metrics:?}"))
            }
        };
        self.process
            .ready(what, SOON, look)
            .await
            .expect("the metrics come to that")
    }

    /// Begins to scrape it all the time.
    pub(crate) fn audited(&self) -> Audit {
        let (port, over) = (self.port, Arc::new(AtomicBool::new(false)));
        let until = Arc::clone(&over);
        let scraping = tokio::spawn(async move {
            let (mut audited, mut pause) = (Audited::default(), tokio::time::interval(Duration::from_millis(20)));
            while !until.load(Ordering::Relaxed) {
                pause.tick().await;
                if let Some(metrics) = scrape(port).await {
                    audited.take(metrics);
                }
            }
            audited
        });
        Audit { over, scraping }
    }
}

/// Metrics by name, without what they begin with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads the text format.
    pub(crate) fn parse(text: &str) -> Self {
        let samples = text.lines().filter_map(|line| {
            let (name, value) = line.strip_prefix("penstock_bridge_")?.rsplit_once(' ')?;
            let name = name.split_once('{').map_or(name, |(name, _)| name);
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(samples.collect())
    }

    /// Returns one value; one that is not there fails the test.
    pub(crate) fn get(&self, name: &str) -> f64 {
        *self
            .0
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not in {:?}", self.0))
    }

    /// Returns what was received and not accounted for.
    pub(crate) fn unaccounted(&self) -> f64 {
        let accounted = [
            "records_out_total",
            "records_dlq_total",
            "records_deduplicated_total",
            "records_released_total",
            "inflight",
        ];
        self.get("records_in_total") - accounted.iter().map(|name| self.get(name)).sum::<f64>()
    }
}

async fn scrape(port: u16) -> Option<Metrics> {
    let (status, text) = http::get(&format!("http://127.0.0.1:{port}/metrics")).await.ok()?;
    (status == 200).then(|| Metrics::parse(&text))
}

/// Scrapes that go on.
pub(crate) struct Audit {
    over: Arc<AtomicBool>,
    scraping: JoinHandle<Audited>,
}

/// What was seen in scrapes.
#[derive(Debug, Default)]
pub(crate) struct Audited {
    /// How many there were.
    pub(crate) scrapes: usize,
    /// How many found messages in flight.
    pub(crate) busy: usize,
    /// The most that was in flight.
    pub(crate) most_in_flight: f64,
    /// The first scrape in which not everything was accounted for.
    pub(crate) wrong: Option<Metrics>,
}

impl Audited {
    fn take(&mut self, metrics: Metrics) {
        self.scrapes += 1;
        self.busy += usize::from(metrics.get("inflight") > 0.0);
        self.most_in_flight = self.most_in_flight.max(metrics.get("inflight"));
        if metrics.unaccounted() != 0.0 {
            self.wrong.get_or_insert(metrics);
        }
    }
}

impl Audit {
    /// Ends the scraping and returns what was seen, after checking that every scrape added up.
    pub(crate) async fn end(self) -> Audited {
        self.over.store(true, Ordering::Relaxed);
        let audited = self.scraping.await.expect("scraping does not fail");
        assert!(
            audited.wrong.is_none(),
            "received is not what became of it: {:?}",
            audited.wrong
        );
        audited
    }
}
