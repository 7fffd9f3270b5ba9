//! Runs `contract.py`: the checks in which another client's wire format matters, asked by boto3.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use penstock_tests::aws::Endpoint;
use penstock_tests::parts;
use tokio::process::Command;
use tokio::time::timeout;

use crate::check::{Failure, Outcome, there};
use crate::world::Network;

const LIMIT: Duration = Duration::from_secs(300);

/// Returns the names of all checks of the script.
pub(crate) async fn names() -> Result<Vec<String>, Failure> {
    let printed = run(script().await?.arg("--list")).await?;
    Ok(printed.lines().map(str::to_owned).collect())
}

/// Returns a subnet and a security group that `endpoint` knows.
pub(crate) async fn network(endpoint: &Endpoint) -> Result<Network, Failure> {
    let printed = run(script().await?.envs(endpoint.environment()).arg("--network")).await?;
    let (subnet, group) = there("a subnet and a group", printed.trim().split_once(' '))?;
    Ok(Network {
        subnet: subnet.to_owned(),
        security_group: Some(group.to_owned()),
    })
}

/// Asks `endpoint`, or AWS itself, those of `names` that the script has.
pub(crate) async fn outcomes(
    endpoint: Option<&Endpoint>,
    network: &Network,
    names: &[&str],
) -> Result<BTreeMap<String, Outcome>, Failure> {
    let mut command = script().await?;
    if let Some(endpoint) = endpoint {
        command
            .envs(endpoint.environment())
            .args(["--account", endpoint.account()]);
    }
    let printed = run(command
        .env("PENSTOCK_CONTRACT_SUBNET", &network.subnet)
        .env(
            "PENSTOCK_CONTRACT_GROUP",
            network.security_group.as_deref().unwrap_or_default(),
        )
        .args(names))
    .await?;
    printed.lines().map(outcome).collect()
}

/// Reads a line such as `ok NAME` or `FAIL NAME: why`.
fn outcome(line: &str) -> Result<(String, Outcome), Failure> {
    if let Some(name) = line.strip_prefix("ok ") {
        return Ok((name.to_owned(), Ok(())));
    }
    let failed = line.strip_prefix("FAIL ").and_then(|rest| rest.split_once(": "));
    let (name, why) = failed.ok_or_else(|| Failure(format!("contract.py printed {line:?}")))?;
    Ok((name.to_owned(), Err(Failure(why.to_owned()))))
}

async fn script() -> Result<Command, Failure> {
    let python: PathBuf = parts::fetch("moto")
        .await
        .map_err(|error| Failure(error.to_string()))?
        .join("bin/python");
    let mut command = Command::new(python);
    // Without bytecode, since a checkout is not a place for caches.
    command
        .arg("-B")
        .arg(parts::checkout().join("tests/contract/contract.py"));
    command.stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

async fn run(command: &mut Command) -> Result<String, Failure> {
    let output = timeout(LIMIT, command.output())
        .await
        .map_err(|_| Failure(format!("contract.py took longer than {LIMIT:?}")))?;
    let output = output.map_err(|error| Failure(format!("could not run contract.py: {error}")))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(Failure(format!(
            "contract.py ended with {}:\n{complaint}",
            output.status
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
