//! The operator killed before and after every call of create, update, delete, sleep and wake: whoever comes next has only
//! what the topics and AWS hold, comes to the same end, and makes no call a second time.
//!
//! The passes are the operator's own, over its real cloud, against our model of AWS with tasks that run. What the topics
//! hold is kept as the JSON that would stand there; everything else dies with the operator.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use penstock_crds::{API_VERSION, ConnectorSpec, Envelope, Kind, Metadata, Name, Phase, SqsSource, State, Status};
use penstock_operator::cloud::aws::{Aws, AwsSettings};
use penstock_operator::cloud::{Cloud, Error as CloudError, Owned, Receipt};
use penstock_operator::journal::{Error as JournalError, Journal};
use penstock_operator::memory::{Change, Memory, Remembered, StateChange, StatusChange};
use penstock_operator::observe::Observer;
use penstock_operator::orphans::Orphans;
use penstock_operator::plan::accept::{Latest, Wanted, Written};
use penstock_operator::plan::action::Action;
use penstock_operator::plan::home::Home;
use penstock_operator::plan::owner::{DEFAULT_NAME, Owner};
use penstock_operator::plan::resources::{Observed, QueueDepth, ServiceLife, Subject, TaskHealth};
use penstock_operator::plan::status::Next;
use penstock_operator::reconcile::{Context, reconcile};
use penstock_operator::telemetry::Metrics;
use penstock_tests::aws::Endpoint;
use penstock_tests::binaries::bin;
use penstock_tests::localcloud::LocalCloud;
use penstock_tests::stage::{CLUSTER, IMAGE, REGION, bodies, create_cluster, create_queue, send};
use penstock_tests::wait_until;
use serde_json::json;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TURN: Duration = Duration::from_secs(120);
/// Connectors under way at once.
const AT_ONCE: usize = 12;

/// What an operator is about to do when it dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Create,
    Update,
    Delete,
    Sleep,
    Wake,
    /// It wakes with a document that was changed while it slept.
    WakeChanged,
}

const DEEDS: [Deed; 6] = [
    Deed::Create,
    Deed::Update,
    Deed::Delete,
    Deed::Sleep,
    Deed::Wake,
    Deed::WakeChanged,
];

/// Where the operator dies: at which of its calls, and whether the call still took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    at: usize,
    took_effect: bool,
}

/// AWS for an operator that dies at a call, or never. It keeps a list of the calls that took effect.
struct Mortal {
    aws: Aws,
    cut: Option<Cut>,
    calls: Calls,
    died: Notify,
}

/// The calls that took effect, over all operators of a world.
type Calls = Arc<Mutex<Vec<String>>>;

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cloud for Mortal {
    async fn observe(&self, subjects: &[Subject]) -> BTreeMap<Name, Result<Observed, CloudError>> {
        self.aws.observe(subjects).await
    }

    async fn tasks(
        &self,
        subject: &Subject,
        task_definition: &str,
        steady_since: Option<Timestamp>,
    ) -> Result<TaskHealth, CloudError> {
        self.aws.tasks(subject, task_definition, steady_since).await
    }

    async fn running(&self, subjects: &[Subject]) -> BTreeMap<Name, Result<i32, CloudError>> {
        self.aws.running(subjects).await
    }

    async fn queue(&self, source: &SqsSource, deleted_within: Option<u64>) -> Result<QueueDepth, CloudError> {
        self.aws.queue(source, deleted_within).await
    }

    async fn apply(&self, subject: &Subject, action: &Action, registered: Option<&str>) -> Result<Receipt, CloudError> {
        let dies = self.cut.filter(|cut| cut.at == locked(&self.calls).len());
        if dies.is_some_and(|cut| !cut.took_effect) {
            self.died.notify_one();
            return pending().await;
        }
        let receipt = self.aws.apply(subject, action, registered).await?;
        locked(&self.calls).push(action.to_string());
        if dies.is_some() {
            self.died.notify_one();
            return pending().await;
        }
        Ok(receipt)
    }

    async fn owned(&self, clusters: &BTreeSet<String>) -> Owned {
        self.aws.owned(clusters).await
    }

    async fn publish_backlog(&self, subject: &Subject, per_task: f64) -> Result<(), CloudError> {
        self.aws.publish_backlog(subject, per_task).await
    }
}

/// The state and status topics: the latest record of each, as it stands there.
#[derive(Clone, Default)]
struct Topics(Arc<Mutex<(Option<String>, Option<String>)>>);

impl Journal for Topics {
    async fn publish(&self, _: &Name, change: &Change) -> Result<(), JournalError> {
        let mut topics = locked(&self.0);
        match &change.state {
            Some(StateChange::Put(state)) => topics.0 = serde_json::to_string(state).ok(),
            Some(StateChange::Remove) => topics.0 = None,
            None => {}
        }
        match &change.status {
            Some(StatusChange::Put(status)) => topics.1 = serde_json::to_string(status).ok(),
            Some(StatusChange::Remove) => topics.1 = None,
            None => {}
        }
        Ok(())
    }
}

impl Topics {
    fn read_back(&self) -> Remembered {
        let topics = locked(&self.0);
        let state = |text: &String| serde_json::from_str::<State>(text).expect("what was written can be read");
        let status = |text: &String| serde_json::from_str::<Status>(text).expect("what was written can be read");
        Remembered {
            state: topics.0.as_ref().map(state),
            status: topics.1.as_ref().map(status),
        }
    }
}

/// Whose the connectors are, whichever process keeps them.
fn owner() -> Owner {
    Owner {
        name: DEFAULT_NAME.parse().expect("a sound name"),
        installation: "topic/penstock".parse().expect("it fits into a tag"),
    }
}

/// One connector, and what outlives its operators.
struct World {
    endpoint: Endpoint,
    name: Name,
    /// How long its queue is empty before it falls asleep.
    cooldown: &'static str,
    queue_url: String,
    topics: Topics,
    calls: Calls,
}

impl World {
    async fn new(endpoint: &Endpoint, name: &str, change: Deed) -> Result<Self, Failure> {
        Ok(Self {
            endpoint: endpoint.clone(),
            name: name.parse()?,
            // Whatever is not about sleep stays awake however slow the machine is.
            cooldown: match change {
                Deed::Create | Deed::Update | Deed::Delete => "1h",
                Deed::Sleep | Deed::Wake | Deed::WakeChanged => "10s",
            },
            queue_url: create_queue(endpoint, name).await?,
            topics: Topics::default(),
            calls: Calls::default(),
        })
    }

    /// Starts an operator that knows what the topics hold, and dies at the cut.
    fn operator(&self, cut: Option<Cut>) -> Result<Context<Mortal, Topics>, Failure> {
        let settings = AwsSettings {
            region: None,
            owner: owner(),
            observer: None,
        };
        let aws = Aws::over(self.endpoint.config(), settings)?;
        let cloud = Arc::new(Mortal {
            aws,
            cut,
            calls: Arc::clone(&self.calls),
            died: Notify::new(),
        });
        Ok(Context {
            observer: Observer::start(Arc::clone(&cloud)),
            cloud,
            journal: self.topics.clone(),
            memory: Memory::new([(self.name.clone(), self.topics.read_back())].into()),
            owner: owner(),
            home: Home {
                account: self.endpoint.account().to_owned(),
                region: REGION.to_owned(),
            },
            orphans: Orphans::default(),
            audit_period: Duration::MAX,
            metrics: Metrics::default(),
            now: Timestamp::now,
        })
    }

    fn document(&self, generation: i64, changed: bool) -> Result<Wanted, Failure> {
        let role = |role: &str| format!("arn:aws:iam::{}:role/{role}", self.endpoint.account());
        let image = if changed {
            format!("{IMAGE}:2")
        } else {
            format!("{IMAGE}:1")
        };
        let spec: ConnectorSpec = serde_json::from_value(json!({
            "source": {"sqs": {"queueUrl": self.queue_url, "region": REGION}},
            "sink": {"kafka": {"topic": "orders"}},
            "kafka": {"bootstrapServers": ["127.0.0.1:9"], "security": {"plaintext": {}}},
            "errors": {"deadLetterTopic": "orders-dead"},
            "task": {"image": image, "roles": {"task": role("task"), "execution": role("execution")}},
            "service": {"cluster": CLUSTER, "subnets": ["subnet-0a1b2c3d"], "securityGroups": ["sg-0a1b2c3d"]},
            "scaling": {
                "min": 0, "max": if changed { 4 } else { 3 }, "backlog": {"perTask": 2}, "cooldowns": {"sleep": self.cooldown},
            },
            "alarms": {"topics": [format!("arn:aws:sns:{REGION}:{}:hot", self.endpoint.account())]},
        }))?;
        let metadata = Metadata {
            name: self.name.clone(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        };
        let document = Envelope {
            api_version: API_VERSION.to_owned(),
            kind: Kind::Connector,
            metadata,
            spec,
        };
        let written = Written {
            uid: "topic/0/7".to_owned(),
            generation,
            actor: None,
            document,
        };
        Ok(Wanted {
            connector: Latest::Written(Box::new(written)),
            ..Wanted::default()
        })
    }

    fn wanted(&self, change: Deed) -> Result<Wanted, Failure> {
        match change {
            Deed::Update | Deed::WakeChanged => self.document(8, true),
            Deed::Delete => Ok(Wanted {
                connector: Latest::Withdrawn,
                ..Wanted::default()
            }),
            Deed::Create | Deed::Sleep | Deed::Wake => self.document(7, false),
        }
    }

    /// Brings about what the change begins with, and forgets the calls that it took.
    async fn prepare(&self, change: Deed) -> Result<(), Failure> {
        match change {
            Deed::Create => {}
            Deed::Update | Deed::Delete => self.carry_out(Deed::Create, None).await?,
            Deed::Sleep => {
                self.awake().await?;
                self.queue_purged().await?;
            }
            Deed::Wake | Deed::WakeChanged => self.sleeping(change).await?,
        }
        locked(&self.calls).clear();
        Ok(())
    }

    /// Makes it while a message waits, without which it could fall asleep before it is complete.
    async fn awake(&self) -> Result<(), Failure> {
        send(&self.endpoint.sqs(), &self.queue_url, &bodies("work", 0..1)).await?;
        self.carry_out(Deed::Create, None).await
    }

    async fn queue_purged(&self) -> Result<(), Failure> {
        let purge = self.endpoint.sqs().purge_queue().queue_url(&self.queue_url);
        purge.send().await?;
        Ok(())
    }

    /// Brings about a sleeper whose tasks were seen healthy, and for which messages wait.
    async fn sleeping(&self, change: Deed) -> Result<(), Failure> {
        self.awake().await?;
        // The message still waits, so that it does not fall asleep before its task has shown that it is healthy.
        self.proven().await?;
        self.queue_purged().await?;
        self.carry_out(Deed::Sleep, None).await?;
        if change == Deed::WakeChanged {
            self.changed_asleep().await?;
        }
        send(&self.endpoint.sqs(), &self.queue_url, &bodies("wake", 0..5)).await?;
        Ok(())
    }

    /// Makes passes until tasks were seen healthy, so that they need no deployment of their own when they start again.
    async fn proven(&self) -> Result<(), Failure> {
        let (operator, wanted) = (self.operator(None)?, self.wanted(Deed::Create)?);
        wait_until("a task that proves itself", TURN, || async {
            reconcile(&operator, &self.name, &wanted).await;
            let proven = self.topics.read_back().state.and_then(|state| state.proven);
            proven.map(drop).ok_or("none yet")
        })
        .await?;
        Ok(())
    }

    /// Makes passes over the changed document until a sleeping connector has taken it over.
    async fn changed_asleep(&self) -> Result<(), Failure> {
        let (operator, wanted) = (self.operator(None)?, self.wanted(Deed::WakeChanged)?);
        wait_until("the change to be made asleep", TURN, || async {
            let before = locked(&self.calls).len();
            let next = reconcile(&operator, &self.name, &wanted).await;
            let state = self.topics.read_back().state.ok_or("no state")?;
            let accepted = state.accepted.map(|accepted| accepted.generation);
            let is_quiet = locked(&self.calls).len() == before && next == Next::Resync;
            if is_quiet && (state.phase, accepted) == (Phase::Asleep, Some(8)) {
                Ok(())
            } else {
                Err("not yet")
            }
        })
        .await?;
        Ok(())
    }

    /// Makes passes until the change is complete, or the operator dies of the cut.
    async fn carry_out(&self, change: Deed, cut: Option<Cut>) -> Result<(), Failure> {
        let operator = self.operator(cut)?;
        let wanted = self.wanted(change)?;
        let what = format!("{change:?} of {} with {cut:?}", self.name);
        wait_until(&what, TURN, || async {
            let before = locked(&self.calls).len();
            let next = tokio::select! {
                next = reconcile(&operator, &self.name, &wanted) => next,
                () = operator.cloud.died.notified() => return Ok(()),
            };
            let quiet = locked(&self.calls).len() == before;
            let complete = quiet && cut.is_none() && self.is_complete(change, next);
            if complete {
                Ok(())
            } else {
                Err(format!("{next:?}, {:?}", locked(&self.calls)))
            }
        })
        .await?;
        Ok(())
    }

    fn is_complete(&self, change: Deed, next: Next) -> bool {
        let phase = self.topics.read_back().state.map(|state| state.phase);
        match change {
            Deed::Delete => next == Next::Forget,
            Deed::Sleep => phase == Some(Phase::Asleep),
            Deed::Create | Deed::Update | Deed::Wake | Deed::WakeChanged => {
                phase == Some(Phase::Awake) && next != Next::Backoff
            }
        }
    }

    /// Returns what AWS and the topics hold in the end, with the connector's name taken out.
    async fn end(&self) -> Result<End, Failure> {
        let operator = self.operator(None)?;
        let subject = Subject {
            operator: owner().name,
            name: self.name.clone(),
            uid: "topic/0/7".to_owned(),
            cluster: CLUSTER.to_owned(),
        };
        let seen = operator
            .cloud
            .observe(&[subject])
            .await
            .remove(&self.name)
            .expect("it was asked about")?;
        let state = self.topics.read_back().state;
        let hash = state
            .as_ref()
            .and_then(|state| Some(state.accepted.as_ref()?.hash.clone()));
        let unnamed = |text: String| {
            let text = text.replace(self.name.as_str(), "x");
            hash.as_ref().map_or(text.clone(), |hash| text.replace(hash, "hash"))
        };
        let mut calls: Vec<_> = locked(&self.calls).iter().cloned().map(unnamed).collect();
        calls.sort();
        Ok(End {
            resources: unnamed(serde_json::to_string_pretty(&seen.resources)?)
                .lines()
                .map(str::to_owned)
                .collect(),
            foreign: seen.foreign.into_keys().collect(),
            life: seen.life,
            desired: seen.counts.desired,
            revisions: seen.revisions.into_iter().map(|one| unnamed(one.arn)).collect(),
            inactive_revisions: seen.inactive_revisions.into_iter().map(unnamed).collect(),
            phase: state.as_ref().map(|state| state.phase),
            create_pending: state.is_some_and(|state| state.create_pending.is_some()),
            calls,
        })
    }
}

/// What has to be the same however often the operator died.
#[derive(Debug, PartialEq)]
struct End {
    resources: Vec<String>,
    foreign: Vec<String>,
    life: ServiceLife,
    desired: i32,
    revisions: Vec<String>,
    inactive_revisions: Vec<String>,
    phase: Option<Phase>,
    create_pending: bool,
    calls: Vec<String>,
}

/// Makes the change in a world of its own; with a cut, by one operator that dies and one that comes after it.
async fn played(endpoint: Endpoint, change: Deed, cut: Option<Cut>) -> Result<End, Failure> {
    let ending = cut.map_or("whole".to_owned(), |cut| format!("{}-{}", cut.at, cut.took_effect));
    let world = World::new(&endpoint, &format!("{change:?}-{ending}").to_lowercase(), change).await?;
    world.prepare(change).await?;
    if cut.is_some() {
        world.carry_out(change, cut).await?;
    }
    world.carry_out(change, None).await?;
    world.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_killed_at_any_call_is_followed_by_one_that_comes_to_the_same_end() -> Result<(), Failure> {
    let cloud = LocalCloud::builder()?
        .image(IMAGE, &bin("penstock-hog")?)
        .arg("--speed=30")
        .start()
        .await?;
    create_cluster(cloud.endpoint(), true).await?;
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let play = |plays: &mut JoinSet<_>, change, cut| {
        let (endpoint, permits) = (cloud.endpoint().clone(), Arc::clone(&permits));
        plays.spawn(async move {
            let _permit = permits.acquire_owned().await;
            (change, cut, played(endpoint, change, cut).await)
        });
    };
    let mut plays = JoinSet::new();
    for change in DEEDS {
        play(&mut plays, change, None);
    }
    let mut whole = BTreeMap::new();
    while let Some(played) = plays.join_next().await {
        let (change, _, end) = played?;
        whole.insert(change, end?);
    }
    for (change, least) in DEEDS.into_iter().zip([9, 7, 6, 2, 2, 2]) {
        let calls = &whole[&change].calls;
        assert!(calls.len() >= least, "{change:?} is made of {calls:?}");
        let redeployed = calls.iter().any(|call| call.contains("forceNewDeployment"));
        assert_eq!(
            redeployed,
            change == Deed::WakeChanged,
            "{change:?} is made of {calls:?}"
        );
        for at in 0..calls.len() {
            for took_effect in [false, true] {
                play(&mut plays, change, Some(Cut { at, took_effect }));
            }
        }
    }
    while let Some(played) = plays.join_next().await {
        let (change, cut, end) = played?;
        let (end, whole) = (end?, &whole[&change]);
        let other: Vec<_> = end
            .resources
            .iter()
            .filter(|line| !whole.resources.contains(line))
            .collect();
        assert_eq!(other, Vec::<&String>::new(), "{change:?}, {cut:?}");
        assert_eq!(&end, whole, "{change:?}, {cut:?}");
    }
    Ok(())
}
