//! Writes the JSON Schemas of the documents into a directory, or checks that the ones there are current.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use penstock_crds::{schema_text, schemas};

const USAGE: &str = "usage: crdgen [--check] [DIRECTORY]\n\n\
    Writes the JSON Schemas into DIRECTORY (manifests/schema when missing).\n\
    With --check it writes nothing, and exits with 1 when a file there is stale.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, paths): (Vec<_>, Vec<_>) = arguments.into_iter().partition(|argument| argument.starts_with('-'));
    let is_check = flags == ["--check"];
    if paths.len() > 1 || !(is_check || flags.is_empty()) {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    let directory = paths
        .first()
        .map_or_else(|| PathBuf::from("manifests/schema"), PathBuf::from);
    if is_check { check(&directory) } else { write(&directory) }
}

fn check(directory: &Path) -> ExitCode {
    let schemas = schemas();
    let stale: Vec<PathBuf> = schemas
        .iter()
        .map(|(name, schema)| (directory.join(name), schema_text(schema)))
        .filter(|(path, text)| std::fs::read_to_string(path).ok().as_ref() != Some(text))
        .map(|(path, _)| path)
        .collect();
    if stale.is_empty() {
        return ExitCode::SUCCESS;
    }
    for path in stale {
        eprintln!("{} is stale", path.display());
    }
    eprintln!("run `cargo run -p penstock-crds --bin crdgen` and commit what it writes");
    ExitCode::FAILURE
}

fn write(directory: &Path) -> ExitCode {
    for (name, schema) in schemas() {
        let path = directory.join(name);
        let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&path, schema_text(&schema)));
        if let Err(error) = written {
            eprintln!("could not write {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
        println!("{}", path.display());
    }
    ExitCode::SUCCESS
}
