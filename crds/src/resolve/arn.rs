//! Amazon resource names of the three kinds that documents hold.

use std::sync::LazyLock;

use regex::Regex;

use super::faults::{Faults, pattern};

static ROLE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^arn:(aws|aws-cn|aws-us-gov):iam::[0-9]{12}:role/([\x21-\x7e]+/)*[A-Za-z0-9_+=,.@-]{1,64}$")
});
static SECRET: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^arn:(aws|aws-cn|aws-us-gov):secretsmanager:[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]{1,519}$",
    )
});
static TOPIC: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^arn:(aws|aws-cn|aws-us-gov):sns:[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$",
    )
});

/// Refuses what is not the ARN of an IAM role.
pub(super) fn check_role(path: &str, arn: &str, faults: &mut Faults) {
    if !ROLE.is_match(arn) {
        let remedy = "write `arn:aws:iam::<12 digits>:role/<name>` (`aws-cn` and `aws-us-gov` are known as well)";
        faults.refuse(path, arn, "is not the ARN of an IAM role", remedy);
    }
}

/// Refuses what is not the ARN of an SNS topic.
pub(super) fn check_topic(path: &str, arn: &str, faults: &mut Faults) {
    if !TOPIC.is_match(arn) {
        let remedy = "write `arn:aws:sns:<region>:<12 digits>:<name>` (`aws-cn` and `aws-us-gov` are known as well)";
        faults.refuse(path, arn, "is not the ARN of an SNS topic", remedy);
    }
}

/// Refuses what is not the ARN of a secret. Unless it begins like an ARN it is not shown: it may be the secret itself.
pub(super) fn check_secret(path: &str, arn: &str, faults: &mut Faults) {
    if SECRET.is_match(arn) {
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
