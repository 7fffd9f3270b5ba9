//! A limit to the bridge's memory, as a task has one: the default settings live within it, whatever waits in the queue.

use std::time::Duration;

use penstock_tests::bridge::Queue;
use penstock_tests::bridge::stall::outlive;
use penstock_tests::kafka::Broker;

#[tokio::test(flavor = "multi_thread")]
async fn with_256_mib_and_the_largest_messages_it_outlives_a_stall_of_kafka_and_hands_over_everything() {
    outlive(Broker::shared().await, Queue::standard(&[]).await, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_256_mib_and_the_largest_messages_of_a_fifo_queue_it_outlives_a_stall_of_kafka() {
    outlive(Broker::shared().await, Queue::fifo().await, Duration::ZERO).await;
}
