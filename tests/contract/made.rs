//! What checks make, and how each of it is removed.

use std::fmt::Debug;
use std::time::Duration;

use aws_sdk_applicationautoscaling::types::{ScalableDimension, ServiceNamespace};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use penstock_tests::wait_until;

use crate::world::World;

const SOON: Duration = Duration::from_secs(60);

/// Something that a check made.
#[derive(Debug)]
pub(crate) enum Made {
    /// A cluster.
    Cluster(String),
    /// A service: cluster and name.
    Service(String, String),
    /// A capacity provider.
    Provider(String),
    /// A container instance: cluster and ARN.
    Instance(String, String),
    /// An ACTIVE task definition's ARN.
    Definition(String),
    /// A scalable target's resource id.
    Target(String),
    /// An alarm.
    Alarm(String),
    /// A queue's URL.
    Queue(String),
    /// A topic's ARN, whose subscriptions go along.
    Topic(String),
    /// A secret.
    Secret(String),
}

impl Made {
    /// Removes it; that it is gone already is fine.
    pub(crate) async fn remove(self, world: &World) -> Result<(), String> {
        let what = format!("{self:?}");
        match self {
            Self::Cluster(name) => {
                // Its services drain for a while.
                let emptied = wait_until("the cluster to be deleted", SOON, || async {
                    gone(String::new(), world.ecs().delete_cluster().cluster(&name).send().await)
                });
                emptied.await.map_err(|error| format!("{what}: {error}"))
            }
            Self::Service(cluster, name) => gone(
                what,
                world
                    .ecs()
                    .delete_service()
                    .cluster(cluster)
                    .service(name)
                    .force(true)
                    .send()
                    .await,
            ),
            Self::Provider(name) => {
                let call = world.ecs().delete_capacity_provider().capacity_provider(name);
                gone(what, call.send().await)
            }
            Self::Instance(cluster, arn) => {
                let call = world.ecs().deregister_container_instance().cluster(cluster);
                gone(what, call.container_instance(arn).send().await)
            }
            Self::Definition(arn) => gone(
                what,
                world
                    .ecs()
                    .deregister_task_definition()
                    .task_definition(arn)
                    .send()
                    .await,
            ),
            Self::Target(id) => {
                let call = world.scaling().deregister_scalable_target().resource_id(id);
                let call = call.service_namespace(ServiceNamespace::Ecs);
                gone(
                    what,
                    call.scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
                        .send()
                        .await,
                )
            }
            Self::Alarm(name) => gone(what, world.cloudwatch().delete_alarms().alarm_names(name).send().await),
            Self::Queue(url) => gone(what, world.sqs().delete_queue().queue_url(url).send().await),
            Self::Topic(arn) => gone(what, world.sns().delete_topic().topic_arn(arn).send().await),
            Self::Secret(id) => {
                let call = world
                    .secrets()
                    .delete_secret()
                    .secret_id(id)
                    .force_delete_without_recovery(true);
                gone(what, call.send().await)
            }
        }
    }
}

fn gone<T, E: ProvideErrorMetadata + Debug>(what: String, answer: Result<T, E>) -> Result<(), String> {
    const GONE: [&str; 6] = [
        "ServiceNotFoundException",
        "ClusterNotFoundException",
        "ObjectNotFoundException",
        "ResourceNotFound",
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
    ];
    let is_gone = |error: &E| {
        // For task definitions and capacity providers ECS has no code of its own.
        let message = error.message().unwrap_or_default();
        let words = ["does not exist", "being deleted", "provider was not found"];
        let in_words = words.iter().any(|words| message.contains(words));
        in_words || error.code().is_some_and(|code| GONE.contains(&code))
    };
    match answer {
        Err(error) if !is_gone(&error) => Err(format!("{what}: {error:?}")),
        _ => Ok(()),
    }
}
