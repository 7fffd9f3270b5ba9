//! Where the operator's clusters are, and what a document asks that cannot be had there.
//!
//! A document names neither the account nor the region of its cluster: both are the operator's. So what depends on them is
//! checked here, beside the checks that a document can be given anywhere.

use penstock_crds::{Alarm, AlarmKind, Connector, Fault, SqsSource};

/// The account and the region of the ECS clusters, of which all of the operator's calls are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
}

impl Home {
    /// Whether the queue's metrics are here: what is stored at CloudWatch and Application Auto Scaling reads no others.
    pub fn has(&self, source: &SqsSource) -> bool {
        source.account() == self.account && source.region == self.region
    }

    /// Returns what the document asks by name and cannot have here.
    pub(super) fn faults(&self, connector: &Connector) -> Vec<Fault> {
        let asked = unwatched(connector, self).filter(|alarm| alarm.asked);
        let unwatchable = asked.map(|_| self.unwatchable(&connector.source));
        self.untold(connector).chain(unwatchable).collect()
    }

    /// Returns the topics that no alarm here can tell. All alarms tell the same ones.
    fn untold(&self, connector: &Connector) -> impl Iterator<Item = Fault> {
        let topics = connector.alarms.first().map(|alarm| alarm.topics.as_slice());
        let numbered = topics.unwrap_or_default().iter().enumerate();
        numbered.filter_map(|(index, topic)| {
            let theirs = topic.split(':').nth(3).unwrap_or_default();
            let why = format!(
                "is in {theirs}, and the alarms of this operator are in {}: CloudWatch tells topics of the alarm's own region alone",
                self.region
            );
            let remedy = format!("name a topic in {}", self.region);
            (theirs != self.region)
                .then(|| Fault::with_value(format!("spec.alarms.topics[{index}]"), topic, why, remedy))
        })
    }

    fn unwatchable(&self, source: &SqsSource) -> Fault {
        let why = format!("cannot be watched: {}", self.beyond(source));
        let remedy = "write `enabled: false` under it in the connector, and make an alarm for it where the queue is";
        Fault::without_value(path(AlarmKind::OldestMessageAge), why, remedy)
    }

    /// Says where the queue is, and why that is out of an alarm's reach.
    fn beyond(&self, source: &SqsSource) -> String {
        format!(
            "the queue is in account {} and region {}, and an alarm reads the metrics of its own alone, {} and {}",
            source.account(),
            source.region,
            self.account,
            self.region
        )
    }
}

/// Returns the alarm that the connector would have if its queue were here.
fn unwatched<'a>(connector: &'a Connector, home: &Home) -> Option<&'a Alarm> {
    let mut alarms = connector.alarms.iter();
    let age = alarms.find(|alarm| alarm.kind == AlarmKind::OldestMessageAge);
    age.filter(|_| !home.has(&connector.source))
}

/// Says which alarm is left out of what a connector has by default, and why.
pub fn left_out(connector: &Connector, home: &Home) -> Option<String> {
    let kind = unwatched(connector, home)?.kind.as_str();
    let why = home.beyond(&connector.source);
    Some(format!("the alarm `{kind}` is left out, for {why}"))
}

fn path(kind: AlarmKind) -> String {
    format!("spec.alarms.{}", kind.as_str())
}
