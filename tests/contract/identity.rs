//! STS and Secrets Manager.

use aws_credential_types::Credentials;
use aws_sdk_secretsmanager::primitives::Blob;

use crate::check::{Aws, Check, Failure, Outcome, check, done, equal, holds, refused, there};
use crate::made::Made;
use crate::world::World;

const ROLE: Aws = Aws::Never("it needs a role in another account");
const COSTS: Aws = Aws::Never("a secret costs money for each month begun");

pub(crate) const CHECKS: &[Check] = &[
    check!(caller_has_an_account, Aws::Free, "STS API, GetCallerIdentity"),
    check!(assumed_role_acts_in_its_account, ROLE, "STS API, AssumeRole"),
    check!(assumed_role_sees_its_own_queues, ROLE, "STS API, AssumeRole"),
    check!(
        session_name_of_one_character_is_refused,
        Aws::Free,
        "STS API, AssumeRole: RoleSessionName"
    ),
    check!(
        secret_is_read_by_name_and_by_arn,
        COSTS,
        "Secrets Manager API, CreateSecret and GetSecretValue"
    ),
    check!(
        binary_secret_is_read_as_stored,
        COSTS,
        "Secrets Manager API, GetSecretValue: SecretBinary"
    ),
    check!(
        new_value_is_current_and_the_old_one_previous,
        COSTS,
        "Secrets Manager API, PutSecretValue: version stages"
    ),
    check!(
        secret_of_that_name_exists,
        COSTS,
        "Secrets Manager API, CreateSecret: ResourceExistsException"
    ),
    check!(
        unknown_secret_is_refused,
        Aws::Free,
        "Secrets Manager API, GetSecretValue: ResourceNotFoundException"
    ),
    check!(deleted_secret_is_not_read, COSTS, "Secrets Manager API, DeleteSecret"),
];

const OTHER_ACCOUNT: &str = "444455556666";

async fn caller_has_an_account(world: &World) -> Outcome {
    let identity = done("ask who we are", world.sts().get_caller_identity().send().await)?;
    equal("the account", identity.account(), Some(world.account()))?;
    let arn = identity.arn().unwrap_or_default();
    holds(
        &format!("{arn} is in the account"),
        arn.contains(&format!("::{}:", world.account())),
    )?;
    holds("there is a user id", identity.user_id().is_some())
}

/// Returns the world as a role of another account sees it.
async fn assumed(world: &World) -> Result<World, Failure> {
    let call = world
        .sts()
        .assume_role()
        .role_arn(format!("arn:aws:iam::{OTHER_ACCOUNT}:role/Reader"))
        .role_session_name("contract");
    let answer = done("assume the role", call.send().await)?;
    let user = there("the assumed user", answer.assumed_role_user())?;
    equal(
        "its ARN",
        user.arn(),
        format!("arn:aws:sts::{OTHER_ACCOUNT}:assumed-role/Reader/contract").as_str(),
    )?;
    let given = there("the credentials", answer.credentials())?;
    let token = Some(given.session_token().to_owned());
    Ok(world.with_credentials(Credentials::new(
        given.access_key_id(),
        given.secret_access_key(),
        token,
        None,
        "assumed",
    )))
}

async fn assumed_role_acts_in_its_account(world: &World) -> Outcome {
    let other = assumed(world).await?;
    let identity = done("ask who we are", other.sts().get_caller_identity().send().await)?;
    equal("the account", identity.account(), Some(OTHER_ACCOUNT))?;
    let arn = format!("arn:aws:sts::{OTHER_ACCOUNT}:assumed-role/Reader/contract");
    equal("the ARN", identity.arn(), Some(arn.as_str()))
}

async fn assumed_role_sees_its_own_queues(world: &World) -> Outcome {
    let (other, name) = (assumed(world).await?, world.name("queue"));
    let url = |answer: aws_sdk_sqs::operation::create_queue::CreateQueueOutput| answer.queue_url.unwrap_or_default();
    let ours = url(done(
        "create ours",
        world.sqs().create_queue().queue_name(&name).send().await,
    )?);
    let theirs = url(done(
        "create theirs",
        other.sqs().create_queue().queue_name(&name).send().await,
    )?);
    world.note(Made::Queue(ours.clone()));
    holds("the URL names the account", theirs.contains(OTHER_ACCOUNT))?;
    done(
        "send",
        other
            .sqs()
            .send_message()
            .queue_url(&theirs)
            .message_body("theirs")
            .send()
            .await,
    )?;
    let received = done(
        "receive ours",
        world.sqs().receive_message().queue_url(&ours).send().await,
    )?;
    equal("the number of messages in ours", received.messages().len(), 0)
}

async fn session_name_of_one_character_is_refused(world: &World) -> Outcome {
    let call = world
        .sts()
        .assume_role()
        .role_arn(format!("arn:aws:iam::{OTHER_ACCOUNT}:role/Reader"))
        .role_session_name("x");
    refused(
        "a session name of one character",
        call.send().await,
        &["ValidationError"],
        "essionName",
    )
}

async fn secret(world: &World, value: &str) -> Result<(String, String), Failure> {
    let name = world.name("secret");
    let answer = done(
        "create a secret",
        world
            .secrets()
            .create_secret()
            .name(&name)
            .secret_string(value)
            .send()
            .await,
    )?;
    world.note(Made::Secret(name.clone()));
    Ok((name, there("the ARN", answer.arn)?))
}

async fn secret_is_read_by_name_and_by_arn(world: &World) -> Outcome {
    let (name, arn) = secret(world, "{\"user\": \"alice\"}").await?;
    for id in [&name, &arn] {
        let value = done("read", world.secrets().get_secret_value().secret_id(id).send().await)?;
        equal("the value", value.secret_string(), Some("{\"user\": \"alice\"}"))?;
        equal(
            "name and ARN",
            (value.name(), value.arn()),
            (Some(name.as_str()), Some(arn.as_str())),
        )?;
        equal(
            "the stages",
            value.version_stages().to_vec(),
            vec!["AWSCURRENT".to_owned()],
        )?;
    }
    let stem = format!(
        "arn:aws:secretsmanager:{}:{}:secret:{name}-",
        world.region(),
        world.account()
    );
    holds(
        "the ARN ends with six characters of its own",
        arn.strip_prefix(&stem).is_some_and(|end| end.len() == 6),
    )
}

async fn binary_secret_is_read_as_stored(world: &World) -> Outcome {
    let name = world.name("secret");
    let bytes = Blob::new([0_u8, 159, 146, 150]);
    done(
        "create",
        world
            .secrets()
            .create_secret()
            .name(&name)
            .secret_binary(bytes.clone())
            .send()
            .await,
    )?;
    world.note(Made::Secret(name.clone()));
    let value = done("read", world.secrets().get_secret_value().secret_id(&name).send().await)?;
    equal("the bytes", value.secret_binary(), Some(&bytes))?;
    equal("the text", value.secret_string(), None)
}

async fn new_value_is_current_and_the_old_one_previous(world: &World) -> Outcome {
    let (name, _) = secret(world, "old").await?;
    done(
        "put",
        world
            .secrets()
            .put_secret_value()
            .secret_id(&name)
            .secret_string("new")
            .send()
            .await,
    )?;
    for (stage, wanted) in [("AWSCURRENT", "new"), ("AWSPREVIOUS", "old")] {
        let value = done(
            "read",
            world
                .secrets()
                .get_secret_value()
                .secret_id(&name)
                .version_stage(stage)
                .send()
                .await,
        )?;
        equal(stage, value.secret_string(), Some(wanted))?;
    }
    Ok(())
}

async fn secret_of_that_name_exists(world: &World) -> Outcome {
    let (name, _) = secret(world, "x").await?;
    let answer = world
        .secrets()
        .create_secret()
        .name(&name)
        .secret_string("y")
        .send()
        .await;
    refused("another secret of the name", answer, &["ResourceExistsException"], "")
}

async fn unknown_secret_is_refused(world: &World) -> Outcome {
    let answer = world
        .secrets()
        .get_secret_value()
        .secret_id(world.name("nobody"))
        .send()
        .await;
    refused(
        "an unknown secret",
        answer,
        &["ResourceNotFoundException"],
        "Secrets Manager can't find the specified secret",
    )
}

async fn deleted_secret_is_not_read(world: &World) -> Outcome {
    let (name, _) = secret(world, "x").await?;
    done(
        "delete",
        world
            .secrets()
            .delete_secret()
            .secret_id(&name)
            .recovery_window_in_days(7)
            .send()
            .await,
    )?;
    let answer = world.secrets().get_secret_value().secret_id(&name).send().await;
    refused(
        "a secret that is to be deleted",
        answer,
        &["InvalidRequestException"],
        "marked",
    )
}
