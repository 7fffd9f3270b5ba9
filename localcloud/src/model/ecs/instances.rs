//! The operations on container instances.
//!
//! An agent registers its instance by the identity document that EC2 gives it. Whoever wants instances here writes such a document:
//! its signature is checked as little as any other. The tasks of all instances are run by the one local agent.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::Ecs;
use super::instance::{ARCHITECTURE, GROUP, Instance, Load, VersionInfo};
use super::names::{arn_in, hex_id};
use super::paging::{Page, page};
use super::placement::ZONE;
use super::query::Query;
use super::task::Task;
use super::wire::{Include, Tag, check_tags, client, failure, invalid, read};
use crate::model::{Answer, Call, Fault, Scope};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RegisterContainerInstance {
    cluster: Option<String>,
    instance_identity_document: Option<String>,
    #[serde(rename = "instanceIdentityDocumentSignature")]
    _signature: Option<String>,
    #[serde(default)]
    total_resources: Vec<Resource>,
    #[serde(default)]
    version_info: VersionInfo,
    #[serde(default)]
    attributes: Vec<Attribute>,
    #[serde(default)]
    tags: Vec<Tag>,
}

/// What is read of the many members of EC2's own document.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentityDocument {
    instance_id: String,
    instance_type: String,
    availability_zone: String,
    #[serde(default = "x86_64")]
    architecture: String,
}

fn x86_64() -> String {
    "x86_64".to_owned()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Resource {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    integer_value: Option<u32>,
    /// Some SDKs send all the values that the type does not mean, as zeros.
    #[serde(default)]
    double_value: f64,
    #[serde(default)]
    long_value: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Attribute {
    name: String,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeregisterContainerInstance {
    cluster: Option<String>,
    container_instance: String,
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DescribeContainerInstances {
    cluster: Option<String>,
    container_instances: Vec<String>,
    #[serde(default)]
    include: Vec<Include>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListContainerInstances {
    cluster: Option<String>,
    filter: Option<String>,
    next_token: Option<String>,
    max_results: Option<i32>,
    status: Option<ListedStatus>,
}

/// No instance is ever seen in another status.
#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum ListedStatus {
    Active,
}

impl Ecs {
    /// The ACTIVE instances of a cluster, in the order of their registration, with what is on them.
    pub(super) fn loads(&self, cluster: &str) -> Vec<Load<'_>> {
        let of_it = |instance: &&Instance| instance.cluster == cluster && instance.is_active();
        let mut instances: Vec<_> = self.instances.values().filter(of_it).collect();
        instances.sort_by_key(|instance| instance.sequence);
        instances.into_iter().map(|instance| self.load(instance)).collect()
    }

    fn load<'a>(&'a self, instance: &'a Instance) -> Load<'a> {
        let arn = instance.arn();
        let is_on_it = |task: &&Task| !task.is_stopped() && task.host.as_ref().is_some_and(|host| host.arn == arn);
        let tasks: Vec<_> = self.tasks.values().filter(is_on_it).collect();
        let taken = |of: fn(&Task) -> u32| tasks.iter().map(|task| of(task)).sum::<u32>();
        Load {
            instance,
            cpu_left: instance.cpu_units.saturating_sub(taken(|task| task.size.cpu_units)),
            memory_left: instance.memory_mib.saturating_sub(taken(|task| task.size.memory_mib)),
            groups: tasks.iter().map(|task| task.group()).collect(),
            running: tasks.iter().filter(|task| task.is_wanted()).count(),
            pending: tasks.iter().filter(|task| task.is_pending()).count(),
            provider: self.provider_of(instance),
        }
    }

    pub(super) fn register_container_instance(&mut self, call: &Call<'_>) -> Answer {
        let input: RegisterContainerInstance = read(call)?;
        let cluster = self.cluster(call.scope, input.cluster.as_deref())?.name.clone();
        check_tags(&input.tags)?;
        let identity = identity(input.instance_identity_document.as_deref())?;
        let (cpu_units, memory_mib) = (
            resource(&input.total_resources, "CPU")?,
            resource(&input.total_resources, "MEMORY")?,
        );
        self.registered_instances += 1;
        let instance = Instance {
            scope: call.scope.clone(),
            cluster,
            id: hex_id(&mut self.ids),
            sequence: self.registered_instances,
            attributes: attributes(&identity, input.attributes)?,
            ec2_id: identity.instance_id,
            ended: None,
            registered: call.now.fast,
            cpu_units,
            memory_mib,
            version_info: input.version_info,
            tags: input.tags,
        };
        let json = self.load(&instance).json(true);
        self.instances.insert(instance.arn(), instance);
        Ok(json!({"containerInstance": json}))
    }

    pub(super) fn deregister_container_instance(&mut self, call: &Call<'_>) -> Answer {
        let input: DeregisterContainerInstance = read(call)?;
        let cluster = self.cluster(call.scope, input.cluster.as_deref())?.name.clone();
        let arn = instance_arn(call.scope, &cluster, &input.container_instance)?;
        let instance = self.instances.get(&arn).filter(|instance| instance.is_active());
        let instance = instance.ok_or_else(|| client("Referenced container instance was not found."))?;
        if !self.load(instance).groups.is_empty() {
            return Err(match input.force {
                false => invalid("Found running tasks on the instance."),
                true => invalid("localcloud leaves no task without an instance: stop the tasks on it first."),
            });
        }
        if let Some(instance) = self.instances.get_mut(&arn) {
            instance.ended = Some(call.now.real);
        }
        Ok(json!({"containerInstance": self.load(&self.instances[&arn]).json(true)}))
    }

    pub(super) fn describe_container_instances(&self, call: &Call<'_>) -> Answer {
        let input: DescribeContainerInstances = read(call)?;
        let cluster = self.cluster(call.scope, input.cluster.as_deref())?.name.clone();
        if !(1..=100).contains(&input.container_instances.len()) {
            return Err(invalid("1 to 100 container instances can be described at once."));
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for reference in &input.container_instances {
            let arn = instance_arn(call.scope, &cluster, reference)?;
            match self.instances.get(&arn) {
                Some(instance) => found.push(self.load(instance).json(!input.include.is_empty())),
                None => failures.push(failure(&arn, "MISSING")),
            }
        }
        Ok(json!({"containerInstances": found, "failures": failures}))
    }

    pub(super) fn list_container_instances(&self, call: &Call<'_>) -> Answer {
        let input: ListContainerInstances = read(call)?;
        let cluster = self.cluster(call.scope, input.cluster.as_deref())?.name.clone();
        let query = input.filter.as_deref().map(Query::parse).transpose()?;
        let (None | Some(ListedStatus::Active)) = input.status;
        let is_meant = |load: &Load<'_>| query.as_ref().is_none_or(|query| query.matches(load));
        let listed = self.loads(&cluster).into_iter().filter(is_meant);
        let mut entries: Vec<_> = listed
            .map(|load| (load.instance.arn(), json!(load.instance.arn())))
            .collect();
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        let ask = Page {
            token: input.next_token.as_deref(),
            size: input.max_results,
            default_size: 100,
        };
        page("containerInstanceArns", ask, false, entries)
    }
}

pub(super) fn instance_arn(scope: &Scope, cluster: &str, reference: &str) -> Result<String, Fault> {
    arn_in(scope, "container-instance", cluster, reference)
}

fn identity(document: Option<&str>) -> Result<IdentityDocument, Fault> {
    serde_json::from_str(document.unwrap_or_default()).map_err(|why| {
        client(format!(
            "RegisterContainerInstance: localcloud reads instanceId, instanceType and availabilityZone in instanceIdentityDocument: {why}"
        ))
    })
}

fn resource(resources: &[Resource], name: &str) -> Result<u32, Fault> {
    let is_known = |one: &Resource| {
        matches!((&*one.name, &*one.kind), ("CPU" | "MEMORY", "INTEGER"))
            && (one.double_value, one.long_value) == (0.0, 0)
    };
    if let Some(other) = resources.iter().find(|one| !is_known(one)) {
        return Err(client(format!(
            "localcloud models the resources CPU and MEMORY with an integerValue alone, not {} of the type {}.",
            other.name, other.kind
        )));
    }
    let named = resources.iter().find(|one| one.name == name);
    named
        .and_then(|one| one.integer_value)
        .ok_or_else(|| client(format!("totalResources must have {name}.")))
}

/// What ECS says of the instance by itself, and what the agent adds.
fn attributes(identity: &IdentityDocument, added: Vec<Attribute>) -> Result<BTreeMap<String, Option<String>>, Fault> {
    let own = [
        ("ecs.instance-type", identity.instance_type.as_str()),
        (ZONE, &identity.availability_zone),
        ("ecs.os-type", "linux"),
        (ARCHITECTURE, &identity.architecture),
    ];
    let mut attributes: BTreeMap<_, _> = own
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Some(value.to_owned())))
        .collect();
    for Attribute { name, value } in added {
        let is_own = name.starts_with("ecs.") || (name.starts_with("localcloud.") && name != GROUP);
        if is_own || name.is_empty() || attributes.insert(name.clone(), value).is_some() {
            return Err(invalid(format!(
                "The attribute '{name}' cannot be added: it is empty, there already, or not an agent's to set."
            )));
        }
    }
    Ok(attributes)
}
