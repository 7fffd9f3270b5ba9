//! What a status says, from outcomes at named times.

use penstock_crds::{Phase, State};

use super::*;
use crate::cloud::fake::nothing;
use crate::plan::accept::accept;
use crate::plan::desired::desired;
use crate::plan::owner::Holder;
use crate::plan::resources::{Activity, Counts, Deployment, DeploymentProgress, QueueDepth};
use crate::samples::{connector, home, orders, orders_spec, owner, wanted};

/// Tasks of a cluster without Container Insights, whose CPUUtilization had so many samples in each minute.
fn sampled(running: i32, samples: &[f64]) -> Observed {
    let state = judged().state;
    let around = Surroundings::of(&owner(), &nothing());
    Observed {
        resources: desired(&connector(&orders_spec()), Phase::Awake, &state, None, &around),
        life: ServiceLife::Active,
        counts: Counts {
            desired: running,
            running,
            pending: 0,
        },
        deployment: Some(Deployment {
            id: "1".to_owned(),
            progress: DeploymentProgress::Completed,
            reason: None,
            revision: None,
        }),
        sample_counts: samples.to_vec(),
        ..nothing()
    }
}

fn judged() -> Judged {
    accept(&orders(), &wanted(orders_spec(), 7, "topic/0/7"), None, &home()).expect("a document was written")
}

/// The status so many seconds after the beginning.
fn at(seconds: i64, observed: &Observed, previous: Option<&Status>) -> Status {
    status(outcome(seconds, observed, previous, &orders(), &judged(), &owner()))
}

fn outcome<'a>(
    seconds: i64,
    observed: &'a Observed,
    previous: Option<&'a Status>,
    name: &'a Name,
    judged: &'a Judged,
    owner: &'a Owner,
) -> Outcome<'a> {
    Outcome {
        name,
        judged,
        plan: None,
        observed: Some(observed),
        queue: None,
        queue_trouble: None,
        taken: &[],
        failure: None,
        previous,
        owner,
        now: Timestamp::from_second(seconds).expect("in range"),
    }
}

fn is_mistrusted(status: &Status) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|one| one.reason == "RunningCountUntrusted")
}

#[test]
fn the_free_count_is_mistrusted_once_no_minute_has_the_count_that_was_steady_all_the_while() {
    let strays = sampled(3, &[9.0; 5]);
    let first = at(0, &strays, None);
    assert!(!is_mistrusted(&first), "nobody knows yet what ran in those minutes");
    let second = at(300, &strays, Some(&first));
    assert!(!is_mistrusted(&second), "some of them are of before");
    let third = at(420, &strays, Some(&second));
    assert!(is_mistrusted(&third));
    assert!(is_mistrusted(&at(421, &strays, Some(&third))), "and stays so");
    let right_once = sampled(3, &[9.0, 9.0, 3.0]);
    assert!(!is_mistrusted(&at(421, &right_once, Some(&third))));
    let too_few = sampled(3, &[9.0; 2]);
    assert!(!is_mistrusted(&at(421, &too_few, Some(&third))));
}

#[test]
fn policies_of_others_are_named_and_give_way_to_what_presses_more() {
    let others = Observed {
        foreign_policies: ["by-hand", "nightly"].map(str::to_owned).into(),
        ..sampled(3, &[3.0; 5])
    };
    let told = at(0, &others, None);
    let limited = |status: &Status| {
        let mut conditions = status.conditions.iter();
        let found = conditions.find(|one| one.r#type == ConditionType::ScalingLimited);
        let found = found.expect("every status has it");
        (found.status, found.reason.clone(), found.message.clone())
    };
    let (truth, reason, message) = limited(&told);
    assert_eq!((truth, reason.as_str()), (Truth::True, "ScaledByOthers"));
    assert!(message.contains("leaves alone, `by-hand`, `nightly`: "), "{message}");
    let scaling = told.scaling.as_ref().expect("it scales");
    assert_eq!(scaling.foreign_policies, ["by-hand", "nightly"]);
    assert!(!scaling.policies.contains(&"by-hand".to_owned()));
    let strays = Observed {
        sample_counts: vec![9.0; 5],
        ..others
    };
    assert_eq!(limited(&at(421, &strays, Some(&told))).1, "RunningCountUntrusted");
}

#[test]
fn a_refusal_to_go_beyond_the_maximum_is_dated_and_the_queue_says_when_a_backlog_is_gone() {
    let mut observed = sampled(6, &[]);
    let activity = |policy: &str| Activity {
        id: "1".to_owned(),
        description: "Attempting to scale due to alarm triggered".to_owned(),
        cause: format!(
            "monitor alarm high in state ALARM triggered policy {}",
            owner().name.policy_name(&orders(), policy)
        ),
        not_scaled_reason: Some("AlreadyAtMaxCapacity".to_owned()),
        at: Timestamp::UNIX_EPOCH,
    };
    let (name, owner, judged) = (orders(), owner(), judged());
    let mut told = |policy: &str, visible: Option<u64>| {
        observed.last_activity = Some(activity(policy));
        let queue = visible.map(|visible| QueueDepth {
            visible,
            ..QueueDepth::default()
        });
        let outcome = Outcome {
            queue,
            ..outcome(9, &observed, None, &name, &judged, &owner)
        };
        let status = status(outcome);
        let mut conditions = status.conditions.into_iter();
        let limited = conditions.find(|one| one.r#type == ConditionType::ScalingLimited);
        let limited = limited.expect("every status has it");
        (limited.reason, limited.message)
    };
    for (policy, visible, reason) in [
        ("backlog", Some(0), "WithinBounds"),
        ("backlog", Some(1_000_000), "AtMaximum"),
        ("backlog", None, "AtMaximum"),
        ("memory", Some(0), "AtMaximum"),
    ] {
        assert_eq!(told(policy, visible).0, reason, "{policy}, {visible:?}");
    }
    let (_, message) = told("memory", Some(0));
    assert!(message.contains("at 1970-01-01T00:00:00Z"), "{message}");
}

#[test]
fn container_insights_that_are_asked_for_and_off_are_told() {
    let mut spec = orders_spec();
    spec.scaling.as_mut().expect("the sample scales").running_tasks =
        Some(penstock_crds::RunningTasks::ContainerInsights);
    let asked = accept(&orders(), &wanted(spec, 7, "topic/0/7"), None, &home()).expect("a document was written");
    let limited = |observed: &Observed| {
        let told = status(Outcome {
            judged: &asked,
            ..outcome(0, observed, None, &orders(), &judged(), &owner())
        });
        let mut conditions = told.conditions.into_iter();
        conditions
            .find(|one| one.r#type == ConditionType::ScalingLimited)
            .expect("every status has it")
    };
    let off = limited(&sampled(3, &[]));
    assert_eq!((off.status, off.reason.as_str()), (Truth::True, "NoContainerInsights"));
    assert!(off.message.contains("turn Container Insights on"), "{}", off.message);
    let on = Observed {
        container_insights: true,
        ..sampled(3, &[])
    };
    assert_eq!(limited(&on).reason, "WithinBounds");
}

#[test]
fn samples_of_before_a_change_of_the_count_are_not_held_against_it() {
    let before = at(420, &sampled(3, &[3.0; 5]), Some(&at(0, &sampled(3, &[3.0; 5]), None)));
    assert!(!is_mistrusted(&before));
    let after = at(500, &sampled(4, &[3.0; 5]), Some(&before));
    assert!(!is_mistrusted(&after), "the samples are of three tasks, and three ran");
    let later = at(900, &sampled(4, &[3.0, 3.0, 4.0]), Some(&after));
    assert!(!is_mistrusted(&later));
    assert_eq!(later.tasks.running_since, Timestamp::from_second(500).ok());
}

#[test]
fn paused_stopped_and_withdrawn_are_said_to_rest_once_no_task_is_seen_to_run() {
    let resting = |phase, verdict: Option<Verdict>| {
        let judged = judged();
        Judged {
            verdict: verdict.unwrap_or(judged.verdict),
            state: State { phase, ..judged.state },
            ..judged
        }
    };
    let refused = Failure {
        message: "AWS refused UpdateService".to_owned(),
        reason: "ApplyFailed",
        waiting: false,
    };
    for (judged, word) in [
        (resting(Phase::Paused, None), Health::Paused),
        (resting(Phase::Stopped, None), Health::Stopped),
        (resting(Phase::Awake, Some(Verdict::Remove)), Health::Stopped),
    ] {
        let told = |observed: Option<&Observed>, failure| {
            status(Outcome {
                observed,
                failure,
                ..outcome(0, &nothing(), None, &orders(), &judged, &owner())
            })
            .health
        };
        assert_eq!(told(Some(&sampled(2, &[])), None), Health::Restarting);
        assert_eq!(told(Some(&sampled(2, &[])), Some(&refused)), Health::Degraded);
        assert_eq!(told(Some(&sampled(0, &[])), Some(&refused)), word);
        assert_eq!(told(None, Some(&refused)), Health::Unassigned);
        let taken = Observed {
            foreign: [(FOREIGN_SERVICE.to_owned(), Holder::default())].into(),
            ..nothing()
        };
        assert_ne!(told(Some(&taken), None), word, "its tasks were not looked for");
    }
}
