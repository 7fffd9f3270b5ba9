//! Bad documents on the real topic: the status says where, why and what to do, nobody else is disturbed, and the last
//! good document goes on being repaired.

use penstock_crds::{ConditionType, Status, Truth};
use penstock_tests::Error;
use penstock_tests::scene::{Scene, idle_tasks};
use penstock_tests::stage::lay;
use penstock_tests::story::{CONNECTOR, condition, expected};
use penstock_tests::{unique, wait_until};
use rdkafka::producer::FutureRecord;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::util::Timeout;
use serde_json::{Value, json};

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// The connector that has nothing to do with any of it.
const NEIGHBOUR: &str = "invoices";

/// A scene with two connectors that have settled.
async fn two_connectors() -> Result<(Scene, Neighbour), Error> {
    let scene = Scene::set(idle_tasks()).await?;
    scene.begin().await?;
    let mut document = scene.orders()?;
    let queue_url = scene.stage.queue(NEIGHBOUR).await?;
    lay(
        &mut document,
        json!({"metadata": {"name": NEIGHBOUR}, "spec": {"source": {"sqs": {"queueUrl": queue_url}}}}),
    );
    let generation = scene
        .stage
        .write(&format!("Connector/{NEIGHBOUR}"), Some(&document))
        .await?;
    scene.settled(NEIGHBOUR, generation).await?;
    let records = scene.stage.statuses(NEIGHBOUR).await?.len();
    Ok((scene, Neighbour { records }))
}

/// What the neighbour's status topic held before.
struct Neighbour {
    records: usize,
}

impl Neighbour {
    /// Holds that nothing was done to it since, and nothing found wrong with it: both would have been told. That
    /// Application Auto Scaling looked at it and left it alone is told as well, and disturbs nobody.
    async fn is_undisturbed(&self, scene: &Scene) -> Outcome {
        let statuses = scene.stage.statuses(NEIGHBOUR).await?;
        let news = statuses.get(self.records..).unwrap_or_default();
        let disturbed = |status: &&Status| {
            let quiet = status.actions.is_empty() && status.differences.is_empty() && status.faults.is_empty();
            !quiet || condition(status, ConditionType::Ready) != Truth::True
        };
        match news.iter().find(disturbed) {
            None => Ok(()),
            Some(status) => Err(format!("the neighbour was disturbed: {status:?}").into()),
        }
    }
}

/// One way to be wrong: what is written, and what the fault has to say.
struct Wrong {
    bytes: Vec<u8>,
    path: &'static str,
    why: &'static str,
    remedy: &'static str,
}

/// Writes it and waits for the status that refuses it.
async fn refused(scene: &Scene, wrong: &Wrong) -> Outcome {
    let topic = scene.stage.operator_topic("specs");
    let (_, offset) = scene
        .stage
        .broker
        .produce(&topic, "Connector/orders", Some(&wrong.bytes))
        .await?;
    let of_it = |status: &Status| status.observed_generation == Some(offset);
    let status = scene
        .status_when(&format!("the refusal of {}", wrong.path), of_it)
        .await?;
    let said =
        |fault: &String| fault.starts_with(wrong.path) && fault.contains(wrong.why) && fault.contains(wrong.remedy);
    if !status.faults.iter().any(said) {
        let wanted = format!("`{}: … {}; … {}", wrong.path, wrong.why, wrong.remedy);
        return Err(format!("no fault like {wanted} in {:?}", status.faults).into());
    }
    assert_eq!(condition(&status, ConditionType::Synced), Truth::False, "{status:?}");
    assert_eq!(
        condition(&status, ConditionType::Ready),
        Truth::True,
        "the old one runs: {status:?}"
    );
    assert!(status.accepted_generation < Some(offset), "{status:?}");
    assert!(status.actions.is_empty(), "nothing was done about it: {status:?}");
    Ok(())
}

fn wrongs(good: &Value) -> Vec<Wrong> {
    let with = |over: Value| {
        let mut document = good.clone();
        lay(&mut document, over);
        document.to_string().into_bytes()
    };
    let without = |parent: &str, field: &str| {
        let mut document = good.clone();
        let object = document
            .pointer_mut(parent)
            .and_then(Value::as_object_mut)
            .expect("the example has it");
        object.remove(field).expect("the example has it");
        document.to_string().into_bytes()
    };
    let wrong = |bytes, path, why, remedy| Wrong {
        bytes,
        path,
        why,
        remedy,
    };
    vec![
        wrong(
            with(json!({"spec": {"scaling": {"maxx": 9}}})),
            "spec.scaling.maxx",
            "",
            "max",
        ),
        wrong(
            with(json!({"spec": {"scaling": {"max": "many"}}})),
            "spec.scaling.max",
            "",
            "",
        ),
        wrong(
            without("/spec/sink/kafka", "topic"),
            "spec.sink.kafka.topic",
            "is missing",
            "",
        ),
        wrong(
            with(json!({"spec": {"task": {"roles": {"task": "PenstockBridgeTask"}}}})),
            "spec.task.roles.task",
            "is not the ARN of an IAM role",
            "arn:aws:iam::",
        ),
        wrong(
            with(json!({"spec": {"task": {"cpu": 256, "memory": 4096}}})),
            "spec.task.memory",
            "is no memory size that Fargate has for 256 CPU units",
            "512, 1024, 2048",
        ),
        wrong(
            with(json!({"spec": {"scaling": {"min": 9}}})),
            "spec.scaling.min",
            "",
            "lower it",
        ),
        wrong(b"\xff\xfe{}".to_vec(), "document", "UTF-8", ""),
        wrong(b"{\"apiVersion\": ".to_vec(), "document", "JSON", ""),
        wrong(
            with(json!({"metadata": {"annotations": {"padding": "x".repeat(300 * 1024)}}})),
            "document",
            "a document may have 262144",
            "make it shorter",
        ),
        wrong(
            with(json!({"metadata": {"name": "other"}})),
            "metadata.name",
            "",
            "Connector/",
        ),
        wrong(with(json!({"kind": "Profile"})), "kind", "", ""),
        wrong(
            with(json!({"apiVersion": "penstock.dev/v9"})),
            "apiVersion",
            "",
            "penstock.dev/v1",
        ),
        wrong(
            with(json!({"spec": {"profile": "nonesuch"}})),
            "spec.profile",
            "there is no such profile",
            "write `Profile/nonesuch` first",
        ),
        wrong(
            with(json!({"spec": {"service": {"cluster": "elsewhere"}}})),
            "spec.service.cluster",
            "",
            "penstock stop",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_document_of_each_class_is_refused_in_words_and_disturbs_nobody() -> Outcome {
    let (scene, neighbour) = two_connectors().await?;
    let good = scene.orders()?;
    let writes = scene.metrics().await?.writes();
    for wrong in wrongs(&good) {
        refused(&scene, &wrong).await?;
    }
    assert_eq!(scene.metrics().await?.writes(), writes, "no document was half good");
    neighbour.is_undisturbed(&scene).await?;

    repairs_still(&scene).await?;
    neighbour.is_undisturbed(&scene).await?;
    let generation = scene.stage.write("Connector/orders", Some(&good)).await?;
    let status = scene.settled(CONNECTOR, generation).await?;
    assert!(status.faults.is_empty(), "{:?}", status.faults);
    neighbour.is_undisturbed(&scene).await
}

/// Deletes an alarm and waits until it is back.
async fn repairs_still(scene: &Scene) -> Outcome {
    let age = "penstock-orders-oldestMessageAge";
    scene
        .stage
        .aws()
        .cloudwatch()
        .delete_alarms()
        .alarm_names(age)
        .send()
        .await?;
    wait_until("the alarm to come back", penstock_tests::scene::TURN, || async {
        expected::alarms(&scene.stage)
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_key_names_no_document_is_passed_over() -> Outcome {
    let (scene, neighbour) = two_connectors().await?;
    let topic = scene.stage.operator_topic("specs");
    let good = scene.orders()?.to_string();
    let mark = scene.mark().await?;
    for key in [
        &b"Pipeline/orders"[..],
        b"orders",
        b"Connector/Not A Name",
        b"\xff\xfe",
        b"",
    ] {
        scene.stage.broker.produce(&topic, key, Some(good.as_bytes())).await?;
    }
    // A compacted topic takes no record without a key, so that one can never arrive.
    let keyless = FutureRecord::<[u8], [u8]>::to(&topic).payload(good.as_bytes());
    let sent = scene
        .stage
        .broker
        .producer()
        .send(keyless, Timeout::After(penstock_tests::scene::TURN))
        .await;
    let refusal = sent.expect_err("the broker refuses it").0;
    assert_eq!(refusal.rdkafka_error_code(), Some(RDKafkaErrorCode::InvalidRecord));

    // What is written behind them is read behind them.
    let mut orders = scene.orders()?;
    lay(&mut orders, json!({"spec": {"scaling": {"max": 4}}}));
    let generation = scene.stage.write("Connector/orders", Some(&orders)).await?;
    scene.settled(CONNECTOR, generation).await?;
    neighbour.is_undisturbed(&scene).await?;
    let log = scene.operator.log_text();
    assert_eq!(log.matches("Refused a record of the spec topic").count(), 5, "{log}");
    assert!(log.contains("Pipeline/orders"), "the log names the key");
    let statuses = scene.stage.statuses(CONNECTOR).await?;
    assert!(
        statuses[mark..].iter().all(|status| status.faults.is_empty()),
        "it is no fault of the connector's"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_made_bad_or_deleted_changes_nothing_until_it_is_mended() -> Outcome {
    let scene = Scene::set(idle_tasks()).await?;
    let accepted = scene.begin().await?.accepted_generation.unwrap_or_default();
    let writes = scene.metrics().await?.writes();

    let mut bad = scene.profile()?;
    lay(&mut bad, json!({"spec": {"task": {"memmory": 1024}}}));
    scene.stage.write("Profile/default", Some(&bad)).await?;
    let names = |path: &'static str| move |status: &Status| status.faults.iter().any(|fault| fault.starts_with(path));
    scene
        .status_when(
            "the status to name the profile's field",
            names("Profile/default: spec.task.memmory"),
        )
        .await?;

    let mut impossible = scene.profile()?;
    lay(&mut impossible, json!({"spec": {"task": {"cpu": 300}}}));
    scene.stage.write("Profile/default", Some(&impossible)).await?;
    scene
        .status_when("the status to name the merged field", names("spec.task.cpu"))
        .await?;

    scene.stage.write("Profile/default", None).await?;
    let status = scene
        .status_when("the status to miss the profile", names("spec.profile"))
        .await?;
    assert_eq!(status.accepted_generation, Some(accepted));
    assert_eq!(
        scene.metrics().await?.writes(),
        writes,
        "nothing was done about any of it"
    );
    repairs_still(&scene).await?;

    let mut mended = scene.profile()?;
    lay(&mut mended, json!({"spec": {"task": {"memory": 1024}}}));
    scene.stage.write("Profile/default", Some(&mended)).await?;
    let taken = |status: &Status| status.faults.is_empty() && !status.actions.is_empty();
    scene.status_when("the mended profile to be applied", taken).await?;
    let status = scene.settled(CONNECTOR, accepted).await?;
    assert_eq!(condition(&status, ConditionType::Degraded), Truth::False);
    let service = expected::described_service(&scene.stage)
        .await?
        .expect("there is a service");
    let definition = scene.stage.aws().ecs().describe_task_definition();
    let definition = definition.set_task_definition(service.task_definition).send().await?;
    assert_eq!(definition.task_definition().and_then(|one| one.memory()), Some("1024"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_a_document_is_refused_and_shown_nowhere() -> Outcome {
    let scene = Scene::set(idle_tasks()).await?;
    scene.stage.write("Profile/default", Some(&scene.profile()?)).await?;
    let canary = unique("canary-of-the-suites");
    let places = [
        json!({"spec": {"task": {"environment": {"DB_PASSWORD": canary}}}}),
        json!({"spec": {"task": {"environment": {"PROXY": format!("http://user:{canary}@proxy:3128")}}}}),
        json!({"spec": {"secrets": {"db": canary}}}),
        json!({"spec": {"kafka": {"security": {"scram": {"password": canary}}}}}),
        json!({"spec": {"task": {"environment": {"DB_PASSWORD": {"value": canary}}}}}),
    ];
    for place in places {
        let mut document = scene.orders()?;
        lay(&mut document, place);
        let offset = scene.stage.write("Connector/orders", Some(&document)).await?;
        let refused = |status: &Status| status.observed_generation == Some(offset) && !status.faults.is_empty();
        let status = scene.status_when("the refusal of a literal secret", refused).await?;
        assert_eq!(status.accepted_generation, None, "{status:?}");
    }
    let status_topic = scene
        .stage
        .broker
        .read_all(&scene.stage.operator_topic("status"))
        .await?;
    let state_topic = scene
        .stage
        .broker
        .read_all(&scene.stage.operator_topic("state"))
        .await?;
    for record in status_topic.iter().chain(&state_topic) {
        assert!(!record.value_text().contains(&canary), "{}", record.value_text());
    }
    assert!(!scene.operator.log_text().contains(&canary), "the log shows it");
    assert_eq!(scene.metrics().await?.writes(), 0.0);
    assert!(expected::described_service(&scene.stage).await?.is_none());
    Ok(())
}
