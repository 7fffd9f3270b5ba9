//! Pages of lists: a token names the last entry that was given, so that entries may come and go in between.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::wire::{invalid, put};
use crate::model::Fault;

/// What every paged call may ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page<'a> {
    pub(super) token: Option<&'a str>,
    pub(super) size: Option<i32>,
    /// The size if none is asked for.
    pub(super) default_size: i32,
}

/// Gives the page of `entries` (in order, each with its sort key) under `member`, and the token of the next page.
/// `descending` says that the keys fall.
pub(super) fn page(
    member: &str,
    page: Page<'_>,
    descending: bool,
    entries: Vec<(String, Value)>,
) -> Result<Value, Fault> {
    let size = page.size.unwrap_or(page.default_size);
    if !(1..=100).contains(&size) {
        return Err(invalid("maxResults must be between 1 and 100."));
    }
    let after = page.token.map(|token| last_key(member, token)).transpose()?;
    let is_later = |key: &String| {
        after
            .as_ref()
            .is_none_or(|after| if descending { key < after } else { key > after })
    };
    let mut rest = entries.into_iter().filter(|(key, _)| is_later(key));
    let taken: Vec<_> = rest.by_ref().take(usize::try_from(size).unwrap_or(1)).collect();
    let token = match (rest.next(), taken.last()) {
        (Some(_), Some((key, _))) => Some(json!(URL_SAFE_NO_PAD.encode(format!("{member}\n{key}")))),
        _ => None,
    };
    let mut answer = json!({member: taken.into_iter().map(|(_, value)| value).collect::<Vec<_>>()});
    put(&mut answer, "nextToken", token);
    Ok(answer)
}

fn last_key(member: &str, token: &str) -> Result<String, Fault> {
    let decoded = URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    decoded
        .and_then(|text| text.strip_prefix(member)?.strip_prefix('\n').map(str::to_owned))
        .ok_or_else(|| invalid("Invalid token in the request."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<(String, Value)> {
        ["a", "b", "c", "d", "e"]
            .iter()
            .map(|key| ((*key).to_owned(), json!(key)))
            .collect()
    }

    fn ask(token: Option<&str>) -> Page<'_> {
        Page {
            token,
            size: Some(2),
            default_size: 10,
        }
    }

    #[test]
    fn pages_join_up_to_the_whole_list_and_the_last_has_no_token() {
        let (mut seen, mut token) = (Vec::new(), None::<String>);
        for _ in 0..3 {
            let answer = page("xs", ask(token.as_deref()), false, entries()).expect("a page");
            seen.extend(answer["xs"].as_array().expect("a list").clone());
            token = answer["nextToken"].as_str().map(str::to_owned);
        }
        assert_eq!(seen, [json!("a"), json!("b"), json!("c"), json!("d"), json!("e")]);
        assert_eq!(token, None);
    }

    #[test]
    fn a_foreign_token_is_refused() {
        let error = page("xs", ask(Some("???")), false, entries()).expect_err("not a token");
        assert_eq!(error.code, "InvalidParameterException");
    }
}
