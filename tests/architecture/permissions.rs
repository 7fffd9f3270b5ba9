//! The IAM actions that the README names are those of the calls that the code makes: none is missing, none is too many.
//!
//! A call is a method of one of the SDK's clients, which are named after their services, or a target of the bridge's own
//! client for SQS. Whatever is sent has to be understood as one of the two, so that none is overlooked.

use std::collections::BTreeSet;
use std::fs;

use penstock_tests::parts::checkout;
use penstock_tests::source_text::code_only;

use super::sources;

/// The prefixes of IAM actions, by how the clients are called in the code.
const CLIENTS: [(&str, &str); 6] = [
    ("ecs", "ecs"),
    ("scaling", "application-autoscaling"),
    ("cloudwatch", "cloudwatch"),
    ("sqs", "sqs"),
    ("seldom", "sqs"),
    ("sts", "sts"),
];

/// The action that a part of a request needs, for a service.
type Needs = fn(&str) -> String;

/// What a request needs beside the action of its own name, by what it carries.
const CARRIED: [(&str, Needs); 2] = [
    (".set_tags(", |service| format!("{service}:TagResource")),
    (".set_task_role_arn(", |_| "iam:PassRole".to_owned()),
];

/// What is assumed by a provider of credentials, which makes the call itself.
const ASSUMES: (&str, &str) = ("AssumeRoleProvider::builder(", "sts:AssumeRole");

/// How the bridge's own client names what it asks of SQS.
const TARGET: &str = "\"AmazonSQS.";

/// Who asks: where its calls are, and how the README's rows about it begin.
const ASKERS: [(&str, &str); 2] = [
    ("operator/src/cloud", "| operator,"),
    ("bridge/src/source", "| bridge "),
];

#[test]
fn the_readme_names_the_actions_of_the_calls_that_are_made_and_no_others() {
    let readme = fs::read_to_string(checkout().join("README.md")).expect("there is a README");
    for (place, row) in ASKERS {
        let called: BTreeSet<_> = shipped(place)
            .iter()
            .flat_map(|(path, text)| actions(path, text))
            .collect();
        let named = named(&readme, row);
        assert!(!called.is_empty(), "no call was found below {place}");
        let missing: Vec<_> = called.difference(&named).collect();
        let needless: Vec<_> = named.difference(&called).collect();
        assert!(
            missing.is_empty() && needless.is_empty(),
            "the rows of the README that begin with `{row}`, beside the calls below {place}: {missing:?} are made and not \
             named, {needless:?} are named and not made"
        );
    }
}

/// Returns the sources below `place` without tests and what serves them.
fn shipped(place: &str) -> Vec<(String, String)> {
    let is_shipped = |path: &str| {
        let is_below = path == format!("{place}.rs") || path.starts_with(&format!("{place}/"));
        let serves_tests = ["tests.rs", "fake.rs"].iter().any(|end| path.ends_with(end));
        is_below && !serves_tests
    };
    let files = sources(checkout()).into_iter().filter(|(path, _)| is_shipped(path));
    files
        .map(|(path, text)| (path, without_tests(&text).to_owned()))
        .collect()
}

/// Tests in a file of their own may be declared anywhere.
fn without_tests(text: &str) -> &str {
    let mut marks = text.match_indices("#[cfg(test)]\n").map(|(at, _)| at);
    let tests = marks.find(|at| text[*at..].contains("mod tests {"));
    &text[..tests.unwrap_or(text.len())]
}

/// Returns the actions that the calls of one file need.
fn actions(path: &str, text: &str) -> Vec<String> {
    let code: String = code_only(text).split_whitespace().collect();
    let mut requests: Vec<_> = code.split(".send()").collect();
    requests.pop();
    let mut found: Vec<_> = requests
        .into_iter()
        .flat_map(|request| of_request(path, request))
        .collect();
    found.extend(text.split(TARGET).skip(1).map(of_target));
    found.extend(code.contains(ASSUMES.0).then(|| ASSUMES.1.to_owned()));
    found
}

/// Returns the actions that a request needs, which ends where it is sent.
fn of_request(path: &str, request: &str) -> Vec<String> {
    let calls: Vec<_> = CLIENTS.iter().flat_map(|client| calls_of(client, request)).collect();
    let [(service, operation)] = calls.as_slice() else {
        let end: Vec<_> = request.rsplit(';').take(2).collect();
        panic!(
            "{path}: one call of a client of CLIENTS should be sent by `{}.send()`, not {calls:?}",
            end.join(" … ")
        );
    };
    let carried = CARRIED.iter().filter(|(word, _)| request.contains(word));
    let carried = carried.map(|(_, action)| action(service));
    std::iter::once(format!("{service}:{operation}"))
        .chain(carried)
        .collect()
}

/// Returns the service and the operation wherever `code` calls a method of that client that has no argument, as those are.
fn calls_of<'a>((client, service): &(&str, &'a str), code: &str) -> Vec<(&'a str, String)> {
    let receiver = format!("{client}.");
    let is_whole = |at: usize| !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
    let places = code.match_indices(&receiver).filter(|(at, _)| is_whole(*at));
    let methods = places.filter_map(|(at, _)| code[at + receiver.len()..].split_once("()"));
    let methods = methods.filter(|(name, _)| {
        name.chars()
            .all(|character| character.is_lowercase() || character == '_')
    });
    methods.map(|(name, _)| (*service, camel(name))).collect()
}

/// Several messages at once need the permission of one.
fn of_target(rest: &str) -> String {
    let operation = rest.split('"').next().unwrap_or_default();
    format!("sqs:{}", operation.strip_suffix("Batch").unwrap_or(operation))
}

fn camel(name: &str) -> String {
    let word = |word: &str| {
        let mut characters = word.chars();
        let first = characters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(characters).collect::<String>()
    };
    name.split('_').map(word).collect()
}

/// Returns the actions that the rows of the README name which begin so. One without a prefix is of the row's service.
fn named(readme: &str, row: &str) -> BTreeSet<String> {
    let rows = readme.lines().filter(|line| line.starts_with(row));
    rows.flat_map(|line| {
        let (who, calls) = line[2..].split_once(" | ").expect("a row has two columns");
        let service = match who {
            ecs if ecs.contains("ECS") => "ecs",
            scaling if scaling.contains("Application Auto Scaling") => "application-autoscaling",
            cloudwatch if cloudwatch.contains("CloudWatch") => "cloudwatch",
            _ => "of no service",
        };
        let quoted = calls.split('`').skip(1).step_by(2);
        let actions = quoted.filter(|text| text.starts_with(char::is_uppercase) || text.contains(':'));
        actions.map(move |text| {
            if text.contains(':') {
                text.to_owned()
            } else {
                format!("{service}:{text}")
            }
        })
    })
    .collect()
}

#[test]
fn a_call_is_known_by_its_client_and_by_what_it_carries() {
    let text = "let request = aws.write.ecs\n    .register_task_definition() // ecs.stop_task()\n    .set_tags(Some(tags))\n\
                .set_task_role_arn(role);\naws.call(request.send()).await?;\nself.sqs.get_queue_attributes().send().await";
    assert_eq!(
        actions("some.rs", text),
        [
            "ecs:RegisterTaskDefinition",
            "ecs:TagResource",
            "iam:PassRole",
            "sqs:GetQueueAttributes"
        ]
    );
    assert_eq!(
        actions(
            "some.rs",
            "Self::Delete => \"AmazonSQS.DeleteMessageBatch\", Self::Receive => \"AmazonSQS.ReceiveMessage\","
        ),
        ["sqs:DeleteMessage", "sqs:ReceiveMessage"]
    );
    assert_eq!(
        actions("some.rs", "AssumeRoleProvider::builder(role)"),
        ["sts:AssumeRole"]
    );
}

#[test]
#[should_panic(expected = "some.rs: one call of a client")]
fn a_call_of_a_client_that_nobody_knows_is_not_overlooked() {
    actions("some.rs", "let request = aws.read.events.put_rule(); request.send()");
}

#[test]
fn a_row_names_actions_of_its_service_and_others_by_their_prefix() {
    let readme = "| operator, ECS (without `ListTasks` it waits) | `ListTasks`, and `iam:PassRole` on `roles` |\n| bridge | `sqs:A` |";
    let expected = ["ecs:ListTasks", "iam:PassRole"].map(str::to_owned);
    assert_eq!(named(readme, "| operator,"), expected.into());
}
