//! The cloud as a pure state machine: values and the time go in, answers come out.
//!
//! Every account and region is a world of its own ([`Region`]). A call reaches a service as the JSON of its API model
//! (member names as the API model spells them, timestamps as epoch seconds, blobs as base64); the front has already held it against the
//! model's constraints. What services do to each other by themselves (a policy sets a service's count, an alarm publishes
//! to a topic) happens in [`Cloud::tick`]; what a call makes them do at once (a topic delivers to a queue, a registration
//! clamps a count) is routed in [`Cloud::handle`], so that no service knows another.

use std::collections::BTreeMap;

use serde_json::Value;

pub mod cloudwatch;
pub mod ecs;
pub mod ids;
pub mod input;
pub mod route;
pub mod scaling;
pub mod secrets;
pub mod sns;
pub mod sqs;
pub mod sts;
pub mod tick;

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

/// The two clocks of the model, read once per call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Real time: SQS, stop timeouts, everything that talks to real processes.
    pub real: Millis,
    /// The clock of CloudWatch, Application Auto Scaling and deployments, which may run fast.
    pub fast: Millis,
}

/// One account and region: the world that a call acts in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// Twelve digits.
    pub account: String,
    /// Such as `eu-west-1`.
    pub region: String,
}

/// The services of the model, by the name that signs their requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// `ecs`
    Ecs,
    /// `application-autoscaling`
    Scaling,
    /// `monitoring`
    CloudWatch,
    /// `sqs`
    Sqs,
    /// `sns`
    Sns,
    /// `sts`
    Sts,
    /// `secretsmanager`
    Secrets,
}

/// A refusal, as AWS would send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The shape's name in the API model, such as `ServiceNotFoundException`.
    pub code: String,
    /// What a person reads.
    pub message: String,
    /// The HTTP status: 400 for the caller's fault, 5xx for ours.
    pub status: u16,
}

impl Fault {
    /// Returns a fault of the caller's (HTTP 400).
    pub fn client(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            status: 400,
        }
    }
}

/// The partitions beside `aws`, and what their regions begin with, as AWS's SDKs know them.
const PARTITIONS: [(&str, &str); 7] = [
    ("aws-cn", "cn-"),
    ("aws-us-gov", "us-gov-"),
    ("aws-eusc", "eusc-"),
    ("aws-iso", "us-iso-"),
    ("aws-iso-b", "us-isob-"),
    ("aws-iso-e", "eu-isoe-"),
    ("aws-iso-f", "us-isof-"),
];

impl Scope {
    /// Returns the ARN of something in this world; `resource` is what follows the account.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        let Self { account, region } = self;
        format!("arn:{}:{service}:{region}:{account}:{resource}", self.partition())
    }

    /// Returns the ARN of something of this account that is in no region.
    pub fn global_arn(&self, service: &str, resource: &str) -> String {
        format!("arn:{}:{service}::{}:{resource}", self.partition(), self.account)
    }

    /// Returns the part of AWS that the region is in, with which ARNs begin.
    pub fn partition(&self) -> &'static str {
        let found = PARTITIONS.iter().find(|(_, regions)| self.region.starts_with(regions));
        found.map_or("aws", |(name, _)| name)
    }
}

impl Call<'_> {
    /// Returns the refusal of an operation that the service does not have.
    pub fn unknown_operation(&self) -> Fault {
        Fault::client(
            "UnknownOperationException",
            format!("{} is not an operation of this service", self.operation),
        )
    }
}

/// What a call gives back: the output members of the API model, or a fault.
pub type Answer = Result<Value, Fault>;

/// What one service is told about a call.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// The account and region that the request was signed for.
    pub scope: &'a Scope,
    /// Such as `CreateService`.
    pub operation: &'a str,
    /// The input members, already checked against the API model.
    pub input: &'a Value,
    /// The time of the call.
    pub now: Now,
}

/// Everything that one account holds in one region.
#[derive(Debug, Default)]
pub struct Region {
    /// Clusters, task definitions, services, tasks.
    pub ecs: ecs::Ecs,
    /// Scalable targets, policies, activities.
    pub scaling: scaling::Scaling,
    /// Metrics and alarms.
    pub cloudwatch: cloudwatch::CloudWatch,
    /// Queues.
    pub sqs: sqs::Sqs,
    /// Topics and subscriptions.
    pub sns: sns::Sns,
    /// Secret values.
    pub secrets: secrets::Secrets,
}

/// All accounts and regions.
#[derive(Debug, Default)]
pub struct Cloud {
    /// The worlds that somebody has called so far.
    pub regions: BTreeMap<Scope, Region>,
    /// The sessions that AssumeRole handed out, over all accounts.
    pub sts: sts::Sts,
    /// What queue URLs begin with, such as `http://127.0.0.1:4566`.
    pub endpoint: String,
    /// What the ids of this run are drawn from: the same seed and calls give the same ids.
    pub seed: u64,
}

#[cfg(test)]
mod tests {
    use super::Scope;

    #[test]
    fn arns_begin_with_the_partition_of_the_region() {
        for (region, partition) in [
            ("eu-west-1", "aws"),
            ("us-east-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
        ] {
            let (account, region) = ("123456789012".to_owned(), region.to_owned());
            let scope = Scope { account, region };
            let region = &scope.region;
            assert_eq!(
                scope.arn("sqs", "q"),
                format!("arn:{partition}:sqs:{region}:123456789012:q")
            );
            assert_eq!(
                scope.global_arn("iam", "root"),
                format!("arn:{partition}:iam::123456789012:root")
            );
        }
    }
}
