//! The environment of a task's process: the definition's variables and secrets, and stand-ins for what Fargate has.
//!
//! What stands in for what (a variable of the definition's own wins over all but the last):
//! - `AWS_ENDPOINT_URL` for the network's way to AWS, `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` for the task role
//!   (which Fargate offers at `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`), `AWS_REGION` and `AWS_DEFAULT_REGION` as Fargate sets them;
//! - `AWS_EXECUTION_ENV` as Fargate sets it, or an agent on EC2;
//! - `PATH` and `HOME` for the image's own: the program's directory comes first in `PATH`;
//! - `PENSTOCK_LISTEN` for the task's own network interface: the port that the definition names (8080 if none), at the
//!   address of the task.

use std::net::Ipv4Addr;
use std::path::Path;

use crate::model::Scope;

/// Where the bridge serves its health and metrics.
const LISTEN: &str = "PENSTOCK_LISTEN";

/// Where the bridge listens if nobody says otherwise.
const DEFAULT_PORT: u16 = 8080;

/// Where programs are that images have beside their own.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The port that a task's process will listen at.
pub(super) fn port(variables: &[(String, String)]) -> u16 {
    let listen = variables.iter().find(|(name, _)| name == LISTEN);
    listen
        .and_then(|(_, value)| value.rsplit(':').next()?.parse().ok())
        .unwrap_or(DEFAULT_PORT)
}

/// What stands in for Fargate, before the definition's own `variables`, and the address after them.
pub(super) fn complete(
    variables: Vec<(String, String)>,
    (scope, execution_environment): (&Scope, &str),
    endpoint_url: &str,
    program: &str,
    address: Ipv4Addr,
) -> Vec<(String, String)> {
    let listen = format!("{address}:{}", port(&variables));
    let mut all: Vec<(String, String)> = [
        ("AWS_ENDPOINT_URL", endpoint_url),
        ("AWS_ACCESS_KEY_ID", &scope.account),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_REGION", &scope.region),
        ("AWS_DEFAULT_REGION", &scope.region),
        ("AWS_EXECUTION_ENV", execution_environment),
        ("HOME", "/"),
        ("PATH", &path(program)),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    all.retain(|(name, _)| variables.iter().all(|(own, _)| own != name));
    all.extend(variables.into_iter().filter(|(name, _)| name != LISTEN));
    all.push((LISTEN.to_owned(), listen));
    all
}

/// The search path of an image whose program is `program`.
pub(super) fn path(program: &str) -> String {
    match Path::new(program)
        .parent()
        .filter(|directory| !directory.as_os_str().is_empty())
    {
        Some(directory) => format!("{}:{SYSTEM_PATH}", directory.display()),
        None => SYSTEM_PATH.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(own: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = own
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let scope = Scope {
            account: "123456789012".into(),
            region: "eu-west-1".into(),
        };
        complete(
            own,
            (&scope, "AWS_ECS_FARGATE"),
            "http://127.0.0.1:1",
            "/opt/x/bridge",
            Ipv4Addr::new(127, 0, 1, 2),
        )
    }

    fn value<'a>(all: &'a [(String, String)], name: &str) -> Vec<&'a str> {
        all.iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    #[test]
    fn the_definition_wins_over_the_stand_ins() {
        let all = completed(&[("AWS_REGION", "us-east-1"), ("PATH", "/mine")]);
        assert_eq!(value(&all, "AWS_REGION"), ["us-east-1"]);
        assert_eq!(value(&all, "PATH"), ["/mine"]);
        assert_eq!(value(&all, "AWS_ACCESS_KEY_ID"), ["123456789012"]);
    }

    #[test]
    fn a_task_listens_at_its_own_address_and_at_the_port_it_was_given() {
        assert_eq!(value(&completed(&[]), LISTEN), ["127.0.1.2:8080"]);
        assert_eq!(
            value(&completed(&[(LISTEN, "0.0.0.0:9000")]), LISTEN),
            ["127.0.1.2:9000"]
        );
    }
}
