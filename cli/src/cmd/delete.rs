//! `penstock delete`: null records. Everything that the connector made goes, once the operator has read them.

use std::time::Duration;

use penstock_crds::{DocumentKey, Kind, Name};

use crate::Exit;
use crate::cmd::apply::shown;
use crate::cmd::get::{kind_of, name_of};
use crate::cmd::wait::{Goal, wait_for};
use crate::failure::Failure;
use crate::output::print_line;
use crate::server::{ActorArgs, Server, ServerArgs};
use crate::specs::Specs;

/// Withdraws a connector or a profile.
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    /// A connector's name; or `connector NAME`, or `profile NAME`
    #[arg(value_name = "[KIND] NAME", required = true, num_args = 1..=2)]
    what: Vec<String>,
    /// Wait until everything that the connector made is gone
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, default_value = "5m", value_parser = humantime::parse_duration, requires = "wait")]
    timeout: Duration,
    /// Withdraw a profile although connectors name it; they stay as they were last accepted
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    server: ServerArgs,
}

impl Delete {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let (kind, name) = self.target()?;
        let server = self.server.server()?;
        let specs = server.specs().await?;
        match kind {
            Kind::Profile => self.delete_profile(&server, &specs, name).await,
            _ => self.delete_connector(&server, &specs, name).await,
        }
    }

    fn target(&self) -> Result<(Kind, Name), Failure> {
        match self.what.as_slice() {
            [kind, name] => Ok((
                kind_of(kind).ok_or_else(|| Failure::ReadKind(kind.clone()))?,
                name_of(name)?,
            )),
            what => Ok((Kind::Connector, name_of(what.first().map_or("", String::as_str))?)),
        }
    }

    /// The connector goes first: in between, its target state would rule a connector that is still wanted.
    async fn delete_connector(&self, server: &Server, specs: &Specs, name: Name) -> Result<Exit, Failure> {
        let keys = [Kind::Connector, Kind::TargetState].map(|kind| DocumentKey {
            kind,
            name: name.clone(),
        });
        if !keys.iter().any(|key| specs.entries.contains_key(key)) {
            return Err(missing(server, keys[0].clone()));
        }
        let writer = server.writer(&self.actor)?;
        for key in keys {
            writer.withdraw(&key).await?;
        }
        let deleted = DocumentKey {
            kind: Kind::Connector,
            name: name.clone(),
        };
        if !self.wait {
            print_line(&format!("{} withdrawn", shown(&deleted)))?;
            return Ok(Exit::Done);
        }
        wait_for(server, &name, Goal::Deleted, self.timeout).await
    }

    async fn delete_profile(&self, server: &Server, specs: &Specs, name: Name) -> Result<Exit, Failure> {
        let users = specs.users(&name);
        let key = DocumentKey {
            kind: Kind::Profile,
            name,
        };
        if !specs.entries.contains_key(&key) {
            return Err(missing(server, key));
        }
        if !users.is_empty() && !self.force {
            let users: Vec<_> = users.iter().map(Name::as_str).collect();
            return Err(Failure::RefuseDelete {
                profile: key.name.to_string(),
                users: users.join(", "),
            });
        }
        server.writer(&self.actor)?.withdraw(&key).await?;
        print_line(&format!("{} withdrawn", shown(&key)))?;
        Ok(Exit::Done)
    }
}

fn missing(server: &Server, key: DocumentKey) -> Failure {
    Failure::FindDocument {
        key,
        topic: server.specs_topic(),
    }
}
