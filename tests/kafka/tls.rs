//! TLS on a real broker: who is trusted, who is let in, and what is said to those who are not.

use std::fs;
use std::time::Duration;

use clap::Parser as _;
use penstock_kafka::{
    Admin, KafkaArgs, Patience, Producer, ScramMechanism, Secret, Security, Settings, TransactionalProducer, chain,
    read_to_end,
};
use penstock_tests::kafka::{Broker, SCRAM_PASSWORD, SCRAM_USER};
use penstock_tests::tls::{Authority, Identity};
use penstock_tests::{Error, rundir, unique};

use crate::{PATIENCE, fresh_topic, record, values};

/// Long enough for a reader to have tried once.
const ONE_TRY: Duration = Duration::from_secs(12);

fn settings(bootstrap: String, security: Security) -> Settings {
    Settings {
        bootstrap_servers: vec![bootstrap],
        security,
        client_id: "penstock-tests".to_owned(),
    }
}

fn scram(authority: &str) -> Security {
    Security::Scram {
        mechanism: ScramMechanism::Sha512,
        username: Secret::new(SCRAM_USER),
        password: Secret::new(SCRAM_PASSWORD),
        tls: true,
        ca_certificates: Some(authority.to_owned()),
    }
}

fn mutual_tls(broker: &Broker, client: &Identity, password: Option<&str>) -> Settings {
    let security = Security::MutualTls {
        certificate: Secret::new(client.certificate.as_str()),
        private_key: Secret::new(client.private_key.as_str()),
        private_key_password: password.map(Secret::new),
        ca_certificates: Some(broker.authority().certificate().to_owned()),
    };
    settings(broker.tls_bootstrap(), security)
}

/// Asks, writes in both ways and reads, each with a client of its own kind.
async fn uses_every_client(broker: &Broker, settings: &Settings) -> Result<(), Error> {
    let topic = fresh_topic(broker, "tls").await?;
    let admin = Admin::connect(settings).await.expect("a client is made");
    assert!(admin.exists(&topic).await.expect("the broker answers"));
    let producer = Producer::new(settings).expect("a producer is made");
    producer
        .send(&record(&topic, "alone"))
        .await
        .expect("it is acknowledged");
    let writer = TransactionalProducer::connect(settings, &unique("operator"), PATIENCE).await;
    let writer = writer.expect("the id is free");
    writer
        .commit(vec![record(&topic, "together")])
        .await
        .expect("the commit holds");
    assert_eq!(values(settings, &topic).await, ["alone", "together"]);
    Ok(())
}

/// Returns why an admin client and a reader with these settings get nowhere.
async fn refusals(broker: &Broker, settings: &Settings) -> Result<[String; 2], Error> {
    let topic = fresh_topic(broker, "tls").await?;
    let asked = async {
        let admin = Admin::connect(settings).await?;
        admin.exists(&topic).await
    };
    let (asked, read) = tokio::join!(asked, read_to_end(settings, &topic, 0, ONE_TRY));
    Ok([
        chain(&asked.expect_err("nobody answers")),
        chain(&read.expect_err("nothing can be read")),
    ])
}

#[tokio::test]
async fn every_client_works_with_a_password_over_tls() -> Result<(), Error> {
    let broker = Broker::shared_with_tls().await;
    let settings = settings(broker.sasl_tls_bootstrap(), scram(broker.authority().certificate()));
    uses_every_client(broker, &settings).await
}

#[tokio::test]
async fn every_client_works_with_a_certificate_and_a_locked_key() -> Result<(), Error> {
    let broker = Broker::shared_with_tls().await;
    let open = broker.authority().issue("open", "DNS:client.invalid").await?;
    uses_every_client(broker, &mutual_tls(broker, &open, None)).await?;
    let locked = broker.authority().issue_locked("locked", "open sesame").await?;
    uses_every_client(broker, &mutual_tls(broker, &locked, Some("open sesame"))).await
}

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    kafka: KafkaArgs,
}

#[tokio::test]
async fn the_flags_alone_lead_to_a_connection_with_a_certificate() -> Result<(), Error> {
    let broker = Broker::shared_with_tls().await;
    let client = broker.authority().issue("flags", "DNS:client.invalid").await?;
    let home = rundir::fresh_data_directory("flags")?;
    let mut flags = vec![
        "test".to_owned(),
        "--bootstrap-servers".to_owned(),
        broker.tls_bootstrap(),
    ];
    flags.extend(["--kafka-security", "mutual-tls"].map(str::to_owned));
    for (flag, text) in [
        ("--kafka-certificate-file", client.certificate.as_str()),
        ("--kafka-private-key-file", client.private_key.as_str()),
        ("--kafka-ca-file", broker.authority().certificate()),
    ] {
        let file = home.join(flag);
        fs::write(&file, text).expect("a file is written");
        flags.extend([flag.to_owned(), file.display().to_string()]);
    }
    let command = Command::try_parse_from(flags).expect("they are flags");
    let settings = command.kafka.settings("penstock-tests").expect("they are settings");
    uses_every_client(broker, &settings).await
}

#[tokio::test]
async fn a_broker_whose_authority_is_not_trusted_is_refused_by_every_client_with_what_to_do() -> Result<(), Error> {
    let broker = Broker::shared_with_tls().await;
    let stranger = Authority::new("stranger").await?;
    let settings = settings(broker.sasl_tls_bootstrap(), scram(stranger.certificate()));
    let topic = fresh_topic(broker, "tls").await?;
    let producer = Producer::new(&settings).expect("a producer is made");
    let (id, written) = (unique("operator"), record(&topic, "lost"));
    let (refusals, sent, taken) = tokio::join!(
        refusals(broker, &settings),
        producer.send(&written),
        TransactionalProducer::connect(&settings, &id, Patience::lasting(Duration::from_secs(1)))
    );
    let sent = chain(&sent.expect_err("nobody acknowledges it"));
    let taken = chain(&taken.err().expect("nobody gives the id"));
    for text in refusals?.into_iter().chain([sent, taken]) {
        assert!(text.contains("the broker's certificate is not trusted"), "{text}");
        assert!(
            text.contains("--kafka-ca-file") && text.contains("caCertificates"),
            "{text}"
        );
        assert!(text.contains(&broker.sasl_tls_bootstrap()), "{text}");
        assert!(!text.contains("ssl.ca"), "{text}");
    }
    assert_eq!(values(&crate::settings(broker), &topic).await, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_broker_whose_certificate_names_another_host_is_refused() -> Result<(), Error> {
    let broker = Broker::shared_with_tls().await;
    let address = broker.sasl_tls_bootstrap().replace("127.0.0.1", "localhost");
    let settings = settings(address, scram(broker.authority().certificate()));
    for text in refusals(broker, &settings).await? {
        assert!(text.contains("names another host"), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_certificate_that_the_broker_trusts_nobody_is_let_in() -> Result<(), Error> {
    let broker = Broker::shared_with_tls().await;
    let stranger = Authority::new("stranger").await?;
    let foreign = stranger.issue("foreign", "DNS:client.invalid").await?;
    let bare = settings(broker.tls_bootstrap(), scram(broker.authority().certificate()));
    for settings in [mutual_tls(broker, &foreign, None), bare] {
        for text in refusals(broker, &settings).await? {
            assert!(text.contains("the broker wants another client certificate"), "{text}");
            assert!(text.contains("--kafka-security mutual-tls"), "{text}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_key_that_does_not_fit_or_open_is_refused_before_anybody_is_asked() -> Result<(), Error> {
    let broker = Broker::shared_with_tls().await;
    let authority = broker.authority();
    let locked = authority.issue_locked("shut", "open sesame").await?;
    let one = authority.issue("one", "DNS:client.invalid").await?;
    let other = authority.issue("other", "DNS:client.invalid").await?;
    let mixed = Identity {
        certificate: one.certificate,
        private_key: other.private_key,
    };
    for (settings, words) in [
        (mutual_tls(broker, &locked, None), "PENSTOCK_KAFKA_PRIVATE_KEY_PASSWORD"),
        (
            mutual_tls(broker, &locked, Some("canary")),
            "PENSTOCK_KAFKA_PRIVATE_KEY_PASSWORD",
        ),
        (
            mutual_tls(broker, &mixed, None),
            "does not belong to the client certificate",
        ),
    ] {
        let refused = [
            chain(&Admin::connect(&settings).await.err().expect("no client is made")),
            chain(&Producer::new(&settings).err().expect("no producer is made")),
        ];
        let [_, read] = refusals(broker, &settings).await?;
        for text in refused.into_iter().chain([read]) {
            assert!(text.contains(words) && !text.contains("canary"), "{text}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_client_and_a_listener_that_do_not_agree_on_tls_are_told_apart() -> Result<(), Error> {
    let broker = Broker::shared_with_tls().await;
    let encrypted = settings(broker.sasl_bootstrap(), scram(broker.authority().certificate()));
    let plain = settings(broker.tls_bootstrap(), Security::Plaintext);
    let (encrypted, plain) = tokio::join!(refusals(broker, &encrypted), refusals(broker, &plain));
    for text in encrypted? {
        assert!(text.contains("does not seem to speak TLS"), "{text}");
        assert!(text.contains("--kafka-tls false"), "{text}");
    }
    for text in plain? {
        assert!(text.contains("does not answer a client without TLS"), "{text}");
    }
    Ok(())
}
