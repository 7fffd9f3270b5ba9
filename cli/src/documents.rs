//! Files to documents, each fault with its line and column.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use penstock_crds::text::{Format, Node, Place, Unreadable};
use penstock_crds::{
    ConnectorSpec, Document, DocumentKey, Envelope, Fault, Kind, MAX_DOCUMENT_BYTES, Name, ProfileSpec,
    check_connector, check_profile, merge, parse_value, resolve,
};
use serde::Serialize;

use crate::failure::Failure;

/// The most bytes of one file.
const MOST_BYTES: u64 = 16 * 1024 * 1024;
/// How standard input is called.
const STDIN: &str = "<stdin>";

/// The documents of some files, and what is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Bundle {
    /// The documents of the right shape, in the order in which they are written: profiles, connectors, target states.
    pub(crate) drafts: Vec<Draft>,
    /// What is wrong, by file and place.
    pub(crate) findings: Vec<Finding>,
}

/// A document of the right shape.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) document: Document,
    file: String,
    node: Node,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    pub(crate) file: String,
    #[serde(flatten)]
    pub(crate) place: PlaceOnWire,
    /// The document's key, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) document: Option<String>,
    /// The field, what is wrong with it, why, and what to do.
    pub(crate) message: String,
}

/// A place as it is printed for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct PlaceOnWire {
    line: u64,
    column: u64,
}

/// The profiles that connectors may name beside those of the files.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Elsewhere<'a> {
    /// Only files count.
    Nowhere,
    /// These stand in the spec topic.
    Topic(&'a BTreeMap<Name, ProfileSpec>),
}

/// Reads all files: those that are named, those directly in a directory that is named, and standard input for `-`.
pub(crate) fn load(paths: &[PathBuf]) -> Result<Bundle, Failure> {
    let mut bundle = Bundle::default();
    for (name, text) in texts(paths)? {
        bundle.read(&name, &text);
    }
    if bundle.drafts.is_empty() && bundle.findings.is_empty() {
        let shown: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(Failure::FindDocuments(shown.join(", ")));
    }
    bundle.drafts.sort_by_key(|draft| draft.document.kind());
    bundle.refuse_repeated_keys();
    Ok(bundle)
}

impl Bundle {
    /// Judges every document, each connector merged with its profile, and sorts what is wrong.
    pub(crate) fn judge(&mut self, elsewhere: Elsewhere<'_>) {
        let mut found = Vec::new();
        for draft in &self.drafts {
            match &draft.document {
                Document::Profile(profile) => {
                    found.extend(check_profile(&profile.spec).iter().map(|fault| draft.finding(fault)));
                }
                Document::Connector(connector) => found.extend(self.judge_connector(draft, connector, elsewhere)),
                Document::TargetState(_) => {}
            }
        }
        self.findings.extend(found);
        self.findings.sort();
        // A fault of a profile is found again with every connector that names it.
        self.findings.dedup();
    }

    /// Returns what is wrong in lines for people, ending with how many there are.
    pub(crate) fn report(&self, consequence: &str) -> String {
        let mut lines: Vec<String> = self.findings.iter().map(ToString::to_string).collect();
        let faults = if lines.len() == 1 { "fault" } else { "faults" };
        lines.push(format!("{} {faults}; {consequence}", lines.len()));
        lines.join("\n")
    }

    fn read(&mut self, file: &str, text: &str) {
        let format = format(file, text);
        let nodes = match format.read(text) {
            Ok(nodes) => nodes,
            Err(Unreadable { place, why, remedy }) => {
                let fault = Fault::without_value("document", format!("cannot be read as {format}: {why}"), remedy);
                return self.findings.push(finding(file, place, None, &fault));
            }
        };
        for node in nodes {
            let value = node.value();
            let key = key_of(&value);
            let repeated = node.repeated();
            let found = repeated
                .iter()
                .map(|fault| finding(file, node.nearest(&fault.path), key.clone(), fault));
            self.findings.extend(found);
            match parse_value(value) {
                Ok(document) => self.draft(file, node, document),
                Err(faults) => {
                    let found = faults
                        .iter()
                        .map(|fault| finding(file, node.nearest(&fault.path), key.clone(), fault));
                    self.findings.extend(found);
                }
            }
        }
    }

    fn draft(&mut self, file: &str, node: Node, document: Document) {
        let draft = Draft {
            document,
            file: file.to_owned(),
            node,
        };
        let bytes = draft.document.to_json().to_string().len();
        if bytes > MAX_DOCUMENT_BYTES {
            let why = format!("has {bytes} bytes as JSON, and a document may have {MAX_DOCUMENT_BYTES}");
            let remedy = "make it shorter, or move what connectors share into a profile";
            self.findings
                .push(draft.finding(&Fault::without_value("document", why, remedy)));
        }
        self.drafts.push(draft);
    }

    fn refuse_repeated_keys(&mut self) {
        let mut first: BTreeMap<DocumentKey, &Draft> = BTreeMap::new();
        let mut found = Vec::new();
        for draft in &self.drafts {
            let key = draft.document.key();
            if let Some(first) = first.get(&key) {
                let place = first.node.nearest("metadata.name");
                let why = format!("stands in {}:{}:{} as well", first.file, place.line, place.column);
                let fault = Fault::with_value("metadata.name", &key.name, why, "keep one of them");
                found.push(draft.finding(&fault));
            } else {
                first.insert(key, draft);
            }
        }
        self.findings.extend(found);
    }

    fn judge_connector(
        &self,
        draft: &Draft,
        connector: &Envelope<ConnectorSpec>,
        elsewhere: Elsewhere<'_>,
    ) -> Vec<Finding> {
        let named = connector.spec.profile.as_deref();
        let here = named.and_then(|name| self.profile(name));
        let there = named.and_then(|name| elsewhere.profile(name));
        let profile = here.map(|(_, spec)| spec).or(there);
        if let Some(name) = named
            && profile.is_none()
        {
            let alone = check_connector(&connector.metadata.name, &connector.metadata.labels, &connector.spec);
            let mut faults = alone;
            if !self.has_misshapen_profile(name) {
                faults.insert(0, missing_profile(name, elsewhere));
            }
            return faults.iter().map(|fault| draft.finding(fault)).collect();
        }
        let resolved = |spec: &ConnectorSpec| {
            let resolved = resolve(&connector.metadata.name, &connector.metadata.labels, spec);
            resolved.err().unwrap_or_default()
        };
        let faults = resolved(&merge(&connector.spec, profile));
        let Some((profile, spec)) = here else {
            return faults.iter().map(|fault| draft.finding(fault)).collect();
        };
        let alone = resolved(&merge(&ConnectorSpec::default(), Some(spec)));
        let told = check_profile(spec);
        let inherited =
            |fault: &Fault| draft.node.find(&fault.path).is_none() && profile.node.find(&fault.path).is_some();
        let at = |fault: &Fault| match inherited(fault) {
            false => Some(draft.finding(fault)),
            // It is wrong beside what this connector says, and may be right for others.
            true if !alone.contains(fault) => Some(draft.finding(&coming_from(&profile.document.key(), fault))),
            true if told.iter().any(|told| told.path == fault.path) => None,
            true => Some(profile.finding(fault)),
        };
        faults.iter().filter_map(at).collect()
    }

    /// Whether the files have the profile, with faults of its own that are told already.
    fn has_misshapen_profile(&self, name: &str) -> bool {
        let key = format!("Profile/{name}");
        self.findings
            .iter()
            .any(|finding| finding.document.as_deref() == Some(key.as_str()))
    }

    fn profile(&self, name: &str) -> Option<(&Draft, &ProfileSpec)> {
        self.drafts.iter().find_map(|draft| match &draft.document {
            Document::Profile(profile) if profile.metadata.name.as_str() == name => Some((draft, &profile.spec)),
            _ => None,
        })
    }
}

impl Draft {
    fn finding(&self, fault: &Fault) -> Finding {
        let key = self.document.key().to_string();
        finding(&self.file, self.node.nearest(&fault.path), Some(key), fault)
    }
}

impl<'a> Elsewhere<'a> {
    fn profile(self, name: &str) -> Option<&'a ProfileSpec> {
        match self {
            Self::Nowhere => None,
            Self::Topic(profiles) => profiles.get(&name.parse::<Name>().ok()?),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PlaceOnWire { line, column } = self.place;
        write!(out, "{}:{line}:{column}: ", self.file)?;
        if let Some(document) = &self.document {
            write!(out, "{document}: ")?;
        }
        out.write_str(&self.message)
    }
}

fn finding(file: &str, place: Place, document: Option<String>, fault: &Fault) -> Finding {
    Finding {
        file: file.to_owned(),
        place: PlaceOnWire {
            line: place.line,
            column: place.column,
        },
        document,
        message: fault.to_string(),
    }
}

fn missing_profile(name: &str, elsewhere: Elsewhere<'_>) -> Fault {
    let (why, remedy) = match elsewhere {
        Elsewhere::Nowhere => (
            "is a profile that is in none of these files",
            "give its file too, or look for it in the spec topic by --server",
        ),
        Elsewhere::Topic(_) => (
            "is a profile that is neither in these files nor in the spec topic",
            "give its file too, or name another",
        ),
    };
    Fault::with_value("spec.profile", name, why, remedy)
}

/// Returns a fault of a value that another document brings.
fn coming_from(key: &DocumentKey, fault: &Fault) -> Fault {
    Fault {
        remedy: format!("{}. The value comes from {key}", fault.remedy),
        ..fault.clone()
    }
}

/// Returns the key that a document of the wrong shape would have, if it says so much.
fn key_of(value: &serde_json::Value) -> Option<String> {
    let kind = Kind::named(value.get("kind")?.as_str()?)?;
    let name: Name = value.get("metadata")?.get("name")?.as_str()?.parse().ok()?;
    Some(DocumentKey { kind, name }.to_string())
}

/// A file's name says what it holds. Standard input has none: there a brace begins JSON.
fn format(file: &str, text: &str) -> Format {
    match file == STDIN && text.trim_start().starts_with('{') {
        true => Format::Json,
        false => Format::of(Path::new(file)),
    }
}

fn texts(paths: &[PathBuf]) -> Result<Vec<(String, String)>, Failure> {
    let mut texts = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let text = read_text(path, &mut std::io::stdin().lock())?;
            texts.push((STDIN.to_owned(), text));
            continue;
        }
        for file in files(path)? {
            let mut open = std::fs::File::open(&file).map_err(unread(&file))?;
            texts.push((file.display().to_string(), read_text(&file, &mut open)?));
        }
    }
    Ok(texts)
}

/// Returns the file itself, or the documents directly in the directory by name.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unread(path))? {
        let file = entry.map_err(unread(path))?.path();
        let is_document = |ending: &std::ffi::OsStr| ["yaml", "yml", "json"].iter().any(|known| ending == *known);
        if file.is_file() && file.extension().is_some_and(is_document) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn read_text(path: &Path, reader: &mut impl Read) -> Result<String, Failure> {
    let mut text = String::new();
    let read = reader.take(MOST_BYTES + 1).read_to_string(&mut text);
    let bytes = read.map_err(unread(path))?;
    if bytes as u64 > MOST_BYTES {
        return Err(Failure::RefuseSize {
            path: path.to_owned(),
            most: MOST_BYTES,
        });
    }
    Ok(text)
}

fn unread(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    let path = path.to_owned();
    move |source| match source.kind() {
        std::io::ErrorKind::InvalidData => Failure::RefuseEncoding { path },
        _ => Failure::ReadFile { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = include_str!("../../manifests/examples/profile.yaml");
    const ORDERS: &str = include_str!("../../manifests/examples/orders.yaml");

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
}
