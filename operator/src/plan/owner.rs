//! Who makes resources and owns them: what their names begin with, and the tag by which an operator knows its own again.
//!
//! A name alone proves nothing: `a` with the connector `b-c` and `a-b` with the connector `c` make the same one, and so do
//! two operators of one name. Whose a resource is says its tag, `<name>@<installation>`, together with the connector's.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use penstock_crds::{AlarmKind, Name, State};
use serde::Serialize;

use crate::plan::resources::{TAG_CONNECTOR, TAG_OPERATOR};

/// The operator's name unless another is chosen.
pub const DEFAULT_NAME: &str = "penstock";
/// The most characters of an operator's name. With a connector's 63 and the longest suffix it stays far below the 255 of
/// ECS services, task definition families and alarms, and leaves the alarms that Application Auto Scaling makes, which
/// are named after cluster and service, some room for the cluster.
const NAME_CHARACTERS: usize = 32;
/// The most characters of a tag's value at AWS.
const TAG_CHARACTERS: usize = 256;
/// The most characters of an installation, so that it fits into the tag behind any name.
const INSTALLATION_CHARACTERS: usize = TAG_CHARACTERS - NAME_CHARACTERS - 1;

/// An operator's name: 1 to 32 lower-case letters, digits and hyphens, beginning with a letter and ending with a letter or
/// digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct OperatorName(Name);

/// Whose documents an operator keeps: what tells it from another operator of the same name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Installation(String);

/// An operator, as resources know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// What the names of its resources begin with.
    pub name: OperatorName,
    /// Which of all operators of that name it is.
    pub installation: Installation,
}

/// Whose a resource is that has a name of ours, as far as its tags tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Holder {
    /// The operator's tag.
    pub operator: Option<String>,
    /// The connector's tag.
    pub connector: Option<String>,
}

/// Why there is no such owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError {
    /// It would not fit into the names of resources.
    #[error(
        "`{}` cannot be an operator's name: every ECS service, task definition and alarm begins with it, and it is part of \
         their ownership tag; use 1 to {NAME_CHARACTERS} lower-case letters, digits and hyphens, beginning with a letter \
         and ending with a letter or digit",
        .0.escape_debug()
    )]
    RefuseName(String),
    /// It would not fit into a tag.
    #[error(
        "`{}` cannot be an installation: it is part of the ownership tag, and AWS restricts a tag's characters and length; \
         use 1 to {INSTALLATION_CHARACTERS} letters, digits and _ . : / = + - @",
        .0.escape_debug()
    )]
    RefuseInstallation(String),
    /// The brokers are too old, or are no Kafka, and say not which cluster they are.
    #[error(
        "the brokers tell no cluster id, of which the ownership tag would be made; give --installation, a text that no \
         other operator of this name has in the AWS account and region"
    )]
    FindCluster,
    /// What the installation would be by itself does not fit into a tag.
    #[error(
        "the ownership tag would be made of the Kafka cluster's id and the topic prefix, `{}`, and AWS takes at most \
         {INSTALLATION_CHARACTERS} letters, digits and _ . : / = + - @ there; give --installation, a text that no other \
         operator of this name has in the AWS account and region",
        .0.escape_debug()
    )]
    RefuseTopics(String),
    /// What the topics remember was made by somebody else.
    #[error(
        "the topics remember what `{theirs}` made for {count} of their connectors, `{example}` among them, and this is \
         `{ours}`, which would make all of it once more or find its names taken; go on as the one that made it ({remedy}), \
         or keep other topics (--topic-prefix)"
    )]
    ReplacePredecessor {
        /// The tag of who made it.
        theirs: String,
        /// Our tag.
        ours: String,
        /// For how many connectors.
        count: usize,
        /// One of them.
        example: Name,
        /// The settings to go on with.
        remedy: String,
    },
}

impl OperatorName {
    /// Returns the name of a connector's service and of its task definition family.
    pub fn service_name(&self, connector: &Name) -> String {
        format!("{self}-{connector}")
    }

    /// Returns the name of a connector's policy of that kind.
    pub fn policy_name(&self, connector: &Name, kind: &str) -> String {
        format!("{self}-{connector}-{kind}")
    }

    /// Returns the name of a connector's alarm.
    pub fn alarm_name(&self, connector: &Name, kind: AlarmKind) -> String {
        format!("{self}-{connector}-{}", kind.as_str())
    }

    /// Whether a policy of the connector's own target has a name as [`Self::policy_name`] makes them: policies have no tags.
    pub fn is_policy_name(&self, connector: &Name, policy: &str) -> bool {
        let kind = policy.strip_prefix(&self.service_name(connector));
        kind.is_some_and(|kind| kind.starts_with('-'))
    }
}

impl FromStr for OperatorName {
    type Err = OwnerError;

    fn from_str(text: &str) -> Result<Self, OwnerError> {
        let name = text.parse().ok().filter(|_| text.len() <= NAME_CHARACTERS);
        name.map(Self).ok_or_else(|| OwnerError::RefuseName(text.to_owned()))
    }
}

impl fmt::Display for OperatorName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Installation {
    /// Returns the installation that keeps the topics of that prefix in that cluster.
    pub fn of_topics(cluster_id: Option<&str>, prefix: &str) -> Result<Self, OwnerError> {
        let cluster_id = cluster_id.filter(|id| !id.is_empty()).ok_or(OwnerError::FindCluster)?;
        let text = format!("{cluster_id}/{prefix}");
        text.parse().map_err(|_| OwnerError::RefuseTopics(text))
    }
}

impl FromStr for Installation {
    type Err = OwnerError;

    /// AWS takes other letters and spaces too; those are too easily taken for one another.
    fn from_str(text: &str) -> Result<Self, OwnerError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:/=+-@".contains(&byte);
        if (1..=INSTALLATION_CHARACTERS).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(OwnerError::RefuseInstallation(text.to_owned()))
        }
    }
}

impl fmt::Display for Installation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Owner {
    /// Returns the value of the ownership tag. No name has an `@`, so no two owners share one.
    pub fn tag(&self) -> String {
        format!("{}@{}", self.name, self.installation)
    }

    /// Returns whose a resource with these tags is, unless it is ours and the connector's. The incarnation may be an
    /// earlier one: what it left under the same name is ours to go on with.
    pub fn holder(&self, connector: &Name, tags: &BTreeMap<String, String>) -> Option<Holder> {
        let holder = Holder::of(tags);
        (holder != self.holding(connector)).then_some(holder)
    }

    /// Holds that what the topics remember was made by this owner, by nobody else: another name would make everything a
    /// second time, beside what nobody looks after any more.
    pub fn check_predecessor<'a>(
        &self,
        states: impl IntoIterator<Item = (&'a Name, &'a State)>,
    ) -> Result<(), OwnerError> {
        let ours = self.tag();
        let made = states
            .into_iter()
            .filter_map(|(name, state)| Some((name, state.owner.as_ref()?)));
        let theirs: Vec<_> = made.filter(|(_, owner)| **owner != ours).collect();
        let Some((example, owner)) = theirs.first() else {
            return Ok(());
        };
        Err(OwnerError::ReplacePredecessor {
            theirs: (*owner).clone(),
            count: theirs.iter().filter(|(_, other)| other == owner).count(),
            example: (*example).clone(),
            remedy: match parts(owner) {
                Some((name, installation)) => format!("the operator's name `{name}`, --installation {installation}"),
                None => "its name and --installation".to_owned(),
            },
            ours,
        })
    }

    fn holding(&self, connector: &Name) -> Holder {
        Holder {
            operator: Some(self.tag()),
            connector: Some(connector.to_string()),
        }
    }
}

impl Holder {
    /// Whether the tags name no other operator: there never were any, or ours were taken off.
    pub fn is_nobody(&self, owner: &Owner) -> bool {
        self.operator.as_ref().is_none_or(|tag| *tag == owner.tag())
    }

    /// Returns what the tags tell.
    pub fn of(tags: &BTreeMap<String, String>) -> Self {
        Self {
            operator: tags.get(TAG_OPERATOR).cloned(),
            connector: tags.get(TAG_CONNECTOR).cloned(),
        }
    }
}

/// Returns the name and the installation in an ownership tag.
pub(crate) fn parts(tag: &str) -> Option<(&str, &str)> {
    tag.split_once('@')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::accept::fresh_state;
    use crate::samples::{orders, owner};

    fn name(text: &str) -> Name {
        text.parse().expect("a sound name")
    }

    fn operator(text: &str) -> OperatorName {
        text.parse().expect("a sound name")
    }

    fn tags(operator: &str, connector: &str) -> BTreeMap<String, String> {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        [pair(TAG_OPERATOR, operator), pair(TAG_CONNECTOR, connector)].into()
    }

    #[test]
    fn the_default_name_makes_the_names_that_people_know() {
        let operator = operator(DEFAULT_NAME);
        assert_eq!(operator.service_name(&orders()), "penstock-orders");
        assert_eq!(operator.policy_name(&orders(), "backlog"), "penstock-orders-backlog");
        let alarm = operator.alarm_name(&orders(), AlarmKind::OldestMessageAge);
        assert_eq!(alarm, "penstock-orders-oldestMessageAge");
    }

    #[test]
    fn a_name_that_would_not_survive_in_names_and_tags_is_refused() {
        for refused in [
            "",
            "Penstock",
            "1st",
            "a_b",
            "a@b",
            "a-",
            "-a",
            "a b",
            "ä",
            &"a".repeat(33),
        ] {
            let error = refused.parse::<OperatorName>().expect_err(refused).to_string();
            assert!(
                error.contains("every ECS service") && error.contains("use 1 to 32"),
                "{error}"
            );
        }
        for taken in ["a", "a-1", &"a".repeat(32)] {
            assert_eq!(operator(taken).to_string(), *taken);
        }
    }

    #[test]
    fn the_longest_names_fit_wherever_they_stand() {
        let (operator, connector) = (operator(&"o".repeat(32)), name(&"c".repeat(63)));
        let alarm = operator.alarm_name(&connector, AlarmKind::HighCpuUsageAndMaxScaledOut);
        assert!(alarm.len() <= 255, "{}", alarm.len());
        let installation = "i".repeat(INSTALLATION_CHARACTERS).parse().expect("it fits");
        let owner = Owner {
            name: operator,
            installation,
        };
        assert_eq!(owner.tag().len(), TAG_CHARACTERS);
    }

    #[test]
    fn the_installation_is_the_cluster_and_the_prefix_unless_they_do_not_fit_into_a_tag() {
        let made = Installation::of_topics(Some("MkU3OEVBNTcwNTJENDM2Qg"), "penstock").expect("it fits");
        assert_eq!(made.to_string(), "MkU3OEVBNTcwNTJENDM2Qg/penstock");
        for nothing in [None, Some("")] {
            assert_eq!(
                Installation::of_topics(nothing, "penstock"),
                Err(OwnerError::FindCluster)
            );
        }
        let long = "p".repeat(230);
        for (cluster_id, prefix) in [("a b", "penstock"), ("ä", "penstock"), ("id", long.as_str())] {
            let error = Installation::of_topics(Some(cluster_id), prefix).expect_err("it does not fit");
            assert!(error.to_string().contains("give --installation"), "{error}");
        }
    }

    #[test]
    fn an_installation_that_no_tag_takes_is_refused() {
        for refused in ["", "a b", "a#b", "ä", "a\nb", &"a".repeat(INSTALLATION_CHARACTERS + 1)] {
            let error = refused.parse::<Installation>().expect_err(refused).to_string();
            assert!(error.contains("ownership tag") && !error.contains('\n'), "{error}");
        }
        assert!("Az09_.:/=+-@".parse::<Installation>().is_ok());
    }

    #[test]
    fn only_name_installation_and_connector_together_make_a_resource_ours() {
        let (ours, orders) = (owner(), orders());
        assert_eq!(ours.holder(&orders, &tags(&ours.tag(), "orders")), None);
        let others = [
            tags("penstock@MkU3OEVBNTcwNTJENDM2Qg/other", "orders"),
            tags("other@MkU3OEVBNTcwNTJENDM2Qg/penstock", "orders"),
            tags("penstock", "orders"),
            tags(&ours.tag(), "invoices"),
            BTreeMap::new(),
        ];
        for other in others {
            assert_eq!(ours.holder(&orders, &other), Some(Holder::of(&other)));
        }
    }

    #[test]
    fn two_operators_that_make_the_same_name_are_told_apart_by_their_tags() {
        let (a, a_b) = (operator("a"), operator("a-b"));
        assert_eq!(a.service_name(&name("b-c")), a_b.service_name(&name("c")));
        let of = |operator: &OperatorName| Owner {
            name: operator.clone(),
            ..owner()
        };
        let made = tags(&of(&a).tag(), "b-c");
        assert_eq!(of(&a).holder(&name("b-c"), &made), None);
        assert_eq!(of(&a_b).holder(&name("c"), &made), Some(Holder::of(&made)));
    }

    #[test]
    fn a_policy_of_another_name_is_somebody_elses() {
        let operator = operator(DEFAULT_NAME);
        for ours in ["penstock-orders-backlog", "penstock-orders-former"] {
            assert!(operator.is_policy_name(&orders(), ours), "{ours}");
        }
        for theirs in [
            "penstock-by-hand",
            "penstock-orders",
            "penstock-ordersbacklog",
            "backlog",
        ] {
            assert!(!operator.is_policy_name(&orders(), theirs), "{theirs}");
        }
    }

    #[test]
    fn who_succeeds_nobody_may_begin_and_who_succeeds_another_is_told_how() {
        let made_by = |tag: Option<&str>| State {
            owner: tag.map(str::to_owned),
            ..fresh_state("topic/0/1".to_owned(), 1)
        };
        let (orders, invoices) = (orders(), name("invoices"));
        let (ours, nothing) = (made_by(Some(&owner().tag())), made_by(None));
        assert_eq!(
            owner().check_predecessor([(&orders, &ours), (&invoices, &nothing)]),
            Ok(())
        );
        let theirs = made_by(Some("first@elsewhere/penstock"));
        let error = owner()
            .check_predecessor([(&orders, &ours), (&invoices, &theirs)])
            .expect_err("it is another's");
        let text = error.to_string();
        assert!(
            text.contains("`first@elsewhere/penstock` made for 1 of")
                && text.contains("the operator's name `first`, --installation elsewhere/penstock"),
            "{text}"
        );
    }
}
