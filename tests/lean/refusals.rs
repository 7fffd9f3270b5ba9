//! What is refused, and who may ask.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use penstock_bridge::source::{ErrorKind, Receipt, Receive, Room, Settle, Source};
use penstock_tests::unique;
use serde_json::json;

use crate::rig::{LIMIT, Target};

fn receive(attempt: &str) -> Receive {
    Receive {
        max: 10,
        attempt: attempt.to_owned(),
        room: Room::unlimited(),
    }
}

pub(crate) async fn a_queue_that_is_not_there_is_missing(target: &Target) {
    let there = target.standard().await;
    let gone = there.url.replace("lean-", "gone-");
    let queue = target.reader(&gone, &json!({})).await;
    let receipts = vec![Receipt("AQEB".to_owned())];
    let lengths = receipts.iter().map(|receipt| (receipt.clone(), LIMIT)).collect();
    let errors = [
        queue.receive(receive("attempt")).await.expect_err("there is none"),
        queue
            .settle(Settle::Delete(receipts), LIMIT)
            .await
            .expect_err("there is none"),
        queue
            .settle(Settle::Hide(lengths), LIMIT)
            .await
            .expect_err("there is none"),
        queue.inspect().await.expect_err("there is none"),
    ];
    for error in errors {
        assert_eq!(error.kind, ErrorKind::Missing, "{error}");
    }
}

pub(crate) async fn names_that_are_too_long_are_refused(target: &Target) {
    let queue = target.fifo().await;
    queue.send("a", Some("g"), &[]).await;
    let answer = queue.ours.receive(receive(&"n".repeat(129))).await;
    if target.checks_names {
        let error = answer.expect_err("it is too long");
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(error.message.contains("InvalidParameterValue"), "{error}");
    } else {
        assert_eq!(answer.expect("it is taken").len(), 1);
    }
    let longest = queue.ours.receive(receive(&"n".repeat(128))).await;
    longest.expect("a name of 128 letters is taken");
}

pub(crate) async fn a_role_of_another_account_is_taken_on(target: &Target) {
    const ROLE: &str = "arn:aws:iam::444455556666:role/reader";
    let session = target
        .endpoint
        .sts()
        .assume_role()
        .role_arn(ROLE)
        .role_session_name("lean");
    let session = session
        .send()
        .await
        .expect("the role exists")
        .credentials
        .expect("a session");
    let (id, secret) = (session.access_key_id(), session.secret_access_key());
    let token = Some(session.session_token().to_owned());
    let provider = SharedCredentialsProvider::new(Credentials::new(id, secret, token, None, "lean"));
    let config = target
        .endpoint
        .config()
        .to_builder()
        .credentials_provider(provider)
        .build();
    let theirs = aws_sdk_sqs::Client::new(&config);
    let made = theirs.create_queue().queue_name(unique("lean")).send().await;
    let url = made.expect("a queue can be made").queue_url.expect("it has a URL");
    let sent = theirs
        .send_message()
        .queue_url(&url)
        .message_body("from another account");
    sent.send().await.expect("a message can be sent");

    let stranger = target.reader(&url, &json!({})).await;
    let error = stranger.receive(receive("attempt")).await.expect_err("it is not ours");
    assert_eq!(error.kind, ErrorKind::Missing, "{error}");
    let reader = target.reader(&url, &json!({"assumeRole": {"arn": ROLE}})).await;
    let messages = reader.receive(receive("attempt")).await.expect("the role may read");
    assert_eq!(messages[0].body, "from another account");
}
