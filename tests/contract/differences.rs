//! Where an emulator is known to depart from AWS: the one table that the suite holds everybody to, and that
//! `localcloud/DIFFERENCES.md` shows. A check that is listed must fail there, or the line is stale.

use std::collections::BTreeMap;
use std::fmt;

use crate::check::Outcome;

/// Whom the checks are asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// Our own model.
    Localcloud,
    /// moto, behind the front that speaks CBOR.
    Moto,
    /// ElasticMQ, of which only queues are asked.
    ElasticMq,
    /// AWS itself.
    Aws,
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Localcloud => "localcloud",
            Self::Moto => "moto",
            Self::ElasticMq => "ElasticMQ",
            Self::Aws => "AWS",
        })
    }
}

/// What one target does otherwise than AWS, and the checks that show it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Difference {
    /// Who.
    pub(crate) target: Target,
    /// The checks that fail for it.
    pub(crate) checks: &'static [&'static str],
    /// What it does, and why it matters or why it is so.
    pub(crate) what: &'static str,
}

/// Returns the checks that must fail.
pub(crate) fn expected(target: Target) -> impl Iterator<Item = &'static str> {
    let lines = DIFFERENCES.iter().filter(move |one| one.target == target);
    lines.flat_map(|one| one.checks.iter().copied())
}

/// Holds outcomes against the table; returns a line for each check that failed and should not have, or the other way round.
pub(crate) fn surprises(target: Target, outcomes: &BTreeMap<String, Outcome>) -> Vec<String> {
    let listed: Vec<&str> = expected(target).collect();
    let judged = outcomes
        .iter()
        .filter_map(|(name, outcome)| match (outcome, listed.contains(&name.as_str())) {
            (Err(failure), false) => Some(format!("{name}: {}", failure.0)),
            (Ok(()), true) => Some(format!(
                "{name}: is listed as a difference of {target}, but holds; take it from the table"
            )),
            _ => None,
        });
    judged.collect()
}

/// Returns the table as Markdown.
pub(crate) fn table() -> String {
    let mut text = "| who | what it does otherwise, and why | checks that show it |\n|---|---|---|\n".to_owned();
    for one in DIFFERENCES {
        let checks: Vec<String> = one.checks.iter().map(|name| format!("`{name}`")).collect();
        text.push_str(&format!(
            "| {} | {} | {} |\n",
            one.target,
            one.what,
            checks.join("<br>")
        ));
    }
    text
}

/// All that is known.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        target: Target::Moto,
        checks: &["service_is_described_as_created"],
        what: "drops managed tags, propagation, the deployment configuration and rebalancing of a service; so its services are compared field by field against localcloud alone",
    },
    Difference {
        target: Target::Moto,
        checks: &["capacity_providers_are_described_as_given"],
        what: "drops the capacity provider strategy",
    },
    Difference {
        target: Target::Moto,
        checks: &[
            "placement_is_described_as_given",
            "placement_is_changed_without_a_deployment",
            "rebalancing_is_on_unless_the_placement_forbids_it",
        ],
        what: "drops the placement that a service is created with, and has no rebalancing until an update names it",
    },
    Difference {
        target: Target::Moto,
        checks: &[
            "definition_must_support_the_launch_type",
            "public_address_is_refused_on_ec2",
            "fargate_refuses_placement_constraints",
            "fargate_refuses_placement_strategies",
            "fargate_strategy_refuses_placement",
            "eleven_placement_constraints_are_refused",
            "six_placement_strategies_are_refused",
            "distinct_instance_takes_no_expression",
            "member_of_needs_a_sound_expression",
            "packing_goes_by_cpu_or_memory",
        ],
        what: "takes any placement, address and definition for any launch type",
    },
    Difference {
        target: Target::Moto,
        checks: &["task_without_an_instance_is_told_as_an_event"],
        what: "places no task of a service, and has no events",
    },
    Difference {
        target: Target::Moto,
        checks: &[
            "strategy_names_providers_of_the_cluster",
            "strategy_has_one_base_and_a_weight",
            "launch_type_and_strategy_exclude_each_other",
            "mixed_strategy_is_refused",
            "strategy_is_changed_only_by_a_forced_deployment",
            "empty_strategy_goes_back_to_the_launch_type",
        ],
        what: "takes any capacity provider strategy, and shows a launch type beside it",
    },
    Difference {
        target: Target::Moto,
        checks: &[
            "fargate_providers_are_always_there",
            "unknown_provider_is_not_given",
            "provider_in_use_is_not_taken_away",
            "provider_of_a_cluster_is_not_deleted",
            "reserved_provider_name_is_refused",
        ],
        what: "does not have Fargate's capacity providers, and looks neither at names nor at who uses one",
    },
    Difference {
        target: Target::Moto,
        checks: &[
            "instance_is_described_as_registered",
            "instances_are_listed_by_query",
            "cluster_with_instances_is_not_deleted",
        ],
        what: "registers only instances that its EC2 runs",
    },
    Difference {
        target: Target::Moto,
        checks: &[
            "service_is_created_once_for_a_token",
            "another_creation_under_the_name_is_refused",
        ],
        what: "has no client tokens and no time of creation: a second creation under a name silently replaces the service",
    },
    Difference {
        target: Target::Moto,
        checks: &["service_needs_no_security_group"],
        what: "answers 500 to a service without security groups, which AWS gives the default one of the VPC",
    },
    Difference {
        target: Target::Moto,
        checks: &[
            "new_definition_starts_a_deployment",
            "deployments_are_listed_with_their_revision",
        ],
        what: "does not roll out: there is no second deployment, and no service deployments or revisions",
    },
    Difference {
        target: Target::Moto,
        checks: &[
            "forced_deployment_takes_a_count_along",
            "tasks_of_a_service_are_described_with_their_health",
        ],
        what: "runs no tasks of a service, and its deployments do not follow the count",
    },
    Difference {
        target: Target::Moto,
        checks: &[
            "inactive_service_is_not_updated",
            "inactive_definition_is_refused_for_a_service",
        ],
        what: "does not look whether a service or definition is INACTIVE before it uses it",
    },
    Difference {
        target: Target::Moto,
        checks: &["deleted_service_is_inactive_and_its_name_free"],
        what: "goes on listing a deleted service",
    },
    Difference {
        target: Target::Moto,
        checks: &["deregistered_definition_is_inactive_and_described"],
        what: "does not say when a definition was deregistered",
    },
    Difference {
        target: Target::Moto,
        checks: &["fargate_refuses_a_size_it_does_not_sell"],
        what: "takes any CPU and memory",
    },
    Difference {
        target: Target::Moto,
        checks: &["at_most_ten_services_are_described_at_once"],
        what: "does not hold DescribeServices to ten",
    },
    Difference {
        target: Target::Moto,
        checks: &[
            "services_are_listed_in_pages",
            "definitions_are_listed_newest_first_in_pages",
        ],
        what: "lists everything on one page, and definitions in one order",
    },
    Difference {
        target: Target::Moto,
        checks: &[
            "registering_raises_the_count_to_the_minimum",
            "registering_lowers_the_count_to_the_maximum",
            "suspending_alone_forces_the_count_into_the_range",
            "forced_count_is_told_as_an_activity",
        ],
        what: "never scales: counts are not forced into a range, and there are no activities",
    },
    Difference {
        target: Target::Moto,
        checks: &["target_is_described_as_registered"],
        what: "does not show the suspended state of a target that was registered without one",
    },
    Difference {
        target: Target::Moto,
        checks: &["target_tags_are_listed_by_arn"],
        what: "cannot list the tags of a target",
    },
    Difference {
        target: Target::Moto,
        checks: &["target_needs_a_service"],
        what: "looks for the cluster only, and refuses with ECS's own error",
    },
    Difference {
        target: Target::Moto,
        checks: &["minimum_above_the_maximum_is_refused"],
        what: "takes a minimum above the maximum",
    },
    Difference {
        target: Target::Moto,
        checks: &["policy_needs_a_target", "deregistering_takes_the_policies_along"],
        what: "keeps policies apart from targets: they need none, and outlive it",
    },
    Difference {
        target: Target::Moto,
        checks: &["unknown_target_is_not_deregistered", "unknown_policy_is_not_deleted"],
        what: "says ValidationException where AWS says ObjectNotFoundException",
    },
    Difference {
        target: Target::Moto,
        checks: &["putting_a_policy_again_overwrites_it", "tracking_policy_makes_alarms"],
        what: "gives a policy a new ARN each time, and alarms of a made-up threshold",
    },
    Difference {
        target: Target::Moto,
        checks: &[
            "new_alarm_has_insufficient_data",
            "alarms_are_found_by_state",
            "update_keeps_the_state_and_overwrites_the_rest",
        ],
        what: "never evaluates alarms: a new one is OK, and an update makes it OK again",
    },
    Difference {
        target: Target::Moto,
        checks: &["tags_of_an_update_are_ignored"],
        what: "takes the tags of an update",
    },
    Difference {
        target: Target::Moto,
        checks: &["alarms_are_described_in_pages", "prefix_and_name_exclude_each_other"],
        what: "does not read MaxRecords, and ignores the names beside a prefix",
    },
    Difference {
        target: Target::Moto,
        checks: &["unknown_alarm_keeps_the_others_from_deletion"],
        what: "deletes the alarms that it knows and says nothing of the others",
    },
    Difference {
        target: Target::Moto,
        checks: &[
            "more_to_alarm_than_periods_is_refused",
            "alarm_of_two_results_is_refused",
        ],
        what: "does not check alarms",
    },
    Difference {
        target: Target::Moto,
        checks: &["history_tells_of_settings_and_states"],
        what: "keeps no history of alarms",
    },
    Difference {
        target: Target::Moto,
        checks: &["math_is_done_over_metrics", "division_by_zero_drops_the_point"],
        what: "does no metric math: expressions have no values",
    },
    Difference {
        target: Target::Moto,
        checks: &["values_are_summed_over_their_period"],
        what: "stamps a point of statistics with the first datum's time, not with the beginning of its period",
    },
    Difference {
        target: Target::Moto,
        checks: &["deduplication_outlasts_the_message"],
        what: "forgets a deduplication id when its message is deleted",
    },
    Difference {
        target: Target::Moto,
        checks: &["sequence_numbers_rise"],
        what: "makes up a random sequence number per message, and another one for a repetition",
    },
    Difference {
        target: Target::Moto,
        checks: &["repeated_receive_attempt_brings_the_same_messages"],
        what: "does not read ReceiveRequestAttemptId",
    },
    Difference {
        target: Target::Moto,
        checks: &["visibility_of_a_shown_message_is_not_changed"],
        what: "changes the visibility of a message that is not in flight",
    },
    Difference {
        target: Target::Moto,
        checks: &["control_characters_are_refused", "empty_message_is_refused"],
        what: "takes bodies that SQS refuses",
    },
    Difference {
        target: Target::Moto,
        checks: &["session_name_of_one_character_is_refused"],
        what: "does not check session names",
    },
    Difference {
        target: Target::ElasticMq,
        checks: &["attributes_are_read_as_set"],
        what: "has no retention: messages stay for ever",
    },
    Difference {
        target: Target::ElasticMq,
        checks: &["message_over_the_limit_is_refused"],
        what: "has one size limit for all queues and ignores MaximumMessageSize",
    },
    Difference {
        target: Target::ElasticMq,
        checks: &[
            "control_characters_are_refused",
            "empty_message_is_refused",
            "more_than_ten_messages_cannot_be_asked_for",
            "waiting_longer_than_twenty_seconds_is_refused",
            "fifo_queue_needs_its_suffix",
        ],
        what: "refuses with InvalidAttributeValue or InvalidAttributeName where SQS has more exact codes",
    },
    Difference {
        target: Target::ElasticMq,
        checks: &["deletion_is_idempotent"],
        what: "refuses the receipt handle of a deleted message",
    },
    Difference {
        target: Target::ElasticMq,
        checks: &["visibility_of_a_shown_message_is_not_changed"],
        what: "changes the visibility of a message that is not in flight",
    },
    Difference {
        target: Target::ElasticMq,
        checks: &["repeated_receive_attempt_brings_the_same_messages"],
        what: "brings the same messages with other receipt handles",
    },
    Difference {
        target: Target::ElasticMq,
        checks: &["only_attributes_asked_for_are_received"],
        what: "does not know prefixes such as app.* in MessageAttributeNames",
    },
    Difference {
        target: Target::ElasticMq,
        checks: &["queues_are_listed_by_prefix_in_pages"],
        what: "lists all queues on one page",
    },
];
