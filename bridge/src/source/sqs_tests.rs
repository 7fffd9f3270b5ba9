//! Messages and answers of SQS made ours.

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::Message as SdkMessage;

use super::*;

fn received() -> SdkMessage {
    let typed = |kind: &str| MessageAttributeValue::builder().data_type(kind);
    SdkMessage::builder()
        .message_id("m-1")
        .receipt_handle("receipt-1")
        .body("hello")
        .md5_of_body("5d41402abc4b2a76b9719d911017c592")
        .attributes(SystemAttribute::SentTimestamp, "1700000000123")
        .attributes(SystemAttribute::ApproximateReceiveCount, "4")
        .attributes(SystemAttribute::ApproximateFirstReceiveTimestamp, "1700000000456")
        .attributes(SystemAttribute::MessageGroupId, "customer-7")
        .attributes(SystemAttribute::MessageDeduplicationId, "d-1")
        .attributes(SystemAttribute::SequenceNumber, "18870000000000000000")
        .message_attributes(
            "price",
            typed("Number.eur").string_value("12.50").build().expect("complete"),
        )
        .message_attributes(
            "blob",
            typed("Binary")
                .binary_value(Blob::new([0u8, 255]))
                .build()
                .expect("complete"),
        )
        .build()
}

#[test]
fn every_attribute_becomes_a_header_and_the_receipt_none() {
    let message = ours(received()).expect("a message");
    let headers: Vec<_> = message
        .headers
        .iter()
        .map(|header| (header.name.as_str(), header.value.as_ref()))
        .collect();
    assert_eq!(
        headers,
        [
            ("sqs.message.id", &b"m-1"[..]),
            ("sqs.md5.of.body", b"5d41402abc4b2a76b9719d911017c592"),
            ("sqs.sent.timestamp", b"1700000000123"),
            ("sqs.approximate.receive.count", b"4"),
            ("sqs.approximate.first.receive.timestamp", b"1700000000456"),
            ("sqs.message.group.id", b"customer-7"),
            ("sqs.message.deduplication.id", b"d-1"),
            ("sqs.sequence.number", b"18870000000000000000"),
            ("sqs.message.attribute.blob", &[0, 255]),
            ("sqs.message.attribute.blob.type", b"Binary"),
            ("sqs.message.attribute.price", b"12.50"),
            ("sqs.message.attribute.price.type", b"Number.eur"),
        ]
    );
}

#[test]
fn group_order_and_age_are_known() {
    let message = ours(received()).expect("a message");
    assert_eq!(message.group.as_deref(), Some("customer-7"));
    assert_eq!(message.sequence, Some(18_870_000_000_000_000_000));
    assert_eq!((message.sent_at, message.receive_count), (Some(1_700_000_000_123), 4));
}

#[test]
fn an_answer_is_read_entry_by_entry() {
    let failed = |id: &str, code: &str| {
        BatchResultErrorEntry::builder()
            .id(id)
            .code(code)
            .sender_fault(false)
            .build()
            .expect("complete")
    };
    let answers = answers(
        4,
        &["0"],
        &[failed("1", "InternalError"), failed("2", "ReceiptHandleIsInvalid")],
    );
    assert_eq!(answers[0], Settled::Done);
    assert!(matches!(&answers[1], Settled::Failed(why) if why.contains("InternalError")));
    assert_eq!(answers[2], Settled::Stale);
    assert!(
        matches!(answers[3], Settled::Failed(_)),
        "an entry that the answer forgets is not done"
    );
}

#[test]
fn both_codes_of_a_missing_queue_mean_the_same() {
    assert_eq!(kind_of("AWS.SimpleQueueService.NonExistentQueue"), ErrorKind::Missing);
    assert_eq!(kind_of("QueueDoesNotExist"), ErrorKind::Missing);
    assert_eq!(
        kind_of("com.amazonaws.sqs#OverLimit".rsplit('#').next().expect("a name")),
        ErrorKind::OverLimit
    );
    assert_eq!(kind_of("ExpiredTokenException"), ErrorKind::Credentials);
    assert_eq!(kind_of("InternalFailure"), ErrorKind::Unavailable);
}
