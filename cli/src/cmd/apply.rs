//! `penstock apply`: documents to the spec topic. All are judged first; with one fault, none is written.

use std::path::PathBuf;

use penstock_crds::DocumentKey;

use crate::documents::{Elsewhere, load};
use crate::failure::Failure;
use crate::output::print_line;
use crate::server::{ActorArgs, ServerArgs};
use crate::{Exit, talk};

/// Writes documents to the spec topic, all of them or none.
#[derive(Debug, clap::Args)]
pub(crate) struct Apply {
    /// A file of YAML or JSON documents, a directory of such files, or - for standard input
    #[arg(short, long = "file", value_name = "FILE", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    server: ServerArgs,
}

impl Apply {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let mut bundle = load(&self.files)?;
        let server = self.server.server()?;
        let specs = server.specs().await?;
        bundle.judge(Elsewhere::Topic(&specs.profiles()));
        if !bundle.findings.is_empty() {
            talk::say(&bundle.report("nothing was written: mend them and apply again"));
            return Ok(Exit::Refused);
        }
        let writer = server.writer(&self.actor)?;
        for draft in &bundle.drafts {
            let key = draft.document.key();
            let known = specs.entries.get(&key).filter(|entry| entry.says(&draft.document));
            let line = match known {
                Some(entry) => format!("{} unchanged (generation {})", shown(&key), entry.generation),
                None => format!(
                    "{} applied (generation {})",
                    shown(&key),
                    writer.write(&draft.document).await?
                ),
            };
            print_line(&line)?;
        }
        Ok(Exit::Done)
    }
}

/// Returns a key as commands print it, such as `connector/orders`.
pub(crate) fn shown(key: &DocumentKey) -> String {
    format!("{}/{}", key.kind.as_str().to_lowercase(), key.name)
}
