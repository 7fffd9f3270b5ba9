//! The story, told end to end on real parts: a real broker, localcloud, the operator and real bridge processes.

use penstock_tests::stage::{Settings, Stage};
use penstock_tests::story::{Story, quiet};

#[tokio::test(flavor = "multi_thread")]
async fn a_document_becomes_a_connector_that_scales_alarms_sleeps_wakes_and_goes() {
    let stage = Stage::set(Settings::default()).await.expect("the stage is set");
    let operator = stage.operator().await.expect("the operator is ready");
    let told = Story::new(&stage, quiet()).tell().await;
    if let Err(error) = told {
        panic!(
            "{error:?}\noperator log: {}\nlocalcloud log: {}",
            operator.log().display(),
            stage.cloud.process().log().display()
        );
    }
    let password = penstock_tests::kafka::SCRAM_PASSWORD;
    assert!(
        !operator.log_text().contains(password),
        "the password is in the operator's log"
    );
    let ended = operator
        .terminate(std::time::Duration::from_secs(30))
        .await
        .expect("it ends");
    assert!(ended.success(), "the operator ends well: {ended}");
}
