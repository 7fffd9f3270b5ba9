//! What Kafka's error codes mean for the one message at hand.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::sink::{Cause, Failure};

/// Judges an error that came with a delivery or with the call that handed a record over.
pub(crate) fn judge(error: &KafkaError) -> Failure {
    let Some(code) = error.rdkafka_error_code() else {
        return Failure::Unavailable(error.to_string());
    };
    match (code, exception(code)) {
        (RDKafkaErrorCode::InvalidDifferentRecord, _) => Failure::Neighbour,
        (_, Some(class)) => Failure::Content(Cause {
            class,
            message: describe(code),
        }),
        (_, None) => Failure::Unavailable(describe(code)),
    }
}

/// Returns the exception that Kafka's own clients name for an error that lies in the record itself. Everything that is
/// not on this list is about the broker, the topic or the caller's rights, and so may be mended while messages wait. So is a
/// timestamp that Kafka refuses: it is the time of the try by this machine's clock, and another try has another.
fn exception(code: RDKafkaErrorCode) -> Option<&'static str> {
    match code {
        RDKafkaErrorCode::MessageSizeTooLarge => Some("org.apache.kafka.common.errors.RecordTooLargeException"),
        RDKafkaErrorCode::MessageBatchTooLarge => Some("org.apache.kafka.common.errors.RecordBatchTooLargeException"),
        RDKafkaErrorCode::InvalidMessage => Some("org.apache.kafka.common.errors.CorruptRecordException"),
        RDKafkaErrorCode::InvalidRecord => Some("org.apache.kafka.common.InvalidRecordException"),
        _ => None,
    }
}

fn describe(code: RDKafkaErrorCode) -> String {
    code.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn produced(code: RDKafkaErrorCode) -> Failure {
        judge(&KafkaError::MessageProduction(code))
    }

    #[test]
    fn a_record_that_is_too_large_is_refused_for_its_content() {
        let Failure::Content(cause) = produced(RDKafkaErrorCode::MessageSizeTooLarge) else {
            panic!("not content")
        };
        assert_eq!(cause.class, "org.apache.kafka.common.errors.RecordTooLargeException");
        assert!(!cause.message.is_empty());
    }

    #[test]
    fn a_neighbour_of_a_refused_record_is_innocent() {
        assert_eq!(produced(RDKafkaErrorCode::InvalidDifferentRecord), Failure::Neighbour);
    }

    #[test]
    fn brokers_rights_and_topics_are_waited_out() {
        for code in [
            RDKafkaErrorCode::BrokerTransportFailure,
            RDKafkaErrorCode::TopicAuthorizationFailed,
            RDKafkaErrorCode::UnknownTopicOrPartition,
            RDKafkaErrorCode::UnknownTopic,
            RDKafkaErrorCode::NotEnoughReplicas,
            RDKafkaErrorCode::InvalidTimestamp,
            RDKafkaErrorCode::PurgeInflight,
            RDKafkaErrorCode::Fatal,
        ] {
            assert!(matches!(produced(code), Failure::Unavailable(_)), "{code:?}");
        }
    }
}
