//! Data on stdout: as a table, as JSON or as YAML.

use std::io::{ErrorKind, Write};

use serde::Serialize;

use crate::failure::Failure;

/// What stands between two columns.
const GAP: &str = "   ";

/// How data is printed, where there is more than one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// How a list is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ListFormat {
    /// A table
    #[default]
    Table,
    /// A table with more columns
    Wide,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// Prints text. A reader that has gone away, such as `head`, wants no more.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(harmless(text).as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Print(error)),
        _ => Ok(()),
    }
}

/// Makes control characters visible: anybody may write to the topics, and a terminal obeys what it is sent.
pub(crate) fn harmless(text: &str) -> String {
    let obeyed = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    text.replace(obeyed, "\u{fffd}")
}

/// Prints one line.
pub(crate) fn print_line(line: &str) -> Result<(), Failure> {
    print(&format!("{line}\n"))
}

/// Prints a value as JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value);
    print_line(&text.map_err(|error| refuse("JSON", &error))?)
}

/// Prints a value as YAML.
pub(crate) fn print_yaml(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_saphyr::to_string(value);
    print(&text.map_err(|error| refuse("YAML", &error))?)
}

/// Lays rows out below their headings: columns aligned, no lines.
pub(crate) fn table(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    let headings = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let mut lines: Vec<Vec<String>> = std::iter::once(headings).chain(rows).collect();
    for cell in lines.iter_mut().flatten() {
        *cell = cell.replace(['\n', '\r', '\t'], " ");
    }
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    lines.iter().map(|line| lay_out(line, &widths)).collect()
}

fn lay_out(cells: &[String], widths: &[usize]) -> String {
    let cells = cells.iter().zip(widths);
    let padded: String = cells.map(|(cell, width)| format!("{cell:<width$}{GAP}")).collect();
    format!("{}\n", padded.trim_end())
}

fn refuse(format: &'static str, error: &dyn std::error::Error) -> Failure {
    Failure::Format {
        format,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_aligned_columns_and_nothing_behind_the_last() {
        let rows = vec![
            vec!["orders".to_owned(), "True".to_owned()],
            vec!["a".to_owned(), "False".to_owned()],
        ];
        assert_eq!(
            table(&["NAME", "READY"], rows),
            "NAME     READY\norders   True\na        False\n"
        );
    }

    #[test]
    fn a_cell_of_several_lines_stays_in_its_line() {
        let rows = vec![vec!["a\nb".to_owned()]];
        assert_eq!(table(&["MESSAGE"], rows), "MESSAGE\na b\n");
    }

    #[test]
    fn what_a_terminal_would_obey_is_made_visible() {
        assert_eq!(harmless("red \u{1b}[31m\nnext\tone"), "red \u{fffd}[31m\nnext\tone");
    }
}
