//! CloudWatch: finding, tagging and deleting alarms.

use std::collections::BTreeSet;

use aws_sdk_cloudwatch::types::{MetricAlarm, StateValue, Tag};

use crate::alarm::{described, made, put, set_state};
use crate::check::{Aws, Check, Failure, Outcome, check, done, equal, refused, there};
use crate::world::World;

pub(crate) const CHECKS: &[Check] = &[
    check!(
        tags_of_an_update_are_ignored,
        Aws::Free,
        "CloudWatch API, PutMetricAlarm: Tags"
    ),
    check!(
        alarm_tags_are_changed_by_arn,
        Aws::Free,
        "CloudWatch API, TagResource and UntagResource"
    ),
    check!(
        alarms_are_found_by_prefix_and_by_name,
        Aws::Free,
        "CloudWatch API, DescribeAlarms: AlarmNamePrefix, AlarmNames"
    ),
    check!(
        prefix_and_name_exclude_each_other,
        Aws::Free,
        "CloudWatch API, DescribeAlarms: AlarmNamePrefix"
    ),
    check!(
        alarms_are_found_by_state,
        Aws::Free,
        "CloudWatch API, DescribeAlarms: StateValue"
    ),
    check!(
        alarms_are_described_in_pages,
        Aws::Free,
        "CloudWatch API, DescribeAlarms: MaxRecords, NextToken"
    ),
    check!(deleted_alarm_is_gone, Aws::Free, "CloudWatch API, DeleteAlarms"),
    check!(
        unknown_alarm_keeps_the_others_from_deletion,
        Aws::Free,
        "CloudWatch API, DeleteAlarms: no alarms are deleted"
    ),
];

fn tag(key: &str) -> Tag {
    Tag::builder().key(key).value("x").build()
}

async fn tag_keys(world: &World, name: &str) -> Result<BTreeSet<String>, Failure> {
    let arn = described(world, name).await?.alarm_arn.unwrap_or_default();
    let listed = done(
        "list tags",
        world
            .cloudwatch()
            .list_tags_for_resource()
            .resource_arn(arn)
            .send()
            .await,
    )?;
    Ok(listed
        .tags()
        .iter()
        .filter_map(|tag| tag.key().map(str::to_owned))
        .collect())
}

async fn tags_of_an_update_are_ignored(world: &World) -> Outcome {
    let name = world.name("alarm");
    done("put the alarm", put(world, &name).tags(tag("first")).send().await)?;
    done("put it again", put(world, &name).tags(tag("second")).send().await)?;
    equal(
        "the tags",
        tag_keys(world, &name).await?,
        BTreeSet::from(["first".to_owned()]),
    )
}

async fn alarm_tags_are_changed_by_arn(world: &World) -> Outcome {
    let name = made(world).await?;
    let arn = described(world, &name).await?.alarm_arn.unwrap_or_default();
    let call = world
        .cloudwatch()
        .tag_resource()
        .resource_arn(&arn)
        .tags(tag("a"))
        .tags(tag("b"));
    done("tag", call.send().await)?;
    done(
        "untag",
        world
            .cloudwatch()
            .untag_resource()
            .resource_arn(&arn)
            .tag_keys("a")
            .send()
            .await,
    )?;
    equal(
        "the tags",
        tag_keys(world, &name).await?,
        BTreeSet::from(["b".to_owned()]),
    )
}

async fn alarms_are_found_by_prefix_and_by_name(world: &World) -> Outcome {
    let stem = world.name("alarm");
    let names: Vec<String> = ["a", "b"].iter().map(|end| format!("{stem}-{end}")).collect();
    for name in &names {
        done("put an alarm", put(world, name).send().await)?;
    }
    let found = |alarms: &[MetricAlarm]| {
        alarms
            .iter()
            .filter_map(|one| one.alarm_name().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let by_prefix = world
        .cloudwatch()
        .describe_alarms()
        .alarm_name_prefix(&stem)
        .send()
        .await;
    equal(
        "the ones with the prefix",
        found(done("describe", by_prefix)?.metric_alarms()),
        names.clone(),
    )?;
    let by_name = world
        .cloudwatch()
        .describe_alarms()
        .alarm_names(&names[1])
        .alarm_names("nobody")
        .send()
        .await;
    equal(
        "the ones with the names",
        found(done("describe", by_name)?.metric_alarms()),
        vec![names[1].clone()],
    )?;
    Ok(())
}

async fn prefix_and_name_exclude_each_other(world: &World) -> Outcome {
    let both = world
        .cloudwatch()
        .describe_alarms()
        .alarm_name_prefix("a")
        .alarm_names("a")
        .send()
        .await;
    refused("a prefix and a name", both, &["ValidationError"], "")
}

async fn alarms_are_found_by_state(world: &World) -> Outcome {
    let (stem, mut names) = (world.name("alarm"), Vec::new());
    for end in ["a", "b"] {
        names.push(format!("{stem}-{end}"));
        done("put an alarm", put(world, &format!("{stem}-{end}")).send().await)?;
    }
    set_state(world, &names[1], StateValue::Ok).await?;
    let answer = world
        .cloudwatch()
        .describe_alarms()
        .alarm_name_prefix(&stem)
        .state_value(StateValue::Ok)
        .send()
        .await;
    let answer = done("describe", answer)?;
    let found: Vec<_> = answer
        .metric_alarms()
        .iter()
        .filter_map(MetricAlarm::alarm_name)
        .collect();
    equal("the ones that are OK", found, vec![names[1].as_str()])
}

async fn alarms_are_described_in_pages(world: &World) -> Outcome {
    let stem = world.name("alarm");
    for end in 0..3 {
        done("put an alarm", put(world, &format!("{stem}-{end}")).send().await)?;
    }
    let list = || {
        world
            .cloudwatch()
            .describe_alarms()
            .alarm_name_prefix(&stem)
            .max_records(2)
    };
    let first = done("describe", list().send().await)?;
    equal("the first page's length", first.metric_alarms().len(), 2)?;
    let token = there("the token of the second page", first.next_token())?;
    let second = done("describe the second page", list().next_token(token).send().await)?;
    equal("the second page's length", second.metric_alarms().len(), 1)?;
    equal("the token after the last page", second.next_token(), None)
}

async fn deleted_alarm_is_gone(world: &World) -> Outcome {
    let name = made(world).await?;
    done(
        "delete",
        world.cloudwatch().delete_alarms().alarm_names(&name).send().await,
    )?;
    let answer = done(
        "describe",
        world.cloudwatch().describe_alarms().alarm_names(&name).send().await,
    )?;
    equal("the number of alarms", answer.metric_alarms().len(), 0)
}

async fn unknown_alarm_keeps_the_others_from_deletion(world: &World) -> Outcome {
    let name = made(world).await?;
    let answer = world
        .cloudwatch()
        .delete_alarms()
        .alarm_names(&name)
        .alarm_names(world.name("nobody"))
        .send()
        .await;
    refused("a known and an unknown alarm", answer, &["ResourceNotFound"], "")?;
    described(world, &name).await.map(drop)
}
