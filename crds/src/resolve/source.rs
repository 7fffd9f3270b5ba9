//! `spec.source`.

use std::sync::LazyLock;

use regex::Regex;

use super::faults::{Faults, pattern};
use super::{arn, queue_url};
use crate::{AssumeRole, Duration, Name, SourceSpec, SqsSource, SqsSourceSpec};

static SESSION_NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[A-Za-z0-9_+=,.@-]{2,64}$"));
static EXTERNAL_ID: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[A-Za-z0-9_+=,.@:/-]{2,1224}$"));

pub(super) fn source(name: &Name, spec: Option<&SourceSpec>, faults: &mut Faults) -> SqsSource {
    let sqs = spec.and_then(|source| source.sqs.clone());
    match spec {
        None => faults.missing(
            "spec.source",
            "say where messages come from: `source: {sqs: {queueUrl: …}}`",
        ),
        Some(SourceSpec { sqs: None }) => faults.missing(
            "spec.source.sqs",
            "name exactly one kind of source: `sqs: {queueUrl: …}`",
        ),
        Some(SourceSpec { sqs: Some(_) }) => {}
    }
    sqs_source(name, &sqs.clone().unwrap_or_default(), sqs.is_some(), faults)
}

fn sqs_source(name: &Name, spec: &SqsSourceSpec, is_there: bool, faults: &mut Faults) -> SqsSource {
    let (queue_url, region) = if is_there {
        address(spec, faults)
    } else {
        Default::default()
    };
    SqsSource {
        max_messages: faults.within(
            "spec.source.sqs.maxMessages",
            spec.max_messages,
            10,
            1..=10,
            "is not a number of messages that one receive call of SQS can return",
        ),
        wait_time: faults.whole_seconds(
            "spec.source.sqs.waitTime",
            spec.wait_time,
            Duration::from_secs(20),
            Duration::from_secs(0)..=Duration::from_secs(20),
            "is longer than a receive call of SQS can wait",
        ),
        visibility_timeout: faults.whole_seconds(
            "spec.source.sqs.visibilityTimeout",
            spec.visibility_timeout,
            Duration::from_secs(60),
            Duration::from_secs(10)..=Duration::from_secs(12 * 3600),
            "leaves no time to extend it, or is longer than SQS allows",
        ),
        attributes: spec.attributes.unwrap_or(true),
        assume_role: spec.assume_role.as_ref().map(|role| assume_role(name, role, faults)),
        receivers: faults.within(
            "spec.source.sqs.receivers",
            spec.receivers,
            4,
            1..=64,
            "is not a number of receive calls that one task can keep in flight",
        ),
        deduplication_window: faults.lasting(
            "spec.source.sqs.deduplicationWindow",
            spec.deduplication_window,
            Duration::from_secs(if queue_url.ends_with(".fifo") { 300 } else { 0 }),
            Duration::from_secs(0)..=Duration::from_secs(3600),
            "is longer than a task can remember what it stored",
        ),
        queue_url,
        region,
    }
}

/// Returns the queue's URL and region.
fn address(spec: &SqsSourceSpec, faults: &mut Faults) -> (String, String) {
    let path = "spec.source.sqs.queueUrl";
    let given = spec.region.clone();
    if let Some(region) = &given {
        faults.check_region("spec.source.sqs.region", region);
    }
    let Some(url) = faults.required(
        path,
        spec.queue_url.as_deref(),
        "write the queue's URL, as `aws sqs get-queue-url` prints it",
    ) else {
        return (String::new(), given.unwrap_or_default());
    };
    match queue_url::parse(&url) {
        // What is no part of a queue's URL may be a password or a signature.
        Err(refusal) if url.contains(['@', '?', '#']) => faults.hide(path, refusal.why, refusal.remedy),
        Err(refusal) => faults.refuse(path, &url, refusal.why, refusal.remedy),
        Ok(queue_url::QueueUrl {
            region: Some(region), ..
        }) => {
            if let Some(other) = given.filter(|given| *given != region) {
                let why = format!("is not the region in the queue's URL, {region}");
                faults.refuse("spec.source.sqs.region", other, why, "remove it, or correct the URL");
            }
            return (url, region);
        }
        Ok(_) if given.is_none() => {
            faults.missing_for(
                "spec.source.sqs.region",
                "and the URL of a queue on this machine does not say it",
                "write the region that the queue pretends to be in",
            );
        }
        Ok(_) => {}
    }
    (url, given.unwrap_or_default())
}

fn assume_role(name: &Name, spec: &AssumeRole, faults: &mut Faults) -> AssumeRole {
    let path = "spec.source.sqs.assumeRole";
    arn::check_role(&format!("{path}.arn"), &spec.arn, faults);
    // A session's name has 64 characters, one less than the longest connector's with its prefix may need.
    let session_name = spec
        .session_name
        .clone()
        .unwrap_or_else(|| format!("penstock-{name}").chars().take(64).collect());
    if !SESSION_NAME.is_match(&session_name) {
        faults.refuse(
            &format!("{path}.sessionName"),
            &session_name,
            "cannot be the name of a session",
            "use 2 to 64 letters, digits and _ + = , . @ -",
        );
    }
    if let Some(id) = spec.external_id.as_ref().filter(|id| !EXTERNAL_ID.is_match(id)) {
        faults.refuse(
            &format!("{path}.externalId"),
            id,
            "cannot be an external id",
            "use 2 to 1224 letters, digits and _ + = , . @ : / -",
        );
    }
    AssumeRole {
        arn: spec.arn.clone(),
        session_name: Some(session_name),
        external_id: spec.external_id.clone(),
    }
}
