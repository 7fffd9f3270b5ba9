//! Apache Kafka as one process: broker and controller, with a data directory and ports that survive a restart.
//!
//! It listens on loopback twice: PLAINTEXT, and SASL_PLAINTEXT with SCRAM-SHA-512 for [`SCRAM_USER`]. Topics must be created.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::FutureProducer;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::error::io;
use crate::ports::free_port;
use crate::process::{Process, Program};
use crate::records::idempotent_producer;
use crate::{Error, parts, rundir};

/// Who may use the SASL listener.
pub const SCRAM_USER: &str = "alice";
/// With which password.
pub const SCRAM_PASSWORD: &str = "alice-of-the-suites";

/// The id of the cluster that every broker of the suites is.
pub const CLUSTER_ID: &str = "cGVuc3RvY2stdGVzdHMtMQ";
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

/// A broker. Dropping it stops it.
pub struct Broker {
    pub(crate) producer: FutureProducer,
    classpath: String,
    settings: PathBuf,
    port: u16,
    sasl_port: u16,
    process: Mutex<Option<Arc<Process>>>,
}

impl Broker {
    /// Returns the broker that the tests of this binary share; the first caller starts it.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Broker> = OnceCell::const_new();
        SHARED
            .get_or_init(|| async { Self::start().await.expect("the shared broker starts") })
            .await
    }

    /// Starts a broker of its own, for tests that stop or break it.
    pub async fn start() -> Result<Self, Error> {
        let jars = parts::fetch("kafka").await?;
        let home = rundir::fresh_data_directory("kafka")?;
        let (port, sasl_port) = (free_port(), free_port());
        let settings = home.join("server.properties");
        fs::write(&settings, server_properties(&home, port, sasl_port)).map_err(io("write the broker's settings"))?;
        let classpath = jars.join("libs/*").display().to_string();
        let producer = idempotent_producer(&plaintext_client(port))?;
        let broker = Self {
            producer,
            classpath,
            settings,
            port,
            sasl_port,
            process: Mutex::new(None),
        };
        broker.format().await?;
        broker.restart().await?;
        Ok(broker)
    }

    /// Returns the address of the PLAINTEXT listener.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the address of the SASL_PLAINTEXT listener.
    pub fn sasl_bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.sasl_port)
    }

    /// Returns what a client of the PLAINTEXT listener is configured with.
    pub fn client(&self) -> ClientConfig {
        plaintext_client(self.port)
    }

    /// Returns what a client of the SASL_PLAINTEXT listener is configured with.
    pub fn sasl_client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.sasl_bootstrap())
            .set("security.protocol", "SASL_PLAINTEXT")
            .set("sasl.mechanism", "SCRAM-SHA-512")
            .set("sasl.username", SCRAM_USER)
            .set("sasl.password", SCRAM_PASSWORD);
        config
    }

    /// Stops it as an administrator would (SIGTERM) and waits for its end.
    pub async fn stop(&self) -> Result<(), Error> {
        let Some(process) = self.take() else { return Ok(()) };
        // A suspended broker would never hear of it.
        process.signal(Signal::SIGCONT)?;
        process.terminate(STOP).await.map(drop)
    }

    /// Makes it vanish (SIGKILL), as a power failure would; the data directory stays as it was.
    pub async fn kill(&self) -> Result<(), Error> {
        let Some(process) = self.take() else { return Ok(()) };
        process.kill().await.map(drop)
    }

    /// Makes it hang (SIGSTOP): connections stay open, and nothing is answered.
    pub fn suspend(&self) -> Result<(), Error> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on after [`Broker::suspend`].
    pub fn resume(&self) -> Result<(), Error> {
        self.signal(Signal::SIGCONT)
    }

    /// Starts it again on the same data and ports, after stopping it if it runs, and waits until it serves.
    pub async fn restart(&self) -> Result<(), Error> {
        self.stop().await?;
        let process = Arc::new(
            self.java("kafka", "-Xmx1g", "kafka.Kafka")
                .arg(&self.settings)
                .spawn()?,
        );
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&process));
        process.ready("a broker that answers", START, || self.answers()).await
    }

    async fn format(&self) -> Result<(), Error> {
        let scram = format!("SCRAM-SHA-512=[name={SCRAM_USER},password={SCRAM_PASSWORD}]");
        let tool = self
            .java("kafka-format", "-Xmx256m", "kafka.tools.StorageTool")
            .args(["format", "-t", CLUSTER_ID]);
        let (status, output) = tool
            .arg("-c")
            .arg(&self.settings)
            .args(["--add-scram", &scram])
            .run(START)
            .await?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Helper {
            program: "kafka.tools.StorageTool".to_owned(),
            status,
            output,
        })
    }

    /// Metadata that names a broker shows more than an open port: the controller has let it in.
    async fn answers(&self) -> Result<(), String> {
        let config = self.client();
        let look = spawn_blocking(move || {
            let client: BaseConsumer = config.create().map_err(|error| error.to_string())?;
            let metadata = client
                .fetch_metadata(None, Duration::from_secs(2))
                .map_err(|error| error.to_string())?;
            if metadata.brokers().is_empty() {
                Err("metadata without a broker".to_owned())
            } else {
                Ok(())
            }
        });
        look.await.map_err(|error| error.to_string())?
    }

    fn java(&self, name: &str, heap: &str, class: &str) -> Program {
        Program::new(name, "java")
            .arg(heap)
            .arg("-cp")
            .arg(&self.classpath)
            .arg(class)
    }

    fn take(&self) -> Option<Arc<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn signal(&self, signal: Signal) -> Result<(), Error> {
        match &*self.process.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(process) => process.signal(signal),
            None => Ok(()),
        }
    }
}

fn plaintext_client(port: u16) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", format!("127.0.0.1:{port}"));
    config
}

fn server_properties(home: &Path, port: u16, sasl_port: u16) -> String {
    let (controller, logs) = (free_port(), home.join("log").display().to_string());
    let listeners = format!("PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl_port}");
    let settings = [
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("controller.quorum.voters", &format!("1@127.0.0.1:{controller}")),
        ("controller.listener.names", "CONTROLLER"),
        ("listeners", &format!("{listeners},CONTROLLER://127.0.0.1:{controller}")),
        ("advertised.listeners", &listeners),
        (
            "listener.security.protocol.map",
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
        ),
        ("inter.broker.listener.name", "PLAINTEXT"),
        ("sasl.enabled.mechanisms", "SCRAM-SHA-512"),
        (
            "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config",
            "org.apache.kafka.common.security.scram.ScramLoginModule required;",
        ),
        ("log.dirs", &logs),
        ("auto.create.topics.enable", "false"),
        ("group.initial.rebalance.delay.ms", "0"),
        // One broker cannot hold three replicas; fewer partitions of the internal topics come up faster.
        ("offsets.topic.replication.factor", "1"),
        ("offsets.topic.num.partitions", "4"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("transaction.state.log.num.partitions", "4"),
    ];
    settings
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect()
}
