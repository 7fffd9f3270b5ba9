//! The calls of librdkafka that the safe wrapper lacks: a topic's id, how far a partition was fetched, a token set by hand, and
//! what an admin client complains of.
//!
//! The only module with unsafe code. Each object made here is destroyed here, and nothing borrowed from one leaves.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::os::raw::c_char;
use std::ptr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::ClientContext;
use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::iam::Token;

/// What the brokers know of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    /// The topic's id, as Kafka's own tools print it; a topic made again has another one.
    pub(crate) id: String,
    /// How many partitions it has.
    pub(crate) partitions: usize,
}

/// Returns what the brokers know of `topic`, or `None` if there is none. It blocks for up to `timeout`.
pub(crate) fn describe_topic<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Option<Description>, KafkaError> {
    let name = CString::new(topic)?;
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let request = Request::new(client, &name, millis)?;
    // SAFETY: the client outlives this call, and the request owns the live collection, options and queue.
    unsafe { sys::rd_kafka_DescribeTopics(client.native_ptr(), request.topics, request.options, request.queue) };
    // librdkafka answers with an error of its own when the request times out; the margin lets that answer arrive.
    // SAFETY: the queue is live; the event, if any, is ours to destroy.
    let event = Event(unsafe { sys::rd_kafka_queue_poll(request.queue, millis.saturating_add(1_000)) });
    event.description()
}

/// Returns the end of a partition as the client's last fetch told it, uncommitted records with it; -1 if that fetch was
/// refused. It asks nobody.
pub(crate) fn fetched_end<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partition: i32,
) -> Result<i64, KafkaError> {
    let name = CString::new(topic)?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client is live, and so are the name and both numbers for the call, which keeps none of them.
    let code = unsafe {
        sys::rd_kafka_get_watermark_offsets(
            client.native_ptr(),
            name.as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        )
    };
    accept(code).map(|()| high)
}

/// Gives the client a token at once, so that it need not be polled before its first connection.
pub(crate) fn set_token<C: ClientContext>(client: &Client<C>, token: &Token) -> Result<(), KafkaError> {
    let value = CString::new(token.value.as_str())?;
    let mut reason = [0 as c_char; 512];
    // SAFETY: every pointer is live for the call, which copies what it keeps; `reason` is as long as it is said to be.
    let code = unsafe {
        sys::rd_kafka_oauthbearer_set_token(
            client.native_ptr(),
            value.as_ptr(),
            token.expires_at_millis,
            c"penstock".as_ptr(),
            ptr::null_mut(),
            0,
            reason.as_mut_ptr(),
            reason.len(),
        )
    };
    accept(code)
}

/// Returns the last thing that the client complained of since it was last asked, such as a password that the brokers refuse.
/// Only for admin clients: nobody else reads their main queue, where complaints go.
pub(crate) fn complaint<C: ClientContext>(client: &Client<C>) -> Option<String> {
    // SAFETY: the client is live, and the reference to its queue is ours to give up.
    let queue = Queue(unsafe { sys::rd_kafka_queue_get_main(client.native_ptr()) });
    let mut last = None;
    for _ in 0..MOST_COMPLAINTS {
        // SAFETY: the queue is live; the event, if any, is ours to destroy.
        let event = Event(unsafe { sys::rd_kafka_queue_poll(queue.0, 0) });
        if event.0.is_null() {
            break;
        }
        last = event.complaint().or(last);
    }
    last
}

/// More than a client complains of between two requests.
const MOST_COMPLAINTS: usize = 1_000;

/// A reference to a queue of a client's.
struct Queue(*mut sys::rd_kafka_queue_t);

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the reference came from `rd_kafka_queue_get_main`, and is given up once, here.
        unsafe { sys::rd_kafka_queue_destroy(self.0) }
    }
}

/// A DescribeTopics request and the queue of its answer.
struct Request {
    topics: *mut sys::rd_kafka_TopicCollection_t,
    options: *mut sys::rd_kafka_AdminOptions_t,
    queue: *mut sys::rd_kafka_queue_t,
}

impl Request {
    fn new<C: ClientContext>(client: &Client<C>, name: &CStr, timeout_millis: i32) -> Result<Self, KafkaError> {
        let mut names = [name.as_ptr()];
        let mut reason = [0 as c_char; 512];
        // SAFETY: the client is live and `names` holds one C string, which the collection copies. None of the three
        // constructors returns null: librdkafka aborts when memory is out.
        let request = unsafe {
            Self {
                topics: sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
                options: sys::rd_kafka_AdminOptions_new(
                    client.native_ptr(),
                    sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
                ),
                queue: sys::rd_kafka_queue_new(client.native_ptr()),
            }
        };
        // SAFETY: the options are live, and `reason` is as long as it is said to be.
        let code = unsafe {
            sys::rd_kafka_AdminOptions_set_request_timeout(
                request.options,
                timeout_millis,
                reason.as_mut_ptr(),
                reason.len(),
            )
        };
        accept(code).map(|()| request)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: the three were made together in `new`, and are destroyed once, here.
        unsafe {
            sys::rd_kafka_TopicCollection_destroy(self.topics);
            sys::rd_kafka_AdminOptions_destroy(self.options);
            sys::rd_kafka_queue_destroy(self.queue);
        }
    }
}

/// The answer, or null if none came.
struct Event(*mut sys::rd_kafka_event_t);

impl Event {
    fn description(&self) -> Result<Option<Description>, KafkaError> {
        if self.0.is_null() {
            return Err(KafkaError::Global(RDKafkaErrorCode::OperationTimedOut));
        }
        // SAFETY: the event is live until `self` is dropped. A result of another kind yields null, which is checked.
        let (result, mut count) = unsafe {
            accept(sys::rd_kafka_event_error(self.0))?;
            (sys::rd_kafka_event_DescribeTopics_result(self.0), 0)
        };
        if result.is_null() {
            return Err(KafkaError::Global(RDKafkaErrorCode::BadMessage));
        }
        // SAFETY: the result lives as long as the event, and so do the topics that it holds.
        let topics = unsafe { sys::rd_kafka_DescribeTopics_result_topics(result, &mut count) };
        if topics.is_null() || count == 0 {
            return Ok(None);
        }
        // SAFETY: the array has `count` entries, so it has a first.
        unsafe { description(*topics) }
    }
}

impl Event {
    /// That all brokers are down follows from the complaints about each, and says less.
    fn complaint(&self) -> Option<String> {
        // SAFETY: the event is live until `self` is dropped, and so is its text, which is copied.
        unsafe {
            let is_error = sys::rd_kafka_event_type(self.0) == sys::RD_KAFKA_EVENT_ERROR;
            let all_down = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
            if !is_error || sys::rd_kafka_event_error(self.0) == all_down {
                return None;
            }
            let text = sys::rd_kafka_event_error_string(self.0);
            (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the event came from `rd_kafka_queue_poll`, and is destroyed once, here.
            unsafe { sys::rd_kafka_event_destroy(self.0) }
        }
    }
}

/// # Safety
/// `topic` must point to a topic of a result that is alive.
unsafe fn description(topic: *const sys::rd_kafka_TopicDescription_t) -> Result<Option<Description>, KafkaError> {
    let mut partitions = 0;
    // SAFETY: the caller keeps the topic alive; error and id live as long as it does. A null error has no code.
    let (code, most, least) = unsafe {
        let error = sys::rd_kafka_TopicDescription_error(topic);
        let code = sys::rd_kafka_error_code(error);
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        sys::rd_kafka_TopicDescription_partitions(topic, &mut partitions);
        (
            code,
            sys::rd_kafka_Uuid_most_significant_bits(id),
            sys::rd_kafka_Uuid_least_significant_bits(id),
        )
    };
    match accept(code) {
        Ok(()) => Ok(Some(Description {
            id: topic_id(most, least),
            partitions,
        })),
        Err(KafkaError::Global(RDKafkaErrorCode::UnknownTopicOrPartition)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the id as Kafka prints it: 16 bytes in base64 for URLs, which has no `/`.
fn topic_id(most: i64, least: i64) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&most.to_be_bytes());
    bytes[8..].copy_from_slice(&least.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn accept(code: sys::rd_kafka_resp_err_t) -> Result<(), KafkaError> {
    match code {
        sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(KafkaError::Global(code.into())),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::admin::AdminClient;
    use rdkafka::client::DefaultClientContext;

    use super::*;

    #[test]
    fn a_request_without_an_answer_can_be_explained() {
        let mut config = ClientConfig::new();
        // Nobody listens on port 1.
        config.set("bootstrap.servers", "127.0.0.1:1");
        let admin: AdminClient<DefaultClientContext> = config.create().expect("a client");
        let described = describe_topic(admin.inner(), "orders", Duration::from_secs(1));
        assert!(described.is_err());
        let why = complaint(admin.inner()).expect("a complaint");
        assert!(why.contains("127.0.0.1:1") && why.contains("refused"), "{why}");
    }

    #[test]
    fn a_topic_id_is_printed_as_kafka_prints_it() {
        assert_eq!(topic_id(0, 0), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(topic_id(-1, -1), "_____________________w");
        assert!(!topic_id(i64::MAX, i64::MIN).contains('/'));
    }
}
