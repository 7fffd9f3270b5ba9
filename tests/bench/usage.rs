//! What a process has used, as Linux counts it.

use std::fs;

use serde::Serialize;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Usage {
    /// Seconds of CPU, its own and the kernel's on its behalf.
    pub(crate) cpu_seconds: f64,
    /// The most memory that was resident, in MiB.
    pub(crate) peak_mebibytes: f64,
}

/// Returns what the process has used; nothing once it is gone.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(Usage {
        cpu_seconds: cpu_seconds(&stat)?,
        peak_mebibytes: peak_mebibytes(&status)?,
    })
}

/// Linux shows times to users in hundredths of a second, whatever the kernel's own clock does.
fn cpu_seconds(stat: &str) -> Option<f64> {
    // The name may hold anything, a parenthesis too; the fields begin after the last one.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks = |place: usize| fields.split(' ').nth(place)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

fn peak_mebibytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_past_a_name_with_parentheses() {
        let stat = "42 (a (strange) name) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 100 1000 200";
        assert_eq!(cpu_seconds(stat), Some(3.0));
    }

    #[test]
    fn peak_memory_is_read_from_the_status() {
        assert_eq!(
            peak_mebibytes("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 100 kB\n"),
            Some(2.0)
        );
    }

    #[test]
    fn this_process_has_used_something() {
        assert!(usage(std::process::id()).expect("it runs").peak_mebibytes > 0.0);
    }
}
