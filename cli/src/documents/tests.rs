//! Files of people: what is found in them, where, and whose fault it is.

use super::*;

const PROFILE: &str = include_str!("../../../manifests/examples/profile.yaml");
const ORDERS: &str = include_str!("../../../manifests/examples/orders.yaml");

fn judged(files: &[(&str, &str)], elsewhere: Elsewhere<'_>) -> Bundle {
    let mut bundle = Bundle::default();
    for (name, text) in files {
        bundle.read(name, text);
    }
    bundle.drafts.sort_by_key(|draft| draft.document.kind());
    bundle.refuse_repeated_keys();
    bundle.judge(elsewhere);
    bundle
}

fn found(bundle: &Bundle) -> Vec<String> {
    bundle.findings.iter().map(ToString::to_string).collect()
}

#[test]
fn the_examples_are_sound_together_and_profiles_come_first() {
    let bundle = judged(
        &[("orders.yaml", ORDERS), ("profile.yaml", PROFILE)],
        Elsewhere::Nowhere,
    );
    assert_eq!(found(&bundle), Vec::<String>::new());
    let keys: Vec<_> = bundle
        .drafts
        .iter()
        .map(|draft| draft.document.key().to_string())
        .collect();
    assert_eq!(keys, ["Profile/default", "Connector/orders"]);
}

#[test]
fn a_connector_alone_lacks_its_profile_unless_the_topic_has_it() {
    let bundle = judged(&[("orders.yaml", ORDERS)], Elsewhere::Nowhere);
    assert_eq!(
        found(&bundle),
        [
            "orders.yaml:10:3: Connector/orders: spec.profile: default is a profile that is in none of these files; give its file too, or look for it in the spec topic by --server"
        ]
    );
    let profile = judged(&[("profile.yaml", PROFILE)], Elsewhere::Nowhere);
    let (_, spec) = profile.profile("default").expect("it is there");
    let topic = BTreeMap::from([("default".parse().expect("a name"), spec.clone())]);
    let bundle = judged(&[("orders.yaml", ORDERS)], Elsewhere::Topic(&topic));
    assert_eq!(found(&bundle), Vec::<String>::new());
}

#[test]
fn every_fault_is_told_with_its_place() {
    let bad = ORDERS
        .replace("max: 6", "max: 6000000")
        .replace("waitTime: 10s", "waitTime: 10");
    let twice = format!("{ORDERS}---\n{bad}");
    let bundle = judged(&[("two.yaml", &twice), ("profile.yaml", PROFILE)], Elsewhere::Nowhere);
    let found = found(&bundle);
    // A fault of shape hides no fault of meaning.
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("two.yaml:52:7: Connector/orders: spec.source.sqs.waitTime: 10 "),
        "{found:?}"
    );
    assert!(
        found[1].starts_with("two.yaml:61:5: Connector/orders: spec.scaling.max: 6000000 "),
        "{found:?}"
    );
    let bad = ORDERS.replace("max: 6", "max: 6000000");
    let bundle = judged(&[("orders.yaml", &bad), ("profile.yaml", PROFILE)], Elsewhere::Nowhere);
    assert!(
        bundle.findings[0]
            .to_string()
            .contains(":24:5: Connector/orders: spec.scaling.max"),
        "{bundle:?}"
    );
}

#[test]
fn a_fault_of_the_profile_is_told_once_and_in_the_profiles_file() {
    let bad = PROFILE.replace("memory: 512", "memory: 500");
    let bundle = judged(&[("profile.yaml", &bad), ("orders.yaml", ORDERS)], Elsewhere::Nowhere);
    let found = found(&bundle);
    assert!(
        found
            .iter()
            .any(|line| line.starts_with("profile.yaml:23:5: Profile/default: spec.task.memory: 500 ")),
        "{found:?}"
    );
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn who_makes_a_value_of_the_profile_wrong_is_blamed_for_it() {
    let profile = "apiVersion: penstock.dev/v1\nkind: Profile\nmetadata: {name: default}\nspec:\n  task: {cpu: 256, memory: 512}\n  errors: {deadLetterTopic: dead}\n";
    let connector = |name: &str, more: &str| {
        let sqs = "{sqs: {queueUrl: 'https://sqs.eu-west-1.amazonaws.com/123456789012/orders'}}";
        let roles = "{task: 'arn:aws:iam::123456789012:role/task'}";
        format!(
            "apiVersion: penstock.dev/v1\nkind: Connector\nmetadata: {{name: {name}}}\nspec:\n  profile: default\n  source: {sqs}\n  kafka: {{bootstrapServers: ['a:9092']}}\n  service: {{cluster: main, subnets: [subnet-12345]}}\n{}",
            more.replace("ROLES", roles)
        )
    };
    let good = connector(
        "good",
        "  sink: {kafka: {topic: a}}\n  task: {image: a, roles: ROLES}\n",
    );
    let culprit = connector(
        "culprit",
        "  sink: {kafka: {topic: dead}}\n  task: {image: a, roles: ROLES, cpu: 1024}\n",
    );
    let files = [
        ("p.yaml", profile),
        ("good.yaml", good.as_str()),
        ("culprit.yaml", culprit.as_str()),
    ];
    let found = found(&judged(&files, Elsewhere::Nowhere));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("culprit.yaml:4:1: Connector/culprit: spec.errors.deadLetterTopic: dead is the topic"),
        "{found:?}"
    );
    assert!(
        found[1].starts_with("culprit.yaml:10:3: Connector/culprit: spec.task.memory: 512 ")
            && found[1].ends_with("The value comes from Profile/default"),
        "{found:?}"
    );
}

#[test]
fn a_fault_of_the_profile_is_told_once_though_it_is_wrong_in_two_ways() {
    let bad = PROFILE.replace("memory: 512", "memory: 1");
    let bundle = judged(&[("profile.yaml", &bad), ("orders.yaml", ORDERS)], Elsewhere::Nowhere);
    assert_eq!(found(&bundle).len(), 1, "{bundle:?}");
}

#[test]
fn json_is_read_as_json_with_the_place_of_each_fault() {
    let text = "{\n\t\"apiVersion\": \"penstock.dev/v1\",\n\t\"kind\": \"Profile\",\n\t\"metadata\": {\"name\": \"default\"},\n\t\"spec\": {\"task\": {\"memory\": \"512\"}}\n}";
    for file in ["profile.json", STDIN] {
        let bundle = judged(&[(file, text)], Elsewhere::Nowhere);
        let beginning = format!("{file}:5:20: Profile/default: spec.task.memory: 512 is a text");
        assert!(found(&bundle)[0].starts_with(&beginning), "{bundle:?}");
    }
    let cut = judged(&[("profile.json", &text[..text.len() - 1])], Elsewhere::Nowhere);
    assert!(found(&cut)[0].starts_with("profile.json:6:1:"), "{cut:?}");
    assert!(
        found(&cut)[0].contains("cannot be read as JSON: the text ends"),
        "{cut:?}"
    );
}

#[test]
fn null_and_an_empty_text_are_no_documents_in_json() {
    let null = judged(&[("null.json", "null\n")], Elsewhere::Nowhere);
    assert_eq!(
        found(&null),
        [
            "null.json:1:1: document: is null, where an object is expected; write an object with apiVersion, kind, metadata and spec"
        ]
    );
    let empty = judged(&[("empty.json", "\n")], Elsewhere::Nowhere);
    assert_eq!(found(&empty).len(), 1, "{empty:?}");
}

#[test]
fn null_is_no_document_in_yaml_either_and_an_empty_one_is_passed_over() {
    let profile = "apiVersion: penstock.dev/v1\nkind: Profile\nmetadata: {name: default}\nspec: {}\n";
    for (null, column) in [("null", 1), ("~", 1), ("NULL", 1), ("  null", 3), ("!!null", 7)] {
        let text = format!("# first\n---\n{null}\n---\n{profile}");
        let bundle = judged(&[("some.yaml", &text)], Elsewhere::Nowhere);
        let expected = format!("some.yaml:3:{column}: document: is null, where an object is expected; ");
        assert_eq!(found(&bundle).len(), 1, "{null}: {bundle:?}");
        assert!(found(&bundle)[0].starts_with(&expected), "{null}: {bundle:?}");
    }
    for empty in ["", "# only a comment", "---"] {
        let text = format!("---\n{empty}\n---\n{profile}---\n");
        let bundle = judged(&[("some.yaml", &text)], Elsewhere::Nowhere);
        assert_eq!((found(&bundle), bundle.drafts.len()), (Vec::new(), 1), "{empty}");
    }
    let text = judged(&[("some.yaml", "'null'\n")], Elsewhere::Nowhere);
    assert!(found(&text)[0].contains("is a text"), "{text:?}");
}

#[test]
fn yaml_in_braces_is_still_yaml_where_the_name_says_so() {
    let braces = "{apiVersion: penstock.dev/v1, kind: Profile, metadata: {name: default}, spec: {}}";
    let bundle = judged(&[("profile.yaml", braces)], Elsewhere::Nowhere);
    assert_eq!(found(&bundle), Vec::<String>::new());
    let bundle = judged(&[(STDIN, braces)], Elsewhere::Nowhere);
    assert!(
        found(&bundle)[0].starts_with("<stdin>:1:2: document: cannot be read as JSON"),
        "{bundle:?}"
    );
}

#[test]
fn a_key_that_stands_in_two_files_is_refused() {
    let files = [("a.yaml", ORDERS), ("b.yaml", ORDERS), ("profile.yaml", PROFILE)];
    let bundle = judged(&files, Elsewhere::Nowhere);
    assert_eq!(
        found(&bundle),
        ["b.yaml:6:3: Connector/orders: metadata.name: orders stands in a.yaml:6:3 as well; keep one of them"]
    );
}

#[test]
fn a_file_in_another_encoding_is_told_so() {
    let path = Path::new("latin1.yaml");
    let failure = read_text(path, &mut b"a: caf\xe9\n".as_slice()).expect_err("it is not UTF-8");
    assert!(
        failure.report().contains("latin1.yaml is not in UTF-8"),
        "{}",
        failure.report()
    );
}

#[test]
fn a_field_that_stands_twice_is_told_at_its_path_beside_every_other_fault() {
    let bad = PROFILE.replace("    memory: 512\n", "    memory: 500\n    cpu: 256\n    cpu: 512\n");
    let found = found(&judged(&[("p.yaml", &bad)], Elsewhere::Nowhere));
    assert!(
        found
            .iter()
            .any(|line| line.contains("Profile/default: spec.task.cpu: stands there more than once")),
        "{found:?}"
    );
    assert!(
        found.iter().any(|line| line.contains("spec.task.memory: 500 ")),
        "{found:?}"
    );
}

#[test]
fn what_cannot_be_read_hides_no_fault_of_the_documents_before_it() {
    let bad = PROFILE.replace("memory: 512", "memory: 500");
    let text = format!("{bad}---\nspec: [\n");
    let found = found(&judged(&[("p.yaml", &text)], Elsewhere::Nowhere));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].contains("Profile/default: spec.task.memory: 500 "),
        "{found:?}"
    );
    assert!(found[1].contains("document: cannot be read as YAML"), "{found:?}");
    let cut = judged(
        &[("orders.yaml", &format!("{ORDERS}---\nspec: [\n"))],
        Elsewhere::Nowhere,
    );
    assert_eq!(cut.findings.len(), 1, "the profile may stand in the rest: {cut:?}");
    let one =
        "{\"apiVersion\": \"penstock.dev/v1\", \"kind\": \"Profile\", \"metadata\": {\"name\": \"a\"}, \"spec\": {}}";
    let bundle = judged(&[("p.json", &format!("{one}\n{one}{{"))], Elsewhere::Nowhere);
    assert_eq!((bundle.drafts.len(), bundle.findings.len()), (2, 2), "{bundle:?}");
}

#[test]
fn each_path_in_which_nothing_is_written_is_told_and_endings_have_no_case() {
    let name = format!("penstock-documents-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    let of = |name: &str| directory.join(name);
    std::fs::create_dir_all(of("none/deeper")).expect("it is made");
    std::fs::create_dir_all(of("some")).expect("it is made");
    for (name, text) in [
        ("empty.yaml", ""),
        ("dashes.yaml", "---\n# later\n---\n"),
        ("none/notes.txt", PROFILE),
        ("none/deeper/profile.yaml", PROFILE),
        ("some/profile.YAML", PROFILE),
        ("some/later.yml", "# later\n"),
    ] {
        std::fs::write(of(name), text).expect("it is written");
    }
    let bundle = load(&["empty.yaml", "dashes.yaml", "none", "some"].map(of));
    std::fs::remove_dir_all(&directory).expect("it is removed");
    let bundle = bundle.expect("everything can be read");
    assert_eq!(bundle.drafts.len(), 1, "{bundle:?}");
    let found = found(&bundle);
    assert_eq!(found.len(), 3, "{found:?}");
    for (line, name) in found.iter().zip(["empty.yaml", "dashes.yaml", "none"]) {
        let beginning = format!("{}:1:1: document: is missing: ", of(name).display());
        assert!(line.starts_with(&beginning), "{line}");
    }
}
