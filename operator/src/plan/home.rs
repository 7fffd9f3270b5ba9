//! Where the operator's clusters are, and what a document asks that cannot be had there.
//!
//! A document names neither the account nor the region of its cluster: both are the operator's. So what depends on them is
//! checked here, beside the checks that a document can be given anywhere.

use std::fmt;

use penstock_crds::{Alarm, AlarmKind, Connector, Fault, Name, SqsSource, State};

/// The account and the region of the ECS clusters, of which all of the operator's calls are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
}

/// What the topics remember was made in another account or region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the topics remember what was made in `{theirs}` for {count} of their connectors, `{example}` among them, and this \
     operator makes what it makes in `{ours}`, where it would make all of it once more while the first goes on unseen; go on \
     with the account and region of the first (credentials, --region), withdraw the connectors there first, or keep other \
     topics (--topic-prefix)"
)]
pub struct Elsewhere {
    /// Its account and region.
    pub theirs: String,
    /// Our account and region.
    pub ours: Home,
    /// For how many connectors it was made there.
    pub count: usize,
    /// One of them.
    pub example: Name,
}

impl fmt::Display for Home {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.account, self.region)
    }
}

impl Home {
    /// Holds that what the topics remember was made here. A record that does not say where is a former operator's.
    pub fn check_predecessor<'a>(
        &self,
        states: impl IntoIterator<Item = (&'a Name, &'a State)>,
    ) -> Result<(), Elsewhere> {
        let ours = self.to_string();
        let homes = states
            .into_iter()
            .filter_map(|(name, state)| Some((name, state.home.as_ref()?)));
        let theirs: Vec<_> = homes.filter(|(_, home)| **home != ours).collect();
        let Some((example, home)) = theirs.first() else {
            return Ok(());
        };
        Err(Elsewhere {
            theirs: (*home).clone(),
            ours: self.clone(),
            count: theirs.iter().filter(|(_, other)| other == home).count(),
            example: (*example).clone(),
        })
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::accept::fresh_state;
    use crate::samples::{home, orders};

    #[test]
    fn who_starts_in_another_region_or_account_is_told_where_everything_is() {
        let made_in = |home: Option<&str>| State {
            home: home.map(str::to_owned),
            ..fresh_state("topic/0/1".to_owned(), 1)
        };
        let (ours, unsaid) = (made_in(Some("123456789012/eu-west-1")), made_in(None));
        let (orders, invoices) = (orders(), "invoices".parse().expect("a sound name"));
        assert_eq!(
            home().check_predecessor([(&orders, &ours), (&invoices, &unsaid)]),
            Ok(())
        );
        for other in ["123456789012/us-east-1", "210987654321/eu-west-1"] {
            let theirs = made_in(Some(other));
            let error = home().check_predecessor([(&orders, &ours), (&invoices, &theirs)]);
            let text = error.expect_err("it is elsewhere").to_string();
            let told = format!("made in `{other}` for 1 of their connectors, `invoices` among them");
            assert!(
                text.contains(&told) && text.contains("`123456789012/eu-west-1`"),
                "{text}"
            );
        }
    }
}
