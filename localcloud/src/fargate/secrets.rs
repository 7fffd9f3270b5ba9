//! Resolves the secrets of a task as the ECS agent does: by ARN, and if asked for by JSON key, stage and version.

use serde_json::{Value, json};

use crate::http::SharedCloud;
use crate::model::Service;
use crate::model::ecs::SecretReference;
use crate::model::route::scope_of_arn;

/// Fetches one secret. The error is what AWS would put after `ResourceInitializationError`; it never holds a value.
pub(super) fn resolve(cloud: &SharedCloud, secret: &SecretReference) -> Result<String, String> {
    let parts = Parts::of(&secret.value_from).ok_or_else(|| {
        format!(
            "invalid ssm parameters or secret: {} of {} is no ARN of Secrets Manager, which is all that localcloud has",
            secret.value_from, secret.name
        )
    })?;
    let scope = scope_of_arn(&parts.arn).ok_or_else(|| format!("{} names no region and account", parts.arn))?;
    let answer = cloud
        .with(|cloud, now| cloud.handle(Service::Secrets, &scope, "GetSecretValue", &parts.input(), now))
        .map_err(|fault| format!("unable to retrieve secret from asm: {}: {}", fault.code, fault.message))?;
    let text = answer["SecretString"].as_str().ok_or_else(|| {
        format!(
            "secret {} has no string, and a binary one cannot be a variable",
            parts.arn
        )
    })?;
    match parts.json_key {
        None => Ok(text.to_owned()),
        Some(key) => member(text, key),
    }
}

/// What a `valueFrom` names.
struct Parts<'a> {
    arn: String,
    json_key: Option<&'a str>,
    stage: Option<&'a str>,
    version: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// Reads `arn:aws:secretsmanager:region:account:secret:name[:json-key[:stage[:version]]]`.
    fn of(value_from: &'a str) -> Option<Self> {
        let parts: Vec<&str> = value_from.split(':').collect();
        if parts.len() < 7
            || parts.len() > 10
            || parts[0] != "arn"
            || parts[2] != "secretsmanager"
            || parts[5] != "secret"
        {
            return None;
        }
        let named = |index: usize| parts.get(index).copied().filter(|part| !part.is_empty());
        Some(Self {
            arn: parts[..7].join(":"),
            json_key: named(7),
            stage: named(8),
            version: named(9),
        })
    }

    fn input(&self) -> Value {
        let mut input = json!({"SecretId": self.arn});
        if let Some(stage) = self.stage {
            input["VersionStage"] = json!(stage);
        }
        if let Some(version) = self.version {
            input["VersionId"] = json!(version);
        }
        input
    }
}

fn member(text: &str, key: &str) -> Result<String, String> {
    let secret: Value =
        serde_json::from_str(text).map_err(|_| format!("the secret is not JSON, so it has no key {key}"))?;
    match secret.get(key) {
        None => Err(format!(
            "retrieved secret from Secrets Manager did not contain json key {key}"
        )),
        Some(Value::String(value)) => Ok(value.clone()),
        Some(other) => Ok(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-a1b2c3";

    #[test]
    fn key_stage_and_version_follow_the_arn() {
        let text = format!("{ARN}:password::v-1");
        let parts = Parts::of(&text).expect("an ARN");
        assert_eq!(
            (parts.arn.as_str(), parts.json_key, parts.stage, parts.version),
            (ARN, Some("password"), None, Some("v-1"))
        );
        assert_eq!(
            Parts::of(&format!("{ARN}::AWSPREVIOUS")).expect("an ARN").input()["VersionStage"],
            "AWSPREVIOUS"
        );
    }

    #[test]
    fn parameters_of_ssm_are_no_secrets() {
        assert!(Parts::of("arn:aws:ssm:eu-west-1:123456789012:parameter/x").is_none());
        assert!(Parts::of("x").is_none());
    }

    #[test]
    fn a_missing_key_is_named_and_no_value_is_told() {
        let error = member(r#"{"user": "hunter2"}"#, "password").expect_err("no such key");
        assert!(error.contains("password") && !error.contains("hunter2"), "{error}");
        assert_eq!(member(r#"{"port": 5}"#, "port").as_deref(), Ok("5"));
    }
}
