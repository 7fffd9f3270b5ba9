//! `penstock-localcloud` as a process: our model of AWS behind one port, with the Fargate agent beside it.

use std::path::Path;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::aws::Endpoint;
use crate::binaries::bin;
use crate::error::Error;
use crate::ports::free_port;
use crate::process::{Process, Program};

/// The account that tests use where one is enough.
pub const ACCOUNT: &str = "111122223333";

/// A running localcloud. Dropping it stops it, and with it the tasks that its agent started.
#[derive(Debug)]
pub struct LocalCloud {
    endpoint: Endpoint,
    process: Process,
}

/// A localcloud about to be started.
#[derive(Debug)]
pub struct Builder {
    port: u16,
    program: Program,
}

impl LocalCloud {
    /// Prepares one with no image.
    pub fn builder() -> Result<Builder, Error> {
        let port = free_port();
        let binary = bin("penstock-localcloud")?;
        let program = Program::with_children("localcloud", binary)
            .arg("--listen")
            .arg(format!("127.0.0.1:{port}"));
        Ok(Builder { port, program })
    }

    /// Returns where it answers, as [`ACCOUNT`] in `eu-west-1`.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the process, to look at its log or to stop it early.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

impl Builder {
    /// Lets tasks of the image run `command`.
    #[must_use]
    pub fn image(mut self, image: &str, command: &Path) -> Self {
        self.program = self
            .program
            .arg("--image")
            .arg(format!("{image}={}", command.display()));
        self
    }

    /// Adds a flag that this builder does not name.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.program = self.program.arg(argument);
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.program = self.program.env(key, value);
        self
    }

    /// Starts it and waits until it listens.
    pub async fn start(self) -> Result<LocalCloud, Error> {
        let port = self.port;
        let endpoint = Endpoint::new(&format!("http://127.0.0.1:{port}"), ACCOUNT, "eu-west-1")?;
        let process = self.program.spawn()?;
        let answers = || async move { TcpStream::connect(("127.0.0.1", port)).await.map(drop) };
        process
            .ready("localcloud's port", Duration::from_secs(30), answers)
            .await?;
        Ok(LocalCloud { endpoint, process })
    }
}
