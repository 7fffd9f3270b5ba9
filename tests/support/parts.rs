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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_long_fetch_says_that_it_goes_on_and_shows_no_codes_for_terminals() {
        let place = std::env::temp_dir().join(format!("penstock-fetch-{}", std::process::id()));
        fs::create_dir_all(&place).expect("a directory can be made");
        let maven = "#!/bin/sh\nprintf '\\033[1mone\\033[0m\\n'; sleep 3; printf '\\033[0m\\ntwo\\n'\n";
        for (name, text) in [("mvn", maven), ("java", "#!/bin/sh\n")] {
            let path = place.join(name);
            fs::write(&path, text).expect("a file can be written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new(checkout().join("hack/parts/fetch"))
            .arg("kafka")
            .env("PATH", format!("{}:{path}", place.display()))
            .env("PENSTOCK_CACHE", &place)
            .env("PENSTOCK_FETCH_SILENCE", "1")
            .output()
            .await
            .expect("the script runs");
        fs::remove_dir_all(&place).expect("it is ours");
        let told = String::from_utf8(output.stderr).expect("it is text");
        assert!(output.status.success(), "{told}");
        assert!(told.contains("parts: still fetching kafka, "), "{told}");
        assert!(
            told.contains("\none\n") && told.contains("\ntwo\n"),
            "what Maven says is shown: {told}"
        );
        assert!(!told.contains('\u{1b}') && !told.contains("\n\n"), "{told:?}");
    }
}
