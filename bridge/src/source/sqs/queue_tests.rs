//! The queue, against a service of our own making.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sqs::config::{BehaviorVersion, Region};
use serde_json::json;

use super::fake::{Reply, Service, answer, ok};
use super::*;
use crate::source::Room;

const LIMIT: Duration = Duration::from_secs(30);

fn queue(endpoint: Result<String, String>) -> SqsQueue {
    let seldom = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .build();
    let secrets = Credentials::new("AKIA", "a secret", None, None, "test");
    let access = Access {
        seldom: aws_sdk_sqs::Client::from_conf(seldom),
        endpoint,
        region: "eu-west-1".to_owned(),
        credentials: Some(SharedCredentialsProvider::new(secrets)),
    };
    let settings = json!({
        "queueUrl": "https://sqs.eu-west-1.amazonaws.com/111122223333/orders", "region": "eu-west-1", "maxMessages": 10,
        "waitTime": "1s", "visibilityTimeout": "30s", "attributes": true, "receivers": 1,
    });
    SqsQueue::new(access, serde_json::from_value(settings).expect("settings"))
}

async fn rig(replies: impl IntoIterator<Item = Reply>) -> (Service, SqsQueue) {
    let service = Service::start(replies).await;
    let queue = queue(Ok(service.endpoint().to_owned()));
    (service, queue)
}

fn receive() -> Receive {
    Receive {
        max: 10,
        attempt: "attempt".to_owned(),
        room: Room::unlimited(),
    }
}

fn receipts(count: usize) -> Vec<Receipt> {
    (0..count).map(|number| Receipt(format!("receipt-{number}"))).collect()
}

#[tokio::test]
async fn messages_are_received_and_settled() {
    let messages = r#"{"Messages":[{"MessageId":"m-1","ReceiptHandle":"r-1","Body":"one"}]}"#;
    let outcomes =
        r#"{"Successful":[{"Id":"0"}],"Failed":[{"Id":"1","Code":"ReceiptHandleIsInvalid","SenderFault":true}]}"#;
    let (service, queue) = rig([messages, outcomes, outcomes].map(|body| Reply::Keep(ok(body)))).await;
    let received = queue.receive(receive()).await.expect("messages");
    assert_eq!((received.len(), received[0].body.as_str()), (1, "one"));
    let expected = [Settled::Done, Settled::Stale];
    let deleted = queue
        .settle(Settle::Delete(receipts(2)), LIMIT)
        .await
        .expect("an answer");
    assert_eq!(deleted, expected);
    let lengths = receipts(2).into_iter().map(|receipt| (receipt, Duration::ZERO));
    let hidden = queue
        .settle(Settle::Hide(lengths.collect()), LIMIT)
        .await
        .expect("an answer");
    assert_eq!(hidden, expected);
    let heard = service.heard();
    let targets: Vec<_> = heard.iter().filter_map(|heard| heard.header("x-amz-target")).collect();
    assert_eq!(
        targets,
        [
            "AmazonSQS.ReceiveMessage",
            "AmazonSQS.DeleteMessageBatch",
            "AmazonSQS.ChangeMessageVisibilityBatch"
        ]
    );
    assert_eq!(service.connections(), 1);
}

#[tokio::test]
async fn a_good_answer_that_cannot_be_read_is_a_failure() {
    let page = || Reply::Keep(ok("<html>a proxy's page of secret-body</html>"));
    let (_service, queue) = rig([page(), page(), Reply::Keep(ok(r#"{"Messages":[{"Body":"secret-body"#))]).await;
    let failures = [
        queue.receive(receive()).await.expect_err("no messages"),
        queue
            .settle(Settle::Delete(receipts(1)), LIMIT)
            .await
            .expect_err("no answer"),
        queue.receive(receive()).await.expect_err("half of a message"),
    ];
    for failure in failures {
        assert_eq!(failure.kind, ErrorKind::Unavailable);
        assert!(!failure.message.contains("secret-body"), "{failure}");
    }
}

#[tokio::test]
async fn receipts_are_in_no_error() {
    let refused = answer(
        400,
        &[],
        r#"{"__type":"InvalidParameterValue","message":"receipt-0 is wrong"}"#,
    );
    let failed = r#"{"Failed":[{"Id":"0","Code":"InternalError","Message":"receipt-0 is lost"}]}"#;
    let (_service, queue) = rig([Reply::Keep(refused), Reply::Keep(ok(failed))]).await;
    let error = queue
        .settle(Settle::Delete(receipts(1)), LIMIT)
        .await
        .expect_err("refused");
    assert!(!error.to_string().contains("receipt-0"), "{error}");
    let settled = queue
        .settle(Settle::Delete(receipts(1)), LIMIT)
        .await
        .expect("an answer");
    assert_eq!(settled, [Settled::Failed("InternalError: … is lost".to_owned())]);
}

#[tokio::test]
async fn a_receive_is_sent_once_and_a_settlement_twice() {
    let failing = || Reply::Keep(answer(500, &[], "{}"));
    let (service, queue) = rig([failing(), failing(), Reply::Keep(ok(r#"{"Successful":[{"Id":"0"}]}"#))]).await;
    assert!(queue.receive(receive()).await.is_err());
    assert_eq!(service.heard().len(), 1);
    let settled = queue
        .settle(Settle::Delete(receipts(1)), LIMIT)
        .await
        .expect("an answer");
    assert_eq!(settled, [Settled::Done]);
    assert_eq!(service.heard().len(), 3);
}

#[tokio::test]
async fn an_endpoint_that_there_is_none_of_is_told_with_every_call() {
    let queue = queue(Err("FIPS is not supported in this partition".to_owned()));
    let error = queue.receive(receive()).await.expect_err("no endpoint");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("FIPS"), "{error}");
    queue.renew();
}

#[test]
fn what_the_service_says_of_a_wrong_signature_is_cut_before_the_request_that_it_repeats() {
    let said = "The request signature we calculated does not match.\n\nThe Canonical String should have been\n\
                'POST\n/\n\nx-amz-security-token:canary-token'";
    let told = aws_sdk_sqs::error::ErrorMetadata::builder()
        .code("SignatureDoesNotMatch")
        .message(said)
        .build();
    let told = aws_sdk_sqs::operation::get_queue_attributes::GetQueueAttributesError::generic(told);
    let error = classify(SdkError::service_error(told, ()));
    assert_eq!(error.kind, ErrorKind::Credentials);
    assert_eq!(
        error.message,
        "SignatureDoesNotMatch: The request signature we calculated does not match."
    );
}
