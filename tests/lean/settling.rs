//! Deleting and hiding, entry by entry.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use penstock_bridge::source::{Receipt, Settle, Settled};

use crate::rig::Target;

const LONG: Duration = Duration::from_secs(600);

pub(crate) async fn a_batch_is_settled_entry_by_entry(target: &Target) {
    let queue = target.standard().await;
    for body in ["a", "b", "c"] {
        queue.send(body, None, &[]).await;
    }
    let mut receipts: Vec<_> = queue.receive_all(3).await.into_iter().map(|one| one.receipt).collect();
    receipts.insert(1, Receipt("no \"receipt\" at all".to_owned()));
    let expected = [Settled::Done, Settled::Stale, Settled::Done, Settled::Done];
    let lengths = receipts.iter().map(|receipt| (receipt.clone(), LONG)).collect();
    assert_eq!(queue.settle(Settle::Hide(lengths)).await, expected);
    assert_eq!(queue.settle(Settle::Delete(receipts.clone())).await, expected);
    let left = queue.visible().await;
    assert!(left.is_empty(), "{left:?}");
    // Deleted once is deleted twice, or its receipt is void; either way it is over.
    for settled in queue.settle(Settle::Delete(receipts)).await {
        assert!(matches!(settled, Settled::Done | Settled::Stale), "{settled:?}");
    }
}

pub(crate) async fn messages_are_hidden_and_shown(target: &Target) {
    let queue = target.standard().await;
    for body in ["a", "b"] {
        queue.send(body, None, &[]).await;
    }
    let messages = queue.receive_all(2).await;
    let lengths = messages.iter().map(|message| {
        let length = if message.body == "a" { Duration::ZERO } else { LONG };
        (message.receipt.clone(), length)
    });
    assert_eq!(
        queue.settle(Settle::Hide(lengths.collect())).await,
        [Settled::Done, Settled::Done]
    );
    assert_eq!(queue.visible().await, ["a"]);
}

pub(crate) async fn many_calls_at_once_take_every_message(target: &Target) {
    const MESSAGES: usize = 120;
    let queue = Arc::new(target.standard().await);
    let bodies: Vec<String> = (0..MESSAGES).map(|number| format!("message {number}")).collect();
    for batch in bodies.chunks(20) {
        join_all(batch.iter().map(|body| queue.send(body, None, &[]))).await;
    }
    let takers = (0..12).map(|_| {
        let queue = queue.clone();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            loop {
                let messages = queue.receive(10, "attempt").await;
                if messages.is_empty() {
                    return taken;
                }
                let receipts = messages.iter().map(|message| message.receipt.clone()).collect();
                let settled = queue.settle(Settle::Delete(receipts)).await;
                let is_over = |settled: &Settled| matches!(settled, Settled::Done | Settled::Stale);
                assert!(settled.iter().all(is_over), "{settled:?}");
                taken.extend(messages.into_iter().map(|message| message.body));
            }
        })
    });
    let taken: Vec<String> = join_all(takers)
        .await
        .into_iter()
        .flat_map(|taken| taken.expect("no taker panics"))
        .collect();
    let different: BTreeSet<_> = taken.iter().collect();
    assert_eq!(different.len(), MESSAGES);
    assert!(taken.len() == MESSAGES || target.repeats_messages, "{taken:?}");
}
