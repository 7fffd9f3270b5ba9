#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::Sqs;
use super::store::Place;
use crate::model::{Answer, Call, Millis, Now, Scope};

const START: Millis = 1_795_219_200_000;
const SECOND: Millis = 1_000;

/// A world with one queue and a clock.
struct World {
    sqs: Sqs,
    now: Millis,
    url: String,
}

impl World {
    fn standard(attributes: Value) -> Self {
        Self::new("q", attributes)
    }

    fn fifo(mut attributes: Value) -> Self {
        attributes["FifoQueue"] = json!("true");
        Self::new("q.fifo", attributes)
    }

    fn new(name: &str, attributes: Value) -> Self {
        let mut world = Self {
            sqs: Sqs::default(),
            now: START,
            url: String::new(),
        };
        world.url = world.create(name, attributes);
        world
    }

    fn create(&mut self, name: &str, attributes: Value) -> String {
        let answer = self
            .call("CreateQueue", json!({"QueueName": name, "Attributes": attributes}))
            .unwrap();
        answer["QueueUrl"].as_str().unwrap().to_owned()
    }

    fn call(&mut self, operation: &str, input: Value) -> Answer {
        let scope = Scope {
            account: "111122223333".into(),
            region: "eu-west-1".into(),
        };
        let now = Now {
            real: self.now,
            fast: 0,
        };
        self.sqs.handle(&Call {
            scope: &scope,
            operation,
            input: &input,
            now,
        })
    }

    /// Makes a call on the queue.
    fn ask(&mut self, operation: &str, mut input: Value) -> Answer {
        input["QueueUrl"] = json!(self.url);
        self.call(operation, input)
    }

    fn send(&mut self, body: &str) -> Value {
        self.ask("SendMessage", json!({"MessageBody": body})).unwrap()
    }

    fn send_to_group(&mut self, group: &str, body: &str) -> Value {
        let input = json!({"MessageBody": body, "MessageGroupId": group, "MessageDeduplicationId": body});
        self.ask("SendMessage", input).unwrap()
    }

    fn receive(&mut self, most: usize) -> Vec<Value> {
        self.receive_with(json!({"MaxNumberOfMessages": most, "MessageSystemAttributeNames": ["All"]}))
    }

    fn receive_with(&mut self, input: Value) -> Vec<Value> {
        let answer = self.ask("ReceiveMessage", input).unwrap();
        answer
            .get("Messages")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    }

    fn delete(&mut self, message: &Value) -> Answer {
        self.ask("DeleteMessage", json!({"ReceiptHandle": message["ReceiptHandle"]}))
    }

    fn change(&mut self, message: &Value, seconds: i64) -> Answer {
        let input = json!({"ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": seconds});
        self.ask("ChangeMessageVisibility", input)
    }

    fn oldest_age(&mut self, name: &str) -> u64 {
        let now = Now {
            real: self.now,
            fast: 0,
        };
        let gauges = self.sqs.gauges(now);
        let of_it = gauges.iter().find(|(queue, _)| queue == name);
        of_it.unwrap().1.oldest_age_seconds
    }

    /// Returns visible, in flight and delayed, as the attributes tell.
    fn counts(&mut self) -> [u64; 3] {
        let attributes = self
            .ask("GetQueueAttributes", json!({"AttributeNames": ["All"]}))
            .unwrap()["Attributes"]
            .clone();
        ["", "NotVisible", "Delayed"].map(|suffix| {
            attributes[format!("ApproximateNumberOfMessages{suffix}")]
                .as_str()
                .unwrap()
                .parse()
                .unwrap()
        })
    }
}

fn bodies(messages: &[Value]) -> String {
    messages
        .iter()
        .map(|message| message["Body"].as_str().unwrap())
        .collect::<Vec<_>>()
        .join(" ")
}

fn code(answer: Answer) -> String {
    answer.unwrap_err().code
}

#[test]
fn a_message_is_hidden_while_it_is_held_and_comes_back_after() {
    let mut world = World::standard(json!({"VisibilityTimeout": "10"}));
    world.send("a");
    assert_eq!(bodies(&world.receive(1)), "a");
    assert_eq!((world.counts(), world.receive(1).len()), ([0, 1, 0], 0));
    world.now += 10 * SECOND;
    let again = world.receive(1);
    assert_eq!(again[0]["Attributes"]["ApproximateReceiveCount"], "2");
    assert_eq!(
        again[0]["Attributes"]["ApproximateFirstReceiveTimestamp"],
        START.to_string()
    );
    world.delete(&again[0]).unwrap();
    assert_eq!(world.counts(), [0, 0, 0]);
}

#[test]
fn an_older_handle_deletes_nothing_on_a_standard_queue() {
    let mut world = World::standard(json!({}));
    world.send("a");
    let first = world.receive(1);
    world.now += 30 * SECOND;
    let second = world.receive(1);
    world.delete(&first[0]).unwrap();
    assert_eq!(world.counts(), [0, 1, 0]);
    world.now += 30 * SECOND;
    world.delete(&second[0]).unwrap();
    assert_eq!(world.counts(), [0, 0, 0]);
    world.delete(&second[0]).unwrap();
    assert_eq!(
        code(world.ask("DeleteMessage", json!({"ReceiptHandle": "nonsense"}))),
        "ReceiptHandleIsInvalid"
    );
}

#[test]
fn a_fifo_queue_refuses_a_handle_whose_lease_is_over() {
    let mut world = World::fifo(json!({}));
    world.send_to_group("g", "a");
    let held = world.receive(1);
    world.now += 30 * SECOND;
    assert_eq!(code(world.delete(&held[0])), "InvalidParameterValue");
    let again = world.receive(1);
    world.delete(&again[0]).unwrap();
    world.delete(&again[0]).unwrap();
}

#[test]
fn a_lease_is_changed_only_while_it_is_held_and_up_to_twelve_hours() {
    let mut world = World::standard(json!({}));
    world.send("a");
    let held = world.receive(1);
    world.change(&held[0], 60).unwrap();
    world.now += 59 * SECOND;
    assert_eq!(world.counts(), [0, 1, 0]);
    assert_eq!(code(world.change(&held[0], 43_200)), "InvalidParameterValue");
    world.change(&held[0], 0).unwrap();
    assert_eq!(world.counts(), [1, 0, 0]);
    assert_eq!(code(world.change(&held[0], 60)), "MessageNotInflight");
    let again = world.receive(1);
    assert_eq!(code(world.change(&held[0], 60)), "InvalidParameterValue");
    world.delete(&again[0]).unwrap();
    assert_eq!(code(world.change(&again[0], 60)), "InvalidParameterValue");
    assert_eq!(code(world.change(&again[0], 43_201)), "InvalidParameterValue");
}

#[test]
fn a_delay_hides_a_message_and_its_own_rules_over_the_queues() {
    let mut world = World::standard(json!({"DelaySeconds": "5"}));
    world.send("late");
    world
        .ask("SendMessage", json!({"MessageBody": "now", "DelaySeconds": 0}))
        .unwrap();
    assert_eq!(world.counts(), [1, 0, 1]);
    assert_eq!(bodies(&world.receive(10)), "now");
    world.now += 5 * SECOND;
    assert_eq!(bodies(&world.receive(10)), "late");
    assert_eq!(
        code(world.ask("SendMessage", json!({"MessageBody": "x", "DelaySeconds": 901}))),
        "InvalidParameterValue"
    );
}

#[test]
fn a_fifo_queues_new_delay_holds_for_what_was_sent_before() {
    let mut world = World::fifo(json!({"DelaySeconds": "60"}));
    world.send_to_group("g", "a");
    world
        .ask("SetQueueAttributes", json!({"Attributes": {"DelaySeconds": "5"}}))
        .unwrap();
    world.now += 5 * SECOND;
    assert_eq!(bodies(&world.receive(10)), "a");
}

#[test]
fn messages_are_forgotten_after_the_retention() {
    let mut world = World::standard(json!({"MessageRetentionPeriod": "60"}));
    world.send("a");
    world.receive(1);
    world.now += 60 * SECOND;
    assert_eq!((world.receive(1).len(), world.counts()), (0, [0, 0, 0]));
}

#[test]
fn a_group_is_closed_while_one_of_its_messages_is_in_flight() {
    let mut world = World::fifo(json!({}));
    for (group, body) in [("g", "g1"), ("h", "h1"), ("g", "g2"), ("g", "g3")] {
        world.send_to_group(group, body);
    }
    let first = world.receive(2);
    assert_eq!(bodies(&first), "g1 g2");
    assert_eq!(bodies(&world.receive(10)), "h1");
    world.delete(&first[0]).unwrap();
    assert_eq!(world.receive(10).len(), 0);
    world.change(&first[1], 0).unwrap();
    assert_eq!(bodies(&world.receive(10)), "g2 g3");
}

#[test]
fn one_receive_takes_from_several_groups() {
    let mut world = World::fifo(json!({}));
    for (group, body) in [("g", "g1"), ("h", "h1"), ("g", "g2"), ("h", "h2")] {
        world.send_to_group(group, body);
    }
    assert_eq!(bodies(&world.receive(10)), "g1 g2 h1 h2");
}

#[test]
fn a_repeat_within_five_minutes_is_answered_and_not_sent() {
    let mut world = World::fifo(json!({}));
    let first = world.send_to_group("g", "a");
    let held = world.receive(1);
    world.delete(&held[0]).unwrap();
    let again = world.send_to_group("h", "a");
    assert_eq!(
        (&first["MessageId"], &first["SequenceNumber"]),
        (&again["MessageId"], &again["SequenceNumber"])
    );
    assert_eq!(world.counts(), [0, 0, 0]);
    world.now += 300 * SECOND;
    let later = world.send_to_group("g", "a");
    assert_ne!(first["MessageId"], later["MessageId"]);
    assert!(later["SequenceNumber"].as_str().unwrap() > first["SequenceNumber"].as_str().unwrap());
}

#[test]
fn ids_are_compared_within_groups_when_the_scope_says_so() {
    let mut world =
        World::fifo(json!({"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}));
    world.send_to_group("g", "a");
    world.send_to_group("h", "a");
    world.send_to_group("h", "a");
    assert_eq!(world.counts(), [2, 0, 0]);
}

#[test]
fn the_body_can_stand_for_the_deduplication_id() {
    let mut world = World::fifo(json!({}));
    let input = json!({"MessageBody": "a", "MessageGroupId": "g"});
    assert_eq!(code(world.ask("SendMessage", input.clone())), "InvalidParameterValue");
    world
        .ask(
            "SetQueueAttributes",
            json!({"Attributes": {"ContentBasedDeduplication": "true"}}),
        )
        .unwrap();
    let first = world.ask("SendMessage", input.clone()).unwrap();
    assert_eq!(first, world.ask("SendMessage", input).unwrap());
    let received = world.receive(1);
    assert_eq!(
        received[0]["Attributes"]["MessageDeduplicationId"]
            .as_str()
            .unwrap()
            .len(),
        64
    );
}

#[test]
fn each_kind_of_queue_refuses_what_belongs_to_the_other() {
    let mut world = World::fifo(json!({}));
    assert_eq!(
        code(world.ask("SendMessage", json!({"MessageBody": "a"}))),
        "MissingParameter"
    );
    let delayed = json!({"MessageBody": "a", "MessageGroupId": "g", "MessageDeduplicationId": "d", "DelaySeconds": 1});
    assert_eq!(code(world.ask("SendMessage", delayed)), "InvalidParameterValue");
    let mut world = World::standard(json!({}));
    let id = json!({"MessageBody": "a", "MessageDeduplicationId": "d"});
    assert_eq!(code(world.ask("SendMessage", id)), "InvalidParameterValue");
    let attempt = json!({"ReceiveRequestAttemptId": "r"});
    assert_eq!(code(world.ask("ReceiveMessage", attempt)), "InvalidParameterValue");
    world
        .ask("SendMessage", json!({"MessageBody": "a", "MessageGroupId": "tenant"}))
        .unwrap();
    assert_eq!(world.receive(1)[0]["Attributes"]["MessageGroupId"], "tenant");
}

#[test]
fn a_retried_attempt_gets_the_same_messages_under_the_same_handles() {
    let mut world = World::fifo(json!({}));
    world.send_to_group("g", "a");
    world.send_to_group("g", "b");
    let attempt = json!({"ReceiveRequestAttemptId": "r", "MaxNumberOfMessages": 10});
    let first = world.receive_with(attempt.clone());
    world.now += 20 * SECOND;
    let input = json!({"QueueUrl": world.url, "ReceiveRequestAttemptId": "r", "WaitTimeSeconds": 20});
    let now = Now {
        real: world.now,
        fast: 0,
    };
    assert_eq!(world.sqs.time_to_wait(&input, world.now, now), None);
    assert_eq!(world.receive_with(attempt.clone()), first);
    world.now += 20 * SECOND;
    assert_eq!(world.counts(), [0, 2, 0]);
    world.delete(&first[0]).unwrap();
    assert_eq!(world.receive_with(attempt).len(), 0);
}

#[test]
fn what_was_received_too_often_goes_to_the_dead_letter_queue() {
    let mut world = World::standard(json!({}));
    let dead = world.create("dead", json!({}));
    let policy = json!({"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:111122223333:dead", "maxReceiveCount": "2"});
    world
        .ask(
            "SetQueueAttributes",
            json!({"Attributes": {"RedrivePolicy": policy.to_string()}}),
        )
        .unwrap();
    let sent = world.send("poison");
    world.send("fine");
    for _ in 0..2 {
        let poison = world.receive(1);
        assert_eq!(bodies(&poison), "poison");
        world.change(&poison[0], 0).unwrap();
    }
    assert_eq!(bodies(&world.receive(10)), "fine");
    let sources = world
        .call("ListDeadLetterSourceQueues", json!({"QueueUrl": dead}))
        .unwrap();
    assert_eq!(sources["queueUrls"], json!([world.url]));
    world.url = dead;
    let buried = world.receive(10);
    assert_eq!(buried[0]["MessageId"], sent["MessageId"]);
    assert_eq!(
        buried[0]["Attributes"]["DeadLetterQueueSourceArn"],
        "arn:aws:sqs:eu-west-1:111122223333:q"
    );
    assert_eq!(buried[0]["Attributes"]["SentTimestamp"], START.to_string());
}

#[test]
fn a_buried_message_ages_in_the_dead_letter_queue_from_when_it_moved() {
    let mut world = World::standard(json!({}));
    let dead = world.create("dead", json!({}));
    let policy = json!({"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:111122223333:dead", "maxReceiveCount": 3});
    let attributes = json!({"Attributes": {"RedrivePolicy": policy.to_string()}});
    world.ask("SetQueueAttributes", attributes).unwrap();
    world.send("poison");
    for _ in 0..3 {
        let poison = world.receive(1);
        world.change(&poison[0], 0).unwrap();
    }
    world.now += 60 * SECOND;
    assert_eq!(world.receive(1).len(), 0);
    world.now += 30 * SECOND;
    world.url = dead;
    assert_eq!(world.oldest_age("dead"), 30);
    for _ in 0..2 {
        let seen = world.receive(1);
        world.change(&seen[0], 0).unwrap();
    }
    assert_eq!(world.oldest_age("dead"), 30);
    world.receive(1);
    assert_eq!(
        world.oldest_age("dead"),
        0,
        "received three times from here, it no longer counts"
    );
}

#[test]
fn what_was_received_three_times_goes_to_the_back_of_a_standard_queue_alone() {
    let receive_thrice = |world: &mut World| {
        for _ in 0..3 {
            let poison = world.receive(1);
            assert_eq!(bodies(&poison), "poison");
            world.change(&poison[0], 0).unwrap();
        }
        bodies(&world.receive(10))
    };
    let mut standard = World::standard(json!({}));
    let mut fifo = World::fifo(json!({}));
    for body in ["poison", "later"] {
        standard.send(body);
        fifo.send_to_group(body, body);
    }
    assert_eq!(receive_thrice(&mut standard), "later poison");
    assert_eq!(receive_thrice(&mut fifo), "poison later");
}

#[test]
fn a_dead_letter_queue_admits_the_sources_that_it_allows() {
    let mut world = World::standard(json!({}));
    let source = "arn:aws:sqs:eu-west-1:111122223333:q";
    let by_queue = |arns: Value| json!({"redrivePermission": "byQueue", "sourceQueueArns": arns});
    for (number, (allowed, expected)) in [
        (json!({"redrivePermission": "allowAll"}), ""),
        (json!({"redrivePermission": "denyAll"}), "InvalidParameterValue"),
        (by_queue(json!([source])), ""),
        (
            by_queue(json!(["arn:aws:sqs:eu-west-1:111122223333:r"])),
            "InvalidParameterValue",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        world.create(
            &format!("dead{number}"),
            json!({"RedriveAllowPolicy": allowed.to_string()}),
        );
        let target = format!("arn:aws:sqs:eu-west-1:111122223333:dead{number}");
        let policy = json!({"deadLetterTargetArn": target, "maxReceiveCount": 1}).to_string();
        let answer = world.ask("SetQueueAttributes", json!({"Attributes": {"RedrivePolicy": policy}}));
        assert_eq!(
            answer.map_or_else(|fault| fault.code, |_| String::new()),
            expected,
            "{allowed}"
        );
    }
}

#[test]
fn a_redrive_allow_policy_that_makes_no_sense_is_refused() {
    let mut world = World::standard(json!({}));
    for policy in [
        json!({}),
        json!({"redrivePermission": "byqueue", "sourceQueueArns": ["a"]}),
        json!({"redrivePermission": "byQueue"}),
        json!({"redrivePermission": "byQueue", "sourceQueueArns": []}),
        json!({"redrivePermission": "denyAll", "sourceQueueArns": ["a"]}),
        json!({"redrivePermission": "byQueue", "sourceQueues": ["a"]}),
        json!(["denyAll"]),
    ] {
        let input = json!({"Attributes": {"RedriveAllowPolicy": policy.to_string()}});
        let refused = code(world.ask("SetQueueAttributes", input));
        assert_eq!(refused, "InvalidParameterValue", "{policy}");
    }
}

#[test]
fn a_dead_letter_queue_must_be_there_and_of_the_same_kind() {
    let mut world = World::standard(json!({}));
    world.create("dead.fifo", json!({"FifoQueue": "true"}));
    for (name, count) in [("gone", 1), ("dead.fifo", 1), ("q", 0)] {
        let target = format!("arn:aws:sqs:eu-west-1:111122223333:{name}");
        let policy = json!({"deadLetterTargetArn": target, "maxReceiveCount": count}).to_string();
        let input = json!({"Attributes": {"RedrivePolicy": policy}});
        assert_eq!(
            code(world.ask("SetQueueAttributes", input)),
            "InvalidParameterValue",
            "{name}"
        );
    }
}

#[test]
fn a_batch_tells_of_each_entry() {
    let mut world = World::standard(json!({}));
    let entries = json!([{"Id": "a", "MessageBody": "x"}, {"Id": "b", "MessageBody": "x", "DelaySeconds": 901}]);
    let answer = world.ask("SendMessageBatch", json!({"Entries": entries})).unwrap();
    assert_eq!(
        (&answer["Successful"][0]["Id"], &answer["Failed"][0]["Id"]),
        (&json!("a"), &json!("b"))
    );
    assert_eq!(answer["Failed"][0]["SenderFault"], true);
    let held = world.receive(1);
    let entries = json!([{"Id": "a", "ReceiptHandle": held[0]["ReceiptHandle"]}, {"Id": "b", "ReceiptHandle": "?"}]);
    let answer = world.ask("DeleteMessageBatch", json!({"Entries": entries})).unwrap();
    assert_eq!(answer["Successful"], json!([{"Id": "a"}]));
    assert_eq!(answer["Failed"][0]["Code"], "ReceiptHandleIsInvalid");
}

#[test]
fn a_batch_has_limits_of_its_own() {
    let mut world = World::standard(json!({}));
    let entry = |id: &str, body: &str| json!({"Id": id, "MessageBody": body});
    let half = "x".repeat(600_000);
    for (entries, expected) in [
        (json!([]), "EmptyBatchRequest"),
        (json!([entry("a", "x"), entry("a", "y")]), "BatchEntryIdsNotDistinct"),
        (json!([entry("a b", "x")]), "InvalidBatchEntryId"),
        (json!([entry("a", &half), entry("b", &half)]), "BatchRequestTooLong"),
        (
            json!((0..11).map(|id| entry(&id.to_string(), "x")).collect::<Vec<_>>()),
            "TooManyEntriesInBatchRequest",
        ),
    ] {
        assert_eq!(
            code(world.ask("SendMessageBatch", json!({"Entries": entries}))),
            expected
        );
    }
}

#[test]
fn bodies_have_a_size_and_an_alphabet() {
    let mut world = World::standard(json!({"MaximumMessageSize": "1024"}));
    world.send(&"x".repeat(1024));
    let code_of = |world: &mut World, body: &str| code(world.ask("SendMessage", json!({"MessageBody": body})));
    assert_eq!(code_of(&mut world, &"x".repeat(1025)), "InvalidParameterValue");
    assert_eq!(code_of(&mut world, "a\u{1}"), "InvalidMessageContents");
    assert_eq!(code_of(&mut world, ""), "MissingParameter");
    let attribute = json!({"a": {"DataType": "Text", "StringValue": "v"}});
    let input = json!({"MessageBody": "a", "MessageAttributes": attribute});
    assert_eq!(code(world.ask("SendMessage", input)), "InvalidParameterValue");
}

#[test]
fn a_queue_is_made_once_under_a_name_and_a_kind() {
    let mut world = World::standard(json!({"VisibilityTimeout": "10"}));
    let create = |world: &mut World, name: &str, attributes: Value| {
        world.call("CreateQueue", json!({"QueueName": name, "Attributes": attributes}))
    };
    assert!(create(&mut world, "q", json!({})).is_ok());
    assert!(create(&mut world, "q", json!({"VisibilityTimeout": "10"})).is_ok());
    assert_eq!(
        code(create(&mut world, "q", json!({"VisibilityTimeout": "11"}))),
        "QueueNameExists"
    );
    assert_eq!(
        code(create(&mut world, "s", json!({"FifoQueue": "false"}))),
        "InvalidAttributeName"
    );
    assert_eq!(
        code(create(&mut world, "s", json!({"ContentBasedDeduplication": "true"}))),
        "InvalidAttributeName"
    );
    assert_eq!(
        code(create(&mut world, "s", json!({"KmsMasterKeyId": "k"}))),
        "InvalidAttributeName"
    );
    assert_eq!(code(create(&mut world, "s.fifo", json!({}))), "InvalidParameterValue");
    assert_eq!(
        code(create(&mut world, "s", json!({"FifoQueue": "true"}))),
        "InvalidParameterValue"
    );
    assert_eq!(
        code(create(&mut world, "s", json!({"DelaySeconds": "901"}))),
        "InvalidAttributeValue"
    );
}

#[test]
fn a_deleted_name_rests_for_a_minute_and_a_purge_too() {
    let mut world = World::standard(json!({}));
    world.send("a");
    world.ask("PurgeQueue", json!({})).unwrap();
    assert_eq!(world.counts(), [0, 0, 0]);
    assert_eq!(code(world.ask("PurgeQueue", json!({}))), "PurgeQueueInProgress");
    world.ask("DeleteQueue", json!({})).unwrap();
    assert_eq!(
        code(world.ask("SendMessage", json!({"MessageBody": "a"}))),
        "QueueDoesNotExist"
    );
    assert_eq!(
        code(world.call("CreateQueue", json!({"QueueName": "q"}))),
        "QueueDeletedRecently"
    );
    world.now += 60 * SECOND;
    world.create("q", json!({}));
}

#[test]
fn a_handle_of_a_purged_message_names_no_later_one() {
    let mut world = World::standard(json!({}));
    world.send("old");
    let held = world.receive(1);
    world.ask("PurgeQueue", json!({})).unwrap();
    world.send("new");
    world.delete(&held[0]).unwrap();
    assert_eq!(world.counts(), [1, 0, 0]);
}

#[test]
fn lists_are_paged_when_a_size_is_given() {
    let mut world = World::standard(json!({}));
    for name in ["a", "b", "c"] {
        world.create(name, json!({}));
    }
    let first = world.call("ListQueues", json!({"MaxResults": 3})).unwrap();
    let second = world
        .call("ListQueues", json!({"MaxResults": 3, "NextToken": first["NextToken"]}))
        .unwrap();
    assert_eq!(first["QueueUrls"].as_array().unwrap().len(), 3);
    assert_eq!(
        (&second["QueueUrls"], &second["NextToken"]),
        (&json!([world.url]), &Value::Null)
    );
    assert_eq!(
        world.call("ListQueues", json!({"QueueNamePrefix": "z"})).unwrap(),
        json!({})
    );
}

#[test]
fn gauges_and_counters_tell_what_cloudwatch_would_be_told() {
    let mut world = World::standard(json!({}));
    world.send("poison");
    world.now += 60 * SECOND;
    world.send("later");
    for _ in 0..3 {
        let poison = world.receive(1);
        world.change(&poison[0], 0).unwrap();
    }
    world.now += 30 * SECOND;
    let now = Now {
        real: world.now,
        fast: 0,
    };
    let gauges = world.sqs.gauges(now)[0].1;
    // The first message was received three times, so the second is the oldest that counts.
    assert_eq!(
        (gauges.visible, gauges.not_visible, gauges.oldest_age_seconds),
        (2, 0, 30)
    );
    world.receive(10);
    assert_eq!(world.receive(1).len(), 0);
    let counters = world.sqs.take_counters()[0].1;
    assert_eq!(
        (
            counters.sent,
            counters.received,
            counters.deleted,
            counters.empty_receives
        ),
        (2, 5, 0, 1)
    );
    assert_eq!(world.sqs.take_counters()[0].1.sent, 0);
}

#[test]
fn a_wait_ends_with_a_message_or_with_patience() {
    let mut world = World::standard(json!({"ReceiveMessageWaitTimeSeconds": "20"}));
    let input = json!({"QueueUrl": world.url});
    let now = |world: &World| Now {
        real: world.now,
        fast: 0,
    };
    let at = now(&world);
    assert_eq!(world.sqs.time_to_wait(&input, START, at), Some(20_000));
    world
        .ask("SendMessage", json!({"MessageBody": "a", "DelaySeconds": 3}))
        .unwrap();
    assert_eq!(world.sqs.time_to_wait(&input, START, at), Some(3_000));
    world.now += 3 * SECOND;
    let at = now(&world);
    assert_eq!(world.sqs.time_to_wait(&input, START, at), None);
    for wrong in [json!({"WaitTimeSeconds": 21}), json!({"MaxNumberOfMessages": 11})] {
        assert_eq!(
            code(world.ask("ReceiveMessage", wrong.clone())),
            "InvalidParameterValue"
        );
        let mut input = wrong;
        input["QueueUrl"] = json!(world.url);
        assert_eq!(world.sqs.time_to_wait(&input, world.now, at), None);
    }
    let impatient = json!({"QueueUrl": world.url, "WaitTimeSeconds": 0});
    world.receive(1);
    assert_eq!(world.sqs.time_to_wait(&impatient, START, at), None);
}

#[test]
fn a_standard_queue_has_a_limit_on_what_is_in_flight() {
    let mut world = World::standard(json!({}));
    world.send("a");
    let store = &mut world.sqs.queues.get_mut("q").unwrap().store;
    let message = store.message(0).unwrap().clone();
    for _ in 0..119_999 {
        store.add(message.clone(), Place::InFlight(START + SECOND));
    }
    assert_eq!(world.receive(1).len(), 1);
    world.send("b");
    assert_eq!(code(world.ask("ReceiveMessage", json!({}))), "OverLimit");
}
