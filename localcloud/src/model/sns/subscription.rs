//! A queue that subscribed to a topic.

use serde_json::{Value, json};

use super::invalid;
use crate::model::ids::Ids;
use crate::model::route::scope_of_arn;
use crate::model::{Call, Fault, Scope, input};

/// A subscription, confirmed from the start, as those of queues are.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) arn: String,
    pub(super) topic_arn: String,
    pub(super) endpoint: String,
    /// Where the queue is.
    pub(super) scope: Option<Scope>,
    pub(super) queue: String,
    /// Whether messages come without their envelope.
    pub(super) raw: bool,
    owner: String,
}

impl Subscription {
    /// Reads a Subscribe.
    pub(super) fn new(call: &Call<'_>, topic_arn: &str, topic_is_fifo: bool, ids: &mut Ids) -> Result<Self, Fault> {
        let protocol = input::required(call.input, "Protocol");
        if protocol != "sqs" {
            return Err(invalid(&format!(
                "Protocol: localcloud delivers to sqs only, not to {protocol}"
            )));
        }
        let endpoint = input::text(call.input, "Endpoint").unwrap_or_default();
        let is_queue =
            endpoint.starts_with(&format!("arn:{}:sqs:", call.scope.partition())) && endpoint.split(':').count() == 6;
        if !is_queue {
            return Err(invalid("SQS endpoint ARN"));
        }
        let queue = endpoint.rsplit(':').next().unwrap_or_default();
        if queue.ends_with(".fifo") && !topic_is_fifo {
            return Err(invalid(
                "Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics",
            ));
        }
        Ok(Self {
            arn: format!("{topic_arn}:{}", ids.uuid()),
            topic_arn: topic_arn.to_owned(),
            endpoint: endpoint.to_owned(),
            scope: scope_of_arn(endpoint),
            queue: queue.to_owned(),
            raw: raw(call)?,
            owner: call.scope.account.clone(),
        })
    }

    /// Says whether this joins the topic and the endpoint.
    pub(super) fn is_for(&self, topic_arn: &str, endpoint: &str) -> bool {
        self.topic_arn == topic_arn && self.endpoint == endpoint
    }

    /// Refuses to subscribe anew with other settings.
    pub(super) fn check_same(&self, asked: &Self) -> Result<(), Fault> {
        if self.raw == asked.raw {
            return Ok(());
        }
        Err(invalid(
            "Attributes Reason: Subscription already exists with different attributes",
        ))
    }

    /// Returns what the lists show.
    pub(super) fn printed(&self) -> Value {
        json!({
            "SubscriptionArn": self.arn,
            "Owner": self.owner,
            "Protocol": "sqs",
            "Endpoint": self.endpoint,
            "TopicArn": self.topic_arn,
        })
    }
}

fn raw(call: &Call<'_>) -> Result<bool, Fault> {
    let mut raw = false;
    for (name, value) in input::map(call.input, "Attributes").into_iter().flatten() {
        raw = match (name.as_str(), value.as_str()) {
            ("RawMessageDelivery", Some("true")) => true,
            ("RawMessageDelivery", Some("false")) => false,
            _ => {
                return Err(invalid(&format!(
                    "Attributes: localcloud does not model {name} = {value}"
                )));
            }
        };
    }
    Ok(raw)
}
