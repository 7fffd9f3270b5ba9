//! Where the services of checks live, and how they are made.

use aws_sdk_ecs::operation::create_service::builders::CreateServiceFluentBuilder;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, DeploymentCircuitBreaker, DeploymentConfiguration, LaunchType,
    NetworkConfiguration, Service, ServiceField,
};

use crate::check::{Failure, done, there};
use crate::definitions::registered_arn;
use crate::made::Made;
use crate::world::World;

/// A cluster, and a definition that its services can run.
pub(crate) struct Home {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// The definition's family.
    pub(crate) family: String,
    /// The definition's ARN.
    pub(crate) definition: String,
}

impl Home {
    /// Makes both.
    pub(crate) async fn new(world: &World) -> Result<Self, Failure> {
        let (cluster, family) = (world.name("cluster"), world.name("family"));
        let call = world.ecs().create_cluster().cluster_name(&cluster);
        done(
            "create a cluster",
            call.capacity_providers("FARGATE")
                .capacity_providers("FARGATE_SPOT")
                .send()
                .await,
        )?;
        world.note(Made::Cluster(cluster.clone()));
        let definition = registered_arn(world, &family).await?;
        Ok(Self {
            cluster,
            family,
            definition,
        })
    }

    /// Prepares a service of no task.
    pub(crate) fn service(&self, world: &World, name: &str) -> CreateServiceFluentBuilder {
        world.note(Made::Service(self.cluster.clone(), name.to_owned()));
        let call = world
            .ecs()
            .create_service()
            .cluster(&self.cluster)
            .service_name(name)
            .desired_count(0);
        call.task_definition(&self.definition)
            .launch_type(LaunchType::Fargate)
            .network_configuration(network(world))
    }

    /// Creates a service of no task, and returns its name.
    pub(crate) async fn created(&self, world: &World) -> Result<String, Failure> {
        let name = world.name("service");
        done("create a service", self.service(world, &name).send().await)?;
        Ok(name)
    }

    /// Describes a service.
    pub(crate) async fn described(&self, world: &World, name: &str) -> Result<Service, Failure> {
        let call = world
            .ecs()
            .describe_services()
            .cluster(&self.cluster)
            .services(name)
            .include(ServiceField::Tags);
        let services = done("describe the service", call.send().await)?
            .services
            .unwrap_or_default();
        there("the service", services.into_iter().next())
    }
}

/// Returns the network that services of checks live in.
pub(crate) fn network(world: &World) -> NetworkConfiguration {
    network_with(world, AssignPublicIp::Disabled)
}

/// Returns the same network, with or without public addresses.
pub(crate) fn network_with(world: &World, public: AssignPublicIp) -> NetworkConfiguration {
    let network = AwsVpcConfiguration::builder()
        .subnets(&world.network().subnet)
        .assign_public_ip(public);
    let network = network.set_security_groups(world.network().security_group.clone().map(|group| vec![group]));
    let network = network.build().expect("a network has subnets");
    NetworkConfiguration::builder().awsvpc_configuration(network).build()
}

pub(crate) fn rollout(maximum: i32) -> DeploymentConfiguration {
    let breaker = DeploymentCircuitBreaker::builder().enable(true).rollback(true).build();
    let rollout = DeploymentConfiguration::builder().deployment_circuit_breaker(breaker);
    rollout.minimum_healthy_percent(100).maximum_percent(maximum).build()
}
