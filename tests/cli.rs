//! The command line, as people run it: the real `penstock` against a real broker, and localcloud where AWS is read.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use aws_sdk_applicationautoscaling::types::{ScalableDimension, ServiceNamespace};
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, Compatibility, ContainerDefinition, LaunchType, NetworkConfiguration,
    NetworkMode, Tag,
};
use penstock_kafka::{Patience, Security, Settings};
use penstock_operator::topics::{TopicSettings, ensure};
use penstock_tests::aws::Endpoint;
use penstock_tests::binaries::{bin, ours};
use penstock_tests::kafka::{Broker, CLUSTER_ID};
use penstock_tests::localcloud::{ACCOUNT, LocalCloud};
use penstock_tests::ports::free_port;
use penstock_tests::records::Record;
use penstock_tests::{Error, rundir, unique, wait_until};
use serde_json::Value;
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(60);

/// What a command printed, and how it ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    talk: String,
}

/// Topics of a test's own, and the command that uses them.
struct Scene {
    broker: &'static Broker,
    topics: TopicSettings,
    files: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Scene {
    async fn set() -> Result<Self, Error> {
        let broker = Broker::shared().await;
        let topics = TopicSettings {
            prefix: unique("penstock"),
            ..TopicSettings::default()
        };
        let settings = Settings {
            bootstrap_servers: vec![broker.bootstrap()],
            security: Security::Plaintext,
            client_id: "penstock-tests".to_owned(),
        };
        ensure(&settings, &topics, Patience::lasting(SOON))
            .await
            .expect("the topics are made");
        Ok(Self {
            broker,
            topics,
            files: rundir::fresh_data_directory("cli")?,
            environment: Vec::new(),
        })
    }

    fn in_aws(mut self, endpoint: &Endpoint) -> Self {
        self.environment = endpoint.environment();
        self
    }

    /// Returns the tag of what an operator of these topics makes.
    fn owner(&self) -> String {
        format!("penstock@{CLUSTER_ID}/{}", self.topics.prefix)
    }

    async fn run(&self, arguments: &[&str]) -> Result<Ended, Error> {
        let mut command = Command::new(bin("penstock")?);
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy().into_owned();
            if name.starts_with("AWS_") || name.starts_with("PENSTOCK_") {
                command.env_remove(variable);
            }
        }
        command
            .args(arguments)
            .env("PENSTOCK_BOOTSTRAP_SERVERS", self.broker.bootstrap())
            .env("PENSTOCK_TOPIC_PREFIX", &self.topics.prefix)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(SOON, command.output()).await;
        let output = output.expect("the command ends in time").expect("the command starts");
        Ok(Ended {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            talk: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.files.join(name);
        std::fs::write(&path, text).expect("the file is written");
        path.display().to_string()
    }

    async fn apply(&self, text: &str) -> Result<Ended, Error> {
        let file = self.file("applied.yaml", text);
        let ended = self.run(&["apply", "-f", &file, "--actor", "tester"]).await?;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        Ok(ended)
    }

    async fn records(&self) -> Result<Vec<Record>, Error> {
        self.broker.read_all(&self.topics.specs()).await
    }

    async fn keys(&self) -> Result<Vec<String>, Error> {
        Ok(self.records().await?.iter().map(Record::key_text).collect())
    }

    async fn tell_status(&self, generation: i64) -> Result<(), Error> {
        let ready = serde_json::json!({
            "type": "Ready", "status": "True", "reason": "TasksHealthy", "message": "1 of 1 tasks run",
            "lastTransitionTime": "2026-01-31T11:58:10Z", "observedGeneration": generation,
        });
        let status = serde_json::json!({
            "apiVersion": "penstock.dev/v1", "kind": "Connector", "name": "orders", "time": "2026-01-31T12:00:00Z",
            "observedGeneration": generation, "acceptedGeneration": generation, "phase": "awake", "health": "HEALTHY",
            "conditions": [ready], "tasks": {"desired": 1, "running": 1, "pending": 0},
        });
        let status = status.to_string();
        let topic = self.topics.status();
        self.broker
            .produce(&topic, "Connector/orders", Some(status.as_bytes()))
            .await?;
        Ok(())
    }
}

const PROFILE: &str = "\
apiVersion: penstock.dev/v1
kind: Profile
metadata:
  name: default
spec:
  kafka:
    bootstrapServers: [\"127.0.0.1:9092\"]
    security: { plaintext: {} }
  task:
    cpu: 256
    memory: 512
    image: penstock-bridge
    roles:
      task: arn:aws:iam::111122223333:role/bridge
      execution: arn:aws:iam::111122223333:role/execution
    logs: { group: /ecs/penstock, region: eu-west-1 }
  service:
    cluster: connectors
    subnets: [subnet-0a1b2c3d4e5f60718]
    securityGroups: [sg-0123456789abcdef0]
    launchType: FARGATE
";

const ORDERS: &str = "\
apiVersion: penstock.dev/v1
kind: Connector
metadata:
  name: orders
spec:
  profile: default
  source:
    sqs:
      queueUrl: https://sqs.eu-west-1.amazonaws.com/111122223333/orders
  sink:
    kafka:
      topic: orders
  errors:
    deadLetterTopic: orders-dead
  scaling: { min: 1, max: 4, backlog: { perTask: 100 } }
";

/// Both documents in one stream, the connector first.
fn both() -> String {
    format!("{ORDERS}---\n{PROFILE}")
}

#[tokio::test]
async fn what_is_applied_stands_in_the_topic_under_its_key_and_is_not_written_twice() -> Result<(), Error> {
    let scene = Scene::set().await?;
    let first = scene.apply(&both()).await?;
    assert_eq!(
        first.out,
        "profile/default applied (generation 0)\nconnector/orders applied (generation 1)\n"
    );
    let second = scene.apply(&both()).await?;
    assert_eq!(
        second.out,
        "profile/default unchanged (generation 0)\nconnector/orders unchanged (generation 1)\n"
    );
    let records = scene.records().await?;
    assert_eq!(scene.keys().await?, ["Profile/default", "Connector/orders"]);
    assert_eq!(records[1].header("penstock-actor").as_deref(), Some("tester"));
    let document: Value = serde_json::from_str(&records[1].value_text()).expect("it is JSON");
    assert_eq!(document["spec"]["scaling"]["max"], 4);
    Ok(())
}

#[tokio::test]
async fn with_one_fault_nothing_is_written_and_every_fault_has_its_line() -> Result<(), Error> {
    let scene = Scene::set().await?;
    let bad = both().replace("max: 4", "max: 0").replace("memory: 512", "memory: 500");
    let file = scene.file("bad.yaml", &bad);
    let ended = scene.run(&["apply", "-f", &file]).await?;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
    assert!(
        ended
            .talk
            .contains("bad.yaml:15:22: Connector/orders: spec.scaling.max: 0 "),
        "{}",
        ended.talk
    );
    assert!(
        ended
            .talk
            .contains("bad.yaml:27:5: Profile/default: spec.task.memory: 500 "),
        "{}",
        ended.talk
    );
    assert!(ended.talk.contains("3 faults; nothing was written"), "{}", ended.talk);
    assert!(scene.records().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn validation_takes_the_profile_from_the_files_or_from_the_topic() -> Result<(), Error> {
    let scene = Scene::set().await?;
    let connector = scene.file("orders.yaml", ORDERS);
    let alone = scene.run(&["validate", "-f", &connector, "-o", "json"]).await?;
    let findings: Value = serde_json::from_str(&alone.out).expect("faults are JSON");
    assert_eq!(
        (alone.code, findings[0]["line"].as_u64()),
        (Some(1), Some(6)),
        "{alone:?}"
    );
    scene.apply(PROFILE).await?;
    let asked = scene.run(&["validate", "-f", &connector, "--server"]).await?;
    assert_eq!(
        (asked.code, asked.out.as_str()),
        (Some(0), "connector/orders valid\n"),
        "{asked:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_pause_keeps_what_was_asked_before_and_is_written_once() -> Result<(), Error> {
    let scene = Scene::set().await?;
    scene.apply(&both()).await?;
    for verb in ["restart", "pause", "pause", "reconcile"] {
        let ended = scene.run(&[verb, "orders", "--actor", "on-call"]).await?;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let records = scene.records().await?;
    let targets: Vec<_> = records
        .iter()
        .filter(|record| record.key_text() == "TargetState/orders")
        .collect();
    assert_eq!(targets.len(), 3);
    let last: Value = serde_json::from_str(&targets[2].value_text()).expect("it is JSON");
    assert_eq!(last["spec"]["state"], "paused");
    assert!(
        last["spec"]["restartedAt"].is_string() && last["spec"]["reconcileAt"].is_string(),
        "{last}"
    );
    assert_eq!(targets[2].header("penstock-actor").as_deref(), Some("on-call"));
    let nobody = scene.run(&["pause", "nobody"]).await?;
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.talk.contains("there is no Connector/nobody"), "{}", nobody.talk);
    Ok(())
}

#[tokio::test]
async fn deleting_writes_null_records_the_connectors_first() -> Result<(), Error> {
    let scene = Scene::set().await?;
    scene.apply(&both()).await?;
    scene.run(&["pause", "orders"]).await?;
    let used = scene.run(&["delete", "profile", "default"]).await?;
    assert_eq!(used.code, Some(1));
    assert!(used.talk.contains("used by orders"), "{}", used.talk);
    let ended = scene.run(&["delete", "orders"]).await?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let records = scene.records().await?;
    let nulls: Vec<_> = records
        .iter()
        .filter(|record| record.value.is_none())
        .map(Record::key_text)
        .collect();
    assert_eq!(nulls, ["Connector/orders", "TargetState/orders"]);
    assert_eq!(scene.run(&["delete", "profile", "default"]).await?.code, Some(0));
    assert_eq!(scene.run(&["delete", "orders"]).await?.code, Some(1));
    Ok(())
}

#[tokio::test]
async fn get_and_describe_show_document_and_status() -> Result<(), Error> {
    let scene = Scene::set().await?;
    scene.apply(&both()).await?;
    let before = scene.run(&["get", "-o", "json"]).await?;
    let shown: Value = serde_json::from_str(&before.out).expect("the list is JSON");
    assert_eq!(
        (&shown[0]["document"]["metadata"]["name"], &shown[0]["status"]),
        (&"orders".into(), &Value::Null)
    );
    scene.tell_status(1).await?;
    let table = scene.run(&["get", "connectors", "orders"]).await?;
    assert!(
        table.out.contains("orders   True    HEALTHY   awake   1/1     1"),
        "{}",
        table.out
    );
    let yaml = scene.run(&["get", "profiles", "-o", "yaml"]).await?;
    assert!(yaml.out.contains("kind: Profile"), "{}", yaml.out);
    let described = scene.run(&["describe", "orders"]).await?;
    assert!(described.out.contains("1 of 1 tasks run"), "{}", described.out);
    assert_eq!(scene.run(&["get", "nobody"]).await?.code, Some(1));
    Ok(())
}

#[tokio::test]
async fn a_wait_ends_with_the_newest_documents_status_or_with_its_time() -> Result<(), Error> {
    let scene = Scene::set().await?;
    scene.apply(&both()).await?;
    scene.tell_status(0).await?;
    let late = scene.run(&["wait", "orders", "--for=ready", "--timeout=15s"]).await?;
    assert_eq!(late.code, Some(1), "{late:?}");
    assert!(
        late.talk.contains("last seen: health HEALTHY, generation 0"),
        "{}",
        late.talk
    );
    let (waited, told) = tokio::join!(scene.run(&["wait", "orders", "--for=ready"]), scene.tell_status(1));
    told?;
    let waited = waited?;
    assert_eq!(
        (waited.code, waited.out.as_str()),
        (Some(0), "connector/orders is ready\n"),
        "{waited:?}"
    );
    let never = scene.run(&["wait", "orders", "--for=deleted", "--timeout=1s"]).await?;
    assert_eq!(never.code, Some(1));
    Ok(())
}

#[tokio::test]
async fn a_topic_that_is_missing_is_named_with_what_to_do() -> Result<(), Error> {
    let scene = Scene::set().await?;
    let ended = scene.run(&["get", "--topic-prefix", "nonesuch"]).await?;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.talk.contains("there is no topic `nonesuch.specs`") && ended.talk.contains("start penstock-operator"),
        "{}",
        ended.talk
    );
    Ok(())
}

#[tokio::test]
async fn wrong_arguments_exit_with_1_since_2_means_changes() -> Result<(), Error> {
    let scene = Scene::set().await?;
    assert_eq!(scene.run(&["fly"]).await?.code, Some(1));
    assert_eq!(scene.run(&["--help"]).await?.code, Some(0));
    let schema = scene.run(&["schema", "connector"]).await?;
    let schema: Value = serde_json::from_str(&schema.out).expect("it is JSON");
    assert_eq!(schema["title"], "Connector");
    Ok(())
}

async fn cloud() -> Result<LocalCloud, Error> {
    let cloud = LocalCloud::builder()?.arg("--speed=30").start().await?;
    let created = cloud
        .endpoint()
        .ecs()
        .create_cluster()
        .cluster_name("connectors")
        .send()
        .await;
    created.expect("the cluster is made");
    let created = cloud.endpoint().sqs().create_queue().queue_name("orders").send().await;
    created.expect("the queue is made");
    Ok(cloud)
}

#[tokio::test]
async fn a_plan_shows_the_calls_and_changes_neither_topic_nor_aws() -> Result<(), Error> {
    let cloud = cloud().await?;
    let scene = Scene::set().await?.in_aws(cloud.endpoint());
    let nothing = scene.run(&["plan"]).await?;
    assert_eq!((nothing.code, nothing.out.as_str()), (Some(0), ""), "{nothing:?}");
    let file = scene.file("both.yaml", &both());
    let plan = scene.run(&["plan", "-f", &file]).await?;
    assert_eq!(plan.code, Some(2), "{plan:?}");
    let order = [
        "RegisterTaskDefinition",
        "CreateService",
        "RegisterScalableTarget",
        "PutScalingPolicy",
    ];
    let places: Vec<_> = order.iter().map(|call| plan.out.find(call)).collect();
    assert!(places.is_sorted() && places[0].is_some(), "{}", plan.out);
    assert!(scene.records().await?.is_empty());
    let services = cloud
        .endpoint()
        .ecs()
        .list_services()
        .cluster("connectors")
        .send()
        .await;
    assert!(services.expect("they are listed").service_arns().is_empty());
    let bad = scene.file("bad.yaml", &both().replace("max: 4", "max: 0"));
    let refused = scene.run(&["plan", "-f", &bad]).await?;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_plan_that_cannot_see_aws_is_an_error_and_no_promise() -> Result<(), Error> {
    let nobody = Endpoint::new("http://127.0.0.1:9", ACCOUNT, "eu-west-1")?;
    let scene = Scene::set().await?.in_aws(&nobody);
    let file = scene.file("both.yaml", &both());
    let plan = scene.run(&["plan", "-f", &file]).await?;
    assert_eq!((plan.code, plan.out.as_str()), (Some(1), ""), "{plan:?}");
    assert!(
        plan.talk
            .contains("error: could not reach AWS; check the credentials and the region"),
        "{}",
        plan.talk
    );
    Ok(())
}

/// Makes a service as an operator would have made it that lost its topics, and one of somebody else's beside it.
async fn leave_behind(aws: &Endpoint, owner: &str) {
    let container = ContainerDefinition::builder()
        .name("bridge")
        .image("penstock-bridge")
        .build();
    let definition = aws
        .ecs()
        .register_task_definition()
        .family("penstock-lost")
        .cpu("256")
        .memory("512");
    let definition = definition
        .network_mode(NetworkMode::Awsvpc)
        .requires_compatibilities(Compatibility::Fargate)
        .container_definitions(container);
    definition.send().await.expect("it is registered");
    for (service, connector) in [("penstock-lost", Some("lost")), ("other", None)] {
        let vpc = AwsVpcConfiguration::builder()
            .subnets("subnet-0a1b2c3d4e5f60718")
            .security_groups("sg-0123456789abcdef0")
            .assign_public_ip(AssignPublicIp::Disabled)
            .build()
            .expect("subnets are given");
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let tags = connector.map(|name| {
            vec![
                tag("penstock:operator", owner),
                tag("penstock:connector", name),
                tag("penstock:uid", "gone/0/1"),
            ]
        });
        let create = aws.ecs().create_service().cluster("connectors").service_name(service);
        let create = create
            .task_definition("penstock-lost")
            .desired_count(0)
            .launch_type(LaunchType::Fargate)
            .network_configuration(NetworkConfiguration::builder().awsvpc_configuration(vpc).build())
            .set_tags(tags);
        create.send().await.expect("it is created");
    }
}

async fn life(aws: &Endpoint, service: &str) -> String {
    let described = aws
        .ecs()
        .describe_services()
        .cluster("connectors")
        .services(service)
        .send()
        .await;
    let described = described.expect("it is described");
    let found = described.services().first().and_then(|service| service.status());
    found.unwrap_or("MISSING").to_owned()
}

#[tokio::test]
async fn an_orphan_is_listed_and_goes_only_when_that_is_confirmed() -> Result<(), Error> {
    let cloud = cloud().await?;
    let aws = cloud.endpoint();
    let scene = Scene::set().await?.in_aws(aws);
    leave_behind(aws, &scene.owner()).await;
    let unknown = scene.run(&["prune"]).await?;
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.talk.contains("give --cluster"), "{}", unknown.talk);
    let listed = scene.run(&["prune", "--cluster", "connectors"]).await?;
    assert_eq!(listed.code, Some(2), "{listed:?}");
    assert!(
        listed
            .out
            .contains("connector/lost (service penstock-lost in connectors) would go: DeleteService"),
        "{}",
        listed.out
    );
    assert_eq!(life(aws, "penstock-lost").await, "ACTIVE");
    let removed = scene
        .run(&["prune", "lost", "--confirm", "--cluster", "connectors"])
        .await?;
    assert_eq!(removed.code, Some(0), "{removed:?}");
    wait_until("the orphan's end", SOON, || async {
        match life(aws, "penstock-lost").await.as_str() {
            "INACTIVE" | "MISSING" => Ok(()),
            other => Err(other.to_owned()),
        }
    })
    .await?;
    assert_eq!(life(aws, "other").await, "ACTIVE");
    assert_eq!(scene.run(&["prune", "--cluster", "connectors"]).await?.code, Some(0));
    Ok(())
}

#[tokio::test]
async fn what_another_installation_left_goes_only_by_its_full_name() -> Result<(), Error> {
    let cloud = cloud().await?;
    let aws = cloud.endpoint();
    leave_behind(aws, "penstock@elsewhere/penstock").await;
    let scene = Scene::set().await?.in_aws(aws);
    let ours = scene.run(&["prune", "--cluster", "connectors"]).await?;
    assert_eq!((ours.code, ours.out.as_str()), (Some(0), ""), "{ours:?}");
    let theirs = ["--cluster", "connectors", "--installation", "elsewhere/penstock"];
    let listed = scene.run(&[&["prune"], theirs.as_slice()].concat()).await?;
    assert_eq!(listed.code, Some(2), "{listed:?}");
    assert!(listed.out.contains("connector/lost"), "{}", listed.out);
    let all = scene
        .run(&[&["prune", "--confirm"], theirs.as_slice()].concat())
        .await?;
    assert_eq!(all.code, Some(1), "{all:?}");
    assert!(
        all.talk.contains("those of `penstock@elsewhere/penstock`") && all.talk.contains("name the connectors"),
        "{}",
        all.talk
    );
    assert_eq!(life(aws, "penstock-lost").await, "ACTIVE");
    let named = scene
        .run(&[&["prune", "lost", "--confirm"], theirs.as_slice()].concat())
        .await?;
    assert_eq!(named.code, Some(0), "{named:?}");
    assert_ne!(life(aws, "penstock-lost").await, "ACTIVE");
    Ok(())
}

#[tokio::test]
async fn a_flag_that_no_name_or_tag_takes_is_refused_with_what_to_do() -> Result<(), Error> {
    let scene = Scene::set().await?;
    for (flag, value, remedy) in [
        ("--operator-name", "Penstock", "use 1 to 32 lower-case letters"),
        ("--installation", "a b", "use 1 to 223 letters"),
        ("--topic-prefix", "a/b", "use 1 to 242 letters"),
    ] {
        let ended = scene.run(&["prune", "--cluster", "connectors", flag, value]).await?;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(
            ended.talk.contains(&format!("{flag} cannot be used")) && ended.talk.contains(remedy),
            "{}",
            ended.talk
        );
    }
    Ok(())
}

/// The connector without a task, since none is needed to see that AWS holds what is wanted.
fn paused() -> String {
    format!("{}  initialState: paused\n---\n{PROFILE}", ORDERS)
}

#[tokio::test]
async fn with_a_real_operator_a_connector_comes_is_seen_to_drift_and_goes() -> Result<(), Error> {
    let cloud = cloud().await?;
    let aws = cloud.endpoint();
    let scene = Scene::set().await?.in_aws(aws);
    let _operator = ours("penstock-operator")?
        .envs(aws.environment())
        .env("PENSTOCK_BOOTSTRAP_SERVERS", scene.broker.bootstrap())
        .env("PENSTOCK_TOPIC_PREFIX", &scene.topics.prefix)
        .env("PENSTOCK_LISTEN", format!("127.0.0.1:{}", free_port()))
        .spawn()?;
    scene.apply(&paused()).await?;
    let synced = scene.run(&["wait", "orders", "--for=synced", "--timeout=50s"]).await?;
    assert_eq!(synced.code, Some(0), "{synced:?}");
    let settled = scene.run(&["plan", "orders"]).await?;
    assert_eq!(settled.code, Some(0), "{settled:?}");
    assert!(
        settled
            .out
            .contains("connector/orders (generation 1): paused\n  nothing differs"),
        "{}",
        settled.out
    );

    let another = scene.run(&["plan", "orders", "--operator-name", "another"]).await?;
    assert_eq!((another.code, another.out.as_str()), (Some(1), ""), "{another:?}");
    assert!(
        another.talk.contains(&scene.owner()) && another.talk.contains("go on as the one that made it"),
        "{}",
        another.talk
    );

    let register = aws.scaling().register_scalable_target().max_capacity(3);
    let register = register
        .service_namespace(ServiceNamespace::Ecs)
        .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
        .resource_id("service/connectors/penstock-orders");
    register.send().await.expect("the target is changed by hand");
    let drifted = scene.run(&["plan", "orders"]).await?;
    assert_eq!(drifted.code, Some(2), "{drifted:?}");
    assert!(
        drifted.out.contains("scaling: max\n    - 3\n    + 4\n"),
        "{}",
        drifted.out
    );
    assert!(
        drifted
            .out
            .contains("1. RegisterScalableTarget min=0 max=4 suspended=true"),
        "{}",
        drifted.out
    );

    let deleted = scene.run(&["delete", "orders", "--wait", "--timeout=50s"]).await?;
    assert_eq!(
        (deleted.code, deleted.out.as_str()),
        (Some(0), "connector/orders is deleted\n"),
        "{deleted:?}"
    );
    assert_ne!(life(aws, "penstock-orders").await, "ACTIVE");
    assert!(!scene.run(&["get"]).await?.out.contains("orders"));
    let described = scene.run(&["describe", "orders"]).await?;
    assert!(
        described.out.contains("Health:       DELETED") && described.out.contains("CreateService"),
        "{}",
        described.out
    );
    Ok(())
}
