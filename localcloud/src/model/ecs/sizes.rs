//! The sizes of tasks: which memory goes with which CPU on Fargate, and how little or much CPU a task may have elsewhere.

use super::wire::client;
use crate::model::Fault;

/// CPU units and MiB of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskSize {
    /// 1024 units are one vCPU.
    pub cpu_units: u32,
    /// Mebibytes.
    pub memory_mib: u32,
}

/// CPU units, and the least memory, the most memory and the step between, in MiB; 256 units are special.
const SIZES: [(u32, u32, u32, u32); 6] = [
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16384, 1024),
    (4096, 8192, 30720, 1024),
    (8192, 16384, 61440, 4096),
    (16384, 32768, 122_880, 8192),
];

/// CPU units of a task on EC2 instances, from the least to the most.
const ON_EC2: std::ops::RangeInclusive<u32> = 128..=196_608;

/// Reads the task's `cpu` (`256` or `.25 vCPU`) and `memory` (`512` or `0.5 GB`). On EC2 instances both may be left out; then a
/// task has what its containers ask for, which is not modelled.
pub(super) fn task_size(cpu: Option<&str>, memory: Option<&str>) -> Result<TaskSize, Fault> {
    let (Some(cpu), Some(memory)) = (cpu, memory) else {
        return Err(client(
            "Fargate requires that 'cpu' and 'memory' be defined at the task level, and localcloud requires it elsewhere too.",
        ));
    };
    let size = TaskSize {
        cpu_units: number(cpu, "vcpu").ok_or_else(|| client(format!("Invalid 'cpu' setting for task: {cpu}")))?,
        memory_mib: number(memory, "gb")
            .ok_or_else(|| client(format!("Invalid 'memory' setting for task: {memory}")))?,
    };
    if !ON_EC2.contains(&size.cpu_units) {
        return Err(client(format!("Invalid 'cpu' setting for task: {cpu}")));
    }
    Ok(size)
}

/// Refuses a size that Fargate does not have.
pub(super) fn check_sold(size: TaskSize) -> Result<(), Fault> {
    let TaskSize { cpu_units, memory_mib } = size;
    match is_sold(size) {
        true => Ok(()),
        false => Err(client(format!(
            "No Fargate configuration exists for given values: {cpu_units} CPU, {memory_mib} memory."
        ))),
    }
}

fn is_sold(size: TaskSize) -> bool {
    let memory = size.memory_mib;
    if size.cpu_units == 256 {
        return matches!(memory, 512 | 1024 | 2048);
    }
    SIZES.iter().any(|(cpu, least, most, step)| {
        *cpu == size.cpu_units && (*least..=*most).contains(&memory) && (memory - least).is_multiple_of(*step)
    })
}

/// A plain number, or one of the big unit (vCPU, GB), which is 1024 small ones.
fn number(text: &str, big_unit: &str) -> Option<u32> {
    let text = text.trim().to_lowercase();
    match text.strip_suffix(big_unit) {
        Some(count) => {
            let small = count.trim().parse::<f64>().ok()? * 1024.0;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            (0.0..1e9).contains(&small).then(|| small.round() as u32)
        }
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pairs_that_are_sold_pass() {
        let sold = |cpu: &str, memory: &str| task_size(Some(cpu), Some(memory)).and_then(check_sold);
        assert!(sold("256", "512").is_ok());
        assert!(sold("8192", "20480").is_ok());
        let error = sold("256", "4096").expect_err("not sold");
        assert_eq!(
            error.message,
            "No Fargate configuration exists for given values: 256 CPU, 4096 memory."
        );
        assert!(sold("8192", "17408").is_err());
        assert!(sold("300", "512").is_err());
    }

    #[test]
    fn on_instances_any_size_will_do_that_has_a_little_cpu() {
        assert!(task_size(Some("300"), Some("500")).is_ok());
        assert!(task_size(Some("100"), Some("512")).is_err());
        assert!(task_size(Some("256"), None).is_err());
    }

    #[test]
    fn big_units_are_understood() {
        assert_eq!(
            task_size(Some(".25 vCPU"), Some("0.5 GB")),
            task_size(Some("256"), Some("512"))
        );
    }
}
