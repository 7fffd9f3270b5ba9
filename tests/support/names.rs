//! Names that can be forgotten: a program started here resolves what its own hosts file says, and a test rewrites that.
//!
//! The program has a mount namespace of its own, where `/etc/hosts` and `/etc/resolv.conf` are files of the test. Nothing of that is seen outside of it.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::binaries::bin;
use crate::error::io;
use crate::process::Program;
use crate::{Error, rundir};

/// What the shell does in the new namespace: `$0` is the directory of the files, the rest is the program. A new user namespace takes back what was
/// asked of the kernel for the end of the test binary, so it is asked for again.
const BIND: &str = "mount --bind \"$0/hosts\" /etc/hosts && mount --bind \"$0/resolv.conf\" /etc/resolv.conf && \
                    exec setpriv --pdeathsig KILL -- \"$@\"";

/// Nobody answers there, so that what the hosts file lacks is not resolved.
const NO_SERVER: &str = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";

const SOON: Duration = Duration::from_secs(20);

/// Names that lead to this machine, for as long as they are told.
#[derive(Debug)]
pub struct Names {
    directory: PathBuf,
    known: Vec<&'static str>,
    flags: &'static [&'static str],
}

impl Names {
    /// Tells these names; if this machine does not let us, says so and why.
    pub async fn told(known: &[&'static str]) -> Result<Option<Self>, Error> {
        let directory = rundir::fresh_data_directory("names")?;
        fs::write(directory.join("resolv.conf"), NO_SERVER).map_err(io("write resolv.conf"))?;
        let mut names = Self {
            directory,
            known: known.to_vec(),
            flags: &[],
        };
        names.tell()?;
        let mut refusals = String::new();
        for flags in [&["--mount"][..], &["--mount", "--user", "--map-root-user"][..]] {
            names.flags = flags;
            let (status, said) = names.wrapped("names", "true".as_ref()).run(SOON).await?;
            if status.success() {
                return Ok(Some(names));
            }
            refusals += &said;
        }
        // Past the test runner, which keeps to itself what a test prints that passes.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED, for this test needs root or user namespaces: {}",
            refusals.trim()
        );
        Ok(None)
    }

    /// Lets the names lead to this machine again.
    pub fn tell(&self) -> Result<(), Error> {
        let line = |name: &&str| format!("127.0.0.1 {name}\n");
        self.write(self.known.iter().map(line).collect())
    }

    /// Lets them lead nowhere.
    pub fn forget(&self) -> Result<(), Error> {
        self.write(String::new())
    }

    /// Prepares to run one of our binaries, to which the names lead.
    pub fn ours(&self, name: &str) -> Result<Program, Error> {
        Ok(self.wrapped(name, bin(name)?.as_ref()))
    }

    fn wrapped(&self, name: &str, program: &OsStr) -> Program {
        Program::new(name, "unshare")
            .args(self.flags)
            .args(["sh", "-c", BIND])
            .arg(&self.directory)
            .arg(program)
    }

    /// Written in place: another file under the same name would not be the one that is mounted.
    fn write(&self, names: String) -> Result<(), Error> {
        let hosts = format!("127.0.0.1 localhost\n{names}");
        fs::write(self.directory.join("hosts"), hosts).map_err(io("write the hosts"))
    }
}
