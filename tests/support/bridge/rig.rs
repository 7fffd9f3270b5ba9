//! One bridge between one queue and one topic, proxies before both, and what can be asked of it from outside.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::audit::{Audit, Metrics, scrape};
use super::checker::{Sent, Verdict, judge, premature};
use super::queue::Queue;
use crate::aws::Endpoint;
use crate::binaries::ours;
use crate::kafka::Broker;
use crate::kafka_proxy::KafkaProxy;
use crate::ports::free_port;
use crate::process::{Process, Program};
use crate::records::Record;
use crate::sqs_proxy::{Journal, Observer, SqsProxy};
use crate::stage::lay;
use crate::{http, unique};

/// How long anything may take that is not limited otherwise.
pub const SOON: Duration = Duration::from_secs(60);
/// How long what meets faults may take.
pub const LATER: Duration = Duration::from_secs(150);
/// The drain timeout of every bridge here.
pub const DRAIN: Duration = Duration::from_secs(10);
/// How long a bridge may take to end: its drain timeout, and what a busy machine adds.
pub const STOPPED: Duration = Duration::from_secs(25);

/// How many partitions the topic has.
pub const PARTITIONS: i32 = 6;

/// The broker stamps what it appends, so that deletes can be held against it.
const STAMPED: (&str, &str) = ("message.timestamp.type", "LogAppendTime");

/// How often every bridge is asked for its figures.
const AUDIT: Duration = Duration::from_millis(100);

/// Queue, topics, the proxies before them, and the configuration that joins them.
pub struct Rig<'a> {
    /// The broker.
    pub broker: &'a Broker,
    /// The queue, reached directly.
    pub queue: Queue,
    /// The topic.
    pub topic: String,
    /// The dead-letter topic.
    pub dead_letters: String,
    /// The `BridgeConfig` as the operator would write it.
    pub config: Value,
    /// The bridge's arguments.
    pub arguments: Vec<String>,
    /// What stands before the queue.
    pub proxy: SqsProxy,
    /// What passed there.
    pub journal: Arc<Journal>,
    link: Option<KafkaProxy>,
}

impl<'a> Rig<'a> {
    /// Joins a queue to new topics.
    pub async fn new(broker: &'a Broker, queue: Queue) -> Self {
        Self::with_topic(broker, queue, &[]).await
    }

    /// Joins a queue to new topics, of which the first has these settings.
    pub async fn with_topic(broker: &'a Broker, queue: Queue, settings: &[(&str, &str)]) -> Self {
        let journal = Arc::new(Journal::default());
        let rig = Self::observed(broker, queue, settings, journal.clone()).await;
        Self { journal, ..rig }
    }

    /// As [`Rig::with_topic`], with another observer; the journal stays empty.
    pub async fn observed(
        broker: &'a Broker,
        queue: Queue,
        settings: &[(&str, &str)],
        observer: Arc<dyn Observer>,
    ) -> Self {
        let topic = unique("orders");
        let dead_letters = format!("{topic}-dead");
        let settings: Vec<_> = settings.iter().copied().chain([STAMPED]).collect();
        broker.topic(&topic, PARTITIONS, &settings).await.expect("a topic");
        broker
            .topic(&dead_letters, 1, &[STAMPED])
            .await
            .expect("a topic for dead letters");
        let proxy = SqsProxy::start(&queue.endpoint, observer)
            .await
            .expect("a proxy before the queue");
        let key = if queue.is_fifo() { "messageGroupId" } else { "messageId" };
        let window = if queue.is_fifo() { "5m" } else { "0s" };
        let config = json!({
            "connector": "orders",
            "source": {
                "queueUrl": proxy.queue_url(&queue.url), "region": "eu-west-1", "maxMessages": 10, "waitTime": "1s",
                "visibilityTimeout": "30s", "attributes": true, "receivers": 4,
                "deduplicationWindow": window,
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
            proxy,
            journal: Arc::default(),
            link: None,
        }
    }

    /// Has the bridge reach Kafka through a link that can be broken.
    #[must_use]
    pub async fn linked(mut self) -> Self {
        let link = self.broker.link().await.expect("a link to the broker");
        self.config["kafka"]["bootstrapServers"] = json!([link.bootstrap()]);
        self.link = Some(link);
        self
    }

    /// Returns the link between bridge and broker.
    ///
    /// # Panics
    /// Unless [`Rig::linked`] made one.
    pub fn link(&self) -> &KafkaProxy {
        self.link.as_ref().expect("the rig is linked")
    }

    /// Lays other settings over the configuration.
    #[must_use]
    pub fn set(mut self, over: Value) -> Self {
        lay(&mut self.config, over);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Returns the bridge's program, told where SQS is and nothing else.
    pub fn program(&self, port: u16) -> Program {
        program(self.proxy.endpoint(), port)
    }

    /// Starts a bridge.
    pub async fn bridge(&self) -> Bridge {
        let port = free_port();
        let program = self.program(port).env("PENSTOCK_CONNECTOR", self.config.to_string());
        Bridge::start(program.args(&self.arguments), port)
    }

    /// Starts a bridge and waits until it says that it is healthy.
    pub async fn healthy_bridge(&self) -> Bridge {
        let bridge = self.bridge().await;
        bridge.healthy().await;
        bridge
    }

    /// Waits until the topic holds that many records.
    ///
    /// # Panics
    /// When it does not in time, or the bridge ends.
    pub async fn stored(&self, bridge: &Bridge, count: u64, timeout: Duration) {
        let consumer = self.consumer();
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

    /// Waits until the topic holds records of which the bridge has not heard, or all there will be, and returns whether it came to that.
    pub async fn stored_unheard(&self, bridge: &Bridge, all: u64, timeout: Duration) -> bool {
        let consumer = self.consumer();
        let look = || async {
            let metrics = bridge.metrics().await.ok_or_else(|| "no metrics".to_owned())?;
            let stored = stored(Arc::clone(&consumer), self.topic.clone()).await?;
            let heard = metrics.get("records_out_total");
            if stored as f64 > heard || stored >= all {
                Ok(())
            } else {
                Err(format!("{stored} records, {heard} heard of"))
            }
        };
        bridge
            .process
            .ready("records that nobody heard of", timeout, look)
            .await
            .is_ok()
    }

    fn consumer(&self) -> Arc<BaseConsumer> {
        Arc::new(self.broker.client().create().expect("a consumer"))
    }

    /// Returns the records of the topic.
    pub async fn records(&self) -> Vec<Record> {
        self.broker.read_all(&self.topic).await.expect("the topic is read")
    }

    /// Returns the records of the dead-letter topic.
    pub async fn dead(&self) -> Vec<Record> {
        self.broker
            .read_all(&self.dead_letters)
            .await
            .expect("the dead letters are read")
    }

    /// Holds what arrived against what was sent, and every delete that passed the proxy against what was stored by then.
    pub async fn verdict(&self, sent: &[Sent]) -> Verdict {
        // Deletes first: one that comes meanwhile is judged by the next look.
        let deletes = self.journal.deletes();
        let (topic, dead) = (self.records().await, self.dead().await);
        let verdict = Verdict {
            premature: premature(&deletes, &topic, &dead),
            ..judge(sent, &topic, &dead)
        };
        for id in verdict.suspects() {
            eprintln!("{}", self.journal.story(&id));
        }
        verdict
    }

    /// Waits until the queue is empty, stops the bridge, and holds what arrived against what was sent.
    ///
    /// # Panics
    /// When anything is lost, altered, out of order or deleted too early, or more than `most_duplicates` were stored twice.
    pub async fn finish(&self, bridge: Bridge, sent: &[Sent], most_duplicates: usize) {
        self.queue.emptied(LATER).await;
        // A delete can have taken effect whose answer is still to come.
        let is_done = |metrics: &Metrics| metrics.get("deletes_pending") == 0.0 && metrics.get("inflight") == 0.0;
        bridge.metrics_when("a bridge that holds nothing", is_done).await;
        bridge.stops_with(0).await;
        let log = bridge.process.log();
        assert_eq!(self.queue.counts().await, (0, 0), "see {}", log.display());
        // Ten messages each, when the emulator itself keeps callers waiting until they give up.
        let repeats_of_sqs = 10 * self.journal.late_calls();
        self.verdict(sent).await.assert_sound(most_duplicates + repeats_of_sqs);
    }

    /// Returns how often the queue handed out the message that it handed out most.
    pub fn most_handouts(&self) -> u64 {
        self.journal.handouts().into_values().max().unwrap_or_default()
    }
}

/// Returns the bridge's program, told where SQS is and nothing else.
pub fn program(endpoint: &Endpoint, port: u16) -> Program {
    program_from(ours("penstock-bridge").expect("the bridge is built"), endpoint, port)
}

/// As [`program`], for one that is started in a way of its own.
pub fn program_from(program: Program, endpoint: &Endpoint, port: u16) -> Program {
    program
        .envs(endpoint.environment())
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
#[derive(Debug)]
pub struct Bridge {
    /// The process.
    pub process: Process,
    /// Where it answers.
    pub port: u16,
    /// Its figures all along, which have to add up in every scrape.
    pub audit: Audit,
}

impl Bridge {
    /// Starts a program that was told to answer at `port`.
    pub fn start(program: Program, port: u16) -> Self {
        Self {
            process: program.spawn().expect("the bridge starts"),
            port,
            audit: Audit::begin(port, AUDIT),
        }
    }

    /// Waits until it says that it is healthy.
    pub async fn healthy(&self) {
        let look = || async {
            match self.page("healthz").await {
                Some((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        };
        self.process
            .ready("a healthy bridge", LATER, look)
            .await
            .expect("it becomes healthy");
    }

    /// Sends SIGTERM and returns the exit code; nothing if a signal ended it, which is said.
    ///
    /// A bridge answers once it listens for signals. One that has just been started would be ended by it, as any program is.
    pub async fn stop(&self) -> Option<i32> {
        self.metrics_when("a bridge that answers", |_| true).await;
        let status = self.process.terminate(STOPPED).await.expect("it ends in time");
        if status.code().is_none() {
            eprintln!("the bridge ended by itself: {status}");
        }
        status.code()
    }

    /// Sends SIGTERM and waits for its end.
    ///
    /// # Panics
    /// When it ends otherwise than with this exit code. Then its warnings are told, as its log may be on a machine that is gone.
    pub async fn stops_with(&self, code: i32) {
        let ended = self.stop().await;
        let (log, loud) = (self.process.log().display(), self.loud_lines().join("\n"));
        assert_eq!(ended, Some(code), "see {log}, where it warned:\n{loud}");
    }

    /// Returns a page of its server, while it answers.
    pub async fn page(&self, name: &str) -> Option<(u16, String)> {
        http::get(&format!("http://127.0.0.1:{}/{name}", self.port)).await.ok()
    }

    /// Returns its metrics, while it answers.
    pub async fn metrics(&self) -> Option<Metrics> {
        scrape(self.port).await
    }

    /// Waits until its metrics pass `judge`.
    ///
    /// # Panics
    /// When they do not in time, or the bridge ends.
    pub async fn metrics_when(&self, what: &str, judge: impl Fn(&Metrics) -> bool) -> Metrics {
        let look = || async {
            let metrics = self.metrics().await.ok_or_else(|| "no metrics".to_owned())?;
            if judge(&metrics) {
                Ok(metrics)
            } else {
                Err(format!("{metrics:?}"))
            }
        };
        self.process
            .ready(what, LATER, look)
            .await
            .expect("the metrics come to that")
    }

    /// Waits until it holds about as many messages as it may: nothing more comes in.
    pub async fn full(&self) -> Metrics {
        let last = std::cell::Cell::new((0.0, 0));
        self.metrics_when("a bridge that holds what it may", |metrics| {
            let (held, since) = last.get();
            let now = metrics.get("inflight");
            last.set((now, if now == held { since + 1 } else { 0 }));
            now > 0.0 && since >= 20
        })
        .await
    }

    /// Returns how many lines of its log are warnings or errors.
    pub fn complaints(&self) -> usize {
        self.loud_lines().len()
    }

    fn loud_lines(&self) -> Vec<String> {
        let log = self.process.log_text();
        let loud = |line: &&str| line.contains("\"level\":\"WARN\"") || line.contains("\"level\":\"ERROR\"");
        log.lines().filter(loud).map(ToOwned::to_owned).collect()
    }

    /// Returns how much of its memory is resident, in bytes; nothing once it is gone.
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes * 1024)
    }
}
