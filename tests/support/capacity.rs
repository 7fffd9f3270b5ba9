//! What a cluster runs tasks on: container instances, registered as their agents would, and capacity providers.

use aws_sdk_ecs::types::{Attribute, AutoScalingGroupProvider, ManagedScaling, ManagedScalingStatus, Resource};
use serde_json::json;

use crate::Error;
use crate::aws::Endpoint;
use crate::error::{aws, lacking};
use crate::unique;

/// A container instance to be.
#[derive(Debug, Clone, Copy)]
pub struct Instance {
    /// Such as `m5.large`.
    pub kind: &'static str,
    /// The last letter of its Availability Zone.
    pub zone: &'static str,
    /// Its Auto Scaling group, if it is of one.
    pub group: Option<&'static str>,
}

impl Instance {
    /// Returns an instance of no group.
    pub fn new(kind: &'static str, zone: &'static str) -> Self {
        Self {
            kind,
            zone,
            group: None,
        }
    }

    /// Returns the same instance in a group.
    #[must_use]
    pub fn of(self, group: &'static str) -> Self {
        Self {
            group: Some(group),
            ..self
        }
    }

    /// Registers it with a cluster, with room for several tasks, and returns its ARN.
    pub async fn register(self, endpoint: &Endpoint, cluster: &str) -> Result<String, Error> {
        let resource = |name: &str, value| {
            Resource::builder()
                .name(name)
                .r#type("INTEGER")
                .integer_value(value)
                .build()
        };
        let identity = json!({
            "instanceId": unique("i"), "instanceType": self.kind,
            "availabilityZone": format!("{}{}", endpoint.region(), self.zone),
        });
        let mut call = endpoint
            .ecs()
            .register_container_instance()
            .cluster(cluster)
            .instance_identity_document(identity.to_string())
            .total_resources(resource("CPU", 2048))
            .total_resources(resource("MEMORY", 7680));
        if let Some(group) = self.group {
            let attribute = Attribute::builder().name("localcloud.auto-scaling-group").value(group);
            call = call.attributes(attribute.build().map_err(aws("name an attribute"))?);
        }
        let registered = call.send().await.map_err(aws("register a container instance"))?;
        let arn = registered
            .container_instance
            .and_then(|instance| instance.container_instance_arn);
        arn.ok_or_else(|| lacking("register a container instance", "its ARN"))
    }
}

/// Creates a capacity provider for an Auto Scaling group.
pub async fn create_provider(endpoint: &Endpoint, name: &str, group: &str) -> Result<(), Error> {
    let arn = format!(
        "arn:aws:autoscaling:{}:{}:autoScalingGroup:1:autoScalingGroupName/{group}",
        endpoint.region(),
        endpoint.account()
    );
    let scaling = ManagedScaling::builder().status(ManagedScalingStatus::Disabled).build();
    let group = AutoScalingGroupProvider::builder()
        .auto_scaling_group_arn(arn)
        .managed_scaling(scaling)
        .build()
        .map_err(aws("name an Auto Scaling group"))?;
    let call = endpoint.ecs().create_capacity_provider().name(name);
    let created = call.auto_scaling_group_provider(group).send().await;
    created.map(drop).map_err(aws("create a capacity provider"))
}

/// Gives a cluster these capacity providers, and no default strategy.
pub async fn give_providers(endpoint: &Endpoint, cluster: &str, names: &[&str]) -> Result<(), Error> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let call = endpoint.ecs().put_cluster_capacity_providers().cluster(cluster);
    let put = call
        .set_capacity_providers(Some(names))
        .set_default_capacity_provider_strategy(Some(Vec::new()));
    put.send()
        .await
        .map(drop)
        .map_err(aws("give the cluster its providers"))
}
