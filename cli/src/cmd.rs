//! The commands, one a file.

use clap::Subcommand;

use crate::Exit;
use crate::failure::Failure;

mod apply;
mod delete;
mod describe;
mod get;
mod plan;
mod prune;
mod schema;
mod target;
mod validate;
mod wait;

/// A command as typed.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Checks documents and tells every fault with its line
    // Without --server nobody needs brokers, so they are optional here alone.
    #[command(mut_arg("bootstrap_servers", |brokers| brokers.required(false)))]
    Validate(validate::Validate),
    /// Shows which fields differ from what is wanted, and the AWS calls of the next pass; changes nothing
    Plan(plan::Plan),
    /// Writes documents to the spec topic, all of them or none
    Apply(apply::Apply),
    /// Lists connectors or profiles
    Get(get::Get),
    /// Tells all that is known of one connector
    Describe(describe::Describe),
    /// Waits until a connector is as asked
    Wait(wait::Wait),
    /// Withdraws a connector or a profile
    Delete(delete::Delete),
    /// Lets no task run; service, scaling and alarms stay
    Pause(target::Verb),
    /// Lets tasks run again after a pause or a stop
    Resume(target::Verb),
    /// Removes service, scaling and alarms; document and history stay
    Stop(target::Verb),
    /// Replaces every task once
    Restart(target::Verb),
    /// Asks for a pass now, and tries a rolled-back document again
    Reconcile(target::Verb),
    /// Finds what carries the operator's tag and has neither document nor state, and removes it with --confirm
    Prune(prune::Prune),
    /// Prints the JSON Schema of a kind of document
    Schema(schema::Schema),
}

impl Command {
    /// Does what was asked.
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        use target::Change;
        match self {
            Self::Validate(command) => command.run().await,
            Self::Plan(command) => Box::pin(command.run()).await,
            Self::Apply(command) => command.run().await,
            Self::Get(command) => command.run().await,
            Self::Describe(command) => command.run().await,
            Self::Wait(command) => command.run().await,
            Self::Delete(command) => command.run().await,
            Self::Pause(verb) => verb.run(Change::Pause).await,
            Self::Resume(verb) => verb.run(Change::Resume).await,
            Self::Stop(verb) => verb.run(Change::Stop).await,
            Self::Restart(verb) => verb.run(Change::Restart).await,
            Self::Reconcile(verb) => verb.run(Change::Reconcile).await,
            Self::Prune(command) => Box::pin(command.run()).await,
            Self::Schema(command) => command.run(),
        }
    }
}
