#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use crate::model::{Answer, Cloud, Now, Scope, Service};

fn scope() -> Scope {
    Scope {
        account: "111122223333".into(),
        region: "eu-west-1".into(),
    }
}

const NOW: Now = Now {
    real: 1_795_219_200_000,
    fast: 0,
};

fn call(cloud: &mut Cloud, service: Service, operation: &str, input: Value) -> Answer {
    cloud.handle(service, &scope(), operation, &input, NOW)
}

fn sns(cloud: &mut Cloud, operation: &str, input: Value) -> Answer {
    call(cloud, Service::Sns, operation, input)
}

/// Makes a queue and a topic of the given names and joins them; returns the topic's ARN and the queue's URL.
fn joined(cloud: &mut Cloud, topic: Value, queue: Value, attributes: Value) -> (String, String) {
    let arn = sns(cloud, "CreateTopic", topic).unwrap()["TopicArn"]
        .as_str()
        .unwrap()
        .to_owned();
    let name = queue["QueueName"].as_str().unwrap().to_owned();
    let url = call(cloud, Service::Sqs, "CreateQueue", queue).unwrap()["QueueUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    let endpoint = scope().arn("sqs", &name);
    let input = json!({"TopicArn": arn, "Protocol": "sqs", "Endpoint": endpoint, "Attributes": attributes});
    sns(cloud, "Subscribe", input).unwrap();
    (arn, url)
}

fn received(cloud: &mut Cloud, url: &str) -> Vec<Value> {
    let input = json!({"QueueUrl": url, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]});
    let answer = call(cloud, Service::Sqs, "ReceiveMessage", input).unwrap();
    answer
        .get("Messages")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

#[test]
fn a_queue_gets_the_envelope() {
    let mut cloud = Cloud::default();
    let (arn, url) = joined(&mut cloud, json!({"Name": "t"}), json!({"QueueName": "q"}), json!({}));
    let input = json!({"TopicArn": arn, "Message": "hello", "Subject": "s",
        "MessageAttributes": {"a": {"DataType": "String", "StringValue": "v"}}});
    let published = sns(&mut cloud, "Publish", input).unwrap();
    let messages = received(&mut cloud, &url);
    let body: Value = serde_json::from_str(messages[0]["Body"].as_str().unwrap()).unwrap();
    assert_eq!(body["Type"], "Notification");
    assert_eq!(body["MessageId"], published["MessageId"]);
    assert_eq!((&body["TopicArn"], &body["Subject"]), (&json!(arn), &json!("s")));
    assert_eq!(
        (&body["Message"], &body["Timestamp"]),
        (&json!("hello"), &json!("2026-11-21T00:00:00.000Z"))
    );
    assert_eq!(
        body["MessageAttributes"],
        json!({"a": {"Type": "String", "Value": "v"}})
    );
    for name in ["SignatureVersion", "Signature", "SigningCertURL", "UnsubscribeURL"] {
        assert!(body[name].is_string(), "{name}");
    }
}

#[test]
fn raw_delivery_leaves_the_envelope_out() {
    let mut cloud = Cloud::default();
    let raw = json!({"RawMessageDelivery": "true"});
    let (arn, url) = joined(&mut cloud, json!({"Name": "t"}), json!({"QueueName": "q"}), raw);
    let input = json!({"TopicArn": arn, "Message": "hello",
        "MessageAttributes": {"a": {"DataType": "String", "StringValue": "v"}}});
    sns(&mut cloud, "Publish", input).unwrap();
    let messages = received(&mut cloud, &url);
    assert_eq!(messages[0]["Body"], "hello");
    assert_eq!(messages[0]["MessageAttributes"]["a"]["StringValue"], "v");
}

#[test]
fn an_alarm_reaches_a_queue_of_another_account() {
    let mut cloud = Cloud::default();
    let other = Scope {
        account: "444455556666".into(),
        region: "eu-west-1".into(),
    };
    cloud
        .handle(Service::Sqs, &other, "CreateQueue", &json!({"QueueName": "q"}), NOW)
        .unwrap();
    let arn = sns(&mut cloud, "CreateTopic", json!({"Name": "t"})).unwrap()["TopicArn"]
        .as_str()
        .unwrap()
        .to_owned();
    let endpoint = other.arn("sqs", "q");
    sns(
        &mut cloud,
        "Subscribe",
        json!({"TopicArn": arn, "Protocol": "sqs", "Endpoint": endpoint}),
    )
    .unwrap();
    cloud.publish(&arn, Some("ALARM"), "it is high", NOW).unwrap();
    let url = "http://127.0.0.1:1/444455556666/q";
    assert_eq!(received(&mut cloud, url).len(), 1);
    let missing = cloud.publish(&format!("{arn}-gone"), None, "m", NOW).unwrap_err();
    assert_eq!(missing.code, "NotFoundException");
}

#[test]
fn a_fifo_topic_keeps_groups_and_drops_repeats() {
    let mut cloud = Cloud::default();
    let topic = json!({"Name": "t.fifo", "Attributes": {"FifoTopic": "true"}});
    let queue = json!({"QueueName": "q.fifo", "Attributes": {"FifoQueue": "true"}});
    let (arn, url) = joined(&mut cloud, topic, queue, json!({}));
    let input = json!({"TopicArn": arn, "Message": "m", "MessageGroupId": "g", "MessageDeduplicationId": "d"});
    let first = sns(&mut cloud, "Publish", input.clone()).unwrap();
    let again = sns(&mut cloud, "Publish", input).unwrap();
    assert_eq!(first, again);
    assert!(first["SequenceNumber"].is_string());
    assert_eq!(received(&mut cloud, &url).len(), 1);
    let bare = sns(&mut cloud, "Publish", json!({"TopicArn": arn, "Message": "m"})).unwrap_err();
    assert_eq!(bare.code, "InvalidParameterException");
}

#[test]
fn a_queue_policy_that_does_not_name_the_topic_keeps_it_out() {
    let mut cloud = Cloud::default();
    let (arn, url) = joined(&mut cloud, json!({"Name": "t"}), json!({"QueueName": "q"}), json!({}));
    let policy = |source: &str| {
        json!({"Statement": [{"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": "*", "Condition": {"ArnEquals": {"aws:SourceArn": source}}}]})
        .to_string()
    };
    for (source, expected) in [("arn:aws:sns:eu-west-1:111122223333:other", 0), (arn.as_str(), 1)] {
        let input = json!({"QueueUrl": url, "Attributes": {"Policy": policy(source)}});
        call(&mut cloud, Service::Sqs, "SetQueueAttributes", input).unwrap();
        sns(&mut cloud, "Publish", json!({"TopicArn": arn, "Message": "m"})).unwrap();
        assert_eq!(received(&mut cloud, &url).len(), expected);
    }
}

#[test]
fn a_queue_policy_speaks_of_the_queues_that_it_names() {
    let mut cloud = Cloud::default();
    let (arn, url) = joined(&mut cloud, json!({"Name": "t"}), json!({"QueueName": "q"}), json!({}));
    for (resource, expected) in [
        (json!("arn:aws:sqs:eu-west-1:111122223333:other"), 0),
        (Value::Null, 0),
        (
            json!(["arn:aws:sqs:eu-west-1:111122223333:other", scope().arn("sqs", "q")]),
            1,
        ),
        (json!("arn:aws:sqs:*:111122223333:*"), 1),
    ] {
        let statement = json!({"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": resource});
        let policy = json!({"Statement": statement}).to_string();
        let input = json!({"QueueUrl": url, "Attributes": {"Policy": policy}});
        call(&mut cloud, Service::Sqs, "SetQueueAttributes", input).unwrap();
        sns(&mut cloud, "Publish", json!({"TopicArn": arn, "Message": "m"})).unwrap();
        assert_eq!(received(&mut cloud, &url).len(), expected, "{resource}");
    }
}

#[test]
fn what_is_not_modelled_is_refused() {
    let mut cloud = Cloud::default();
    let arn = sns(&mut cloud, "CreateTopic", json!({"Name": "t"})).unwrap()["TopicArn"].clone();
    let email = json!({"TopicArn": arn, "Protocol": "email", "Endpoint": "a@example.com"});
    assert_eq!(
        sns(&mut cloud, "Subscribe", email).unwrap_err().code,
        "InvalidParameterException"
    );
    let fifo = json!({"TopicArn": arn, "Protocol": "sqs", "Endpoint": scope().arn("sqs", "q.fifo")});
    assert_eq!(
        sns(&mut cloud, "Subscribe", fifo).unwrap_err().code,
        "InvalidParameterException"
    );
    let kms = json!({"TopicArn": arn, "AttributeName": "KmsMasterKeyId", "AttributeValue": "k"});
    assert_eq!(
        sns(&mut cloud, "SetTopicAttributes", kms).unwrap_err().code,
        "InvalidParameterException"
    );
}

#[test]
fn lists_are_paged_and_subscribing_twice_gives_one_subscription() {
    let mut cloud = Cloud::default();
    for index in 0..150 {
        sns(&mut cloud, "CreateTopic", json!({"Name": format!("t{index}")})).unwrap();
    }
    let first = sns(&mut cloud, "ListTopics", json!({})).unwrap();
    let second = sns(&mut cloud, "ListTopics", json!({"NextToken": first["NextToken"]})).unwrap();
    let count = |page: &Value| page["Topics"].as_array().unwrap().len();
    assert_eq!(
        (count(&first), count(&second), &second["NextToken"]),
        (100, 50, &Value::Null)
    );
    let arn = &first["Topics"][0]["TopicArn"];
    let input = json!({"TopicArn": arn, "Protocol": "sqs", "Endpoint": scope().arn("sqs", "q")});
    let one = sns(&mut cloud, "Subscribe", input.clone()).unwrap();
    assert_eq!(one, sns(&mut cloud, "Subscribe", input).unwrap());
    let listed = sns(&mut cloud, "ListSubscriptionsByTopic", json!({"TopicArn": arn})).unwrap();
    assert_eq!(listed["Subscriptions"].as_array().unwrap().len(), 1);
}
