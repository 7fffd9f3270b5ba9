//! Documents and worlds that several test modules share.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use penstock_crds::{Connector, ConnectorSpec, Envelope, Kind, Metadata, Name, ProfileSpec, resolve};
use serde_json::json;

use crate::cloud::fake::Fake;
use crate::plan::accept::{Latest, Wanted, Written};
use crate::plan::home::Home;
use crate::plan::owner::{DEFAULT_NAME, Owner};
use crate::plan::resources::{Observed, Subject};
use crate::preview::{Asked, Preview, previews};

/// The operator of the tests.
pub(crate) fn owner() -> Owner {
    Owner {
        name: DEFAULT_NAME.parse().expect("a sound name"),
        installation: "MkU3OEVBNTcwNTJENDM2Qg/penstock".parse().expect("it fits into a tag"),
    }
}

/// Where its clusters are.
pub(crate) fn home() -> Home {
    let Observed { account, region, .. } = crate::cloud::fake::nothing();
    Home { account, region }
}

/// Where a connector of that operator is.
pub(crate) fn subject(name: Name) -> Subject {
    Subject {
        operator: owner().name,
        name,
        uid: "topic/0/1".to_owned(),
        cluster: "data".to_owned(),
    }
}

/// Returns what a first pass over this cloud would do for the connector of the tests.
pub(crate) async fn first_preview(cloud: &Arc<Fake>) -> Preview {
    let asked = Asked {
        name: orders(),
        wanted: wanted(orders_spec(), 1, "topic/0/1"),
        last: None,
    };
    let cloud = Arc::clone(cloud);
    let mut made = previews(cloud, &owner(), &home(), vec![asked], Timestamp::UNIX_EPOCH).await;
    made.remove(0).1.expect("AWS answers").expect("it is wanted")
}

/// The connector of the tests.
pub(crate) fn orders() -> Name {
    "orders".parse().expect("a sound name")
}

/// Its document, complete without a profile.
pub(crate) fn orders_spec() -> ConnectorSpec {
    let spec = json!({
        "source": {"sqs": {"queueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"}},
        "sink": {"kafka": {"topic": "orders"}},
        "kafka": {"bootstrapServers": ["b-1.example.com:9092"]},
        "errors": {"deadLetterTopic": "orders-dead"},
        "task": {
            "image": "penstock-bridge:1",
            "roles": {
                "task": "arn:aws:iam::123456789012:role/orders",
                "execution": "arn:aws:iam::123456789012:role/ecs",
            },
        },
        "service": {"cluster": "data", "subnets": ["subnet-0a1b2c3d"], "securityGroups": ["sg-0a1b2c3d"]},
        "scaling": {"min": 0, "max": 6, "backlog": {"perTask": 100}},
        "alarms": {"topics": ["arn:aws:sns:eu-west-1:123456789012:hot"]},
    });
    serde_json::from_value(spec).expect("the sample is of the right shape")
}

/// The document in full.
pub(crate) fn connector(spec: &ConnectorSpec) -> Connector {
    resolve(&orders(), &BTreeMap::new(), spec).expect("the sample is valid")
}

/// What the topic says after `spec` was written at `generation`, in the incarnation of that name.
pub(crate) fn wanted(spec: ConnectorSpec, generation: i64, uid: &str) -> Wanted {
    let metadata = Metadata {
        name: orders(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    };
    let document = Envelope {
        api_version: penstock_crds::API_VERSION.to_owned(),
        kind: Kind::Connector,
        metadata,
        spec,
    };
    let written = Written {
        uid: uid.to_owned(),
        generation,
        actor: None,
        document,
    };
    Wanted {
        connector: Latest::Written(Box::new(written)),
        ..Wanted::default()
    }
}

/// What the topic says after a null record.
pub(crate) fn withdrawn() -> Wanted {
    Wanted {
        connector: Latest::Withdrawn,
        ..Wanted::default()
    }
}

/// A profile with a cluster and nothing else.
pub(crate) fn profile() -> ProfileSpec {
    serde_json::from_value(json!({"service": {"cluster": "data"}})).expect("the sample is of the right shape")
}
