//! What cannot be seen, and what is no longer known to be ours: told with what to do, and nothing is done about it.

use super::*;
use crate::plan::resources::{Counts, FOREIGN_SERVICE};

impl World {
    /// Takes the tag that names the connector off its service, as a tool that tidies tags up does.
    fn lose_tag(&self) {
        self.cloud.meddle(&orders(), |observed| {
            let holder = Holder {
                operator: Some(owner().tag()),
                connector: None,
            };
            observed.foreign.insert(FOREIGN_SERVICE.to_owned(), holder);
            observed.resources.service = None;
            (observed.life, observed.counts) = (ServiceLife::Absent, Counts::default());
            (observed.deployment, observed.task_definition_arn) = (None, None);
        });
    }
}

#[tokio::test]
async fn a_service_that_lost_its_tag_keeps_what_hangs_on_it() {
    let (world, told) = running().await;
    world.lose_tag();
    let before = world.cloud.observed(&orders());
    world.cloud.take_calls();
    for _ in 0..3 {
        world.pass(&told).await;
    }
    assert_eq!(world.cloud.take_calls(), Vec::<String>::new());
    assert_eq!(world.cloud.observed(&orders()), before);
    world.is(ConditionType::Synced, Truth::False, "NameTaken");
    let told = world.message(ConditionType::Degraded);
    assert!(told.contains("Mend the tag `penstock:connector`"), "{told}");
}

#[tokio::test]
async fn what_is_left_of_a_withdrawn_connector_for_want_of_a_tag_is_named() {
    let (world, _) = running().await;
    world.lose_tag();
    world.converge(&withdrawn()).await;
    assert_eq!(world.status().expect("written").health, Health::Deleted);
    let told = world.message(ConditionType::Deleted);
    assert!(
        told.contains("the service `penstock-orders`") && told.contains("remove it by hand"),
        "{told}"
    );
}
