//! Hot tasks: processes that really burn CPU and memory drive the stored memory policy and the stored CPU alarm.

use std::time::Duration;

use penstock_tests::stage::{Settings, Stage, lay};
use penstock_tests::story::expected;
use penstock_tests::{Error, wait_until};
use serde_json::{Value, json};

const TURN: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_policy_scales_out_and_the_cpu_alarm_reaches_sns_at_the_maximum() -> Result<(), Error> {
    let settings = Settings {
        speed: 60,
        program: "penstock-hog",
        ..Settings::default()
    };
    let stage = Stage::set(settings).await?;
    let _operator = stage.operator().await?;
    let mut documents = stage.documents()?;
    // A quarter of a CPU and 512 MiB are the task's; it uses all of the one and four fifths of the other.
    let (_, orders) = documents.last_mut().expect("the connector is the last document");
    lay(
        orders,
        json!({"spec": {
            "task": {"environment": {"HOG_CPU_PERCENT": "25", "HOG_MEMORY_MIB": "420"}},
            "scaling": {"min": 1, "max": 2, "memory": 60},
            "alarms": {"highCpuUsageAndMaxScaledOut": {"threshold": 70}},
        }}),
    );
    for (key, document) in &documents {
        stage.write(key, Some(document)).await?;
    }
    wait_until("the memory policy to scale out", TURN, || async {
        let scaling = stage.aws().scaling();
        let activities = scaling
            .describe_scaling_activities()
            .service_namespace(aws_sdk_applicationautoscaling::types::ServiceNamespace::Ecs)
            .resource_id(expected::RESOURCE_ID);
        let activities = activities.send().await.map_err(|error| error.to_string())?;
        let causes: Vec<_> = activities
            .scaling_activities()
            .iter()
            .map(|activity| activity.cause())
            .collect();
        let by_memory = causes.iter().any(|cause| cause.contains("penstock-orders-memory"));
        if by_memory { Ok(()) } else { Err(format!("{causes:?}")) }
    })
    .await?;
    let sqs = stage.aws().sqs();
    wait_until("the CPU alarm to reach SNS", TURN, || async {
        let call = sqs
            .receive_message()
            .queue_url(&stage.notices_url)
            .max_number_of_messages(10)
            .wait_time_seconds(1);
        let received = call.send().await.map_err(|error| error.to_string())?;
        let notices = received.messages().iter().filter_map(|message| message.body());
        let notices: Vec<Value> = notices.filter_map(|body| serde_json::from_str(body).ok()).collect();
        let wanted = |notice: &Value| {
            notice["AlarmName"] == "penstock-orders-highCpuUsageAndMaxScaledOut" && notice["NewStateValue"] == "ALARM"
        };
        if notices.iter().any(wanted) {
            Ok(())
        } else {
            Err(format!("{} other notices", notices.len()))
        }
    })
    .await
}
