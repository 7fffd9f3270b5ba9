//! Apache Kafka as one process: broker and controller, with a data directory and ports that survive a restart.
//!
//! It listens on loopback: PLAINTEXT, SASL_PLAINTEXT with SCRAM-SHA-512 for [`SCRAM_USER`], and further plain listeners that are each reached
//! through a [`KafkaProxy`], so that everything a client of such a link does passes the proxy. A broker with TLS listens twice more: SSL, where
//! clients have to show a certificate, and SASL_SSL with SCRAM-SHA-512. Topics must be created.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::FutureProducer;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::error::io;
use crate::kafka_proxy::KafkaProxy;
use crate::ports::free_port;
use crate::process::{Process, Program};
use crate::records::idempotent_producer;
use crate::tls::Authority;
use crate::{Error, parts, rundir};

/// Who may use the SASL listener.
pub const SCRAM_USER: &str = "alice";
/// With which password.
pub const SCRAM_PASSWORD: &str = "alice-of-the-suites";

const SCRAM_MODULE: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
/// The id of the cluster that every broker of the suites is.
pub const CLUSTER_ID: &str = "cGVuc3RvY2stdGVzdHMtMQ";
const START: Duration = Duration::from_secs(120);
const STOP: Duration = Duration::from_secs(90);

/// Where brokers and proxies are.
const HERE: &str = "127.0.0.1";

/// How many links a broker of its own has, and one that many tests share.
const LINKS: usize = 2;
const SHARED_LINKS: usize = 40;

/// A broker. Dropping it stops it.
pub struct Broker {
    pub(crate) producer: FutureProducer,
    classpath: String,
    settings: PathBuf,
    port: u16,
    sasl_port: u16,
    tls: Option<Tls>,
    links: Vec<Link>,
    links_given: AtomicUsize,
    process: Mutex<Option<Arc<Process>>>,
}

/// What a broker with TLS has beside the others.
struct Tls {
    authority: Authority,
    port: u16,
    sasl_port: u16,
    /// The broker's private key and certificate in one file.
    identity: PathBuf,
    /// Whose client certificates it takes.
    trusted: PathBuf,
}

/// A listener that tells its clients to come back by another port, where a proxy is, on this machine under that name.
#[derive(Debug, Clone, Copy)]
struct Link {
    port: u16,
    host: &'static str,
    advertised: u16,
}

impl Broker {
    /// Returns the broker that the tests of this binary share; the first caller starts it.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Broker> = OnceCell::const_new();
        SHARED
            .get_or_init(|| async {
                Self::start_as(None, SHARED_LINKS, HERE)
                    .await
                    .expect("the shared broker starts")
            })
            .await
    }

    /// Returns the broker with TLS that the tests of this binary share; the first caller starts it.
    pub async fn shared_with_tls() -> &'static Self {
        static SHARED: OnceCell<Broker> = OnceCell::const_new();
        SHARED
            .get_or_init(|| async { Self::start_with_tls().await.expect("the shared broker with TLS starts") })
            .await
    }

    /// Starts a broker of its own, for tests that stop or break it.
    pub async fn start() -> Result<Self, Error> {
        Self::start_called(HERE).await
    }

    /// Starts a broker of its own that clients of its links know by name alone.
    pub async fn start_called(host: &'static str) -> Result<Self, Error> {
        Self::start_as(None, LINKS, host).await
    }

    async fn start_with_tls() -> Result<Self, Error> {
        let authority = Authority::new("penstock-tests").await?;
        Self::start_as(Some(Tls::made(authority).await?), 0, HERE).await
    }

    async fn start_as(tls: Option<Tls>, links: usize, host: &'static str) -> Result<Self, Error> {
        let jars = parts::fetch("kafka").await?;
        let home = rundir::fresh_data_directory("kafka")?;
        let (port, sasl_port) = (free_port(), free_port());
        let link = |_| Link {
            port: free_port(),
            host,
            advertised: free_port(),
        };
        let links: Vec<Link> = (0..links).map(link).collect();
        let settings = home.join("server.properties");
        let properties = server_properties(&home, port, sasl_port, tls.as_ref(), &links);
        fs::write(&settings, properties).map_err(io("write the broker's settings"))?;
        let classpath = jars.join("libs/*").display().to_string();
        let producer = idempotent_producer(&plaintext_client(port))?;
        let broker = Self {
            producer,
            classpath,
            settings,
            port,
            sasl_port,
            tls,
            links,
            links_given: AtomicUsize::new(0),
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

    /// Returns the address of the SSL listener, where a client has to show a certificate of [`Broker::authority`].
    pub fn tls_bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.tls().port)
    }

    /// Returns the address of the SASL_SSL listener.
    pub fn sasl_tls_bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.tls().sasl_port)
    }

    /// Returns who signed the broker's certificate, and whose clients it lets in.
    pub fn authority(&self) -> &Authority {
        &self.tls().authority
    }

    fn tls(&self) -> &Tls {
        self.tls.as_ref().expect("only a broker with TLS is asked for it")
    }

    /// Opens a link of its own: whoever bootstraps from the proxy talks to the broker through it alone.
    ///
    /// # Panics
    /// When every link is given away.
    pub async fn link(&self) -> Result<KafkaProxy, Error> {
        let place = self.links_given.fetch_add(1, Ordering::SeqCst);
        let link = self.links.get(place).expect("the broker has a link left");
        KafkaProxy::start(link.advertised, link.port).await
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

impl Tls {
    /// Kafka reads PEM itself, so no key store of Java's is needed.
    async fn made(authority: Authority) -> Result<Self, Error> {
        let home = rundir::fresh_data_directory("broker-tls")?;
        let broker = authority.issue("broker", "IP:127.0.0.1").await?;
        let (identity, trusted) = (home.join("identity.pem"), home.join("trusted.pem"));
        let both = format!("{}{}", broker.private_key, broker.certificate);
        fs::write(&identity, both).map_err(io("write the broker's certificate"))?;
        fs::write(&trusted, authority.certificate()).map_err(io("write whom the broker trusts"))?;
        let (port, sasl_port) = (free_port(), free_port());
        Ok(Self {
            authority,
            port,
            sasl_port,
            identity,
            trusted,
        })
    }

    fn listeners(&self) -> String {
        format!(",SSL://127.0.0.1:{},SASL_SSL://127.0.0.1:{}", self.port, self.sasl_port)
    }

    fn properties(&self) -> String {
        let (identity, trusted) = (self.identity.display(), self.trusted.display());
        format!(
            "ssl.keystore.type=PEM\nssl.keystore.location={identity}\nssl.truststore.type=PEM\n\
             ssl.truststore.location={trusted}\nlistener.name.ssl.ssl.client.auth=required\n"
        )
    }
}

fn plaintext_client(port: u16) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", format!("127.0.0.1:{port}"));
    config
}

fn server_properties(home: &Path, port: u16, sasl_port: u16, tls: Option<&Tls>, links: &[Link]) -> String {
    let (controller, logs) = (free_port(), home.join("log").display().to_string());
    let encrypted = tls.map(Tls::listeners).unwrap_or_default();
    let direct = format!("PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl_port}{encrypted}");
    let with_links = |part: &dyn Fn(usize, &Link) -> String| -> String {
        links
            .iter()
            .enumerate()
            .map(|(place, link)| part(place, link))
            .collect()
    };
    let listeners = with_links(&|place, link| format!(",LINK{place}://127.0.0.1:{}", link.port));
    let advertised = with_links(&|place, link| format!(",LINK{place}://{}:{}", link.host, link.advertised));
    let protocols = with_links(&|place, _| format!(",LINK{place}:PLAINTEXT"));
    let settings = [
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("controller.quorum.voters", &format!("1@127.0.0.1:{controller}")),
        ("controller.listener.names", "CONTROLLER"),
        (
            "listeners",
            &format!("{direct}{listeners},CONTROLLER://127.0.0.1:{controller}"),
        ),
        ("advertised.listeners", &format!("{direct}{advertised}")),
        (
            "listener.security.protocol.map",
            &format!(
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL{protocols}"
            ),
        ),
        ("inter.broker.listener.name", "PLAINTEXT"),
        ("sasl.enabled.mechanisms", "SCRAM-SHA-512"),
        (
            "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config",
            SCRAM_MODULE,
        ),
        ("listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config", SCRAM_MODULE),
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
    let lines = settings.iter().map(|(name, value)| format!("{name}={value}\n"));
    let settings: String = lines.chain(tls.map(Tls::properties)).collect();
    // A listener has threads of its own; a link has one client.
    settings + &with_links(&|place, _| format!("listener.name.link{place}.num.network.threads=1\n"))
}
