//! The delivery promise, on a fake queue and a fake sink, in paused time.

use std::time::Duration;

use crate::health::{OVERDUE_AFTER, STALLED_AFTER};
use crate::pump::Settings;
use crate::pump::fake::{Rig, message, settings, too_large};
use crate::sink::Failure;

fn untouched(_: &crate::pump::fake::FakeQueue, _: &crate::pump::fake::FakeSink) {}

fn gone() -> Failure {
    Failure::Unavailable("gone".to_owned())
}

#[tokio::test(start_paused = true)]
async fn everything_is_stored_once_and_then_deleted_in_batches() {
    let rig = Rig::start(settings(), (0..250).map(message), untouched);
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    let mut stored = rig.sink.stored();
    stored.sort();
    stored.dedup();
    assert_eq!((stored.len(), rig.sink.stored().len()), (250, 250));
    rig.until("settled", |rig| rig.counts().deletes_pending == 0).await;
    assert_eq!(
        (rig.counts().sent, rig.counts().deleted, rig.counts().buffered_bytes),
        (250, 250, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_deleted_before_the_sink_stored_it() {
    let rig = Rig::start(settings(), (0..10).map(message), |_, sink| sink.stand_still());
    rig.until("all are with the sink", |rig| rig.sink.tries().len() == 10)
        .await;
    rig.pass(Duration::from_secs(600)).await;
    assert!(
        rig.queue.log().iter().all(|call| call.starts_with("hide")),
        "{:?}",
        rig.queue.log()
    );
    assert_eq!(rig.queue.left().len(), 10);
    rig.sink.go_on();
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn leases_are_extended_before_half_is_left_and_each_message_comes_once() {
    let rig = Rig::start(settings(), (0..5).map(message), |_, sink| sink.stand_still());
    rig.until("all are with the sink", |rig| rig.sink.tries().len() == 5)
        .await;
    rig.pass(Duration::from_secs(14)).await;
    assert_eq!(rig.queue.log().len(), 0, "half of the lease is not over");
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.queue.log().len(), 5, "one extension for each");
    rig.pass(Duration::from_secs(3600)).await;
    assert!((0..5).all(|n| rig.queue.deliveries(&format!("message-{n}")) == 1));
    assert_eq!(rig.counts().leases_lost, 0);
}

#[tokio::test(start_paused = true)]
async fn no_message_is_held_longer_than_sqs_allows() {
    let rig = Rig::start(settings(), [message(0)], |_, sink| sink.stand_still());
    rig.until("lost", |rig| rig.counts().leases_lost == 1).await;
    rig.until("handed out again", |rig| rig.queue.deliveries("message-0") == 2)
        .await;
    rig.sink.go_on();
    rig.until("deleted with the new receipt", |rig| rig.queue.left().is_empty())
        .await;
    assert_eq!(rig.sink.stored(), ["message-0"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_receipt_is_never_used_to_delete() {
    let rig = Rig::start(settings(), [message(0)], |_, sink| sink.stand_still());
    rig.until("with the sink", |rig| rig.sink.tries().len() == 1).await;
    rig.queue.deliver_elsewhere("message-0");
    rig.until("lost", |rig| rig.counts().leases_lost == 1).await;
    rig.sink.go_on();
    rig.until("stored", |rig| rig.counts().sent == 1).await;
    rig.pass(Duration::from_secs(5)).await;
    assert!(
        !rig.queue
            .log()
            .iter()
            .any(|call| call.starts_with("delete message-0/1")),
        "{:?}",
        rig.queue.log()
    );
}

#[tokio::test(start_paused = true)]
async fn a_redelivery_of_what_is_held_renews_its_receipt_instead_of_a_second_copy() {
    let rig = Rig::start(settings(), [message(0)], |queue, sink| {
        sink.stand_still();
        queue.settle_is_down(true);
    });
    rig.until("handed out again", |rig| rig.counts().deduplicated == 1)
        .await;
    rig.queue.settle_is_down(false);
    rig.sink.go_on();
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    assert_eq!(rig.sink.stored(), ["message-0"]);
    assert!(rig.queue.log().contains(&"delete message-0/2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_failed_delete_is_tried_again_without_sending_twice() {
    let rig = Rig::start(settings(), (0..10).map(message), |queue, _| {
        queue.fail_deletes(2);
        queue.refuse_deletes_of("message-3", 3);
    });
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    rig.until("known", |rig| rig.counts().deleted == 10).await;
    assert_eq!(rig.sink.stored().len(), 10);
    assert!(rig.counts().delete_failures >= 23, "{:?}", rig.counts());
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_to_a_delete_costs_no_second_copy() {
    // The queue deleted the message, but the reply was lost: the repeated delete finds the receipt void.
    let rig = Rig::start(settings(), [message(0)], |queue, _| queue.fail_deletes(1));
    rig.until("stored", |rig| rig.counts().sent == 1).await;
    rig.until("closed", |rig| rig.counts().deletes_pending == 0).await;
    assert_eq!(rig.sink.stored(), ["message-0"]);
}

#[tokio::test(start_paused = true)]
async fn poison_is_parked_alone_and_its_neighbours_pass_once() {
    let rig = Rig::start(settings(), (0..20).map(message), |_, sink| sink.poison("message-7"));
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    let stored = rig.sink.stored();
    assert_eq!(
        stored
            .iter()
            .filter(|name| name.starts_with("dead"))
            .collect::<Vec<_>>(),
        ["dead message-7"]
    );
    assert_eq!(stored.len(), 20);
    let tries = rig
        .sink
        .tries()
        .iter()
        .filter(|name| name.starts_with("message-7"))
        .cloned()
        .collect::<Vec<_>>();
    // One in a batch, which may have been a neighbour's fault, then the first of its own and two retries.
    assert_eq!(
        tries,
        ["message-7", "message-7 alone", "message-7 alone", "message-7 alone"]
    );
    rig.until("known", |rig| rig.counts().deleted == 20).await;
    assert_eq!(
        (rig.counts().dead_lettered, rig.counts().failed, rig.counts().retried),
        (1, 1, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_every_try_and_the_dead_letter_have_the_whole_body() {
    let rig = Rig::start(settings(), [message(0)], |_, sink| {
        let unavailable = Failure::Unavailable("away".to_owned());
        sink.fail("message-0", [Failure::Neighbour, unavailable]);
        sink.poison("message-0");
    });
    rig.until("parked", |rig| rig.counts().dead_lettered == 1).await;
    assert_eq!(rig.sink.bodies(), vec!["body-0"; rig.sink.tries().len()]);
    assert_eq!(rig.sink.stored(), ["dead message-0"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_refused_for_one_message_harms_no_other() {
    let rig = Rig::start(
        Settings {
            max_retries: 0,
            ..settings()
        },
        (0..3).map(message),
        |_, sink| {
            sink.fail("message-0", [too_large()]);
            sink.fail("message-1", [Failure::Neighbour]);
            sink.poison("message-2");
        },
    );
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    let mut stored = rig.sink.stored();
    stored.sort();
    assert_eq!(stored, ["dead message-2", "message-0", "message-1"]);
}

#[tokio::test(start_paused = true)]
async fn poison_without_dead_letters_is_left_to_the_queue_with_growing_waits() {
    let without = Settings {
        dead_letters: false,
        max_retries: 0,
        ..settings()
    };
    let rig = Rig::start(without, (0..3).map(message), |_, sink| sink.poison("message-1"));
    rig.until("it came four times", |rig| rig.queue.deliveries("message-1") == 4)
        .await;
    assert_eq!(rig.queue.left(), ["message-1"]);
    assert!(!rig.queue.log().iter().any(|call| call.starts_with("delete message-1")));
    let waits: Vec<u64> = rig
        .queue
        .log()
        .iter()
        .filter(|call| call.starts_with("hide message-1"))
        .filter_map(|call| call.rsplit(' ').next()?.parse().ok())
        .collect();
    assert!(waits[0] >= 1 && waits[2] >= 4, "{waits:?}");
    assert!(rig.counts().released >= 3 && rig.counts().sent == 2);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_even_the_dead_letters_refuse_stays_in_the_queue() {
    let rig = Rig::start(
        Settings {
            max_retries: 0,
            ..settings()
        },
        (0..2).map(message),
        |_, sink| {
            sink.poison("message-1");
            sink.refuse_dead_letters();
        },
    );
    rig.until("said", |rig| rig.counts().unplaced >= 2 && rig.counts().released >= 2)
        .await;
    assert_eq!(
        (rig.queue.left(), rig.sink.stored()),
        (vec!["message-1".to_owned()], vec!["message-0".to_owned()])
    );
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_sink_is_waited_out_without_counting_as_a_retry() {
    let outage = std::iter::repeat_with(gone).take(50);
    let rig = Rig::start(
        Settings {
            max_retries: 0,
            ..settings()
        },
        [message(0)],
        |_, sink| {
            sink.fail("message-0", outage);
        },
    );
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    assert_eq!(rig.sink.stored(), ["message-0"]);
    assert_eq!(
        (rig.counts().sink_errors, rig.counts().failed, rig.counts().leases_lost),
        (50, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_sink_is_waited_for() {
    let rig = Rig::start(settings(), (0..5).map(message), |_, sink| sink.is_full(true));
    rig.until("all are held", |rig| rig.counts().in_flight == 5).await;
    rig.sink.is_full(false);
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    assert_eq!(rig.sink.stored().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn messages_and_bytes_held_are_bounded() {
    let bounded = Settings {
        max_messages: 30,
        ..settings()
    };
    let rig = Rig::start(bounded, (0..200).map(message), |_, sink| sink.stand_still());
    rig.pass(Duration::from_secs(5)).await;
    assert_eq!(rig.counts().in_flight, 30);
    let bytes = Settings {
        max_bytes: 30 * 1024,
        ..settings()
    };
    let rig = Rig::start(bytes, (0..200).map(message), |_, sink| sink.stand_still());
    rig.pass(Duration::from_secs(5)).await;
    assert!(
        rig.counts().buffered_bytes <= 30 * 1024 && rig.counts().in_flight >= 10,
        "{:?}",
        rig.counts()
    );
}

#[tokio::test(start_paused = true)]
async fn failed_receives_are_repeated_under_their_name() {
    let rig = Rig::start(settings(), [message(0)], |queue, _| queue.fail_receives(3));
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    let attempts = rig.queue.attempts();
    assert!(attempts[..4].iter().all(|name| *name == attempts[0]), "{attempts:?}");
    assert_ne!(attempts[0], attempts[4]);
    assert_eq!(rig.counts().source_errors, 3);
}

#[tokio::test(start_paused = true)]
async fn a_receive_that_hangs_is_ended_and_reported() {
    let rig = Rig::start(settings(), [], |queue, _| queue.hang_receives());
    rig.until("ended", |rig| rig.counts().source_errors == 1).await;
    rig.pass(STALLED_AFTER).await;
    let report = rig.voice.health.report(tokio::time::Instant::now());
    assert!(!report.healthy && report.reason.expect("a reason").contains("receive"));
}

#[tokio::test(start_paused = true)]
async fn health_is_green_while_idle_and_red_once_the_sink_stands_still() {
    let rig = Rig::start(settings(), [], untouched);
    rig.pass(Duration::from_secs(300)).await;
    assert!(rig.voice.health.report(tokio::time::Instant::now()).healthy);
    rig.sink.stand_still();
    rig.queue.push(message(0));
    rig.pass(STALLED_AFTER + Duration::from_secs(2)).await;
    let report = rig.voice.health.report(tokio::time::Instant::now());
    assert!(!report.healthy && report.reason.expect("a reason").contains("send"));
    rig.sink.go_on();
    rig.until("green again", |rig| {
        rig.voice.health.report(tokio::time::Instant::now()).healthy
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_queue_is_watched_by_one_long_poll() {
    let rig = Rig::start(settings(), (0..100).map(message), untouched);
    rig.until("busy", |rig| {
        rig.queue.open_receives() > 1 || rig.queue.left().is_empty()
    })
    .await;
    rig.pass(Duration::from_secs(120)).await;
    assert_eq!(rig.queue.open_receives(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_after_a_refusal_is_no_stall() {
    let settings = Settings {
        backoff: Duration::from_secs(300),
        max_retries: 1,
        wait: Duration::from_secs(20),
        ..settings()
    };
    let rig = Rig::start(settings, [message(0)], |_, sink| {
        sink.fail("message-0", [too_large(), too_large()]);
    });
    rig.until("refused alone", |rig| rig.counts().retried == 1).await;
    let began = tokio::time::Instant::now();
    while began.elapsed() < Duration::from_secs(250) {
        rig.pass(Duration::from_secs(10)).await;
        let report = rig.voice.health.report(tokio::time::Instant::now());
        assert!(report.healthy, "{report:?}");
    }
    assert_eq!(rig.queue.deliveries("message-0"), 1, "its lease is extended meanwhile");
    rig.until("stored after the wait", |rig| rig.counts().sent == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_part_without_progress_for_a_minute_is_red_and_is_begun_anew() {
    let rig = Rig::start(settings(), (0..3).map(message), |_, sink| sink.stand_still());
    rig.until("with the sink", |rig| rig.sink.tries().len() == 3).await;
    rig.until("begun anew", |rig| rig.sink.renewals() == 1).await;
    assert!(!rig.voice.health.report(tokio::time::Instant::now()).healthy);
    rig.sink.go_on();
    rig.until("all are stored", |rig| rig.counts().sent == 3).await;
    assert!(rig.voice.health.report(tokio::time::Instant::now()).healthy);
    assert_eq!((rig.sink.stored().len(), rig.queue.renewals()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn deletes_that_get_nowhere_begin_the_connections_to_the_queue_anew() {
    let rig = Rig::start(settings(), [message(0)], |queue, _| queue.fail_deletes(u32::MAX));
    rig.until("begun anew", |rig| rig.queue.renewals() > 0).await;
    rig.queue.fail_deletes(0);
    rig.until("deleted", |rig| rig.queue.left().is_empty()).await;
    assert_eq!(rig.sink.stored(), ["message-0"]);
}

#[tokio::test(start_paused = true)]
async fn messages_that_cannot_be_given_back_turn_health_red() {
    let settings = Settings {
        dead_letters: false,
        max_retries: 0,
        visibility: Duration::from_secs(600),
        ..settings()
    };
    let rig = Rig::start(settings, [message(0)], |queue, sink| {
        sink.poison("message-0");
        queue.fail_hides(u32::MAX);
    });
    rig.until("begun anew", |rig| rig.queue.renewals() > 0).await;
    assert!(!rig.voice.health.report(tokio::time::Instant::now()).healthy);
}

#[tokio::test(start_paused = true)]
async fn a_message_left_to_redrive_stays_hidden_for_its_time_although_the_first_call_failed() {
    let settings = Settings {
        dead_letters: false,
        max_retries: 0,
        backoff: Duration::from_secs(8),
        ..settings()
    };
    let rig = Rig::start(settings, [message(0)], |queue, sink| {
        sink.poison("message-0");
        queue.fail_hides(1);
    });
    let hidden = |rig: &Rig| rig.queue.log().iter().any(|call| call.starts_with("hide message-0/1"));
    rig.until("given back", hidden).await;
    let seconds: Vec<u64> = rig
        .queue
        .log()
        .iter()
        .filter_map(|call| call.strip_prefix("hide message-0/1 ")?.parse().ok())
        .collect();
    assert!(seconds.iter().all(|seconds| *seconds >= 8), "{seconds:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_again_after_it_was_stored_is_deleted_and_not_sent_again() {
    let settings = Settings {
        remember: Duration::from_secs(300),
        ..settings()
    };
    let rig = Rig::start(settings, [message(0)], |_, _| {});
    rig.until("deleted", |rig| rig.queue.left().is_empty()).await;
    rig.queue.push(message(0));
    rig.until("recognised", |rig| rig.counts().deduplicated == 1).await;
    rig.until("deleted again", |rig| rig.queue.left().is_empty()).await;
    assert_eq!(rig.sink.stored(), ["message-0"]);
    rig.pass(Duration::from_secs(301)).await;
    rig.queue.push(message(0));
    rig.until("sent again after the window", |rig| rig.sink.stored().len() == 2)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_try_failed_is_no_duplicate_when_it_comes_again() {
    let settings = Settings {
        remember: Duration::from_secs(300),
        dead_letters: false,
        max_retries: 0,
        ..settings()
    };
    let rig = Rig::start(settings, [message(0)], |_, sink| {
        sink.fail("message-0", [too_large(), too_large()]);
    });
    rig.until("stored at its second coming", |rig| rig.counts().sent == 1)
        .await;
    assert_eq!((rig.counts().deduplicated, rig.queue.deliveries("message-0")), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_call_for_an_extension_that_is_never_answered_leaves_time_for_the_next() {
    let settings = Settings {
        visibility: Duration::from_secs(10),
        ..settings()
    };
    let rig = Rig::start(settings, (0..3).map(message), |queue, sink| {
        sink.stand_still();
        queue.swallow_hides(2);
    });
    rig.until("with the sink", |rig| rig.sink.tries().len() == 3).await;
    rig.pass(Duration::from_secs(50)).await;
    assert_eq!(rig.counts().leases_lost, 0);
    assert!((0..3).all(|n| rig.queue.deliveries(&format!("message-{n}")) == 1));
}

#[tokio::test(start_paused = true)]
async fn replies_larger_than_expected_never_exceed_the_limit_together() {
    let settings = Settings {
        receivers: 8,
        max_messages: 10_000,
        max_bytes: 300_000,
        largest_message: 1024,
        ..settings()
    };
    let large = |n| crate::source::Message {
        body: "x".repeat(10_000),
        ..message(n)
    };
    let messages = (0..200).map(message).chain((200..400).map(large));
    let rig = Rig::start(settings, messages, |queue, _| queue.sizes_are_known());
    rig.until("empty", |rig| {
        assert!(rig.counts().buffered_bytes <= 300_000, "{:?}", rig.counts());
        rig.queue.left().is_empty()
    })
    .await;
    assert_eq!(rig.sink.stored().len(), 400);
}

#[tokio::test(start_paused = true)]
async fn a_reply_waits_for_room_as_long_as_its_messages_are_ours() {
    let settings = Settings {
        max_bytes: 300_000,
        visibility: Duration::from_secs(120),
        ..settings()
    };
    let sized = |n, length| crate::source::Message {
        body: "x".repeat(length),
        ..message(n)
    };
    let messages = (0..10)
        .map(|n| sized(n, 9_000))
        .chain((10..20).map(|n| sized(n, 20_000)));
    let rig = Rig::start(settings, messages, |queue, sink| {
        queue.sizes_are_known();
        sink.stand_still();
    });
    // Longer than any call may take that does not wait for room.
    rig.pass(Duration::from_secs(90)).await;
    assert_eq!((rig.counts().in_flight, rig.queue.hidden().len()), (10, 20));
    rig.sink.go_on();
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    let counts = rig.counts();
    assert_eq!((counts.received, counts.sent, counts.source_errors), (20, 20, 0));
}

#[tokio::test(start_paused = true)]
async fn what_shared_a_batch_with_poison_is_sent_again_alone_and_not_given_back() {
    let rig = Rig::start(settings(), (0..5).map(message), |_, sink| {
        for n in 0..5 {
            let failure = if n == 3 { too_large() } else { Failure::Neighbour };
            sink.fail(&format!("message-{n}"), [failure]);
        }
    });
    rig.pass(Duration::from_secs(10)).await;
    assert_eq!((rig.sink.stored().len(), rig.counts().released), (5, 0));
    assert!((0..5).all(|n| rig.sink.tries().contains(&format!("message-{n} alone"))));
}

#[tokio::test(start_paused = true)]
async fn retries_that_would_outlast_the_longest_hold_end_before_it() {
    let patient = Settings {
        max_retries: 100,
        backoff: Duration::from_secs(900),
        ..settings()
    };
    let rig = Rig::start(patient, [message(0)], |_, sink| sink.poison("message-0"));
    rig.until("it is parked", |rig| rig.counts().deleted == 1).await;
    let counts = rig.counts();
    assert_eq!((counts.dead_lettered, counts.received, counts.leases_lost), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn every_lease_is_extended_however_many_there_are() {
    let many = Settings {
        max_messages: 4_000,
        visibility: Duration::from_secs(4),
        max_bytes: 1 << 30,
        ..settings()
    };
    let rig = Rig::start(many, (0..4_000).map(message), |_, sink| sink.stand_still());
    rig.until("all are held", |rig| rig.counts().in_flight == 4_000).await;
    rig.until("all are extended again and again, or one is lost", |rig| {
        rig.counts().leases_extended >= 4_000 * 3 || rig.counts().leases_lost > 0
    })
    .await;
    assert_eq!(rig.counts().leases_lost, 0);
}

#[tokio::test(start_paused = true)]
async fn one_message_without_an_answer_turns_health_red_although_the_others_pass() {
    let rig = Rig::start(settings(), [], |_, sink| {
        sink.fail("message-0", std::iter::repeat_n(gone(), 10_000))
    });
    let mut number = 0;
    let began = tokio::time::Instant::now();
    while began.elapsed() <= OVERDUE_AFTER + Duration::from_secs(1) {
        rig.queue.push(message(number));
        number += 1;
        rig.pass(Duration::from_secs(5)).await;
        let report = rig.voice.health.report(tokio::time::Instant::now());
        assert_eq!(
            report.healthy,
            began.elapsed() <= OVERDUE_AFTER,
            "{:?} {report:?}",
            began.elapsed()
        );
    }
    assert_eq!(rig.counts().sent, u64::from(number) - 1);
    assert!(rig.counts().longest_owed >= 300, "{:?}", rig.counts());
}

#[tokio::test(start_paused = true)]
async fn messages_that_wait_out_their_refusals_do_not_keep_others_from_their_turn() {
    let patient = Settings {
        max_messages: 20,
        max_retries: 10,
        backoff: Duration::from_secs(600),
        ..settings()
    };
    let poison = 100;
    let rig = Rig::start(patient, (0..poison).map(message), |_, sink| {
        (0..poison).for_each(|n| sink.poison(&format!("message-{n}")));
    });
    rig.until("the table is full", |rig| rig.counts().in_flight == 20).await;
    rig.queue.push(message(1000));
    let began = tokio::time::Instant::now();
    rig.until("the neighbour is through", |rig| {
        rig.sink.stored().contains(&"message-1000".to_owned())
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(600), "{:?}", began.elapsed());
    rig.until("all are parked", |rig| rig.counts().dead_lettered == u64::from(poison))
        .await;
    assert_eq!(rig.counts().retried, u64::from(poison) * 10, "each had its tries");
}

#[tokio::test(start_paused = true)]
async fn beside_a_message_that_rests_what_fits_is_received() {
    let small = Settings {
        max_bytes: 5_000,
        backoff: Duration::from_secs(600),
        ..settings()
    };
    let rig = Rig::start(small, [message(0)], |_, sink| sink.poison("message-0"));
    rig.until("it rests", |rig| rig.counts().retried == 1).await;
    (1..=5).for_each(|n| rig.queue.push(message(n)));
    rig.until("the others pass", |rig| rig.counts().sent == 5).await;
    assert_eq!(rig.counts().retried, 1, "its wait was not cut short");
}
