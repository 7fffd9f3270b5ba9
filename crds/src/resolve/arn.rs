//! Amazon resource names of the three kinds that documents hold.

use std::sync::LazyLock;

use regex::Regex;

use super::faults::{Faults, is_region, pattern};
use super::partition;

static ROLE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^arn:(?<partition>aws[a-z-]*):iam::[0-9]{12}:role/([\x21-\x7e]+/)*[A-Za-z0-9_+=,.@-]{1,64}$")
});
static SECRET: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^arn:(?<partition>aws[a-z-]*):secretsmanager:(?<region>[a-z0-9-]+):[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]{1,519}$",
    )
});
static TOPIC: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^arn:(?<partition>aws[a-z-]*):sns:(?<region>[a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$")
});

/// What ARNs of other parts of AWS begin with.
const OTHERS: &str = "(elsewhere `arn:aws-cn:`, `arn:aws-us-gov:` and so on, as the region is)";

/// Whether a text has the form, and names a partition that there is and that its region is in.
fn is_arn(form: &Regex, text: &str) -> bool {
    form.captures(text).is_some_and(|parts| match parts.name("region") {
        Some(region) => is_region(region.as_str()) && partition::of_region(region.as_str()).name == &parts["partition"],
        None => partition::is_known(&parts["partition"]),
    })
}

/// Refuses what is not the ARN of an IAM role.
pub(super) fn check_role(path: &str, arn: &str, faults: &mut Faults) {
    if !is_arn(&ROLE, arn) {
        let remedy = format!("write `arn:aws:iam::<12 digits>:role/<name>` {OTHERS}");
        faults.refuse(path, arn, "is not the ARN of an IAM role", remedy);
    }
}

/// Refuses what is not the ARN of an SNS topic.
pub(super) fn check_topic(path: &str, arn: &str, faults: &mut Faults) {
    if !is_arn(&TOPIC, arn) {
        let remedy = format!("write `arn:aws:sns:<region>:<12 digits>:<name>` {OTHERS}");
        faults.refuse(path, arn, "is not the ARN of an SNS topic", remedy);
    }
}

/// Refuses what is not the ARN of a secret. Unless it begins like an ARN it is not shown: it may be the secret itself.
pub(super) fn check_secret(path: &str, arn: &str, faults: &mut Faults) {
    if is_arn(&SECRET, arn) {
        return;
    }
    let remedy = "put the value into AWS Secrets Manager and write the ARN `arn:aws:secretsmanager:<region>:<12 digits>:secret:<name>`";
    let name = arn.splitn(7, ':').nth(6).unwrap_or_default();
    if arn.starts_with("arn:") && name.contains(':') {
        faults.hide(
            path,
            "has something behind the secret's name",
            "end the ARN with the secret's name; the key inside the secret goes into the reference's `key`",
        );
    } else if arn.starts_with("arn:") {
        faults.refuse(path, arn, "is not the ARN of a secret in Secrets Manager", remedy);
    } else {
        faults.hide(path, "is not an ARN, and documents hold no secret values", remedy);
    }
}

/// Refuses each ARN that is in another partition than the first: no role, key or topic is known beyond its own. An ARN that is
/// none is told elsewhere.
pub(super) fn check_partitions(arns: &[(String, &str)], faults: &mut Faults) {
    let known = |arn: &str| arn.starts_with("arn:") && partition::is_known(partition_of(arn));
    let mut sound = arns.iter().filter(|(_, arn)| known(arn));
    let Some((first_path, first)) = sound.next() else {
        return;
    };
    let here = partition_of(first);
    for (path, arn) in sound.filter(|(_, arn)| partition_of(arn) != here) {
        let why = format!(
            "is in the partition `{}` of AWS, and `{first_path}` in `{here}`, beyond which nothing of it is known",
            partition_of(arn)
        );
        faults.refuse(path, arn, why, "name one in the same partition, or correct the other");
    }
}

fn partition_of(arn: &str) -> &str {
    arn.split(':').nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_names_the_partition_that_its_region_is_in() {
        for (form, text, is_one) in [
            (&ROLE, "arn:aws-eusc:iam::123456789012:role/reader", true),
            (&ROLE, "arn:aws-iso-b:iam::123456789012:role/reader", true),
            (&ROLE, "arn:aws-moon:iam::123456789012:role/reader", false),
            (&TOPIC, "arn:aws:sns:us-east-1:123456789012:alarms", true),
            (&TOPIC, "arn:aws-cn:sns:cn-north-1:123456789012:alarms", true),
            (&TOPIC, "arn:aws-eusc:sns:eusc-de-east-1:123456789012:alarms", true),
            (&TOPIC, "arn:aws-iso:sns:us-iso-east-1:123456789012:alarms", true),
            (&TOPIC, "arn:aws-cn:sns:us-east-1:123456789012:alarms", false),
            (&TOPIC, "arn:aws:sns:us-gov-west-1:123456789012:alarms", false),
            (&TOPIC, "arn:aws:sns:mars:123456789012:alarms", false),
            (
                &SECRET,
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:rds!cluster-0a1b-abcdef",
                true,
            ),
            (
                &SECRET,
                "arn:aws-cn:secretsmanager:eu-west-1:123456789012:secret:a",
                false,
            ),
        ] {
            assert_eq!(is_arn(form, text), is_one, "{text}");
        }
    }
}
