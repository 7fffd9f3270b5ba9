//! What a queue gets of a publication: the envelope, or the bare message.

use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Publication;
use super::subscription::Subscription;
use crate::blob;
use crate::model::Millis;
use crate::model::route::scope_of_arn;
use crate::model::sqs::Send;

/// A publication and its circumstances.
pub(super) struct Envelope<'a> {
    pub(super) topic_arn: &'a str,
    pub(super) message_id: &'a str,
    pub(super) publication: &'a Publication,
    pub(super) now: Millis,
}

/// The envelope, in the order of AWS's own.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Printed<'a> {
    r#type: &'a str,
    message_id: &'a str,
    topic_arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    message: &'a str,
    timestamp: String,
    signature_version: &'a str,
    signature: String,
    #[serde(rename = "SigningCertURL")]
    signing_cert_url: String,
    #[serde(rename = "UnsubscribeURL")]
    unsubscribe_url: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    message_attributes: Map<String, Value>,
}

impl Envelope<'_> {
    /// Returns the message for one subscriber.
    pub(super) fn to_send(&self, subscription: &Subscription) -> Send {
        let publication = self.publication;
        let (body, attributes) = if subscription.raw {
            (publication.message.clone(), publication.attributes.clone())
        } else {
            (self.print(subscription), Map::new())
        };
        Send {
            body,
            attributes,
            group_id: publication.group_id.clone(),
            sender: scope_of_arn(self.topic_arn)
                .map(|scope| scope.account)
                .unwrap_or_default(),
            topic_arn: Some(self.topic_arn.to_owned()),
            ..Send::default()
        }
    }

    fn print(&self, subscription: &Subscription) -> String {
        let region = scope_of_arn(self.topic_arn)
            .map(|scope| scope.region)
            .unwrap_or_default();
        let host = format!("https://sns.{region}.amazonaws.com");
        let at = jiff::Timestamp::from_millisecond(self.now).unwrap_or_default();
        let publication = self.publication;
        let printed = Printed {
            r#type: "Notification",
            message_id: self.message_id,
            topic_arn: self.topic_arn,
            subject: publication.subject.as_deref(),
            message: &publication.message,
            timestamp: format!("{at:.3}"),
            signature_version: "1",
            signature: self.signature(),
            signing_cert_url: format!("{host}/SimpleNotificationService-localcloud.pem"),
            unsubscribe_url: format!("{host}/?Action=Unsubscribe&SubscriptionArn={}", subscription.arn),
            message_attributes: attributes(&publication.attributes),
        };
        serde_json::to_string_pretty(&printed).expect("texts and maps of texts are JSON")
    }

    /// Returns a digest where AWS has a signature: it looks the same, and nobody can verify it.
    fn signature(&self) -> String {
        let mut hash = Sha256::new();
        for part in [self.message_id, self.topic_arn, &self.publication.message] {
            hash.update(part.as_bytes());
        }
        blob::encode(hash.finalize())
    }
}

fn attributes(given: &Map<String, Value>) -> Map<String, Value> {
    let print = |attribute: &Value| {
        let value = attribute.get("StringValue").or_else(|| attribute.get("BinaryValue"));
        json!({"Type": attribute.get("DataType"), "Value": value})
    };
    given
        .iter()
        .map(|(name, attribute)| (name.clone(), print(attribute)))
        .collect()
}
