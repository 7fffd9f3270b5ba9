//! Order within groups, over failures and leases.

use std::time::Duration;

use crate::pump::Settings;
use crate::pump::fake::{Rig, grouped, settings, too_large};
use crate::sink::Failure;

fn ordered() -> Settings {
    Settings {
        ordered: true,
        ..settings()
    }
}

/// Settings under which poison is left to the queue at its first refusal.
fn without_dead_letters() -> Settings {
    Settings {
        dead_letters: false,
        max_retries: 0,
        ..ordered()
    }
}

/// Returns the numbers of a group's stored messages, in the order of storing, first copies only.
fn numbers(rig: &Rig, group: &[u32]) -> Vec<u32> {
    let mut seen = Vec::new();
    for name in rig.sink.stored() {
        let number = name
            .rsplit('-')
            .next()
            .and_then(|text| text.parse().ok())
            .expect("a number");
        if group.contains(&number) && !seen.contains(&number) {
            seen.push(number);
        }
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn a_failed_message_holds_its_group_and_no_other() {
    let messages = [
        grouped(1, "a"),
        grouped(2, "a"),
        grouped(3, "a"),
        grouped(11, "b"),
        grouped(12, "b"),
    ];
    let rig = Rig::start(ordered(), messages, |_, sink| {
        let gone = Failure::Unavailable("gone".to_owned());
        sink.fail(
            "message-2",
            [gone.clone(), too_large(), gone.clone(), too_large(), gone],
        );
    });
    rig.until("the other group is through", |rig| numbers(rig, &[11, 12]).len() == 2)
        .await;
    assert_eq!(numbers(&rig, &[1, 2, 3]), [1]);
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    assert_eq!(numbers(&rig, &[1, 2, 3]), [1, 2, 3]);
    assert_eq!(rig.sink.stored().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_parked_message_lets_its_group_go_on() {
    let messages = [grouped(1, "a"), grouped(2, "a"), grouped(3, "a")];
    let rig = Rig::start(ordered(), messages, |_, sink| sink.poison("message-2"));
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    assert_eq!(rig.sink.stored(), ["message-1", "dead message-2", "message-3"]);
}

#[tokio::test(start_paused = true)]
async fn without_dead_letters_nothing_overtakes_the_message_that_was_given_back() {
    let messages = [grouped(1, "a"), grouped(2, "a"), grouped(3, "a")];
    let rig = Rig::start(without_dead_letters(), messages, |_, sink| {
        sink.fail("message-2", [too_large(), too_large(), too_large(), too_large()]);
    });
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    assert_eq!(rig.sink.stored(), ["message-1", "message-2", "message-3"]);
    assert_eq!(rig.counts().released, 3, "three did not come with two again");
}

#[tokio::test(start_paused = true)]
async fn the_redrive_policy_takes_the_poison_of_a_group_out_and_leaves_its_neighbours() {
    const POISON: [&str; 4] = ["message-2", "message-5", "message-6", "message-9"];
    let messages: Vec<_> = (1..=9).map(|n| grouped(n, "a")).collect();
    let rig = Rig::start(without_dead_letters(), messages, |queue, sink| {
        queue.redrive_after(2);
        POISON.iter().for_each(|id| sink.poison(id));
    });
    // They keep the long poll busy and take turns with the group.
    for n in 100..400 {
        rig.queue.push(grouped(n, "b"));
        rig.pass(Duration::from_secs(1)).await;
    }
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    assert_eq!(rig.queue.redriven(), POISON);
    assert_eq!(numbers(&rig, &(1..=9).collect::<Vec<_>>()), [1, 3, 4, 7, 8]);
    assert_eq!(rig.sink.stored().len(), 305);
}

#[tokio::test(start_paused = true)]
async fn the_poison_of_several_groups_takes_no_neighbour_along() {
    let messages = (0..200u32).map(|n| grouped(n, &format!("group-{}", n % 20)));
    let is_poison = |n: &u32| n % 40 == 20 || n % 50 == 3;
    let rig = Rig::start(without_dead_letters(), messages, |queue, sink| {
        queue.redrive_after(2);
        for n in (0..200).filter(is_poison) {
            sink.poison(&format!("message-{n}"));
        }
    });
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    let mut redriven = rig.queue.redriven();
    redriven.sort_by_key(|id| (id.len(), id.clone()));
    let poison: Vec<_> = (0..200).filter(is_poison).map(|n| format!("message-{n}")).collect();
    assert_eq!(redriven, poison);
    assert_eq!(rig.sink.stored().len(), 200 - poison.len());
}

#[tokio::test(start_paused = true)]
async fn calls_ask_for_many_again_once_the_poison_is_gone() {
    let messages = [grouped(1, "a"), grouped(2, "a"), grouped(3, "a")];
    let rig = Rig::start(without_dead_letters(), messages, |queue, sink| {
        queue.redrive_after(3);
        sink.poison("message-2");
    });
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    assert_eq!(rig.queue.asked().first(), Some(&10));
    assert!(rig.queue.asked().contains(&1));
    rig.pass(Duration::from_secs(60)).await;
    assert_eq!(rig.queue.asked().last(), Some(&10));
    assert_eq!(rig.sink.stored(), ["message-1", "message-3"]);
}

#[tokio::test(start_paused = true)]
async fn poison_without_groups_changes_nothing_about_what_calls_ask_for() {
    let without = Settings {
        ordered: false,
        ..without_dead_letters()
    };
    let rig = Rig::start(without, (0..30).map(|n| grouped(n, "a")), |queue, sink| {
        queue.redrive_after(4);
        sink.poison("message-2");
    });
    rig.until("moved away", |rig| rig.queue.redriven() == ["message-2"])
        .await;
    assert!(rig.queue.asked().iter().all(|most| *most == 10));
}

#[tokio::test(start_paused = true)]
async fn where_nothing_takes_poison_out_calls_go_on_asking_for_many() {
    let without = Settings {
        redrives: false,
        ..without_dead_letters()
    };
    let messages = [grouped(1, "a"), grouped(2, "a"), grouped(3, "b")];
    let rig = Rig::start(without, messages, |_, sink| sink.poison("message-1"));
    rig.until("again and again", |rig| rig.queue.deliveries("message-1") > 5)
        .await;
    assert!(rig.queue.asked().iter().all(|most| *most == 10));
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_first_message_lost_its_lease_starts_again_from_it() {
    let messages = [grouped(1, "a"), grouped(2, "a")];
    let gone = || Failure::Unavailable("gone".to_owned());
    let rig = Rig::start(ordered(), messages, |_, sink| {
        sink.fail("message-1", std::iter::repeat_with(gone).take(1000))
    });
    rig.until("it failed", |rig| rig.counts().sink_errors > 0).await;
    rig.queue.deliver_elsewhere("message-1");
    rig.until("its lease is lost", |rig| rig.counts().leases_lost == 1)
        .await;
    rig.until("the rest of the group is given back", |rig| rig.counts().released == 2)
        .await;
    rig.sink.fail("message-1", []);
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    assert_eq!(rig.sink.stored(), ["message-1", "message-2"]);
}

#[tokio::test(start_paused = true)]
async fn deletes_of_a_group_follow_its_order() {
    let rig = Rig::start(ordered(), (0..30).map(|n| grouped(n, "a")), |queue, _| {
        queue.refuse_deletes_of("message-0", 4);
    });
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    let deleted = |n: u32| {
        rig.queue
            .log()
            .iter()
            .rposition(|call| call == &format!("delete message-{n}/1"))
    };
    let places: Vec<_> = (0..30).map(deleted).collect();
    // The first ten share a batch, in which SQS refused one; nothing else is deleted before that one.
    assert!(
        places[10..].iter().all(|place| *place > places[0]) && places[10..].is_sorted(),
        "{places:?}"
    );
    assert_eq!(numbers(&rig, &(0..30).collect::<Vec<_>>()), (0..30).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn many_groups_keep_their_order_under_failures() {
    let messages = (0..200u32).map(|n| grouped(n, &format!("group-{}", n % 20)));
    let rig = Rig::start(ordered(), messages, |_, sink| {
        for n in (0..200).step_by(7) {
            sink.fail(
                &format!("message-{n}"),
                [Failure::Unavailable("gone".to_owned()), too_large()],
            );
        }
    });
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    for group in 0..20 {
        let members: Vec<u32> = (0..200).filter(|n| n % 20 == group).collect();
        assert_eq!(numbers(&rig, &members), members);
    }
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!((rig.sink.stored().len(), rig.counts().buffered_bytes), (200, 0));
}

/// A thousand messages of a hundred groups, all stored while nothing could be deleted.
async fn stored_in_an_outage_of_deletes() -> Rig {
    let wide = Settings {
        max_messages: 1000,
        max_bytes: 8 << 20,
        visibility: Duration::from_secs(3600),
        ..ordered()
    };
    let messages = (0..1000).map(|n| grouped(n, &format!("group-{}", n / 10)));
    let rig = Rig::start(wide, messages, |queue, _| queue.settle_is_down(true));
    rig.until("all are stored, and many deletes have failed", |rig| {
        rig.counts().sent == 1000 && rig.counts().delete_failures > 300
    })
    .await;
    rig.queue.settle_is_down(false);
    rig
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_of_deletes_every_group_is_deleted_to_its_end() {
    let rig = stored_in_an_outage_of_deletes().await;
    rig.until("empty", |rig| rig.queue.left().is_empty()).await;
    let counts = rig.counts();
    assert_eq!((counts.sent, counts.deleted, counts.deduplicated), (1000, 1000, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stop_after_an_outage_of_deletes_deletes_what_is_stored() {
    let rig = stored_in_an_outage_of_deletes().await;
    let (ending, _, queue, ..) = rig.stop().await;
    assert_eq!((ending, queue.left()), (crate::pump::Ending::Drained, vec![]));
}
