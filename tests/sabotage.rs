//! Wrong policies, bounds and alarms in the place of the operator's: each is caught by the story's checks, by its field,
//! and the stored ones behave: what is wrong neither scales nor tells anybody under a load that the right ones act on.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_applicationautoscaling::types::{
    MetricType, PolicyType, PredefinedMetricSpecification, ScalableDimension, ServiceNamespace, SuspendedState,
    TargetTrackingMetricDataQuery, TargetTrackingMetricStat, TargetTrackingScalingPolicyConfiguration,
};
use aws_sdk_cloudwatch::types::{ComparisonOperator, Dimension, Metric, MetricAlarm, MetricDataQuery, MetricStat};
use aws_smithy_types::DateTime;
use penstock_tests::error::equal;
use penstock_tests::scene::{Scene, TURN, idle_tasks};
use penstock_tests::stage::{CLUSTER, Settings, Stage, bodies};
use penstock_tests::story::SERVICE;
use penstock_tests::story::expected::{self, RESOURCE_ID};
use penstock_tests::{Error, wait_until};
use serde_json::Value;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Tracking = TargetTrackingScalingPolicyConfiguration;

const SPEED: u32 = 240;
const BACKLOG: &str = "penstock-orders-backlog";
const MEMORY: &str = "penstock-orders-memory";
const BACKLOG_ALARM: &str = "penstock-orders-backlogHighAndMaxScaledOut";
const AGE_ALARM: &str = "penstock-orders-oldestMessageAge";
const CPU_ALARM: &str = "penstock-orders-highCpuUsageAndMaxScaledOut";

/// What the operator made, with nobody left to repair it.
struct Ruins {
    stage: Stage,
    policies: Vec<(String, Tracking)>,
    alarms: Vec<MetricAlarm>,
}

impl Ruins {
    async fn new() -> Result<Self, Failure> {
        let scene = Scene::set(Settings {
            speed: SPEED,
            ..idle_tasks()
        })
        .await?;
        scene.begin().await?;
        scene.operator.terminate(Duration::from_secs(30)).await?;
        let stage = scene.stage;
        let described = stage
            .aws()
            .scaling()
            .describe_scaling_policies()
            .service_namespace(ServiceNamespace::Ecs);
        let described = described.resource_id(RESOURCE_ID).send().await?;
        let tracking = |policy: &aws_sdk_applicationautoscaling::types::ScalingPolicy| {
            let configuration = policy.target_tracking_scaling_policy_configuration().cloned();
            (
                policy.policy_name().to_owned(),
                configuration.expect("both track a target"),
            )
        };
        let policies = described.scaling_policies().iter().map(tracking).collect();
        let alarms = expected::described_alarms(&stage).await?;
        Ok(Self {
            stage,
            policies,
            alarms,
        })
    }

    fn policy(&self, name: &str) -> Tracking {
        let found = self.policies.iter().find(|(policy, _)| policy == name);
        found
            .map(|(_, tracking)| tracking.clone())
            .expect("the operator made it")
    }

    fn alarm(&self, name: &str) -> MetricAlarm {
        let found = self.alarms.iter().find(|alarm| alarm.alarm_name() == Some(name));
        found.cloned().expect("the operator made it")
    }

    async fn put_policy(&self, name: &str, tracking: Tracking) -> Result<(), Failure> {
        let put = self
            .stage
            .aws()
            .scaling()
            .put_scaling_policy()
            .policy_name(name)
            .resource_id(RESOURCE_ID);
        put.service_namespace(ServiceNamespace::Ecs)
            .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
            .policy_type(PolicyType::TargetTrackingScaling)
            .target_tracking_scaling_policy_configuration(tracking)
            .send()
            .await?;
        Ok(())
    }

    async fn put_target(&self, max: i32, suspended: bool) -> Result<(), Failure> {
        let suspended = SuspendedState::builder()
            .dynamic_scaling_in_suspended(suspended)
            .dynamic_scaling_out_suspended(suspended)
            .scheduled_scaling_suspended(suspended)
            .build();
        let register = self
            .stage
            .aws()
            .scaling()
            .register_scalable_target()
            .resource_id(RESOURCE_ID);
        register
            .service_namespace(ServiceNamespace::Ecs)
            .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
            .min_capacity(1)
            .max_capacity(max)
            .suspended_state(suspended)
            .send()
            .await?;
        Ok(())
    }

    async fn put_alarm(&self, alarm: MetricAlarm) -> Result<(), Failure> {
        let put = self.stage.aws().cloudwatch().put_metric_alarm();
        put.set_alarm_name(alarm.alarm_name)
            .set_alarm_description(alarm.alarm_description)
            .set_metrics(alarm.metrics)
            .set_threshold(alarm.threshold)
            .set_comparison_operator(alarm.comparison_operator)
            .set_evaluation_periods(alarm.evaluation_periods)
            .set_datapoints_to_alarm(alarm.datapoints_to_alarm)
            .set_treat_missing_data(alarm.treat_missing_data)
            .set_alarm_actions(alarm.alarm_actions)
            .set_actions_enabled(alarm.actions_enabled)
            .send()
            .await?;
        Ok(())
    }

    async fn check(&self) -> Result<(), Error> {
        expected::target(&self.stage, 1, 3).await?;
        expected::policies(&self.stage).await?;
        expected::alarms(&self.stage).await.map(drop)
    }

    /// Passes when the story's checks fail and name what is wrong.
    async fn is_caught(&self, name: &str, named: &str) -> Result<(), Failure> {
        match self.check().await {
            Err(error @ Error::Unequal { .. }) if error.to_string().contains(named) => Ok(()),
            Err(other) => Err(format!("{name}: the check names something else: {other}").into()),
            Ok(()) => Err(format!("{name}: nobody noticed").into()),
        }
    }
}

fn line<'a>(tracking: &'a mut Tracking, id: &str) -> &'a mut TargetTrackingMetricDataQuery {
    let custom = tracking
        .customized_metric_specification
        .as_mut()
        .and_then(|custom| custom.metrics.as_mut());
    let found = custom.and_then(|lines| lines.iter_mut().find(|line| line.id == id));
    found.expect("the backlog policy has this line")
}

fn stat<'a>(tracking: &'a mut Tracking, id: &str) -> &'a mut TargetTrackingMetricStat {
    line(tracking, id).metric_stat.as_mut().expect("the line is a metric")
}

fn reads_another_queue(tracking: &mut Tracking) {
    for id in ["visible", "inflight"] {
        let metric = stat(tracking, id).metric.as_mut().expect("the line names a metric");
        metric.dimensions.as_mut().expect("it has dimensions")[0].value = "notices".to_owned();
    }
}

fn returns_messages_in_flight(tracking: &mut Tracking) {
    line(tracking, "backlog").return_data = Some(false);
    line(tracking, "inflight").return_data = Some(true);
}

/// A wrong policy: how it is called, which it replaces, what it gets wrong, and what the check has to name.
type WrongPolicy = (&'static str, &'static str, fn(&mut Tracking), &'static str);

fn wrong_policies() -> Vec<WrongPolicy> {
    vec![
        (
            "dimension",
            BACKLOG,
            reads_another_queue,
            "the backlog policy's metrics",
        ),
        (
            "statistic",
            BACKLOG,
            |it| stat(it, "visible").stat = "SampleCount".to_owned(),
            "the backlog policy's metrics",
        ),
        (
            "namespace",
            BACKLOG,
            |it| stat(it, "running").metric.as_mut().expect("it is a metric").namespace = Some("AWS/ECS".to_owned()),
            "the backlog policy's metrics",
        ),
        (
            "metric",
            BACKLOG,
            |it| {
                let metric = stat(it, "visible").metric.as_mut().expect("it is a metric");
                metric.metric_name = Some("ApproximateNumberOfMessagesDelayed".to_owned());
            },
            "the backlog policy's metrics",
        ),
        (
            "ReturnData",
            BACKLOG,
            returns_messages_in_flight,
            "the backlog policy's metrics",
        ),
        (
            "expression",
            BACKLOG,
            |it| line(it, "backlog").expression = Some("visible / running".to_owned()),
            "the backlog policy's metrics",
        ),
        (
            "target",
            BACKLOG,
            |it| it.target_value = 100_000.0,
            "the backlog target",
        ),
        (
            "cooldown",
            BACKLOG,
            |it| it.scale_out_cooldown = Some(3600),
            "the backlog policy's cooldowns",
        ),
        (
            "no scale-in",
            BACKLOG,
            |it| it.disable_scale_in = Some(true),
            "whether the backlog policy scales in",
        ),
        (
            "predefined metric",
            MEMORY,
            |it| {
                let cpu = MetricType::EcsServiceAverageCpuUtilization;
                let metric = PredefinedMetricSpecification::builder()
                    .predefined_metric_type(cpu)
                    .build();
                it.predefined_metric_specification = Some(metric.expect("it names a metric"));
            },
            "the memory policy's metric",
        ),
    ]
}

fn query<'a>(alarm: &'a mut MetricAlarm, id: &str) -> &'a mut MetricDataQuery {
    let lines = alarm.metrics.as_mut().expect("it is metric math");
    lines
        .iter_mut()
        .find(|line| line.id() == Some(id))
        .expect("the alarm has this line")
}

fn alarm_stat<'a>(alarm: &'a mut MetricAlarm, id: &str) -> &'a mut MetricStat {
    query(alarm, id).metric_stat.as_mut().expect("the line is a metric")
}

fn watches_another_service(alarm: &mut MetricAlarm) {
    let metric = alarm_stat(alarm, "tasks").metric.as_mut().expect("it is a metric");
    for dimension in metric.dimensions.as_mut().expect("it has dimensions") {
        if dimension.name() == Some("ServiceName") {
            *dimension = Dimension::builder()
                .name("ServiceName")
                .value("penstock-others")
                .build();
        }
    }
}

fn tells_another_topic(alarm: &mut MetricAlarm) {
    let topics = alarm.alarm_actions.as_mut().expect("somebody is told");
    topics[0].push_str("-of-others");
}

/// A wrong alarm, likewise.
type WrongAlarm = (&'static str, &'static str, fn(&mut MetricAlarm), &'static str);

fn wrong_alarms() -> Vec<WrongAlarm> {
    vec![
        (
            "dimension",
            BACKLOG_ALARM,
            watches_another_service,
            "the metrics of penstock-orders-backlogHigh",
        ),
        (
            "topic",
            BACKLOG_ALARM,
            tells_another_topic,
            "who hears of penstock-orders-backlogHigh",
        ),
        (
            "muted",
            BACKLOG_ALARM,
            |it| it.actions_enabled = Some(false),
            "whether penstock-orders-backlogHigh",
        ),
        (
            "ReturnData",
            BACKLOG_ALARM,
            |it| {
                query(it, "hot").return_data = Some(false);
                query(it, "deployments").return_data = Some(true);
            },
            "the metrics of penstock-orders-backlogHigh",
        ),
        (
            "max",
            BACKLOG_ALARM,
            |it| {
                let hot = query(it, "hot");
                hot.expression = hot.expression().map(|text| text.replace("tasks >= 3", "tasks >= 30"));
            },
            "the metrics of penstock-orders-backlogHigh",
        ),
        (
            "statistic",
            CPU_ALARM,
            |it| alarm_stat(it, "use").stat = Some("Minimum".to_owned()),
            "the metrics of",
        ),
        (
            "period",
            AGE_ALARM,
            |it| alarm_stat(it, "age").period = Some(300),
            "the metrics of",
        ),
        (
            "namespace",
            CPU_ALARM,
            |it| {
                let metric: &mut Metric = alarm_stat(it, "use").metric.as_mut().expect("it is a metric");
                metric.namespace = Some("ECS/ContainerInsights".to_owned());
            },
            "the metrics of",
        ),
        (
            "comparison",
            CPU_ALARM,
            |it| it.comparison_operator = Some(ComparisonOperator::LessThanThreshold),
            "the comparison of",
        ),
        (
            "M of N",
            CPU_ALARM,
            |it| it.datapoints_to_alarm = Some(15),
            "the judgement of",
        ),
        (
            "threshold",
            CPU_ALARM,
            |it| it.threshold = Some(2.0),
            "the judgement of",
        ),
        (
            "missing data",
            CPU_ALARM,
            |it| it.treat_missing_data = Some("breaching".to_owned()),
            "missing data of",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_policy_bound_or_alarm_fails_the_story_by_name() -> Result<(), Failure> {
    let ruins = Ruins::new().await?;
    ruins.check().await?;
    for (name, policy, spoil, named) in wrong_policies() {
        let mut tracking = ruins.policy(policy);
        spoil(&mut tracking);
        ruins.put_policy(policy, tracking).await?;
        ruins.is_caught(name, named).await?;
        ruins.put_policy(policy, ruins.policy(policy)).await?;
        ruins.check().await?;
    }
    for (name, max, suspended, named) in [
        ("max", 2, false, "the target's bounds"),
        ("suspended", 3, true, "whether scaling is suspended"),
    ] {
        ruins.put_target(max, suspended).await?;
        ruins.is_caught(name, named).await?;
        ruins.put_target(3, false).await?;
        ruins.check().await?;
    }
    for (name, alarm, spoil, named) in wrong_alarms() {
        let mut wrong = ruins.alarm(alarm);
        spoil(&mut wrong);
        ruins.put_alarm(wrong).await?;
        ruins.is_caught(name, named).await?;
        ruins.put_alarm(ruins.alarm(alarm)).await?;
        ruins.check().await?;
    }
    Ok(())
}

/// How many of CloudWatch's minutes a wrong policy or alarm is given: the right one needs three to act, the alarm five.
const MINUTES: usize = 12;

impl Ruins {
    /// Waits until CloudWatch has closed so many more minutes.
    async fn minutes(&self, more: usize) -> Result<(), Failure> {
        let first = self.minutes_so_far().await?;
        wait_until("more of CloudWatch's minutes", TURN, || async {
            let passed = self.minutes_so_far().await.map_err(|error| error.to_string())? - first;
            if passed >= more {
                Ok(())
            } else {
                Err(format!("{passed} minutes"))
            }
        })
        .await?;
        Ok(())
    }

    /// Counts the minutes for which CloudWatch has heard of the queue.
    async fn minutes_so_far(&self) -> Result<usize, Failure> {
        let queue = Dimension::builder().name("QueueName").value("orders").build();
        let metric = Metric::builder()
            .namespace("AWS/SQS")
            .metric_name("ApproximateNumberOfMessagesVisible");
        let stat = MetricStat::builder()
            .metric(metric.dimensions(queue).build())
            .period(60)
            .stat("SampleCount")
            .build();
        let query = MetricDataQuery::builder().id("minutes").metric_stat(stat).build();
        // A window wide enough for a clock that runs fast: the day before the test to the week after it.
        let now = i64::try_from(UNIX_EPOCH.elapsed()?.as_secs())?;
        let (start, end) = (DateTime::from_secs(now - 86_400), DateTime::from_secs(now + 7 * 86_400));
        let call = self
            .stage
            .aws()
            .cloudwatch()
            .get_metric_data()
            .metric_data_queries(query);
        let answer = call.start_time(start).end_time(end).send().await?;
        Ok(answer
            .metric_data_results()
            .iter()
            .map(|result| result.values().len())
            .sum())
    }

    async fn desired(&self) -> Result<i32, Failure> {
        let service = expected::described_service(&self.stage).await?;
        Ok(service.map(|service| service.desired_count()).unwrap_or_default())
    }

    async fn set_desired(&self, count: i32) -> Result<(), Failure> {
        let update = self
            .stage
            .aws()
            .ecs()
            .update_service()
            .cluster(CLUSTER)
            .service(SERVICE)
            .desired_count(count);
        update.send().await?;
        Ok(())
    }

    async fn scales_out(&self, why: &str) -> Result<(), Failure> {
        wait_until(&format!("3 tasks: {why}"), TURN, || async {
            match self.desired().await.map_err(|error| error.to_string())? {
                3 => Ok(()),
                other => Err(format!("{other} tasks")),
            }
        })
        .await?;
        Ok(())
    }

    /// Holds that nothing scales for long enough that the right one would have.
    async fn stays(&self, name: &str) -> Result<(), Failure> {
        self.set_desired(1).await?;
        self.minutes(MINUTES).await?;
        Ok(equal(
            &format!("the tasks under a wrong {name}"),
            self.desired().await?,
            1,
        )?)
    }

    /// Takes what SNS has told so far, and returns the alarms that spoke.
    async fn told(&self) -> Result<Vec<String>, Failure> {
        let (sqs, mut alarms) = (self.stage.aws().sqs(), Vec::new());
        loop {
            let received = sqs
                .receive_message()
                .queue_url(&self.stage.notices_url)
                .max_number_of_messages(10);
            let received = received.send().await?;
            if received.messages().is_empty() {
                return Ok(alarms);
            }
            for message in received.messages() {
                let delete = sqs.delete_message().queue_url(&self.stage.notices_url);
                delete.set_receipt_handle(message.receipt_handle.clone()).send().await?;
                let notice: Value = serde_json::from_str(message.body().unwrap_or_default())?;
                alarms.extend(notice["AlarmName"].as_str().map(str::to_owned));
            }
        }
    }

    /// An alarm that is put over another keeps its state, and one that stays in ALARM tells nobody; so it is made anew.
    async fn renew_alarm(&self, alarm: MetricAlarm) -> Result<(), Failure> {
        let delete = self.stage.aws().cloudwatch().delete_alarms().alarm_names(BACKLOG_ALARM);
        delete.send().await?;
        self.told().await?;
        self.put_alarm(alarm).await
    }

    async fn speaks(&self, why: &str) -> Result<(), Failure> {
        wait_until(&format!("the alarm to reach SNS: {why}"), TURN, || async {
            let told = self.told().await.map_err(|error| error.to_string())?;
            if told.iter().any(|alarm| alarm == BACKLOG_ALARM) {
                Ok(())
            } else {
                Err(format!("{told:?}"))
            }
        })
        .await?;
        Ok(())
    }
}

type Spoiling<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_wrong_does_not_act_on_a_load_that_the_right_one_acts_on() -> Result<(), Failure> {
    let ruins = Ruins::new().await?;
    // The tasks move nothing, so the load holds itself.
    ruins.stage.send(&bodies("sabotage", 0..1000)).await?;
    ruins.scales_out("the operator's policy").await?;
    ruins.speaks("the operator's alarm").await?;

    for (name, spoil) in [
        ("dimension", reads_another_queue as fn(&mut Tracking)),
        ("ReturnData", returns_messages_in_flight),
        ("target", |tracking| tracking.target_value = 100_000.0),
    ] {
        let mut wrong = ruins.policy(BACKLOG);
        spoil(&mut wrong);
        ruins.put_policy(BACKLOG, wrong).await?;
        ruins.stays(name).await?;
        ruins.put_policy(BACKLOG, ruins.policy(BACKLOG)).await?;
        ruins.scales_out(&format!("after the wrong {name}")).await?;
    }
    let bounds: [(&str, Spoiling<'_>); 2] = [
        ("max", Box::pin(ruins.put_target(1, false))),
        ("suspension", Box::pin(ruins.put_target(3, true))),
    ];
    for (name, spoil) in bounds {
        spoil.await?;
        ruins.stays(name).await?;
        ruins.put_target(3, false).await?;
        ruins.scales_out(&format!("after the wrong {name}")).await?;
    }
    for (name, spoil) in [
        ("dimension", watches_another_service as fn(&mut MetricAlarm)),
        ("topic", tells_another_topic),
        ("maximum", |alarm| {
            let hot = query(alarm, "hot");
            hot.expression = hot.expression().map(|text| text.replace("tasks >= 3", "tasks >= 30"));
        }),
    ] {
        let mut wrong = ruins.alarm(BACKLOG_ALARM);
        spoil(&mut wrong);
        ruins.renew_alarm(wrong).await?;
        ruins.minutes(MINUTES).await?;
        let told = ruins.told().await?;
        assert!(
            !told.iter().any(|alarm| alarm == BACKLOG_ALARM),
            "a wrong {name} spoke: {told:?}"
        );
        ruins.renew_alarm(ruins.alarm(BACKLOG_ALARM)).await?;
        ruins.speaks(&format!("after the wrong {name}")).await?;
    }
    Ok(())
}
