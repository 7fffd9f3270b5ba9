//! The equipment of the suites: real parts, started and stopped by the tests themselves.
//!
//! [`kafka::Broker`] is Apache Kafka, [`moto::Moto`] and [`elasticmq::ElasticMq`] are emulators that others wrote, and
//! [`localcloud::LocalCloud`] is our own model of AWS as a process; [`tls`] makes certificates. [`sqs_proxy::SqsProxy`] and [`kafka_proxy::KafkaProxy`] stand
//! before them and do what networks and services do to calls; [`bridge`] is what the bridge's promises are proved with. Each comes up once per test binary with `shared()` (names from
//! [`unique`] keep tests apart) or alone with `start()`. Whatever was started ends with the test binary, however that ends.
//! Nothing here talks to anything but loopback: [`aws::Endpoint`] refuses every other address.

pub mod aws;
pub mod binaries;
pub mod bridge;
pub mod capacity;
pub mod cgroup;
pub mod clock;
pub mod credentials;
pub mod elasticmq;
pub mod error;
pub mod http;
pub mod kafka;
pub mod kafka_proxy;
pub mod localcloud;
pub mod moto;
pub mod names;
pub mod parts;
pub mod ports;
pub mod process;
pub mod random;
pub mod records;
pub mod rundir;
pub mod scene;
pub mod source_text;
pub mod sqs_proxy;
pub mod stage;
pub mod story;
pub mod tls;
pub mod wait;

use std::sync::atomic::{AtomicU32, Ordering};

pub use error::Error;
pub use wait::wait_until;

/// Returns `stem` with an ending that no other test has used, in this process or in one beside it.
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{stem}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::unique;

    #[test]
    fn a_unique_name_is_never_given_twice() {
        assert_ne!(unique("orders"), unique("orders"));
    }
}
