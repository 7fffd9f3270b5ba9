//! What a status says where somebody else has what a connector needs, and where nobody wants what it has.

use std::collections::BTreeMap;

use penstock_crds::{Name, Status};

use super::Outcome;
use crate::plan::owner::{Holder, Owner, parts};
use crate::plan::resources::{FOREIGN_DEFINITIONS, FOREIGN_SERVICE, FOREIGN_TARGET, Observed};

/// The reason of what exists and has no document.
pub const ORPHANED: &str = "Orphaned";

/// Whether a status tells of an orphan.
pub fn is_orphaned(status: &Status) -> bool {
    status.conditions.iter().any(|condition| condition.reason == ORPHANED)
}

/// Returns what the connector needs and somebody else has, whose it is, and what to do.
pub fn name_taken(owner: &Owner, connector: &Name, observed: &Observed) -> String {
    let mut by_holder: BTreeMap<&Holder, Vec<String>> = BTreeMap::new();
    for (what, holder) in &observed.foreign {
        by_holder.entry(holder).or_default().push(named(owner, connector, what));
    }
    let told = by_holder.iter().map(|(holder, what)| {
        let what = what.join(", ");
        match &holder.operator {
            None => untagged(&what),
            Some(tag) if *tag == owner.tag() => mistagged(&what, tag, holder.connector.as_deref()),
            Some(tag) => theirs(owner, connector, &what, tag),
        }
    });
    told.collect::<Vec<_>>().join("; ")
}

/// Returns what a withdrawn connector leaves behind because nothing says any more that it was its own; nothing where what
/// is there names another operator.
pub(super) fn left_behind(owner: &Owner, connector: &Name, observed: &Observed) -> Option<String> {
    let left: Vec<_> = observed
        .foreign
        .iter()
        .filter(|(_, holder)| holder.is_nobody(owner))
        .map(|(what, _)| named(owner, connector, what))
        .collect();
    (!left.is_empty()).then(|| {
        let left = left.join(", ");
        format!(
            "everything that carries its tags is gone; {left}: no tag says that it was made for this connector, so it is left \
             alone. If it was, remove it by hand"
        )
    })
}

fn named(owner: &Owner, connector: &Name, what: &str) -> String {
    let service = owner.name.service_name(connector);
    match what {
        FOREIGN_SERVICE => format!("the service `{service}`"),
        FOREIGN_TARGET => format!("the scalable target of `{service}`"),
        FOREIGN_DEFINITIONS => format!("task definitions of the family `{service}`"),
        alarm => format!("the alarm `{alarm}`"),
    }
}

fn untagged(what: &str) -> String {
    format!(
        "{what}: the name is needed here, and no tag says that Penstock made it, so it is left alone. Remove it, or give the \
         connector another name or this operator another --name"
    )
}

fn mistagged(what: &str, tag: &str, connector: Option<&str>) -> String {
    let connector = connector.unwrap_or("none");
    format!(
        "{what}: the name is needed here, and the tags say `{tag}` and the connector `{connector}`, so it is left alone. \
         Mend the tag `penstock:connector`, or remove it"
    )
}

fn theirs(owner: &Owner, connector: &Name, what: &str, tag: &str) -> String {
    let ours = owner.tag();
    let remedy = match parts(tag) {
        Some((name, installation)) if name == owner.name.to_string() => format!(
            "Give this operator another --name; or, if nobody keeps it any more, take it over with --installation \
             {installation}, or withdraw this document and run `penstock prune {connector} --operator-name {name} \
             --installation {installation} --confirm`"
        ),
        _ => "Give the connector another name, or this operator another --name".to_owned(),
    };
    format!(
        "{what}: the name is needed here and belongs to `{tag}`, which is not `{ours}`, so it is left alone. {remedy}"
    )
}

/// Returns what there is without a document, and what to do.
pub(super) fn orphaned(outcome: Outcome<'_>) -> String {
    let (name, tag) = (outcome.name, outcome.owner.tag());
    match outcome.observed {
        Some(observed) => {
            let service = outcome.owner.name.service_name(name);
            let arn = observed.service_arn.as_deref().unwrap_or("its ARN is not known");
            format!(
                "the service `{service}` ({arn}) carries the tag of `{tag}`, and there is no document for it; it is left as \
                 it is. Write the document again, or remove it with `penstock prune {name} --confirm`"
            )
        }
        None => format!(
            "the operator made something for it, and the spec topic has neither its document nor a tombstone; it is left as \
             it is. Write the document again, or a null record under the key `Connector/{name}` to have it removed"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{orders, owner};

    fn taken(what: &str, operator: Option<&str>) -> String {
        let holder = Holder {
            operator: operator.map(str::to_owned),
            connector: Some("orders".to_owned()),
        };
        let observed = Observed {
            foreign: [(what.to_owned(), holder)].into(),
            ..Observed::default()
        };
        name_taken(&owner(), &orders(), &observed)
    }

    #[test]
    fn who_has_the_name_is_told_in_full_with_what_to_do() {
        assert_eq!(
            taken(FOREIGN_SERVICE, Some("penstock@elsewhere/first")),
            "the service `penstock-orders`: the name is needed here and belongs to `penstock@elsewhere/first`, which is not \
             `penstock@MkU3OEVBNTcwNTJENDM2Qg/penstock`, so it is left alone. Give this operator another --name; or, if \
             nobody keeps it any more, take it over with --installation elsewhere/first, or withdraw this document and run \
             `penstock prune orders --operator-name penstock --installation elsewhere/first --confirm`"
        );
    }

    #[test]
    fn an_operator_of_another_name_is_nobody_to_take_over_from() {
        let told = taken(FOREIGN_DEFINITIONS, Some("penstock-orders@elsewhere/first"));
        assert!(told.contains("belongs to `penstock-orders@elsewhere/first`"), "{told}");
        assert!(told.ends_with("another --name") && !told.contains("prune"), "{told}");
    }

    #[test]
    fn what_no_operator_made_is_told_apart_from_what_another_one_made() {
        let told = taken("penstock-orders-oldestMessageAge", None);
        assert!(
            told.starts_with("the alarm `penstock-orders-oldestMessageAge`: "),
            "{told}"
        );
        assert!(told.contains("no tag says that Penstock made it"), "{told}");
        let told = taken(FOREIGN_TARGET, Some(&owner().tag()));
        assert!(told.contains("Mend the tag `penstock:connector`"), "{told}");
    }

    #[test]
    fn what_belongs_to_one_is_told_at_once() {
        let holder = Holder {
            operator: Some("penstock@elsewhere/first".to_owned()),
            connector: Some("orders".to_owned()),
        };
        let observed = Observed {
            foreign: [FOREIGN_SERVICE, "penstock-orders-oldestMessageAge"]
                .map(|what| (what.to_owned(), holder.clone()))
                .into(),
            ..Observed::default()
        };
        let told = name_taken(&owner(), &orders(), &observed);
        assert_eq!(told.matches("elsewhere/first`").count(), 1, "{told}");
    }
}
