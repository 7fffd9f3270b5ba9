//! The documents of Penstock: what people write, what the operator remembers, and what it reports.
//!
//! Pure: no I/O, no clock. [`ConnectorSpec`] and [`ProfileSpec`] are as people write them, every field optional;
//! [`merge`] lays a connector over its profile, and [`resolve`] turns the outcome into a complete [`Connector`] or into
//! every fault at once. After that nobody reads a raw spec again.
//!
//! A connector, as the record `Connector/orders` of the spec topic carries it (there as JSON):
//!
//! ```yaml
//! apiVersion: penstock.dev/v1
//! kind: Connector
//! metadata:
//!   name: orders
//! spec:
//!   profile: default # cluster, roles, image, Kafka: what many connectors share
//!   source: { sqs: { queueUrl: "https://sqs.us-east-1.amazonaws.com/123456789012/orders" } }
//!   sink: { kafka: { topic: orders } }
//!   scaling: { min: 0, max: 6, backlog: { perTask: 1000 } }
//! ```
//!
//! Its status, as the record `Connector/orders` of the status topic carries it:
//!
//! ```json
//! {
//!   "apiVersion": "penstock.dev/v1", "kind": "Connector", "name": "orders", "time": "2026-01-31T12:00:00Z",
//!   "uid": "5vZxQmKrT1Wd2Yp0aBcDeA/0/41", "observedGeneration": 57, "acceptedGeneration": 57,
//!   "hash": "9f2c51d07be4a386", "phase": "awake", "health": "HEALTHY",
//!   "conditions": [
//!     { "type": "Ready", "status": "True", "reason": "TasksRunning", "message": "2 of 2 tasks run",
//!       "lastTransitionTime": "2026-01-31T11:58:10Z", "observedGeneration": 57 }
//!   ],
//!   "resources": [ { "type": "AWS::ECS::Service", "name": "penstock-orders" } ],
//!   "tasks": { "desired": 2, "running": 2, "pending": 0 }
//! }
//! ```

mod bridge;
mod connector;
mod document;
mod duration;
mod fault;
mod merge;
mod names;
mod parse;
mod resolve;
mod resolved;
mod schema;
mod secrecy;
mod sections;
mod state;
mod status;
mod target;
pub mod text;

pub use bridge::*;
pub use connector::*;
pub use document::*;
pub use duration::*;
pub use fault::*;
pub use merge::*;
pub use names::*;
pub use parse::*;
pub use resolve::*;
pub use resolved::*;
pub use schema::*;
pub use sections::*;
pub use state::*;
pub use status::*;
pub use target::*;

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the code block of this file's documentation that is written in `language`.
    fn block(language: &str) -> String {
        let fence = format!("//! ```{language}");
        let lines = include_str!("lib.rs").lines().skip_while(|line| *line != fence).skip(1);
        lines
            .take_while(|line| *line != "//! ```")
            .map(|line| line.trim_start_matches("//!").to_owned() + "\n")
            .collect()
    }

    #[test]
    fn the_documented_connector_is_one() {
        let tree = serde_saphyr::from_str(&block("yaml")).expect("the block is YAML");
        assert_eq!(
            parse_value(tree).expect("it is a document").key().to_string(),
            "Connector/orders"
        );
    }

    #[test]
    fn the_documented_status_is_one() {
        let status: Status = serde_json::from_str(&block("json")).expect("the block is a status");
        assert_eq!(status.health, Health::Healthy);
    }
}
