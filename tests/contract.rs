//! The contract suite: the same assertions about AWS, each with the page that promises it, asked of localcloud, of moto, of
//! ElasticMQ (queues alone), and of AWS itself, from Rust and from boto3.
//!
//! Whoever departs from AWS is in a table ([`differences`]) with what it does instead. A check that is not in the table must
//! hold, and one that is in it must fail, so the table cannot go stale. `localcloud/DIFFERENCES.md` shows the table;
//! `PENSTOCK_CONTRACT_WRITE=1` writes it anew.
//!
//! AWS itself is asked only with `PENSTOCK_CONTRACT_AWS=1`, credentials and a region in the environment, and best in an account
//! that is kept for it. Then the checks that are marked [`Aws::Free`] run, and with `PENSTOCK_CONTRACT_SUBNET=subnet-…` those on services too. They
//! start no task, cost a few hundred API calls, and remove what they made (INACTIVE task definitions and services stay
//! visible for a while, as ECS keeps them). Whether they hold there has to be seen by somebody with an account: no run on AWS is part of
//! the project's own tests.

#[path = "contract/alarm.rs"]
mod alarm;
#[path = "contract/alarm_lists.rs"]
mod alarm_lists;
#[path = "contract/alarms.rs"]
mod alarms;
#[path = "contract/boto3.rs"]
mod boto3;
#[path = "contract/capacity.rs"]
mod capacity;
#[path = "contract/check.rs"]
mod check;
#[path = "contract/definitions.rs"]
mod definitions;
#[path = "contract/deployments.rs"]
mod deployments;
#[path = "contract/differences.rs"]
mod differences;
#[path = "contract/fifo.rs"]
mod fifo;
#[path = "contract/home.rs"]
mod home;
#[path = "contract/identity.rs"]
mod identity;
#[path = "contract/made.rs"]
mod made;
#[path = "contract/messages.rs"]
mod messages;
#[path = "contract/metrics.rs"]
mod metrics;
#[path = "contract/placement.rs"]
mod placement;
#[path = "contract/policies.rs"]
mod policies;
#[path = "contract/queue.rs"]
mod queue;
#[path = "contract/queues.rs"]
mod queues;
#[path = "contract/requests.rs"]
mod requests;
#[path = "contract/scaled.rs"]
mod scaled;
#[path = "contract/services.rs"]
mod services;
#[path = "contract/targets.rs"]
mod targets;
#[path = "contract/topics.rs"]
mod topics;
#[path = "contract/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use penstock_tests::elasticmq::ElasticMq;
use penstock_tests::localcloud::LocalCloud;
use penstock_tests::moto::Moto;
use penstock_tests::parts;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use check::{Aws, Check, Failure, Outcome};
use differences::{DIFFERENCES, Target, expected, surprises, table};
use world::{Network, World};

/// So many checks are asked at once: most of them wait for a queue.
const AT_ONCE: usize = 6;
const LIMIT: Duration = Duration::from_secs(120);

fn on_queues() -> impl Iterator<Item = &'static Check> {
    [messages::CHECKS, requests::CHECKS, queues::CHECKS, fifo::CHECKS]
        .into_iter()
        .flatten()
}

fn all() -> impl Iterator<Item = &'static Check> {
    let containers = [
        definitions::CHECKS,
        services::CHECKS,
        deployments::CHECKS,
        placement::CHECKS,
        capacity::CHECKS,
        targets::CHECKS,
        policies::CHECKS,
    ];
    let alarms = [alarms::CHECKS, alarm_lists::CHECKS, metrics::CHECKS];
    let rest = [topics::CHECKS, identity::CHECKS];
    containers
        .into_iter()
        .chain(alarms)
        .chain(rest)
        .flatten()
        .chain(on_queues())
}

/// Asks every check, and removes what it made whatever becomes of it. Returns the outcomes, and what was left behind.
async fn ask(world: &World, checks: impl Iterator<Item = &'static Check>) -> (BTreeMap<String, Outcome>, Vec<String>) {
    let asked = checks.map(|check| async {
        let world = world.fresh();
        let outcome = timeout(LIMIT, (check.run)(&world)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(Failure(format!("no answer within {LIMIT:?}"))));
        (check.name.to_owned(), outcome, world.clear().await)
    });
    let asked: Vec<_> = futures::stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
    let left = asked.iter().flat_map(|(_, _, left)| left.clone()).collect();
    (
        asked.into_iter().map(|(name, outcome, _)| (name, outcome)).collect(),
        left,
    )
}

fn judge(target: Target, client: &str, outcomes: &BTreeMap<String, Outcome>) {
    let surprises = surprises(target, outcomes);
    assert!(
        surprises.is_empty(),
        "{target}, asked from {client}:\n{}",
        surprises.join("\n")
    );
}

async fn localcloud() -> &'static LocalCloud {
    static SHARED: OnceCell<LocalCloud> = OnceCell::const_new();
    let start = || async {
        LocalCloud::builder()
            .expect("localcloud is built")
            .start()
            .await
            .expect("localcloud starts")
    };
    SHARED.get_or_init(start).await
}

/// localcloud looks at the form of a subnet's name alone.
fn any_network() -> Network {
    Network {
        subnet: "subnet-0a1b2c3d4e5f60718".to_owned(),
        security_group: None,
    }
}

fn names(checks: impl Iterator<Item = &'static Check>) -> Vec<&'static str> {
    checks.map(|check| check.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn localcloud_keeps_the_contract() {
    let (outcomes, left) = ask(&World::local(localcloud().await.endpoint(), &any_network()), all()).await;
    judge(Target::Localcloud, "Rust", &outcomes);
    assert!(left.is_empty(), "not removed: {left:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_departs_where_the_table_says() {
    let moto = Moto::shared().await.endpoint();
    let network = boto3::network(moto).await.expect("moto has a network");
    let (outcomes, _) = ask(&World::local(moto, &network), all()).await;
    judge(Target::Moto, "Rust", &outcomes);
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticmq_departs_where_the_table_says() {
    let (outcomes, _) = ask(
        &World::local(ElasticMq::shared().await.endpoint(), &any_network()),
        on_queues(),
    )
    .await;
    judge(Target::ElasticMq, "Rust", &outcomes);
}

#[tokio::test(flavor = "multi_thread")]
async fn localcloud_keeps_the_contract_for_boto3() {
    let outcomes = boto3::outcomes(Some(localcloud().await.endpoint()), &any_network(), &names(all())).await;
    judge(Target::Localcloud, "boto3", &outcomes.expect("contract.py runs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_departs_where_the_table_says_for_boto3() {
    let moto = Moto::shared().await.endpoint();
    let network = boto3::network(moto).await.expect("moto has a network");
    let outcomes = boto3::outcomes(Some(moto), &network, &names(all())).await;
    judge(Target::Moto, "boto3", &outcomes.expect("contract.py runs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticmq_departs_where_the_table_says_for_boto3() {
    let outcomes = boto3::outcomes(
        Some(ElasticMq::shared().await.endpoint()),
        &any_network(),
        &names(on_queues()),
    )
    .await;
    judge(Target::ElasticMq, "boto3", &outcomes.expect("contract.py runs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_keeps_the_contract_where_somebody_has_an_account() {
    if std::env::var("PENSTOCK_CONTRACT_AWS").as_deref() != Ok("1") {
        println!("AWS is not asked: PENSTOCK_CONTRACT_AWS is not 1");
        return;
    }
    let subnet = std::env::var("PENSTOCK_CONTRACT_SUBNET").unwrap_or_default();
    let has_subnet = !subnet.is_empty();
    let may_run = |check: &&Check| check.aws == Aws::Free || (check.aws == Aws::Subnet && has_subnet);
    let network = Network {
        subnet,
        security_group: None,
    };
    let world = World::aws(&network)
        .await
        .expect("credentials and a region are in the environment");
    let (outcomes, left) = ask(&world, all().filter(may_run)).await;
    assert!(
        left.is_empty(),
        "left behind in the account, remove it by hand: {left:#?}"
    );
    judge(Target::Aws, "Rust", &outcomes);
    let outcomes = boto3::outcomes(None, &network, &names(all().filter(may_run))).await;
    judge(Target::Aws, "boto3", &outcomes.expect("contract.py runs"));
}

#[test]
fn every_check_has_a_name_of_its_own_and_a_source() {
    let mut seen = BTreeSet::new();
    for check in all() {
        assert!(seen.insert(check.name), "{} is there twice", check.name);
        assert!(
            check.source.contains("API") || check.source.contains("Guide"),
            "{}: {}",
            check.name,
            check.source
        );
    }
}

#[test]
fn the_table_names_checks_that_there_are_and_each_once_per_target() {
    let known: BTreeSet<_> = names(all()).into_iter().collect();
    for line in DIFFERENCES {
        let strangers: Vec<_> = line.checks.iter().filter(|name| !known.contains(*name)).collect();
        assert!(strangers.is_empty(), "{}: {strangers:?}", line.target);
    }
    for target in [Target::Localcloud, Target::Moto, Target::ElasticMq, Target::Aws] {
        let listed: Vec<_> = expected(target).collect();
        let once: BTreeSet<_> = listed.iter().collect();
        assert_eq!(once.len(), listed.len(), "{target} has a check listed twice");
    }
}

#[test]
fn a_difference_that_is_not_listed_and_one_that_is_gone_are_both_told() {
    let failed = || Err(Failure("the reason".to_owned()));
    let listed = expected(Target::Moto).next().expect("moto departs somewhere");
    let outcomes = |outcome: Outcome, name: &str| BTreeMap::from([(name.to_owned(), outcome)]);
    assert!(surprises(Target::Moto, &outcomes(failed(), listed)).is_empty());
    assert_eq!(surprises(Target::Moto, &outcomes(Ok(()), listed)).len(), 1);
    assert_eq!(surprises(Target::Moto, &outcomes(failed(), "new")), ["new: the reason"]);
    assert!(surprises(Target::Moto, &outcomes(Ok(()), "new")).is_empty());
}

#[tokio::test]
async fn what_boto3_asks_is_asked_from_rust_too() {
    let ours: BTreeSet<_> = names(all()).into_iter().map(str::to_owned).collect();
    let theirs = boto3::names().await.expect("contract.py runs");
    let strangers: Vec<_> = theirs.iter().filter(|name| !ours.contains(*name)).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
    assert!(theirs.len() >= 25, "{} checks", theirs.len());
}

#[test]
fn the_page_of_differences_shows_the_table() {
    const MARK: &str = "<!-- The table is written by tests/contract.rs; edit tests/contract/differences.rs. -->\n";
    let path = parts::checkout().join("localcloud/DIFFERENCES.md");
    let page = std::fs::read_to_string(&path).expect("the page is there");
    let (above, rest) = page.split_once(MARK).expect("the page says where the table is");
    let (_, below) = rest.split_once(MARK).expect("and where it ends");
    let fresh = format!("{above}{MARK}{}{MARK}{below}", table());
    if std::env::var("PENSTOCK_CONTRACT_WRITE").as_deref() == Ok("1") {
        std::fs::write(&path, &fresh).expect("the page is written");
    }
    let page = std::fs::read_to_string(&path).expect("the page is there");
    assert!(
        page == fresh,
        "localcloud/DIFFERENCES.md is stale: run the test with PENSTOCK_CONTRACT_WRITE=1"
    );
}
