//! Files to documents, each fault with its line and column.

use std::collections::BTreeMap;
use std::ffi::OsStr;
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
/// How the names of files end in which a directory's documents are looked for, in any case.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// What to do about a directory without documents.
const NO_FILE: &str = "give files that end with .yaml, .yml or .json; directories in a directory are not looked into";
/// How standard input is called.
const STDIN: &str = "<stdin>";

/// The documents of some files, and what is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Bundle {
    /// The documents of the right shape, in the order in which they are written: profiles, connectors, target states.
    pub(crate) drafts: Vec<Draft>,
    /// What is wrong, by file and place.
    pub(crate) findings: Vec<Finding>,
    /// Whether a file could be read in part alone, so that what seems to be missing may stand in the rest.
    is_cut: bool,
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
    for path in paths {
        let before = bundle.drafts.len() + bundle.findings.len();
        for (name, text) in texts(path)? {
            bundle.read(&name, &text);
        }
        if bundle.drafts.len() + bundle.findings.len() == before {
            bundle.miss(path);
        }
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

    /// Says that a file or directory has nothing in it: whoever named it thinks otherwise.
    fn miss(&mut self, path: &Path) {
        let (why, remedy) = match path.is_dir() {
            true => ("is missing: the directory has none", NO_FILE),
            false => (
                "is missing: nothing is written here",
                "write one, or leave the file out",
            ),
        };
        let name = if path.as_os_str() == "-" {
            STDIN.to_owned()
        } else {
            path.display().to_string()
        };
        let fault = Fault::without_value("document", why, remedy);
        let start = Place { line: 1, column: 1 };
        self.findings.push(finding(&name, start, None, &fault));
    }

    fn read(&mut self, file: &str, text: &str) {
        let format = format(file, text);
        let nodes = match format.read(text) {
            Ok(nodes) => nodes,
            Err(Unreadable {
                before,
                place,
                why,
                remedy,
            }) => {
                let fault = Fault::without_value("document", format!("cannot be read as {format}: {why}"), remedy);
                self.findings.push(finding(file, place, None, &fault));
                self.is_cut = true;
                before
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
            if !self.is_cut && !self.has_misshapen_profile(name) {
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

fn texts(path: &Path) -> Result<Vec<(String, String)>, Failure> {
    if path.as_os_str() == "-" {
        let text = read_text(path, &mut std::io::stdin().lock())?;
        return Ok(vec![(STDIN.to_owned(), text)]);
    }
    let read = |file: PathBuf| {
        let mut open = std::fs::File::open(&file).map_err(unread(&file))?;
        Ok((file.display().to_string(), read_text(&file, &mut open)?))
    };
    files(path)?.into_iter().map(read).collect()
}

/// Returns the file itself, or the documents directly in the directory by name.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unread(path))? {
        let file = entry.map_err(unread(path))?.path();
        let is_document = |ending: &OsStr| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known));
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
mod tests;
