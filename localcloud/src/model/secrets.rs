//! Secrets Manager: values with versions and their stages. Values never appear in errors or debug output.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value, json};

use super::ids::Ids;
use super::{Answer, Call, Fault, Millis, input};

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// What the suffix of an ARN is made of.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// How long a deleted secret can be had back, in days, unless the call says.
const RECOVERY_DAYS: i64 = 30;

/// The secrets of one account and region.
#[derive(Debug, Default)]
pub struct Secrets {
    /// Where ids come from.
    pub ids: Ids,
    /// By name.
    secrets: BTreeMap<String, Secret>,
}

#[derive(Debug)]
struct Secret {
    arn: String,
    name: String,
    description: Option<String>,
    tags: Vec<Value>,
    versions: BTreeMap<String, Version>,
    created: Millis,
    changed: Millis,
    deletion: Option<Millis>,
}

#[derive(Debug)]
struct Version {
    value: SecretValue,
    stages: BTreeSet<String>,
    created: Millis,
}

/// A value, as `SecretString` or `SecretBinary`.
#[derive(Clone, PartialEq, Eq)]
struct SecretValue {
    member: &'static str,
    text: String,
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl Secrets {
    /// Answers one call.
    pub fn handle(&mut self, call: &Call<'_>) -> Answer {
        let now = call.now.real;
        self.secrets
            .retain(|_, secret| secret.deletion.is_none_or(|at| at > now));
        match call.operation {
            "CreateSecret" => self.create(call),
            "GetSecretValue" => self.get(call),
            "PutSecretValue" => self.put(call),
            "DeleteSecret" => self.delete(call),
            "DescribeSecret" => Ok(self.find(call)?.described()),
            _ => Err(call.unknown_operation()),
        }
    }

    fn create(&mut self, call: &Call<'_>) -> Answer {
        let name = input::required(call.input, "Name");
        check_name(name)?;
        let value = value(call.input)?;
        let version_id = self.version_id(call);
        if let Some(existing) = self.secrets.get(name) {
            return existing.check_same(&version_id, value.as_ref());
        }
        let suffix = self.ids.text(6, LETTERS);
        let now = call.now.real;
        let mut secret = Secret {
            arn: call.scope.arn("secretsmanager", &format!("secret:{name}-{suffix}")),
            name: name.to_owned(),
            description: input::text(call.input, "Description").map(str::to_owned),
            tags: input::list(call.input, "Tags").to_vec(),
            versions: BTreeMap::new(),
            created: now,
            changed: now,
            deletion: None,
        };
        let answer = match value {
            None => json!({"ARN": secret.arn, "Name": name}),
            Some(value) => secret.store(version_id, value, &[CURRENT], now),
        };
        self.secrets.insert(name.to_owned(), secret);
        Ok(answer)
    }

    fn get(&mut self, call: &Call<'_>) -> Answer {
        let secret = self.find(call)?;
        secret.check_not_deleted()?;
        let stage = input::text(call.input, "VersionStage");
        let found = match input::text(call.input, "VersionId") {
            Some(id) => secret
                .versions
                .get_key_value(id)
                .filter(|(_, version)| stage.is_none_or(|stage| version.stages.contains(stage))),
            None => secret.staged(stage.unwrap_or(CURRENT)),
        };
        let (id, version) = found.ok_or_else(|| {
            not_found("Secrets Manager can't find the specified secret value for the version or stage asked for.")
        })?;
        Ok(json!({
            "ARN": secret.arn,
            "Name": secret.name,
            "VersionId": id,
            version.value.member: version.value.text,
            "VersionStages": version.stages,
            "CreatedDate": seconds(version.created),
        }))
    }

    fn put(&mut self, call: &Call<'_>) -> Answer {
        let version_id = self.version_id(call);
        let given =
            value(call.input)?.ok_or_else(|| parameter("You must provide either SecretString or SecretBinary."))?;
        let mut stages = input::texts(call.input, "VersionStages");
        let secret = self.find(call)?;
        secret.check_not_deleted()?;
        // A secret's first version is its current one, whatever else it is.
        if stages.is_empty() || secret.versions.is_empty() {
            stages.push(CURRENT);
        }
        if let Some(existing) = secret.versions.get(&version_id) {
            if existing.value != given {
                return Err(exists("You can't use ClientRequestToken again for another value."));
            }
            return Ok(secret.stored(&version_id));
        }
        Ok(secret.store(version_id, given, &stages, call.now.real))
    }

    fn delete(&mut self, call: &Call<'_>) -> Answer {
        let forced = input::flag(call.input, "ForceDeleteWithoutRecovery").unwrap_or(false);
        let days = input::integer(call.input, "RecoveryWindowInDays");
        if forced && days.is_some() {
            return Err(parameter(
                "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
            ));
        }
        if days.is_some_and(|days| !(7..=30).contains(&days)) {
            return Err(parameter(
                "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
            ));
        }
        let secret = self.find(call)?;
        // Who regrets the recovery window may still force the deletion.
        if !forced {
            secret.check_not_deleted()?;
        }
        let wait = if forced {
            0
        } else {
            days.unwrap_or(RECOVERY_DAYS) * 86_400_000
        };
        let at = call.now.real + wait;
        secret.deletion = Some(at);
        let (name, answer) = (
            secret.name.clone(),
            json!({"ARN": secret.arn, "Name": secret.name, "DeletionDate": seconds(at)}),
        );
        if forced {
            self.secrets.remove(&name);
        }
        Ok(answer)
    }

    /// Finds a secret by its name, its ARN, or its ARN without the six letters at its end.
    fn find(&mut self, call: &Call<'_>) -> Result<&mut Secret, Fault> {
        let id = input::required(call.input, "SecretId");
        let matches = |secret: &Secret| {
            secret.name == id || secret.arn == id || secret.arn.rsplit_once('-').is_some_and(|(stem, _)| stem == id)
        };
        let found = self.secrets.values_mut().find(|secret| matches(secret));
        found.ok_or_else(|| not_found("Secrets Manager can't find the specified secret."))
    }

    fn version_id(&mut self, call: &Call<'_>) -> String {
        input::text(call.input, "ClientRequestToken").map_or_else(|| self.ids.uuid(), str::to_owned)
    }
}

impl Secret {
    /// Adds a version and moves the stages to it; what was current becomes previous.
    fn store(&mut self, id: String, value: SecretValue, stages: &[&str], now: Millis) -> Value {
        if stages.contains(&CURRENT) {
            let before = self.staged(CURRENT).map(|(id, _)| id.clone());
            self.unstage(PREVIOUS);
            if let Some(version) = before.and_then(|id| self.versions.get_mut(&id)) {
                version.stages.insert(PREVIOUS.to_owned());
            }
        }
        stages.iter().for_each(|stage| self.unstage(stage));
        let stages = stages.iter().map(|stage| (*stage).to_owned()).collect();
        self.versions.insert(
            id.clone(),
            Version {
                value,
                stages,
                created: now,
            },
        );
        // A version without a stage is deprecated, and AWS takes it away in its own time: here at once.
        self.versions.retain(|_, version| !version.stages.is_empty());
        self.changed = now;
        self.stored(&id)
    }

    fn stored(&self, id: &str) -> Value {
        let stages = self.versions.get(id).map(|version| &version.stages);
        json!({"ARN": self.arn, "Name": self.name, "VersionId": id, "VersionStages": stages})
    }

    fn unstage(&mut self, stage: &str) {
        for version in self.versions.values_mut() {
            version.stages.remove(stage);
        }
    }

    fn staged(&self, stage: &str) -> Option<(&String, &Version)> {
        self.versions.iter().find(|(_, version)| version.stages.contains(stage))
    }

    fn check_not_deleted(&self) -> Result<(), Fault> {
        if self.deletion.is_none() {
            return Ok(());
        }
        let message = "You can't perform this operation on the secret because it was marked for deletion.";
        Err(Fault::client("InvalidRequestException", message))
    }

    /// Answers a CreateSecret of a name that is taken: well only when it repeats the one that made it.
    fn check_same(&self, version_id: &str, value: Option<&SecretValue>) -> Answer {
        if self.deletion.is_some() {
            let message =
                "You can't create this secret because a secret with this name is already scheduled for deletion.";
            return Err(Fault::client("InvalidRequestException", message));
        }
        let same = self.versions.get(version_id).map(|version| &version.value);
        if same.is_some() && same == value {
            return Ok(self.stored(version_id));
        }
        Err(exists(&format!(
            "The operation failed because the secret {} already exists.",
            self.name
        )))
    }

    fn described(&self) -> Value {
        let stages: Map<String, Value> = self
            .versions
            .iter()
            .map(|(id, version)| (id.clone(), json!(version.stages)))
            .collect();
        json!({
            "ARN": self.arn,
            "Name": self.name,
            "Description": self.description,
            "Tags": self.tags,
            "VersionIdsToStages": if stages.is_empty() { Value::Null } else { Value::Object(stages) },
            "CreatedDate": seconds(self.created),
            "LastChangedDate": seconds(self.changed),
            "DeletedDate": self.deletion.map(seconds),
        })
    }
}

fn value(input: &Value) -> Result<Option<SecretValue>, Fault> {
    let read = |member: &'static str| {
        input::text(input, member).map(|text| SecretValue {
            member,
            text: text.to_owned(),
        })
    };
    match (read("SecretString"), read("SecretBinary")) {
        (Some(_), Some(_)) => Err(parameter(
            "You can't specify both a binary secret value and a string secret value.",
        )),
        (string, binary) => Ok(string.or(binary)),
    }
}

fn check_name(name: &str) -> Result<(), Fault> {
    if name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte))
    {
        return Ok(());
    }
    let message =
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!";
    Err(Fault::client("ValidationException", message))
}

fn seconds(at: Millis) -> f64 {
    at as f64 / 1000.0
}

fn not_found(message: &str) -> Fault {
    Fault::client("ResourceNotFoundException", message)
}

fn parameter(message: &str) -> Fault {
    Fault::client("InvalidParameterException", message)
}

fn exists(message: &str) -> Fault {
    Fault::client("ResourceExistsException", message)
}

#[cfg(test)]
mod tests;
