//! Where a test binary keeps the logs and data of what it starts: `penstock-tests/<pid>` under the temporary directory.
//!
//! Logs stay after the run, for the person who reads a failure; `hack/test` removes those of earlier runs when it starts. Data goes with
//! the next test binary that starts after its owner has ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::error::io;
use crate::{Error, unique};

/// Returns the directory of this test binary.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let all = std::env::temp_dir().join("penstock-tests");
        remove_data_of_the_dead(&all);
        all.join(std::process::id().to_string())
    })
}

/// Returns a new directory for data, named after `stem`.
pub fn fresh_data_directory(stem: &str) -> Result<PathBuf, Error> {
    let directory = root().join("data").join(unique(stem));
    fs::create_dir_all(&directory).map_err(io(format!("create {}", directory.display())))?;
    Ok(directory)
}

/// Returns a new path for the log of a program.
pub fn fresh_log(stem: &str) -> Result<PathBuf, Error> {
    let logs = root().join("logs");
    fs::create_dir_all(&logs).map_err(io(format!("create {}", logs.display())))?;
    Ok(logs.join(format!("{}.log", unique(stem))))
}

/// What cannot be read or removed stays: it belongs to somebody else, or to the next sweep.
fn remove_data_of_the_dead(all: &Path) {
    for run in fs::read_dir(all).into_iter().flatten().flatten() {
        if !Path::new("/proc").join(run.file_name()).exists() {
            let _ = fs::remove_dir_all(run.path().join("data"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_a_dead_process_is_removed_and_its_logs_stay() {
        let all = fresh_data_directory("sweep").expect("a directory");
        let (dead, alive) = (all.join("4194999"), all.join(std::process::id().to_string()));
        for run in [&dead, &alive] {
            fs::create_dir_all(run.join("data")).expect("a data directory");
            fs::create_dir_all(run.join("logs")).expect("a log directory");
        }
        remove_data_of_the_dead(&all);
        assert!(!dead.join("data").exists() && dead.join("logs").exists());
        assert!(alive.join("data").exists());
    }
}
