//! What processes use, read from `/proc`.
//!
//! A task's figures are the sums over its process group: memory that two processes share counts twice, and a process that
//! leaves the group is not seen.

use std::collections::BTreeMap;
use std::fs;

/// What one process group uses.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct GroupUsage {
    /// Seconds of CPU since the group began, ended children that were waited for included.
    pub(super) cpu_seconds: f64,
    /// Resident memory.
    pub(super) memory_bytes: u64,
}

/// All process groups of this host.
#[derive(Debug, Default)]
pub(super) struct ProcessTable {
    groups: BTreeMap<i32, GroupUsage>,
}

/// Ticks per second in `/proc`: Linux fixes what it shows to 100 on all common architectures.
const TICKS_PER_SECOND: f64 = 100.0;

impl ProcessTable {
    /// Reads all processes. Those that end meanwhile are left out.
    pub(super) fn read() -> Self {
        let mut groups = BTreeMap::<i32, GroupUsage>::new();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        for id in ids {
            let Some((group, cpu_seconds)) = read_stat(id) else {
                continue;
            };
            let usage = groups.entry(group).or_default();
            usage.cpu_seconds += cpu_seconds;
            usage.memory_bytes += read_memory(id).unwrap_or(0);
        }
        Self { groups }
    }

    /// What a group uses; nothing if it is gone.
    pub(super) fn group(&self, group: i32) -> Option<GroupUsage> {
        self.groups.get(&group).copied()
    }
}

/// The process group and CPU seconds of a process.
fn read_stat(id: u32) -> Option<(i32, f64)> {
    parse_stat(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

fn parse_stat(stat: &str) -> Option<(i32, f64)> {
    // The command's name stands in parentheses and may hold anything, parentheses too.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields
        .get(11..15)?
        .iter()
        .map(|field| field.parse::<f64>().ok())
        .sum::<Option<f64>>()?;
    Some((fields.get(2)?.parse().ok()?, ticks / TICKS_PER_SECOND))
}

fn read_memory(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_and_ticks_are_found_behind_any_name() {
        let stat = "42 (a) b) S 1 7 7 0 -1 0 0 0 0 0 100 50 20 30 20 0 1 0 5";
        assert_eq!(parse_stat(stat), Some((7, 2.0)));
    }

    #[test]
    fn this_very_process_is_seen() {
        let (group, _) = read_stat(std::process::id()).expect("a stat of one's own");
        assert!(
            ProcessTable::read()
                .group(group)
                .is_some_and(|usage| usage.memory_bytes > 0)
        );
    }
}
