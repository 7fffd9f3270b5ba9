//! ECS: what an update of a service changes, and what it starts.

use std::time::Duration;

use aws_sdk_ecs::types::{DesiredStatus, Service};
use penstock_tests::wait_until;

use crate::check::{Aws, Check, Failure, Outcome, check, done, equal, holds, there};
use crate::definitions::registered_arn;
use crate::home::{Home, rollout};
use crate::world::World;

const SOON: Duration = Duration::from_secs(30);

pub(crate) const CHECKS: &[Check] = &[
    check!(
        update_changes_what_it_names_and_no_more,
        Aws::Subnet,
        "ECS API, UpdateService"
    ),
    check!(
        new_definition_starts_a_deployment,
        Aws::Subnet,
        "ECS API, UpdateService: taskDefinition"
    ),
    check!(
        desired_count_alone_starts_no_deployment,
        Aws::Never("it would start a task"),
        "ECS API, UpdateService: desiredCount"
    ),
    check!(
        forced_deployment_is_a_new_one,
        Aws::Subnet,
        "ECS API, UpdateService: forceNewDeployment"
    ),
    check!(
        forced_deployment_takes_a_count_along,
        Aws::Never("it would start a task"),
        "ECS API, UpdateService: desiredCount, forceNewDeployment"
    ),
    check!(
        tasks_of_a_service_are_described_with_their_health,
        Aws::Never("it would start a task"),
        "ECS API, ListTasks: serviceName, desiredStatus; Task: healthStatus"
    ),
    check!(
        deployments_are_listed_with_their_revision,
        Aws::Subnet,
        "ECS API, ListServiceDeployments"
    ),
];

async fn update_changes_what_it_names_and_no_more(world: &World) -> Outcome {
    let (home, name) = (Home::new(world).await?, world.name("service"));
    done(
        "create",
        home.service(world, &name)
            .deployment_configuration(rollout(150))
            .send()
            .await,
    )?;
    let call = world.ecs().update_service().cluster(&home.cluster).service(&name);
    done("update", call.deployment_configuration(rollout(175)).send().await)?;
    let service = home.described(world, &name).await?;
    let maximum = service.deployment_configuration().and_then(|one| one.maximum_percent());
    equal("what was named", maximum, Some(175))?;
    equal(
        "the definition",
        service.task_definition(),
        Some(home.definition.as_str()),
    )?;
    equal("the desired count", service.desired_count(), 0)?;
    holds("the network is still there", service.network_configuration().is_some())
}

/// Returns the id and definition of the PRIMARY deployment.
fn primary(service: &Service) -> Result<(String, String), Failure> {
    let primary = service.deployments().iter().find(|one| one.status() == Some("PRIMARY"));
    let primary = there("the PRIMARY deployment", primary)?;
    Ok((
        primary.id().unwrap_or_default().to_owned(),
        primary.task_definition().unwrap_or_default().to_owned(),
    ))
}

async fn new_definition_starts_a_deployment(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let name = home.created(world).await?;
    let before = primary(&home.described(world, &name).await?)?;
    equal(
        "the first deployment's definition",
        before.1.as_str(),
        home.definition.as_str(),
    )?;
    let next = registered_arn(world, &home.family).await?;
    let call = world
        .ecs()
        .update_service()
        .cluster(&home.cluster)
        .service(&name)
        .task_definition(&next);
    done("update", call.send().await)?;
    let after = primary(&home.described(world, &name).await?)?;
    equal("the new deployment's definition", after.1, next)?;
    holds("the deployment is another one", before.0 != after.0)
}

async fn desired_count_alone_starts_no_deployment(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let name = home.created(world).await?;
    let before = primary(&home.described(world, &name).await?)?;
    let call = world
        .ecs()
        .update_service()
        .cluster(&home.cluster)
        .service(&name)
        .desired_count(1);
    done("update", call.send().await)?;
    let service = home.described(world, &name).await?;
    equal("the desired count", service.desired_count(), 1)?;
    equal("the deployment", primary(&service)?, before)
}

async fn forced_deployment_is_a_new_one(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let name = home.created(world).await?;
    let before = primary(&home.described(world, &name).await?)?;
    let call = world
        .ecs()
        .update_service()
        .cluster(&home.cluster)
        .service(&name)
        .force_new_deployment(true);
    done("update", call.send().await)?;
    holds(
        "the deployment is another one",
        primary(&home.described(world, &name).await?)?.0 != before.0,
    )
}

async fn forced_deployment_takes_a_count_along(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let name = home.created(world).await?;
    let before = primary(&home.described(world, &name).await?)?;
    let call = world
        .ecs()
        .update_service()
        .cluster(&home.cluster)
        .service(&name)
        .desired_count(1)
        .force_new_deployment(true);
    done("update", call.send().await)?;
    let service = home.described(world, &name).await?;
    equal("the desired count", service.desired_count(), 1)?;
    let after = primary(&service)?;
    equal("the definition", &after.1, &before.1)?;
    holds("the deployment is another one", after.0 != before.0)?;
    let wanted = service.deployments().iter().map(|one| one.desired_count());
    equal("the tasks that the deployments want", wanted.sum::<i32>(), 1)
}

/// Whether the task gets to run is not asked: an image that nobody can pull is as good.
async fn tasks_of_a_service_are_described_with_their_health(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let (name, other) = (world.name("service"), home.created(world).await?);
    done("create", home.service(world, &name).desired_count(1).send().await)?;
    let list = |service: &str, status: DesiredStatus| {
        let call = world.ecs().list_tasks().cluster(&home.cluster).service_name(service);
        call.desired_status(status).send()
    };
    let listed = wait_until("a task", SOON, || async {
        for status in [DesiredStatus::Running, DesiredStatus::Stopped] {
            let listed = list(&name, status).await.map_err(|error| error.to_string())?;
            if !listed.task_arns().is_empty() {
                return Ok(listed.task_arns.unwrap_or_default());
            }
        }
        Err("there is none".to_owned())
    });
    let arns = done("list the tasks", listed.await)?;
    let call = world.ecs().describe_tasks().cluster(&home.cluster);
    let described = done("describe the tasks", call.set_tasks(Some(arns)).send().await)?;
    let task = there("a task", described.tasks().first())?;
    equal(
        "its definition",
        task.task_definition_arn(),
        Some(home.definition.as_str()),
    )?;
    let health = there("its health", task.health_status())?;
    holds(
        "its health is one of three words",
        ["HEALTHY", "UNHEALTHY", "UNKNOWN"].contains(&health.as_str()),
    )?;
    for status in [DesiredStatus::Running, DesiredStatus::Stopped] {
        let listed = done("list the tasks of another service", list(&other, status).await)?;
        equal("the tasks of another service", listed.task_arns().len(), 0)?;
    }
    Ok(())
}

async fn deployments_are_listed_with_their_revision(world: &World) -> Outcome {
    let home = Home::new(world).await?;
    let name = home.created(world).await?;
    let service = home.described(world, &name).await?;
    let arn = service.service_arn().unwrap_or_default();
    let answer = world
        .ecs()
        .list_service_deployments()
        .service(arn)
        .cluster(&home.cluster)
        .send()
        .await;
    let listed = done("list service deployments", answer)?;
    let [brief] = listed.service_deployments() else {
        return Err(Failure(format!("there is not one deployment: {listed:?}")));
    };
    equal("its service", brief.service_arn(), Some(arn))?;
    let revision = there("the target revision", brief.target_service_revision_arn())?;
    let answer = world
        .ecs()
        .describe_service_revisions()
        .service_revision_arns(revision)
        .send()
        .await;
    let revisions = done("describe the revision", answer)?
        .service_revisions
        .unwrap_or_default();
    let definitions: Vec<_> = revisions.iter().map(|one| one.task_definition()).collect();
    equal(
        "the revision's definition",
        definitions,
        vec![Some(home.definition.as_str())],
    )
}
