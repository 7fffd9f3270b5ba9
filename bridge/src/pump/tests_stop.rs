//! A stop: stored is deleted, the rest is visible again, in time.

use std::time::Duration;

use tokio::time::Instant;

use crate::pump::fake::{Rig, grouped, message, settings};
use crate::pump::{Ending, Settings};
use crate::sink::Failure;

#[tokio::test(start_paused = true)]
async fn a_stop_under_load_leaves_nothing_hidden_and_nothing_twice() {
    let rig = Rig::start(settings(), (0..500).map(message), |_, _| {});
    rig.until("under load", |rig| rig.counts().sent > 100).await;
    let (ending, took, queue, sink, counts) = rig.stop().await;
    assert_eq!((ending, queue.hidden()), (Ending::Drained, vec![]));
    assert!(took < Duration::from_secs(25), "{took:?}");
    let left = queue.left();
    let stored = sink.stored();
    assert!(stored.iter().all(|id| !left.contains(id)), "what was stored is deleted");
    assert_eq!(stored.len() + left.len(), 500);
    assert_eq!(counts.in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn an_open_poll_may_return_and_what_it_brings_is_given_back() {
    let rig = Rig::start(settings(), [], |_, _| {});
    rig.until("polling", |rig| rig.queue.open_receives() == 1).await;
    rig.begin_stop();
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(5)).await;
    rig.queue.push(message(0));
    let (ending, took, queue, sink, _) = rig.finish(began).await;
    assert_eq!(ending, Ending::Drained);
    assert_eq!(
        (queue.left(), queue.hidden(), sink.stored()),
        (vec!["message-0".to_owned()], vec![], vec![])
    );
    assert!(took < Duration::from_secs(25), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_hangs_does_not_hold_up_the_stop() {
    let rig = Rig::start(settings(), [], |queue, _| queue.hang_receives());
    rig.until("polling", |rig| rig.queue.open_receives() == 1).await;
    let (ending, took, queue, ..) = rig.stop().await;
    assert_eq!((ending, queue.open_receives()), (Ending::Drained, 0));
    assert!(took <= Duration::from_secs(21), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_does_not_answer_is_given_up_in_time_and_its_messages_are_visible() {
    let rig = Rig::start(settings(), (0..25).map(message), |_, sink| sink.stand_still());
    rig.until("all are with the sink", |rig| rig.sink.tries().len() == 25)
        .await;
    let (ending, took, queue, sink, counts) = rig.stop().await;
    assert_eq!(ending, Ending::Unanswered(25));
    assert!(sink.abandoned());
    assert_eq!((queue.left().len(), queue.hidden().len(), counts.released), (25, 0, 25));
    assert!(took < Duration::from_secs(25), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_answers_during_the_stop_is_waited_for() {
    let rig = Rig::start(settings(), (0..25).map(message), |_, sink| sink.stand_still());
    rig.until("all are with the sink", |rig| rig.sink.tries().len() == 25)
        .await;
    rig.begin_stop();
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(10)).await;
    rig.sink.go_on();
    let (ending, _, queue, sink, _) = rig.finish(began).await;
    assert_eq!(
        (ending, queue.left().len(), sink.stored().len()),
        (Ending::Drained, 0, 25)
    );
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_retry_is_given_back_at_once() {
    let patient = Settings {
        backoff: Duration::from_secs(600),
        ..settings()
    };
    let rig = Rig::start(patient, (0..3).map(message), |_, sink| sink.poison("message-1"));
    rig.until("it waits", |rig| rig.counts().retried == 1).await;
    let (ending, _, queue, ..) = rig.stop().await;
    assert_eq!(
        (ending, queue.left(), queue.hidden()),
        (Ending::Drained, vec!["message-1".to_owned()], vec![])
    );
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_answer_ends_the_stop_at_its_deadline() {
    let rig = Rig::start(settings(), (0..5).map(message), |queue, _| queue.settle_is_down(true));
    rig.until("stored", |rig| rig.counts().sent == 5).await;
    let (ending, took, ..) = rig.stop().await;
    assert_eq!(ending, Ending::CutShort(5));
    assert!(took <= Duration::from_secs(25), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_group_is_given_back_in_order() {
    let ordered = Settings {
        ordered: true,
        ..settings()
    };
    let rig = Rig::start(ordered, (0..8).map(|n| grouped(n, "a")), |_, sink| {
        sink.fail(
            "message-3",
            std::iter::repeat_n(Failure::Unavailable("gone".to_owned()), 100),
        );
    });
    rig.until("three are through", |rig| {
        rig.counts().deleted == 3 && rig.counts().sink_errors > 0
    })
    .await;
    let (ending, _, queue, sink, _) = rig.stop().await;
    assert_eq!((ending, queue.hidden()), (Ending::Drained, vec![]));
    assert_eq!(sink.stored(), ["message-0", "message-1", "message-2"]);
    assert_eq!(queue.left().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_does_not_go_round_through_polls_that_are_still_open() {
    let rig = Rig::start(settings(), (0..200).map(message), |_, _| {});
    rig.until("all are through and every receiver polls", |rig| {
        rig.counts().deleted == 200 && rig.queue.open_receives() == 4
    })
    .await;
    rig.begin_stop();
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.queue.push(message(1000));
    let (ending, took, queue, ..) = rig.finish(began).await;
    assert_eq!((ending, queue.hidden()), (Ending::Drained, vec![]));
    assert_eq!(queue.deliveries("message-1000"), 1);
    assert!(took < Duration::from_secs(25), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_to_repeat_a_delete_that_failed() {
    let hasty = Settings {
        drain: Duration::from_secs(2),
        ..settings()
    };
    let rig = Rig::start(hasty, (0..5).map(message), |queue, _| queue.settle_is_down(true));
    rig.until("deletes failed often", |rig| rig.counts().delete_failures >= 5 * 8)
        .await;
    rig.queue.settle_is_down(false);
    let (ending, _, queue, ..) = rig.stop().await;
    assert_eq!((ending, queue.left()), (Ending::Drained, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_bridge_that_is_stopped_as_it_begins_opens_no_poll() {
    let rig = Rig::start(settings(), [], |_, _| {});
    let (ending, took, queue, ..) = rig.stop().await;
    assert_eq!((ending, queue.attempts().len()), (Ending::Drained, 0));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_given_back_is_ours_until_the_last_poll_has_ended() {
    let short = Settings {
        visibility: Duration::from_secs(10),
        ..settings()
    };
    let gone = || Failure::Unavailable("gone".to_owned());
    let rig = Rig::start(short, [message(0)], |_, sink| {
        sink.fail("message-0", std::iter::repeat_n(gone(), 1000))
    });
    rig.until("it waits and a poll is open", |rig| {
        rig.counts().sink_errors > 0 && rig.queue.open_receives() == 1
    })
    .await;
    let (ending, took, queue, _, counts) = rig.stop().await;
    assert!(
        took > Duration::from_secs(10),
        "the poll lasted longer than the lease: {took:?}"
    );
    assert_eq!((ending, queue.hidden()), (Ending::Drained, vec![]));
    assert_eq!((queue.deliveries("message-0"), counts.leases_lost), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_waits_for_room_in_a_stop_gets_it_from_what_is_given_back() {
    let settings = Settings {
        ordered: true,
        max_bytes: 300_000,
        ..settings()
    };
    let sized = |n, length| crate::source::Message {
        body: "x".repeat(length),
        ..grouped(n, &format!("group-{}", n / 10))
    };
    let messages = (0..10)
        .map(|n| sized(n, 9_000))
        .chain((10..20).map(|n| sized(n, 12_000)));
    let rig = Rig::start(settings, messages, |queue, sink| {
        queue.sizes_are_known();
        sink.stand_still();
    });
    rig.until("the second reply waits for room", |rig| rig.queue.hidden().len() == 20)
        .await;
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.counts().in_flight, 10);
    rig.begin_stop();
    rig.until("what was not sent is given back, and what waited too", |rig| {
        rig.counts().released >= 19
    })
    .await;
    rig.sink.go_on();
    let (ending, took, queue, ..) = rig.finish(Instant::now()).await;
    assert_eq!((ending, queue.hidden()), (Ending::Drained, vec![]));
    assert!(took < Duration::from_secs(5), "{took:?}");
}
