//! `penstock validate`: every fault of every document at once, and nothing written.

use std::path::PathBuf;

use crate::documents::{Bundle, Elsewhere, load};
use crate::failure::Failure;
use crate::output::{Format, print_json, print_line, print_yaml};
use crate::server::ServerArgs;
use crate::{Exit, talk};

/// Checks documents and tells every fault with its line.
#[derive(Debug, clap::Args)]
pub(crate) struct Validate {
    /// A file of YAML or JSON documents, a directory of such files, or - for standard input
    #[arg(short, long = "file", value_name = "FILE", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// Look for profiles in the spec topic too; this needs --bootstrap-servers
    #[arg(long = "server")]
    ask_server: bool,
    /// How the faults are printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

impl Validate {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let mut bundle = load(&self.files)?;
        if self.ask_server {
            let profiles = self.server.server()?.specs().await?.profiles();
            bundle.judge(Elsewhere::Topic(&profiles));
        } else {
            bundle.judge(Elsewhere::Nowhere);
        }
        tell(&bundle, self.output)?;
        Ok(if bundle.findings.is_empty() {
            Exit::Done
        } else {
            Exit::Refused
        })
    }
}

fn tell(bundle: &Bundle, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => print_json(&bundle.findings),
        Format::Yaml => print_yaml(&bundle.findings),
        Format::Text if bundle.findings.is_empty() => bundle
            .drafts
            .iter()
            .try_for_each(|draft| print_line(&format!("{} valid", super::apply::shown(&draft.document.key())))),
        Format::Text => {
            talk::say(&bundle.report("mend them and validate again"));
            Ok(())
        }
    }
}
