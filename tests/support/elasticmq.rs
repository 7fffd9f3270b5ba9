//! ElasticMQ: an SQS that others wrote.

use std::fs;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use crate::aws::Endpoint;
use crate::error::io;
use crate::ports::free_port;
use crate::process::{Process, Program};
use crate::{Error, parts, rundir};

/// The account in the URLs and ARNs of its queues.
pub const ACCOUNT: &str = "000000000000";

/// A running ElasticMQ. Dropping it stops it.
#[derive(Debug)]
pub struct ElasticMq {
    endpoint: Endpoint,
    /// Holds the program: it ends with this value.
    _process: Process,
}

impl ElasticMq {
    /// Returns the ElasticMQ that the tests of this binary share; the first caller starts it.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<ElasticMq> = OnceCell::const_new();
        SHARED
            .get_or_init(|| async { Self::start().await.expect("the shared ElasticMQ starts") })
            .await
    }

    /// Starts an ElasticMQ of its own, with no queue in it.
    pub async fn start() -> Result<Self, Error> {
        let jars = parts::fetch("elasticmq").await?;
        let (home, port) = (rundir::fresh_data_directory("elasticmq")?, free_port());
        let settings = home.join("elasticmq.conf");
        fs::write(&settings, configuration(port)).map_err(io("write ElasticMQ's settings"))?;
        let program = Program::new("elasticmq", "java")
            .arg("-Xmx1g")
            .arg(format!("-Dconfig.file={}", settings.display()))
            .arg("-cp")
            .arg(jars.join("libs/*"))
            .arg("org.elasticmq.server.Main");
        let process = program.current_dir(home).spawn()?;
        let answers = || async move { TcpStream::connect(("127.0.0.1", port)).await.map(drop) };
        process
            .ready("ElasticMQ's port", Duration::from_secs(120), answers)
            .await?;
        Ok(Self {
            endpoint: Endpoint::new(&format!("http://127.0.0.1:{port}"), ACCOUNT, "eu-west-1")?,
            _process: process,
        })
    }

    /// Returns where it answers.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

fn configuration(port: u16) -> String {
    format!(
        r#"include classpath("application.conf")
node-address {{ protocol = http, host = "127.0.0.1", port = {port}, context-path = "" }}
rest-sqs {{ enabled = true, bind-port = {port}, bind-hostname = "127.0.0.1", sqs-limits = strict }}
rest-stats {{ enabled = false }}
aws {{ region = eu-west-1, accountId = {ACCOUNT} }}
"#
    )
}
