//! An error with everything behind it, in words. A message never repeats its source, so whoever logs or prints an error prints the whole chain.
//!
//! It lives here because operator, bridge and command line all use this crate, and it needs it itself.

use std::error::Error;
use std::iter::successors;

/// More causes than any error of ours has; an error that is its own source ends here.
const MOST_CAUSES: usize = 20;

/// Returns an error with all its causes in one line of text, the outermost first.
///
/// Errors of other crates repeat their source in their own text; a cause that the text already ends with is left out.
pub fn chain(error: &dyn Error) -> String {
    let causes = successors(error.source(), |cause| (*cause).source());
    causes
        .take(MOST_CAUSES)
        .fold(error.to_string(), |text, cause| match cause.to_string() {
            cause if text == cause || text.ends_with(&format!(": {cause}")) => text,
            cause => format!("{text}: {cause}"),
        })
}

#[cfg(test)]
mod tests {
    use rdkafka::error::{KafkaError, RDKafkaErrorCode};

    use super::*;
    use crate::AdminError;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Step {
        text: &'static str,
        source: Option<Box<Step>>,
    }

    fn step(text: &'static str, source: Option<Step>) -> Step {
        let source = source.map(Box::new);
        Step { text, source }
    }

    #[test]
    fn every_cause_is_told_in_its_order() {
        let error = step("could not pay", Some(step("no money", Some(step("no work", None)))));
        assert_eq!(chain(&error), "could not pay: no money: no work");
    }

    #[test]
    fn a_cause_that_was_told_already_is_not_told_again() {
        let cause = || Some(step("no money", Some(step("no work", None))));
        assert_eq!(chain(&step("no pay: no money", cause())), "no pay: no money: no work");
        assert_eq!(chain(&step("no money", cause())), "no money: no work");
    }

    #[test]
    fn what_kafka_said_is_told_once() {
        let error = AdminError::CreateTopic {
            topic: "orders".to_owned(),
            source: KafkaError::AdminOp(RDKafkaErrorCode::TopicAuthorizationFailed),
        };
        let text = chain(&error);
        assert!(text.starts_with("could not make the topic `orders`"), "{text}");
        assert_eq!(text.matches("Topic authorization failed").count(), 1, "{text}");
    }

    #[test]
    fn an_error_that_is_its_own_cause_has_an_end() {
        #[derive(Debug)]
        struct Round;
        impl std::fmt::Display for Round {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("round and round")
            }
        }
        impl Error for Round {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&Round)
            }
        }
        assert_eq!(chain(&Round), "round and round");
    }
}
