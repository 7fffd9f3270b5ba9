//! The one question that a queue's access policy is asked here: may this topic send?

use serde_json::Value;

use super::attributes::Attributes;

/// Says whether the queue takes messages of a topic. A queue without a policy does; AWS would refuse there.
pub(super) fn allows(attributes: &Attributes, queue_arn: &str, topic_arn: &str) -> bool {
    let Some(text) = attributes.text("Policy") else {
        return true;
    };
    let policy: Value = serde_json::from_str(text).unwrap_or_default();
    let statements = listed(policy.get("Statement"));
    let matching = |effect: &str| {
        statements.iter().any(|statement| {
            statement.get("Effect").is_some_and(|is| is == effect) && covers(statement, queue_arn, topic_arn)
        })
    };
    matching("Allow") && !matching("Deny")
}

fn covers(statement: &Value, queue_arn: &str, topic_arn: &str) -> bool {
    let principal = statement.get("Principal").unwrap_or(&Value::Null);
    let service = listed(principal.get("Service"))
        .iter()
        .any(|service| *service == "sns.amazonaws.com");
    let anyone = principal == "*" || listed(principal.get("AWS")).iter().any(|who| *who == "*");
    let actions = listed(statement.get("Action"));
    let sends = actions.iter().any(|action| {
        action
            .as_str()
            .is_some_and(|action| matches!(action.to_lowercase().as_str(), "*" | "sqs:*" | "sqs:sendmessage"))
    });
    let here = any_like(statement.get("Resource"), queue_arn);
    (service || anyone) && sends && here && condition_holds(statement.get("Condition"), topic_arn)
}

/// Knows the conditions on `aws:SourceArn`; any other condition does not hold, so that a policy never allows by mistake.
fn condition_holds(condition: Option<&Value>, topic_arn: &str) -> bool {
    let Some(Value::Object(operators)) = condition else {
        return true;
    };
    operators.iter().all(|(operator, keys)| {
        let Value::Object(keys) = keys else { return false };
        keys.iter().all(|(key, wanted)| {
            key.eq_ignore_ascii_case("aws:SourceArn")
                && matches!(
                    operator.as_str(),
                    "ArnEquals" | "ArnLike" | "StringEquals" | "StringLike"
                )
                && any_like(Some(wanted), topic_arn)
        })
    })
}

/// Says whether one of the patterns matches; none is there where the value is missing.
fn any_like(patterns: Option<&Value>, text: &str) -> bool {
    let patterns = listed(patterns);
    patterns
        .iter()
        .any(|pattern| pattern.as_str().is_some_and(|pattern| like(pattern, text)))
}

/// Matches a pattern in which `*` stands for anything.
fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// Returns the items of a list, or the one value that stands for a list.
fn listed(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None => Vec::new(),
        Some(Value::Array(items)) => items.iter().collect(),
        Some(one) => vec![one],
    }
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(like("arn:aws:sns:*:1:t*", "arn:aws:sns:eu-west-1:1:topic"));
        assert!(like("*", "anything"));
        assert!(!like("arn:aws:sns:*:1:t", "arn:aws:sns:eu-west-1:1:topic"));
        assert!(!like("exact", "exactly"));
    }
}
