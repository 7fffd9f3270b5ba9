//! The bridge's own client for SQS, asked beside the SDK's: what one reads of a message, the other has to read too.
//!
//! The bridge's source is driven as the pump drives it, against localcloud, ElasticMQ and moto. Where one of them is known
//! not to do as SQS does (`localcloud/DIFFERENCES.md`), [`rig::Target`] says so.

#[path = "lean/fields.rs"]
mod fields;
#[path = "lean/fifo.rs"]
mod fifo;
#[path = "lean/refusals.rs"]
mod refusals;
#[path = "lean/rig.rs"]
mod rig;
#[path = "lean/settling.rs"]
mod settling;

use penstock_tests::elasticmq::ElasticMq;
use penstock_tests::localcloud::LocalCloud;
use penstock_tests::moto::Moto;
use tokio::sync::OnceCell;

use rig::{Attempts, Target};

async fn localcloud() -> Target {
    static SHARED: OnceCell<LocalCloud> = OnceCell::const_new();
    let start = || async {
        let cloud = LocalCloud::builder().expect("localcloud is built").start().await;
        cloud.expect("localcloud starts")
    };
    Target {
        endpoint: SHARED.get_or_init(start).await.endpoint().clone(),
        attempts: Attempts::BringTheSame,
        checks_names: false,
        repeats_messages: false,
    }
}

async fn elasticmq() -> Target {
    Target {
        endpoint: ElasticMq::shared().await.endpoint().clone(),
        attempts: Attempts::BringOtherReceipts,
        checks_names: true,
        repeats_messages: false,
    }
}

async fn moto() -> Target {
    Target {
        endpoint: Moto::shared().await.endpoint().clone(),
        attempts: Attempts::AreNotRead,
        checks_names: false,
        repeats_messages: true,
    }
}

/// Makes a test of each check for each target.
macro_rules! on_each {
    ($($check:path as $name:ident),* $(,)?) => {
        mod on_localcloud {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $check(&super::localcloud().await).await;
            })*
        }
        mod on_elasticmq {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $check(&super::elasticmq().await).await;
            })*
        }
        mod on_moto {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $check(&super::moto().await).await;
            })*
        }
    };
}

on_each! {
    crate::fields::every_field_is_what_the_sdk_reads as every_field_is_what_the_sdk_reads,
    crate::fields::attributes_are_left_out_where_the_settings_say_so as attributes_are_left_out_where_the_settings_say_so,
    crate::fifo::group_and_sequence_are_what_the_sdk_reads as group_and_sequence_are_what_the_sdk_reads,
    crate::fifo::a_repeated_attempt_brings_the_same_messages as a_repeated_attempt_brings_the_same_messages,
    crate::settling::a_batch_is_settled_entry_by_entry as a_batch_is_settled_entry_by_entry,
    crate::settling::messages_are_hidden_and_shown as messages_are_hidden_and_shown,
    crate::settling::many_calls_at_once_take_every_message as many_calls_at_once_take_every_message,
    crate::refusals::a_queue_that_is_not_there_is_missing as a_queue_that_is_not_there_is_missing,
    crate::refusals::names_that_are_too_long_are_refused as names_that_are_too_long_are_refused,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_another_account_is_taken_on() {
    // moto alone keeps the queues of a role from those who did not take it on.
    refusals::a_role_of_another_account_is_taken_on(&moto().await).await;
}
