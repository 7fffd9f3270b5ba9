//! Our own binaries, as the build left them.

use std::path::PathBuf;

use crate::Error;
use crate::error::io;
use crate::process::Program;

/// A directory whose binaries are taken before others: `hack/mutations` has its own.
const OTHERS: &str = "PENSTOCK_TEST_BINARIES";

/// Returns the path of one of our binaries (`penstock-operator`, `penstock-bridge`, …): it lies beside, or one above, the program that asks.
pub fn bin(name: &str) -> Result<PathBuf, Error> {
    let other = std::env::var_os(OTHERS).map(|directory| PathBuf::from(directory).join(name));
    if let Some(path) = other.filter(|path| path.is_file()) {
        return Ok(path);
    }
    let this = std::env::current_exe().map_err(io("find the running test binary"))?;
    let mut directory = this.parent().map(PathBuf::from).unwrap_or_default();
    if directory.ends_with("deps") {
        directory.pop();
    }
    let path = directory.join(name);
    if path.is_file() {
        Ok(path)
    } else {
        Err(Error::MissingBinary {
            name: name.to_owned(),
            path,
        })
    }
}

/// Prepares to run one of our binaries; flags and environment are the caller's.
pub fn ours(name: &str) -> Result<Program, Error> {
    Ok(Program::new(name, bin(name)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_that_is_missing_is_named_with_the_command_that_builds_it() {
        let error = bin("penstock-nonesuch").expect_err("there is none");
        assert!(
            error.to_string().ends_with("cargo build -p penstock-nonesuch"),
            "{error}"
        );
    }
}
