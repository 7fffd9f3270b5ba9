//! A limit that the kernel sets to a program's memory, as a container's is set.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::process::Program;
use crate::unique;

/// Where the controller of memory is: of version 2, then of version 1.
const PLACES: [Place; 2] = [
    Place {
        root: "/sys/fs/cgroup",
        limit: "memory.max",
        swap: ("memory.swap.max", 0),
        events: "memory.events",
    },
    Place {
        root: "/sys/fs/cgroup/memory",
        limit: "memory.limit_in_bytes",
        // Memory and swap together; not every kernel counts them.
        swap: ("memory.memsw.limit_in_bytes", 1),
        events: "memory.oom_control",
    },
];

/// How a version of control groups calls things.
#[derive(Debug)]
struct Place {
    root: &'static str,
    limit: &'static str,
    /// What limits swap, and how many times the limit of memory that is.
    swap: (&'static str, u64),
    /// Where kills for want of memory are counted.
    events: &'static str,
}

/// A group of processes that together may use so much memory. Dropping it removes it, if nothing runs in it any more.
#[derive(Debug)]
pub struct Cgroup {
    directory: PathBuf,
    place: &'static Place,
}

impl Cgroup {
    /// Makes one with a limit in bytes; if this machine does not let us, says so and why.
    pub fn with_memory(bytes: u64) -> Option<Self> {
        let mut refusals = Vec::new();
        for place in &PLACES {
            match Self::at(place, bytes) {
                Ok(group) => return Some(group),
                Err(refusal) => refusals.push(refusal),
            }
        }
        // Past the test runner, which keeps to itself what a test prints that passes.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED, for this test needs a control group of its own: {}",
            refusals.join("; ")
        );
        None
    }

    fn at(place: &'static Place, bytes: u64) -> Result<Self, String> {
        let directory = Path::new(place.root).join(unique("penstock-tests"));
        let told = |error: std::io::Error| format!("{}: {error}", directory.display());
        fs::create_dir(&directory).map_err(told)?;
        let group = Self {
            directory: directory.clone(),
            place,
        };
        // A version without the controller, or with another's, has a directory and not this file in it.
        let limit = directory.join(place.limit);
        fs::metadata(&limit)
            .and_then(|_| fs::write(&limit, bytes.to_string()))
            .map_err(told)?;
        let (swap, times) = place.swap;
        let _ = fs::write(directory.join(swap), (times * bytes).to_string());
        Ok(group)
    }

    /// Prepares to run a program in it.
    pub fn program(&self, name: &str, path: impl AsRef<OsStr>) -> Program {
        let program = Program::new(name, "sh").args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]);
        program.arg(&self.directory).arg(path)
    }

    /// Returns how often the kernel killed a process in it for want of memory.
    ///
    /// # Panics
    /// When the kernel does not count that.
    pub fn kills(&self) -> u64 {
        let events = fs::read_to_string(self.directory.join(self.place.events)).expect("the kernel counts events");
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills
            .and_then(|kills| kills.trim().parse().ok())
            .expect("kills are among them")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_program_that_takes_more_than_its_group_may_have_is_killed_and_counted() {
        let Some(group) = Cgroup::with_memory(16 << 20) else {
            return;
        };
        // tail holds all of its input, which has no end of line.
        let greedy = group
            .program("greedy", "sh")
            .args(["-c", "head -c 67108864 /dev/zero | tail -n 1 | wc -c"]);
        greedy.run(Duration::from_secs(60)).await.expect("the shell runs");
        assert!(group.kills() > 0);
    }
}
