#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::Secrets;
use crate::model::{Answer, Call, Now, Scope};

fn call(secrets: &mut Secrets, operation: &str, input: Value) -> Answer {
    let scope = Scope {
        account: "111122223333".into(),
        region: "eu-west-1".into(),
    };
    secrets.handle(&Call {
        scope: &scope,
        operation,
        input: &input,
        now: Now {
            real: 5_000,
            fast: 5_000,
        },
    })
}

#[test]
fn a_secret_is_found_by_name_arn_and_partial_arn() {
    let mut secrets = Secrets::default();
    let made = call(
        &mut secrets,
        "CreateSecret",
        json!({"Name": "kafka/user", "SecretString": "s"}),
    )
    .unwrap();
    let arn = made["ARN"].as_str().unwrap();
    for id in ["kafka/user", arn, &arn[..arn.len() - 7]] {
        let found = call(&mut secrets, "GetSecretValue", json!({"SecretId": id})).unwrap();
        assert_eq!(
            (&found["SecretString"], &found["VersionStages"]),
            (&json!("s"), &json!(["AWSCURRENT"]))
        );
    }
    let missing = call(&mut secrets, "GetSecretValue", json!({"SecretId": "kafka"})).unwrap_err();
    assert_eq!(missing.code, "ResourceNotFoundException");
}

#[test]
fn a_new_value_becomes_current_and_the_old_one_previous() {
    let mut secrets = Secrets::default();
    call(
        &mut secrets,
        "CreateSecret",
        json!({"Name": "n", "SecretString": "one"}),
    )
    .unwrap();
    for value in ["two", "three"] {
        call(
            &mut secrets,
            "PutSecretValue",
            json!({"SecretId": "n", "SecretString": value}),
        )
        .unwrap();
    }
    let staged = |secrets: &mut Secrets, stage: &str| {
        call(
            secrets,
            "GetSecretValue",
            json!({"SecretId": "n", "VersionStage": stage}),
        )
        .unwrap()["SecretString"]
            .clone()
    };
    assert_eq!(staged(&mut secrets, "AWSCURRENT"), "three");
    assert_eq!(staged(&mut secrets, "AWSPREVIOUS"), "two");
}

#[test]
fn a_client_token_makes_a_create_repeatable_and_nothing_else() {
    let mut secrets = Secrets::default();
    let input = json!({"Name": "n", "SecretString": "s", "ClientRequestToken": "t".repeat(32)});
    let first = call(&mut secrets, "CreateSecret", input.clone()).unwrap();
    let again = call(&mut secrets, "CreateSecret", input).unwrap();
    assert_eq!(first["VersionId"], again["VersionId"]);
    let other = call(&mut secrets, "CreateSecret", json!({"Name": "n", "SecretString": "s"})).unwrap_err();
    assert_eq!(other.code, "ResourceExistsException");
}

#[test]
fn a_deleted_secret_gives_no_value_and_keeps_its_name_until_it_is_gone() {
    let mut secrets = Secrets::default();
    call(&mut secrets, "CreateSecret", json!({"Name": "n", "SecretString": "s"})).unwrap();
    call(&mut secrets, "DeleteSecret", json!({"SecretId": "n"})).unwrap();
    let refused = call(&mut secrets, "GetSecretValue", json!({"SecretId": "n"})).unwrap_err();
    assert_eq!(refused.code, "InvalidRequestException");
    let taken = call(&mut secrets, "CreateSecret", json!({"Name": "n"})).unwrap_err();
    assert_eq!(taken.code, "InvalidRequestException");
    call(&mut secrets, "CreateSecret", json!({"Name": "m", "SecretString": "s"})).unwrap();
    call(
        &mut secrets,
        "DeleteSecret",
        json!({"SecretId": "m", "ForceDeleteWithoutRecovery": true}),
    )
    .unwrap();
    assert!(call(&mut secrets, "CreateSecret", json!({"Name": "m"})).is_ok());
}

#[test]
fn a_secret_that_waits_for_its_deletion_can_be_deleted_at_once_and_not_again_with_a_window() {
    let mut secrets = Secrets::default();
    call(&mut secrets, "CreateSecret", json!({"Name": "n", "SecretString": "s"})).unwrap();
    call(&mut secrets, "DeleteSecret", json!({"SecretId": "n"})).unwrap();
    let again = call(&mut secrets, "DeleteSecret", json!({"SecretId": "n"})).unwrap_err();
    assert_eq!(again.code, "InvalidRequestException");
    let forced = json!({"SecretId": "n", "ForceDeleteWithoutRecovery": true});
    call(&mut secrets, "DeleteSecret", forced).unwrap();
    assert!(call(&mut secrets, "CreateSecret", json!({"Name": "n"})).is_ok());
}

#[test]
fn a_value_never_shows_in_debug_output() {
    let mut secrets = Secrets::default();
    call(
        &mut secrets,
        "CreateSecret",
        json!({"Name": "n", "SecretString": "hunter2"}),
    )
    .unwrap();
    assert!(!format!("{secrets:?}").contains("hunter2"));
}

#[test]
fn the_first_version_is_current_whatever_stages_it_is_given() {
    let mut secrets = Secrets::default();
    call(&mut secrets, "CreateSecret", json!({"Name": "n"})).unwrap();
    let put = |secrets: &mut Secrets| {
        let input = json!({"SecretId": "n", "SecretString": "s", "VersionStages": ["mine"]});
        call(secrets, "PutSecretValue", input).unwrap()["VersionStages"].clone()
    };
    assert_eq!(put(&mut secrets), json!(["AWSCURRENT", "mine"]));
    assert_eq!(put(&mut secrets), json!(["mine"]));
    let current = call(&mut secrets, "GetSecretValue", json!({"SecretId": "n"})).unwrap();
    assert_eq!(current["VersionStages"], json!(["AWSCURRENT"]));
}
