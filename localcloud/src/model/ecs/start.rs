//! The start of a task: on which capacity provider, on which container instance, with which tags.

use super::Ecs;
use super::capacity::{LaunchType, Shares, next_provider};
use super::names::{arn, hex_id};
use super::place::{Need, pick};
use super::service::{PropagateTags, Service};
use super::task::{ContainerState, Health, Host, Noted, Phase, Task, group_of};
use super::wire::Tag;
use crate::model::Now;

impl Ecs {
    /// Starts up to so many tasks of the PRIMARY deployment, and returns their ids. What cannot be placed is not started: the service
    /// tells why, and the next round tries again. ECS puts no task on another capacity provider than the strategy says.
    pub(super) fn start_tasks(&mut self, service: &mut Service, count: usize, now: Now) -> Vec<String> {
        let strategy = service.primary().workload.strategy.clone();
        let of_it = |task: &&Task| task.deployment == service.primary().id && task.is_wanted();
        let providers: Vec<_> = self
            .tasks
            .values()
            .filter(of_it)
            .filter_map(|task| task.capacity_provider.clone())
            .collect();
        let mut shares = Shares::new();
        for provider in &providers {
            *shares.entry(provider).or_default() += 1;
        }
        let (mut started, mut unplaced) = (Vec::new(), None);
        for _ in 0..count {
            let provider = next_provider(&strategy, &shares);
            if let Some(provider) = provider {
                *shares.entry(provider).or_default() += 1;
            }
            match self.place_task(service, provider) {
                Ok(host) => started.extend(self.start_task(service, provider, host, now)),
                Err(why) => unplaced = Some(why),
            }
        }
        match unplaced {
            Some(why) => service.tell_unplaced(&mut self.ids, now.fast, &why),
            None if !started.is_empty() => service.unplaced_told = None,
            None => {}
        }
        started
    }

    /// Where the next task goes: nowhere in particular on Fargate. The error is what ECS tells.
    fn place_task(&mut self, service: &Service, provider: Option<&str>) -> Result<Option<Host>, String> {
        let deployment = service.primary();
        let definition = self.definition(&deployment.workload.definition);
        let (LaunchType::Ec2, Some(definition)) = (deployment.workload.runs_on(), definition) else {
            return Ok(None);
        };
        let need = Need {
            size: definition.size,
            architecture: definition.architecture(),
            group: group_of(&service.name),
            provider,
        };
        let mut ids = self.ids.clone();
        let picked = pick(&self.loads(&service.cluster), &need, &deployment.placement, &mut ids);
        let host = picked.map(|instance| Host {
            arn: instance.arn(),
            zone: instance.zone().to_owned(),
        });
        self.ids = ids;
        host.map(Some)
    }

    fn start_task(
        &mut self,
        service: &Service,
        provider: Option<&str>,
        host: Option<Host>,
        now: Now,
    ) -> Option<String> {
        let deployment = service.primary();
        let workload = &deployment.workload;
        let definition = self.definition(&workload.definition)?;
        let container = definition.body.container_definitions.first()?;
        let (size, tags) = (definition.size, task_tags(service, &definition.tags));
        let mut state = ContainerState {
            name: container.name.clone(),
            image: container.image.clone(),
            cpu: container.cpu,
            memory: container.memory,
            has_health_check: container.health_check.is_some(),
            runtime_id: String::new(),
            attachment_id: String::new(),
            exit_code: None,
            reason: None,
        };
        let id = hex_id(&mut self.ids);
        state.runtime_id = format!("{id}-{}", &hex_id(&mut self.ids)[..10]);
        state.attachment_id = uuid_of(&hex_id(&mut self.ids));
        self.started_tasks += 1;
        let subnets = &workload.network.awsvpc_configuration.subnets;
        let turn = usize::try_from(self.started_tasks).unwrap_or_default();
        let task = Task {
            arn: arn(&service.scope, "task", &format!("{}/{id}", service.cluster)),
            id: id.clone(),
            sequence: self.started_tasks,
            scope: service.scope.clone(),
            cluster: service.cluster.clone(),
            service: service.name.clone(),
            deployment: deployment.id.clone(),
            definition_arn: workload.definition.clone(),
            size,
            container: state,
            subnet: subnets.get(turn % subnets.len().max(1)).cloned().unwrap_or_default(),
            launch_type: workload.runs_on(),
            capacity_provider: provider.map(str::to_owned),
            host,
            execute_command: service.options.execute_command,
            tags,
            phase: Phase::Provisioning,
            stop: None,
            health: Health::Unknown,
            was_healthy: false,
            noted: Noted::default(),
            created: now.fast,
            started: None,
            stopping: None,
            stopped: None,
            address: None,
            version: 1,
            protected_until: None,
            usage: [].into(),
        };
        self.tasks.insert(task.arn.clone(), task);
        Some(id)
    }
}

fn task_tags(service: &Service, of_definition: &[Tag]) -> Vec<Tag> {
    let mut tags = match service.options.propagate_tags {
        PropagateTags::Service => service.tags.clone(),
        PropagateTags::TaskDefinition => of_definition.to_vec(),
        PropagateTags::None => Vec::new(),
    };
    if service.options.managed_tags {
        tags.push(Tag {
            key: "aws:ecs:clusterName".to_owned(),
            value: service.cluster.clone(),
        });
        tags.push(Tag {
            key: "aws:ecs:serviceName".to_owned(),
            value: service.name.clone(),
        });
    }
    tags
}

/// Writes 32 hexadecimal digits as a UUID.
fn uuid_of(hex: &str) -> String {
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}
