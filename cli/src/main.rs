//! `penstock`: arguments in, exit code out.
//!
//! Data goes to stdout, talk to stderr. What the operator decides is decided by the operator's own code here too.

use std::process::ExitCode;

use clap::Parser;

mod cmd;
mod documents;
mod failure;
mod output;
mod server;
mod specs;
mod talk;

const EXIT_CODES: &str = "Exit codes: 0 done, and nothing differs; 1 an error, or what the operator would refuse (`plan`); \
    2 there are changes (`plan`) or orphans (`prune` without --confirm; 1 if it could not look into all clusters).";

/// Data connectors on Amazon ECS, kept as documents in Kafka ask.
#[derive(Debug, Parser)]
#[command(name = "penstock", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: cmd::Command,
}

/// How a command ended, other than by an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, and nothing differs.
    Done,
    /// The command did its work and says no, having said why.
    Refused,
    /// There are changes.
    Changes,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    talk::init_logs();
    match cli.command.run().await {
        Ok(exit) => exit.into(),
        Err(failure) => {
            talk::say(&failure.report());
            ExitCode::FAILURE
        }
    }
}

/// The parser's own code for wrong arguments is 2, which means changes here.
fn misused(error: &clap::Error) -> ExitCode {
    // When neither stream takes it, nobody is there to be told.
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Refused => Self::FAILURE,
            Exit::Changes => Self::from(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_of_no_command_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_says_what_the_exit_codes_mean() {
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains("2 there are changes"), "{help}");
    }
}
