#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Clocks, Options, SharedCloud, serve};
use crate::model::Cloud;

/// A front on a port of its own, which stops when this is dropped.
struct Server {
    address: SocketAddr,
    cloud: SharedCloud,
    _stop: DropGuard,
}

/// What came back.
struct Answered {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cloud = SharedCloud::new(Cloud::default(), Clocks::new(1.0));
        let stop = CancellationToken::new();
        let served = serve(
            listener,
            cloud.clone(),
            Options::default(),
            stop.clone().cancelled_owned(),
        );
        tokio::spawn(async move { served.await.unwrap() });
        Self {
            address,
            cloud,
            _stop: stop.drop_guard(),
        }
    }

    async fn ask(&self, path: &str, key: &str, service: &str, headers: &[(&str, &str)], body: &[u8]) -> Answered {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let scope = format!("{key}/20261121/eu-west-1/{service}/aws4_request");
        let mut head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\
             authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00\r\n",
            self.address,
            body.len()
        );
        headers
            .iter()
            .for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Answered::read(&bytes)
    }

    async fn json(&self, key: &str, service: &str, target: &str, input: Value) -> Answered {
        let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target)];
        self.ask("/", key, service, &headers, input.to_string().as_bytes())
            .await
    }

    async fn query(&self, key: &str, service: &str, form: &str) -> Answered {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.ask("/", key, service, &headers, form.as_bytes()).await
    }

    async fn cbor(&self, operation: &str, input: &ciborium::Value) -> Answered {
        let mut body = Vec::new();
        ciborium::into_writer(input, &mut body).unwrap();
        let path = format!("/service/GraniteServiceVersion20100801/operation/{operation}");
        let headers = [("content-type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")];
        self.ask(&path, "k", "monitoring", &headers, &body).await
    }

    async fn make_queue(&self, key: &str) -> String {
        let made = self
            .json(key, "sqs", "AmazonSQS.CreateQueue", json!({"QueueName": "q"}))
            .await;
        made.value()["QueueUrl"].as_str().unwrap().to_owned()
    }
}

impl Answered {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            status,
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn cbor(&self) -> ciborium::Value {
        ciborium::from_reader(&self.body[..]).unwrap()
    }
}

fn map(members: &[(&str, ciborium::Value)]) -> ciborium::Value {
    ciborium::Value::Map(
        members
            .iter()
            .map(|(name, value)| (ciborium::Value::Text((*name).to_owned()), value.clone()))
            .collect(),
    )
}

#[tokio::test]
async fn json_goes_in_and_out_with_a_request_id() {
    let server = Server::start().await;
    let url = server.make_queue("k").await;
    assert_eq!(url, format!("http://{}/123456789012/q", server.address));
    let sent = server
        .json(
            "k",
            "sqs",
            "AmazonSQS.SendMessage",
            json!({"QueueUrl": url, "MessageBody": "hello"}),
        )
        .await;
    assert_eq!(sent.value()["MD5OfMessageBody"], "5d41402abc4b2a76b9719d911017c592");
    assert!(sent.head.contains("x-amzn-requestid: "), "{}", sent.head);
    let missing = json!({"QueueUrl": format!("http://{}/123456789012/gone", server.address)});
    let refused = server.json("k", "sqs", "AmazonSQS.PurgeQueue", missing).await;
    assert_eq!(
        (refused.status, &refused.value()["__type"]),
        (400, &json!("QueueDoesNotExist"))
    );
    let header = "x-amzn-query-error: aws.simplequeueservice.nonexistentqueue;sender";
    assert!(refused.head.contains(header), "{}", refused.head);
}

#[tokio::test]
async fn a_parameter_that_is_not_modelled_is_refused() {
    let server = Server::start().await;
    let input = json!({"SecretId": "n", "Colour": "red"});
    let refused = server
        .json("k", "secretsmanager", "secretsmanager.DescribeSecret", input)
        .await;
    assert_eq!(
        (refused.status, &refused.value()["__type"]),
        (400, &json!("ValidationException"))
    );
    assert!(
        refused.value()["message"].as_str().unwrap().contains("'Colour'"),
        "{}",
        refused.text()
    );
}

#[tokio::test]
async fn query_goes_in_and_xml_comes_out() {
    let server = Server::start().await;
    let made = server
        .query("k", "sns", "Action=CreateTopic&Version=2010-03-31&Name=t")
        .await;
    let arn = "<TopicArn>arn:aws:sns:eu-west-1:123456789012:t</TopicArn>";
    assert!(made.status == 200 && made.text().contains(arn), "{}", made.text());
    let missing = "Action=GetTopicAttributes&Version=2010-03-31&TopicArn=arn:aws:sns:eu-west-1:123456789012:gone";
    let refused = server.query("k", "sns", missing).await;
    assert_eq!(refused.status, 404);
    assert!(refused.text().contains("<Code>NotFound</Code>"), "{}", refused.text());
}

#[tokio::test]
async fn cbor_goes_in_and_out() {
    use ciborium::Value as Cbor;
    let server = Server::start().await;
    let at = server.cloud.now().fast / 1000;
    let datum = map(&[
        ("MetricName", Cbor::Text("A".into())),
        ("Value", Cbor::Float(1.5)),
        ("Timestamp", Cbor::Tag(1, Box::new(Cbor::Integer(at.into())))),
    ]);
    let input = map(&[
        ("Namespace", Cbor::Text("N".into())),
        ("MetricData", Cbor::Array(vec![datum])),
    ]);
    let put = server.cbor("PutMetricData", &input).await;
    assert_eq!(put.status, 200, "{:?}", String::from_utf8_lossy(&put.body));
    assert!(put.head.contains("smithy-protocol: rpc-v2-cbor"), "{}", put.head);
    let listed = server
        .cbor("ListMetrics", &map(&[("Namespace", Cbor::Text("N".into()))]))
        .await;
    assert!(
        format!("{:?}", listed.cbor()).contains("Text(\"A\")"),
        "{:?}",
        listed.cbor()
    );
    let refused = server.cbor("PutMetricData", &map(&[])).await;
    let code = "com.amazonaws#MissingRequiredParameterException";
    assert!(
        refused.status == 400 && format!("{:?}", refused.cbor()).contains(code),
        "{:?}",
        refused.cbor()
    );
    assert!(
        refused.head.contains("x-amzn-query-error: missingparameter;sender"),
        "{}",
        refused.head
    );
}

#[tokio::test]
async fn accounts_are_worlds_apart_but_for_the_account_in_a_queue_url() {
    let server = Server::start().await;
    let url = server.make_queue("111122223333").await;
    let listed = server
        .json("444455556666", "sqs", "AmazonSQS.ListQueues", json!({}))
        .await;
    assert_eq!(listed.value(), json!({}));
    let sent = server
        .json(
            "444455556666",
            "sqs",
            "AmazonSQS.SendMessage",
            json!({"QueueUrl": url, "MessageBody": "m"}),
        )
        .await;
    assert_eq!(sent.status, 200, "{}", sent.text());
}

#[tokio::test]
async fn an_assumed_role_acts_in_its_own_account() {
    let server = Server::start().await;
    let form = "Action=AssumeRole&Version=2011-06-15&RoleSessionName=session&RoleArn=arn:aws:iam::999988887777:role/r";
    let text = server.query("k", "sts", form).await.text();
    let key = text
        .split("<AccessKeyId>")
        .nth(1)
        .unwrap()
        .split('<')
        .next()
        .unwrap()
        .to_owned();
    let identity = server
        .query(&key, "sts", "Action=GetCallerIdentity&Version=2011-06-15")
        .await
        .text();
    assert!(
        identity.contains("arn:aws:sts::999988887777:assumed-role/r/session"),
        "{identity}"
    );
}

#[tokio::test]
async fn a_long_poll_is_answered_by_the_message_that_it_waits_for() {
    let server = Server::start().await;
    let url = server.make_queue("k").await;
    let input = json!({"QueueUrl": url, "WaitTimeSeconds": 20});
    let send = async {
        // The poll is under way once it holds the announcement it waits on; a send before that is found at once as well.
        tokio::task::yield_now().await;
        server
            .json(
                "k",
                "sqs",
                "AmazonSQS.SendMessage",
                json!({"QueueUrl": url, "MessageBody": "m"}),
            )
            .await
    };
    let (received, _) = tokio::join!(server.json("k", "sqs", "AmazonSQS.ReceiveMessage", input), send);
    assert_eq!(received.value()["Messages"][0]["Body"], "m");
}

#[tokio::test]
async fn an_unsigned_request_and_an_unknown_operation_are_refused() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(Answered::read(&bytes).status, 403);
    let refused = server
        .json("k", "sqs", "AmazonSQS.StartMessageMoveTask", json!({}))
        .await;
    assert_eq!(
        (refused.status, &refused.value()["__type"]),
        (400, &json!("UnknownOperationException"))
    );
}
