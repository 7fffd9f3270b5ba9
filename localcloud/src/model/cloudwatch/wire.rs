//! Inputs as typed values, and answers in pages; shared with Application Auto Scaling, which speaks in the same way.
//!
//! A member that the API has and the model does not know is refused by its path, never ignored.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::model::{Fault, Millis};

/// Begins every page token: what follows is the key of the last item that was handed out.
const TOKEN_START: &str = "after:";

/// Reads an input.
///
/// # Errors
/// With `code`, naming the member that the model does not know or cannot take.
pub(crate) fn read<T: DeserializeOwned>(input: &Value, code: &str) -> Result<T, Fault> {
    serde_path_to_error::deserialize(input).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.into_inner().to_string();
        let reason = reason.split(", expected").next().unwrap_or_default().to_owned();
        Fault::client(
            code,
            format!("{path}: this model of the API does not take it: {reason}"),
        )
    })
}

/// Returns a value as the members of an answer; what is written here has text keys and finite numbers, so it always can.
pub(crate) fn members(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// Returns a time as the API writes it: seconds.
pub(crate) fn seconds(at: Millis) -> Value {
    Value::from(at as f64 / 1_000.0)
}

/// Returns the time that an input names in seconds.
pub(crate) fn millis(seconds: f64) -> Millis {
    (seconds * 1_000.0).round() as Millis
}

/// Returns one page of `items`, which are in the order of their keys, and the token of the next page if there is one.
/// Items that came or went between two pages neither repeat nor hide others.
///
/// # Errors
/// With `code` when the token is none of ours.
pub(crate) fn page<T>(
    items: impl IntoIterator<Item = (String, T)>,
    token: Option<&str>,
    limit: usize,
    code: &str,
) -> Result<(Vec<T>, Option<String>), Fault> {
    let refused = || Fault::client(code, "The specified nextToken is invalid");
    let after = token
        .map(|token| token.strip_prefix(TOKEN_START).ok_or_else(refused))
        .transpose()?;
    let mut rest = items
        .into_iter()
        .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after))
        .peekable();
    let (mut taken, mut last) = (Vec::new(), String::new());
    while taken.len() < limit.max(1) {
        let Some((key, item)) = rest.next() else { break };
        taken.push(item);
        last = key;
    }
    let next = rest.peek().map(|_| format!("{TOKEN_START}{last}"));
    Ok((taken, next))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::{page, read};

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Outer {
        #[serde(rename = "List")]
        _list: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Inner {
        #[serde(rename = "Id")]
        _id: String,
    }

    #[test]
    fn an_unknown_member_is_refused_by_its_path() {
        let fault = read::<Outer>(&json!({"List": [{"Id": "a"}, {"Id": "b", "Extra": 1}]}), "Code").expect_err("Extra");
        assert_eq!(fault.code, "Code");
        assert!(fault.message.starts_with("List[1].Extra: "), "{}", fault.message);
    }

    #[test]
    fn pages_neither_repeat_nor_skip_when_items_come_and_go() {
        let items = |keys: &[&str]| {
            keys.iter()
                .map(|key| ((*key).to_owned(), (*key).to_owned()))
                .collect::<Vec<_>>()
        };
        let (first, token) = page(items(&["a", "b", "c", "d"]), None, 2, "Code").expect("no token is a good token");
        assert_eq!(first, ["a", "b"]);
        let (second, end) = page(items(&["aa", "c", "d"]), token.as_deref(), 2, "Code").expect("our own token");
        assert_eq!((second, end), (vec!["c".to_owned(), "d".to_owned()], None));
        assert!(page(items(&["a"]), Some("nonsense"), 2, "Code").is_err());
    }
}
