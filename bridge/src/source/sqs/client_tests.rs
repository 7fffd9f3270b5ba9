//! One call, against a service on its bad days.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::SystemTime;

use aws_credential_types::Credentials as Secrets;
use aws_credential_types::provider::{ProvideCredentials, future};
use tokio::sync::mpsc;

use super::*;
use crate::source::ErrorKind;
use crate::source::sqs::fake::{Reply, Service, answer, error, ok};

/// Longer than anything here takes, and what a call gets that should run into its limit.
const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(150);

/// The time in all these tests: 2025-11-21T09:13:12Z.
const NOW: u64 = 1_763_716_392;

/// Hands out sessions by number, each once and the last one for ever.
#[derive(Debug)]
struct Sessions(Mutex<VecDeque<u32>>);

impl ProvideCredentials for Sessions {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let mut numbers = self.0.lock().expect("no test panics inside");
        let number = numbers.front().copied().unwrap_or_default();
        if numbers.len() > 1 {
            numbers.pop_front();
        }
        let token = Some(format!("token-{number}"));
        future::ProvideCredentials::ready(Ok(Secrets::new(
            format!("ASIA{number}"),
            "a secret",
            token,
            None,
            "test",
        )))
    }
}

fn client_of(endpoint: &str, sessions: &[u32]) -> Client {
    let sessions = Sessions(Mutex::new(sessions.iter().copied().collect()));
    let clock = Clock::reading(|| SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
    let provider = SharedCredentialsProvider::new(sessions);
    Client::new(endpoint, "eu-west-1", Some(provider), clock).expect("a client")
}

async fn rig(replies: impl IntoIterator<Item = Reply>) -> (Service, Client) {
    let service = Service::start(replies).await;
    let client = client_of(service.endpoint(), &[1]);
    (service, client)
}

fn once(limit: Duration) -> Call<'static> {
    Call {
        operation: Operation::Receive,
        request: Bytes::from_static(b"{\"asked\":1}"),
        limit,
        again: false,
        room: None,
    }
}

fn twice(limit: Duration) -> Call<'static> {
    Call {
        again: true,
        ..once(limit)
    }
}

fn within(room: &Room) -> Call<'_> {
    Call {
        room: Some(room),
        ..once(LONG)
    }
}

/// Returns an answer in chunks.
fn chunked(parts: &[&str]) -> Vec<u8> {
    let mut text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for part in parts {
        text.push_str(&format!("{:x}\r\n{part}\r\n", part.len()));
    }
    text.push_str("0\r\n\r\n");
    text.into_bytes()
}

#[tokio::test]
async fn one_connection_serves_call_after_call() {
    let (service, client) = rig([Reply::Keep(ok("{\"n\":1}")), Reply::Keep(ok(""))]).await;
    assert_eq!(client.call(once(LONG)).await.expect("an answer"), "{\"n\":1}");
    assert_eq!(client.call(once(LONG)).await.expect("an answer"), "");
    assert_eq!(client.call(twice(LONG)).await.expect("an answer"), "{}");
    assert_eq!((service.connections(), client.connections.at_rest()), (1, 1));
}

#[tokio::test]
async fn a_request_says_what_sqs_needs_and_asks_for_no_compression() {
    let (service, client) = rig([]).await;
    client.call(once(LONG)).await.expect("an answer");
    let heard = service.heard().remove(0);
    assert!(heard.head.starts_with("POST / HTTP/1.1"), "{}", heard.head);
    assert_eq!(heard.body, "{\"asked\":1}");
    let host = service.endpoint().trim_start_matches("http://");
    for (name, value) in [
        ("host", host),
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-target", "AmazonSQS.ReceiveMessage"),
        ("x-amz-date", "20251121T091312Z"),
        ("x-amz-security-token", "token-1"),
        ("x-amzn-query-mode", "true"),
        ("content-length", "11"),
    ] {
        assert_eq!(heard.header(name), Some(value), "{name}");
    }
    let signature = heard.header("authorization").expect("it is signed");
    let names = "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, ";
    assert!(
        signature.contains("Credential=ASIA1/20251121/eu-west-1/sqs/aws4_request, "),
        "{signature}"
    );
    assert!(signature.contains(names), "{signature}");
    assert_eq!(heard.header("accept-encoding"), None);
}

#[tokio::test]
async fn the_path_of_an_endpoint_is_kept() {
    let service = Service::start([]).await;
    let client = client_of(&format!("{}/aws/", service.endpoint()), &[1]);
    client.call(once(LONG)).await.expect("an answer");
    assert!(service.heard()[0].head.starts_with("POST /aws/ HTTP/1.1"));
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_not_used_again() {
    let (service, client) = rig([Reply::Keep(ok("{}")), Reply::Silence]).await;
    client.call(once(LONG)).await.expect("an answer");
    let failure = client.call(once(SHORT)).await.expect_err("silence");
    assert_eq!(failure.kind, ErrorKind::Timeout);
    assert_eq!(client.connections.at_rest(), 0);
    service.until_closed(0).await;
    client.call(once(LONG)).await.expect("an answer");
    assert_eq!(service.heard().last().map(|heard| heard.connection), Some(1));
}

#[tokio::test]
async fn a_second_attempt_goes_over_another_connection_when_the_first_falls_silent() {
    let (service, client) = rig([Reply::Keep(ok("{}")), Reply::Silence]).await;
    client.call(twice(LONG)).await.expect("an answer");
    // Half of its time is for the second attempt.
    client.call(twice(SHORT * 8)).await.expect("an answer");
    let connections: Vec<_> = service.heard().iter().map(|heard| heard.connection).collect();
    assert_eq!(connections, [0, 0, 1]);
}

#[tokio::test]
async fn after_a_silence_no_connection_is_used_that_rested_before() {
    let (service, client) = rig([]).await;
    let (first, second) = tokio::join!(client.call(once(LONG)), client.call(once(LONG)));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!((service.connections(), client.connections.at_rest()), (2, 2));
    service.next(Reply::Silence);
    client.call(twice(SHORT * 8)).await.expect("an answer");
    assert_eq!(service.heard()[3].connection, 2, "a new one");
}

#[tokio::test]
async fn a_caller_that_gives_up_takes_its_connection_along() {
    let (service, client) = rig([Reply::Silence]).await;
    let given_up = timeout_at(Instant::now() + SHORT, client.call(once(LONG))).await;
    assert!(given_up.is_err());
    service.until_closed(0).await;
    assert_eq!(client.connections.at_rest(), 0);
}

#[tokio::test]
async fn a_body_that_comes_late_is_waited_for_until_the_limit() {
    let whole = ok("{\"late\":true}");
    let (first, second) = whole.split_at(whole.len() - 5);
    let halves = || Reply::Halves(first.to_vec(), second.to_vec());
    let (service, client) = rig([halves(), halves()]).await;
    let (answer, ()) = tokio::join!(client.call(once(LONG)), async {
        service.until_heard(1).await;
        service.go_on();
    });
    assert_eq!(answer.expect("an answer"), "{\"late\":true}");
    let failure = client.call(once(SHORT)).await.expect_err("half of an answer");
    assert_eq!((failure.kind, client.connections.at_rest()), (ErrorKind::Timeout, 0));
}

#[tokio::test]
async fn an_answer_cut_after_its_headers_is_no_answer() {
    let whole = ok("{\"cut\":true}");
    let cut = || Reply::Cut(whole[..whole.len() - 4].to_vec());
    let (service, client) = rig([cut(), cut()]).await;
    let failure = client.call(once(LONG)).await.expect_err("half of an answer");
    assert_eq!(failure.kind, ErrorKind::Unavailable, "{failure}");
    assert_eq!(service.heard().len(), 1);
    assert_eq!(client.call(twice(LONG)).await.expect("an answer"), "{}");
    assert_eq!(service.heard().len(), 3);
}

#[tokio::test]
async fn a_service_that_fails_is_asked_twice_where_that_is_allowed() {
    let page = || Reply::Keep(answer(503, &[], "<html>Service Unavailable</html>"));
    let (service, client) = rig([page(), page(), page(), page()]).await;
    let failure = client.call(once(LONG)).await.expect_err("an error");
    assert_eq!(failure.kind, ErrorKind::Unavailable);
    assert!(failure.message.contains("HTTP status 503"), "{failure}");
    assert_eq!(service.heard().len(), 1);
    assert!(client.call(twice(LONG)).await.is_err());
    assert_eq!(service.heard().len(), 3, "twice and no more");
    client.call(twice(LONG)).await.expect("an answer");
    assert_eq!(
        service.connections(),
        1,
        "an error that was read leaves the connection good"
    );
}

#[tokio::test]
async fn a_service_that_asks_for_fewer_calls_is_not_asked_again() {
    let (service, client) = rig([Reply::Keep(error(503, "ThrottlingException", &[]))]).await;
    let failure = client.call(twice(LONG)).await.expect_err("an error");
    assert_eq!(failure.kind, ErrorKind::Throttled);
    assert_eq!(service.heard().len(), 1);
}

#[tokio::test]
async fn what_the_service_refuses_is_not_asked_again() {
    let (service, client) = rig([Reply::Keep(error(400, "QueueDoesNotExist", &[]))]).await;
    let failure = client.call(twice(LONG)).await.expect_err("an error");
    assert_eq!(failure.kind, ErrorKind::Missing);
    assert_eq!(service.heard().len(), 1);
}

#[tokio::test]
async fn a_clock_that_is_off_is_set_by_the_service() {
    let refused = error(
        403,
        "SignatureDoesNotMatch",
        &[("date", "Fri, 21 Nov 2025 10:13:12 GMT")],
    );
    let (service, client) = rig([Reply::Keep(refused)]).await;
    client.call(once(LONG)).await.expect("an answer");
    client.call(once(LONG)).await.expect("an answer");
    let dates: Vec<_> = service
        .heard()
        .iter()
        .map(|heard| heard.header("x-amz-date").unwrap_or_default().to_owned())
        .collect();
    assert_eq!(dates, ["20251121T091312Z", "20251121T101312Z", "20251121T101312Z"]);
}

#[tokio::test]
async fn a_wrong_signature_with_a_right_clock_stays_wrong() {
    let refused = error(
        403,
        "SignatureDoesNotMatch",
        &[("date", "Fri, 21 Nov 2025 09:14:00 GMT")],
    );
    let (service, client) = rig([Reply::Keep(refused)]).await;
    let failure = client.call(twice(LONG)).await.expect_err("an error");
    assert_eq!(failure.kind, ErrorKind::Credentials);
    assert_eq!(service.heard().len(), 1);
}

#[tokio::test]
async fn credentials_that_ended_are_replaced_by_others() {
    let service = Service::start([Reply::Keep(error(403, "ExpiredToken", &[]))]).await;
    let client = client_of(service.endpoint(), &[1, 2]);
    client.call(once(LONG)).await.expect("an answer");
    client.call(once(LONG)).await.expect("an answer");
    let tokens: Vec<_> = service
        .heard()
        .iter()
        .map(|heard| heard.header("x-amz-security-token").unwrap_or_default().to_owned())
        .collect();
    assert_eq!(tokens, ["token-1", "token-2", "token-2"]);
}

#[tokio::test]
async fn credentials_that_there_are_no_others_for_are_refused_once() {
    let (service, client) = rig([Reply::Keep(error(403, "ExpiredToken", &[]))]).await;
    let failure = client.call(once(LONG)).await.expect_err("an error");
    assert_eq!(failure.kind, ErrorKind::Credentials);
    assert_eq!(service.heard().len(), 1);
}

#[tokio::test]
async fn without_a_provider_nothing_is_sent() {
    let service = Service::start([]).await;
    let client = Client::new(service.endpoint(), "eu-west-1", None, Clock::system()).expect("a client");
    let failure = client.call(once(LONG)).await.expect_err("no credentials");
    assert_eq!(failure.kind, ErrorKind::Credentials);
    assert_eq!(service.connections(), 0);
}

#[tokio::test]
async fn an_answer_in_chunks_is_put_together() {
    let (service, client) = rig([
        Reply::Keep(chunked(&["{\"a\":", "\"", "b\"}"])),
        Reply::Keep(chunked(&[])),
    ])
    .await;
    assert_eq!(client.call(once(LONG)).await.expect("an answer"), "{\"a\":\"b\"}");
    assert_eq!(client.call(once(LONG)).await.expect("an answer"), "");
    assert_eq!((service.connections(), client.connections.at_rest()), (1, 1));
}

#[tokio::test]
async fn what_is_not_reserved_is_asked_for_before_it_is_read() {
    // More than the buffers of both sides hold, so that it cannot be written before it is read.
    let body = "x".repeat(24 << 20);
    let (service, client) = rig([Reply::Keep(ok(&body)), Reply::Keep(ok("small"))]).await;
    let (more, mut asked) = mpsc::channel(1);
    let room = Room::asking(1000, 1, more, LONG);
    let (answer, ()) = tokio::join!(client.call(within(&room)), async {
        let ask = asked.recv().await.expect("it asks");
        assert_eq!(ask.bytes, body.len());
        assert_eq!(service.written(), 0, "nobody reads it yet");
        ask.granted.send(()).expect("somebody waits");
    });
    assert_eq!(answer.expect("an answer"), body);
    service.until_written(1).await;
    client.call(within(&room)).await.expect("an answer");
    assert!(asked.try_recv().is_err(), "what is reserved is not asked for");
}

#[tokio::test]
async fn an_answer_of_unknown_length_asks_as_it_grows() {
    let part = "x".repeat(1 << 20);
    let (_service, client) = rig([Reply::Keep(chunked(&[&part, &part, &part]))]).await;
    let (more, mut asked) = mpsc::channel(1);
    let room = Room::asking(100_000, 1, more, LONG);
    let granting = async {
        let mut granted = room.reserved;
        while let Some(ask) = asked.recv().await {
            assert!(ask.bytes > granted, "{} after {granted}", ask.bytes);
            granted = ask.bytes;
            ask.granted.send(()).expect("somebody waits");
            if granted >= 3 << 20 {
                return granted;
            }
        }
        granted
    };
    let (answer, granted) = tokio::join!(client.call(within(&room)), granting);
    assert_eq!(answer.expect("an answer").len(), 3 << 20);
    assert!(granted <= 5 << 20, "{granted}");
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let part = "x".repeat(8 << 20);
    let endless = chunked(&[&part, &part, &part, &part, &part]);
    let too_long = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n{}".to_vec();
    let (_service, client) = rig([Reply::Keep(endless), Reply::Keep(too_long)]).await;
    for _ in 0..2 {
        let failure = client.call(once(LONG)).await.expect_err("too long");
        assert_eq!(failure.kind, ErrorKind::Unavailable, "{failure}");
        assert_eq!(client.connections.at_rest(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_room_takes_none_of_the_time_of_the_call() {
    let (more, mut asked) = mpsc::channel::<crate::source::Ask>(1);
    let room = Room::asking(0, 1, more, Duration::from_secs(7200));
    tokio::spawn(async move {
        let ask = asked.recv().await.expect("it asks");
        tokio::time::sleep(Duration::from_secs(3600)).await;
        ask.granted.send(()).expect("somebody waits");
    });
    let mut deadline = Deadline(Instant::now() + SHORT);
    deadline.wait_for(&room, 1).await.expect("room");
    assert_eq!(deadline.0, Instant::now() + SHORT);
    // Its pump is gone: nobody is left who could run out of memory.
    deadline.wait_for(&room, 2).await.expect("room");
    assert_eq!(deadline.0, Instant::now() + SHORT);
}

#[tokio::test(start_paused = true)]
async fn no_reply_waits_for_room_until_its_messages_are_somebody_elses() {
    let (more, _asked) = mpsc::channel::<crate::source::Ask>(1);
    let room = Room::asking(0, 1, more, LONG);
    let waiting = room.grow(1);
    let looking = async {
        tokio::time::sleep(LONG / 2).await;
        room.is_awaited()
    };
    let (granted, awaited) = tokio::join!(waiting, looking);
    assert_eq!((granted, awaited), (Err(crate::source::NoRoom), true));
    assert!(!room.is_awaited());
    assert!(room.was_awaited(), "a moment ago");
    assert!(!room.was_awaited(), "not since");
}

#[tokio::test]
async fn a_renewal_lets_go_of_connections_at_rest_and_of_those_in_use() {
    let halves = Reply::Halves(Vec::new(), ok("{}"));
    let (service, client) = rig([Reply::Keep(ok("{}")), halves]).await;
    client.call(once(LONG)).await.expect("an answer");
    client.renew();
    service.until_closed(0).await;
    let (answer, ()) = tokio::join!(client.call(once(LONG)), async {
        service.until_heard(2).await;
        client.renew();
        service.go_on();
    });
    answer.expect("a call in hand is finished");
    service.until_closed(1).await;
    client.call(once(LONG)).await.expect("an answer");
    assert_eq!((service.connections(), client.connections.at_rest()), (3, 1));
}

#[tokio::test]
async fn a_connection_that_the_service_closed_at_rest_is_replaced() {
    let closing = answer(200, &[("connection", "close")], "{}");
    let (service, client) = rig([Reply::Cut(ok("{}")), Reply::Keep(closing)]).await;
    for _ in 0..3 {
        client.call(once(LONG)).await.expect("an answer");
    }
    assert_eq!(service.connections(), 3);
}

#[tokio::test]
async fn nobody_there_is_said_so() {
    // A port of nobody is one that was just given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = free.local_addr().expect("it has an address");
    drop(free);
    let client = client_of(&format!("http://{address}"), &[1]);
    let failure = client.call(twice(LONG)).await.expect_err("nobody");
    assert_eq!(failure.kind, ErrorKind::Unavailable);
    assert!(failure.message.contains("could not connect"), "{failure}");
}

#[tokio::test]
async fn a_long_error_is_not_read_to_its_end() {
    let (service, client) = rig([Reply::Keep(answer(400, &[], &"x".repeat(1 << 20)))]).await;
    let failure = client.call(once(LONG)).await.expect_err("an error");
    assert!(failure.message.contains("HTTP status 400"), "{failure}");
    service.until_closed(0).await;
}

#[test]
fn an_endpoint_that_is_none_is_refused() {
    for endpoint in ["", "ftp://example.com", "not a url", "/path"] {
        assert!(
            Client::new(endpoint, "eu-west-1", None, Clock::system()).is_err(),
            "{endpoint}"
        );
    }
}
