//! `penstock schema`: the JSON Schemas, as editors and other tools take them.

use penstock_crds::{schema_text, schemas};
use serde_json::Value;

use crate::Exit;
use crate::failure::Failure;
use crate::output::{print, print_json};

/// Prints the JSON Schema of a kind of document.
#[derive(Debug, clap::Args)]
pub(crate) struct Schema {
    /// connector, profile, target-state or status; all of them in one object when missing
    kind: Option<String>,
}

impl Schema {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match &self.kind {
            Some(kind) => print(&schema_text(&find(kind)?))?,
            None => print_json(&all())?,
        }
        Ok(Exit::Done)
    }
}

fn find(kind: &str) -> Result<Value, Failure> {
    let wanted = plain(kind);
    let found = schemas().into_iter().find(|(file, _)| plain(stem(file)) == wanted);
    found
        .map(|(_, schema)| schema)
        .ok_or_else(|| Failure::FindSchema(kind.to_owned()))
}

fn all() -> Value {
    let named = schemas()
        .into_iter()
        .map(|(file, schema)| (stem(file).to_owned(), schema));
    Value::Object(named.collect())
}

fn stem(file: &str) -> &str {
    file.trim_end_matches(".json")
}

/// `TargetState` and `target-state` are the same kind.
fn plain(kind: &str) -> String {
    kind.replace('-', "").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_either_spelling() {
        assert_eq!(find("TargetState").expect("it is a kind")["title"], "TargetState");
        assert_eq!(find("target-state").expect("it is a kind")["title"], "TargetState");
        assert!(matches!(find("queue"), Err(Failure::FindSchema(_))));
    }

    #[test]
    fn without_a_kind_all_are_there() {
        let names: Vec<_> = all().as_object().expect("an object").keys().cloned().collect();
        assert_eq!(names.len(), 4, "{names:?}");
    }
}
