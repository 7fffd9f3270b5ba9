//! FIFO queues: groups, sequence numbers, and attempts that are repeated.

use penstock_bridge::source::{Message, Settle, Settled};
use penstock_tests::unique;

use crate::fields::compare;
use crate::rig::{Attempts, Target};

pub(crate) async fn group_and_sequence_are_what_the_sdk_reads(target: &Target) {
    let queue = target.fifo().await;
    for (group, body) in [("g", "a"), ("g", "b"), ("h", "c")] {
        queue.send(body, Some(group), &[]).await;
    }
    let theirs = queue.look_at_all(3).await;
    let mut ours = Vec::new();
    while ours.len() < 3 {
        // One at a time: not every SQS brings two of a group at once, and the group is closed meanwhile.
        let messages = queue.receive(1, &unique("attempt")).await;
        let receipts = messages.iter().map(|message| message.receipt.clone()).collect();
        assert_eq!(queue.settle(Settle::Delete(receipts)).await, [Settled::Done]);
        ours.extend(messages);
    }
    for message in &ours {
        compare(message, &theirs[&message.id]);
        assert!(message.group.is_some() && message.sequence.is_some(), "{message:?}");
    }
}

pub(crate) async fn a_repeated_attempt_brings_the_same_messages(target: &Target) {
    let queue = target.fifo().await;
    for body in ["a", "b"] {
        queue.send(body, Some("g"), &[]).await;
    }
    let first = queue.receive(10, "attempt-1").await;
    let again = queue.receive(10, "attempt-1").await;
    assert_eq!(
        first.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(),
        ["a", "b"]
    );
    let ids = |messages: &[Message]| messages.iter().map(|message| message.id.clone()).collect::<Vec<_>>();
    let receipts = |messages: &[Message]| {
        messages
            .iter()
            .map(|message| message.receipt.clone())
            .collect::<Vec<_>>()
    };
    match target.attempts {
        Attempts::BringTheSame => assert_eq!(receipts(&again), receipts(&first)),
        Attempts::BringOtherReceipts => assert_eq!(ids(&again), ids(&first)),
        Attempts::AreNotRead => assert!(again.is_empty(), "{again:?}"),
    }
    assert!(queue.receive(10, "attempt-2").await.is_empty(), "the group is closed");
}
