//! AWS's partitions: which regions are in them, and what the hosts there end with.

/// A part of AWS with names, accounts and hosts of its own.
pub(super) struct Partition {
    /// Its name, with which ARNs begin.
    pub(super) name: &'static str,
    /// What its regions begin with.
    regions: &'static str,
    /// What hosts of services end with.
    pub(super) suffix: &'static str,
    /// What hosts end with that answer over IPv6 too.
    pub(super) dual_stack: &'static str,
}

/// Those that AWS's SDKs know (their `partitions.json`). The one with the regions that begin in any way is the last.
const PARTITIONS: [Partition; 8] = [
    Partition {
        name: "aws-cn",
        regions: "cn-",
        suffix: "amazonaws.com.cn",
        dual_stack: "api.amazonwebservices.com.cn",
    },
    Partition {
        name: "aws-us-gov",
        regions: "us-gov-",
        suffix: "amazonaws.com",
        dual_stack: "api.aws",
    },
    Partition {
        name: "aws-eusc",
        regions: "eusc-",
        suffix: "amazonaws.eu",
        dual_stack: "api.amazonwebservices.eu",
    },
    Partition {
        name: "aws-iso",
        regions: "us-iso-",
        suffix: "c2s.ic.gov",
        dual_stack: "api.aws.ic.gov",
    },
    Partition {
        name: "aws-iso-b",
        regions: "us-isob-",
        suffix: "sc2s.sgov.gov",
        dual_stack: "api.aws.scloud",
    },
    Partition {
        name: "aws-iso-e",
        regions: "eu-isoe-",
        suffix: "cloud.adc-e.uk",
        dual_stack: "api.cloud-aws.adc-e.uk",
    },
    Partition {
        name: "aws-iso-f",
        regions: "us-isof-",
        suffix: "csp.hci.ic.gov",
        dual_stack: "api.aws.hci.ic.gov",
    },
    Partition {
        name: "aws",
        regions: "",
        suffix: "amazonaws.com",
        dual_stack: "api.aws",
    },
];

/// Returns the partition that a region is in.
pub(super) fn of_region(region: &str) -> &'static Partition {
    let found = PARTITIONS
        .iter()
        .find(|partition| region.starts_with(partition.regions));
    found.unwrap_or(&PARTITIONS[PARTITIONS.len() - 1])
}

/// Whether there is a partition of that name.
pub(super) fn is_known(name: &str) -> bool {
    PARTITIONS.iter().any(|partition| partition.name == name)
}
