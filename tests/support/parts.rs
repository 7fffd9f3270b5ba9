//! Parts that others wrote, brought by `hack/parts/fetch`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::time::{Duration, timeout};

use crate::Error;
use crate::error::io;

/// Longer than the script's own limit for one part, so that its message is the one that is seen.
const LIMIT: Duration = Duration::from_secs(1000);

/// Returns the root of the checkout.
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the checkout")
}

/// Returns the directory that holds `part` (`kafka`, `elasticmq` or `moto`), after fetching it if it is not there yet.
pub async fn fetch(part: &str) -> Result<PathBuf, Error> {
    let script = checkout().join("hack/parts/fetch");
    let mut command = Command::new(&script);
    command.arg(part).stdin(Stdio::null()).kill_on_drop(true);
    let step = || format!("run {}", script.display());
    let output = timeout(LIMIT, command.output())
        .await
        .map_err(|_| io(step())(std::io::ErrorKind::TimedOut.into()))?;
    let output = output.map_err(io(step()))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    match printed
        .lines()
        .find_map(|line| line.strip_prefix(part)?.strip_prefix('='))
    {
        Some(directory) if output.status.success() => Ok(PathBuf::from(directory)),
        _ => Err(Error::Helper {
            program: script.display().to_string(),
            status: output.status,
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        }),
    }
}
