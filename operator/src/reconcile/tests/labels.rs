//! Labels are tags of the service for as long as they stand in the document; tags of others are not ours to touch.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// The document with these labels, written at `generation`.
fn labelled(labels: &[(&str, &str)], generation: i64) -> Wanted {
    let mut told = wanted(orders_spec(), generation, "topic/0/7");
    if let Latest::Written(written) = &mut told.connector {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        written.document.metadata.labels = labels.iter().map(pair).collect();
    }
    told
}

impl World {
    /// The service's tags that are not Penstock's own.
    fn labels(&self) -> BTreeMap<String, String> {
        let service = self.cloud.observed(&orders()).resources.service.expect("it runs");
        let mut tags = service.tags;
        tags.retain(|key, _| !key.starts_with("penstock:"));
        tags
    }

    fn tag_by_hand(&self, key: &str) {
        self.cloud.meddle(&orders(), |observed| {
            let service = observed.resources.service.as_mut().expect("it runs");
            service.tags.insert(key.to_owned(), "by hand".to_owned());
        });
    }

    fn remembered_labels(&self) -> BTreeSet<String> {
        self.ctx.memory.get(&orders()).state.expect("it is remembered").labels
    }

    /// Forgets what the last record of the topics says, as if the process had been killed before it was written.
    fn killed_before_the_last_record(self) -> Self {
        self.log.0.lock().expect("no test panics while it writes").pop();
        self.restarted()
    }
}

fn keys(labels: &BTreeMap<String, String>) -> Vec<&str> {
    labels.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_label_that_is_taken_out_goes_and_the_tags_of_others_stay() {
    let world = World::new();
    world.cloud.set_queue(busy());
    world
        .converge(&labelled(&[("team", "checkout"), ("tier", "1")], 7))
        .await;
    world.tag_by_hand("cost-center");
    assert_eq!(keys(&world.labels()), ["cost-center", "team", "tier"]);
    let edited = labelled(&[("tier", "2")], 8);
    world.converge(&edited).await;
    assert_eq!(keys(&world.labels()), ["cost-center", "tier"]);
    assert_eq!(world.labels()["tier"], "2");
    assert_eq!(world.remembered_labels(), ["tier".to_owned()].into());
    world.tag_by_hand("team");
    world.cloud.take_calls();
    world.pass(&edited).await;
    assert_eq!(world.cloud.take_calls(), Vec::<String>::new(), "now it is theirs");
}

#[tokio::test]
async fn a_label_goes_though_the_pass_was_killed_anywhere_and_the_document_changed_meanwhile() {
    let (first, second) = (labelled(&[], 7), labelled(&[("team", "checkout")], 8));
    let third = labelled(&[], 9);
    for (told, then) in [(&second, &third), (&third, &third)] {
        for allowed in 0..4 {
            for lose_reply in [false, true] {
                let world = World::new();
                world.cloud.set_queue(busy());
                world.converge(&first).await;
                if told == &third {
                    world.converge(&second).await;
                }
                world.tag_by_hand("cost-center");
                world.cloud.fail_after(allowed, lose_reply);
                world.pass(told).await;
                world.cloud.heal();
                let world = world.killed_before_the_last_record();
                world.converge(then).await;
                assert_eq!(
                    keys(&world.labels()),
                    ["cost-center"],
                    "killed after {allowed} calls, reply lost: {lose_reply}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_label_of_before_goes_with_the_document_of_a_former_operator_or_incarnation() {
    let world = World::new();
    world.cloud.set_queue(busy());
    world.converge(&labelled(&[("team", "checkout")], 7)).await;
    let mut state = world.ctx.memory.get(&orders()).state.expect("it is remembered");
    state.labels.clear();
    let change = Change {
        state: Some(StateChange::Put(Box::new(state))),
        status: None,
    };
    world.ctx.memory.keep(&orders(), &change);
    world.converge(&labelled(&[], 8)).await;
    assert_eq!(keys(&world.labels()), Vec::<&str>::new(), "a record without labels");

    world.converge(&labelled(&[("team", "checkout")], 9)).await;
    world.converge(&wanted(orders_spec(), 12, "topic/0/12")).await;
    assert_eq!(keys(&world.labels()), Vec::<&str>::new(), "another incarnation");
}
