//! moto, behind the front that speaks CloudWatch's CBOR (`hack/parts/moto_front.py`).

use std::time::Duration;

use tokio::sync::OnceCell;

use crate::aws::Endpoint;
use crate::error::lacking;
use crate::ports::free_port;
use crate::process::{Process, Program};
use crate::{Error, http, parts};

/// The one account of moto.
pub const ACCOUNT: &str = "123456789012";

/// A running moto. Dropping it stops it.
#[derive(Debug)]
pub struct Moto {
    endpoint: Endpoint,
    /// Holds the program: it ends with this value.
    _process: Process,
}

impl Moto {
    /// Returns the moto that the tests of this binary share; the first caller starts it.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Moto> = OnceCell::const_new();
        SHARED
            .get_or_init(|| async { Self::start().await.expect("the shared moto starts") })
            .await
    }

    /// Starts a moto of its own, with nothing in it.
    pub async fn start() -> Result<Self, Error> {
        let python = parts::fetch("moto").await?.join("bin/python");
        let url = format!("http://127.0.0.1:{}", free_port());
        let endpoint = Endpoint::new(&url, ACCOUNT, "eu-west-1")?;
        let port = url.rsplit(':').next().unwrap_or_default();
        let front = parts::checkout().join("hack/parts/moto_front.py");
        // Without bytecode, since a checkout is not a place for caches.
        let program = Program::new("moto", python).arg("-B").arg(front).arg(port);
        let process = program.spawn()?;
        let page = format!("{url}/moto-api/data.json");
        process
            .ready("moto's own page", Duration::from_secs(120), || answers(&page))
            .await?;
        Ok(Self {
            endpoint,
            _process: process,
        })
    }

    /// Returns a subnet and a security group that it knows: a service needs real ones there, and EC2 has no client here
    /// but moto's own boto3.
    pub async fn network(&self) -> Result<(String, String), Error> {
        const ASK: &str = "import boto3; ec2 = boto3.client('ec2'); \
            print(ec2.describe_subnets()['Subnets'][0]['SubnetId'], \
            ec2.describe_security_groups()['SecurityGroups'][0]['GroupId'])";
        let python = parts::fetch("moto").await?.join("bin/python");
        let program = Program::new("moto-network", python).args(["-B", "-c", ASK]);
        // boto3 reads the region from a variable of its own.
        let program = program
            .envs(self.endpoint.environment())
            .env("AWS_DEFAULT_REGION", self.endpoint.region());
        let (status, printed) = program.run(Duration::from_secs(120)).await?;
        let found = printed
            .lines()
            .last()
            .filter(|_| status.success())
            .and_then(|line| line.split_once(' '));
        let (subnet, group) = found.ok_or_else(|| lacking("ask moto for its network", &printed))?;
        Ok((subnet.to_owned(), group.to_owned()))
    }

    /// Returns where it answers.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

async fn answers(page: &str) -> Result<(), String> {
    match http::get(page).await {
        Ok((200, _)) => Ok(()),
        Ok((status, _)) => Err(format!("status {status}")),
        Err(error) => Err(format!("{error:?}")),
    }
}
