//! What the YAML library complains of, for the person who wrote the file. Its own messages are for programmers, and some quote the
//! text, which may be a secret.

use serde_saphyr::granit_parser::ErrorKind;
use serde_saphyr::{Error, ExternalMessageSource};

use super::MOST_LEVELS;
use crate::text::tree::{Place, Unreadable};

/// What to do about a text that looks like something of YAML's own and is none.
const QUOTE: &str = "put the text in quotation marks";

/// Says what is wrong, where, and what to do.
pub(super) fn unreadable(error: &Error) -> Unreadable {
    let (why, remedy) = words(error);
    Unreadable {
        before: Vec::new(),
        place: error.location().map(Place::from).unwrap_or_default(),
        why,
        remedy: remedy.to_owned(),
    }
}

fn words(error: &Error) -> (String, &'static str) {
    let (why, remedy) = match error.without_snippet() {
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            return (
                format!("the field `{key}` stands twice in one section"),
                "keep one of them",
            );
        }
        Error::DuplicateMappingKey { key: None, .. } => ("a field stands twice in one section", "keep one of them"),
        Error::AliasError { error, .. } => return words(error),
        Error::ExternalMessage { source, .. } => match source.as_ref() {
            ExternalMessageSource::Parser(error) => return syntax(error.kind()),
            _ => UNTOLD,
        },
        Error::UnsupportedTag { .. } => (
            "a tag (a word that begins with `!`) means nothing in these documents",
            "remove it; if the `!` belongs to a text, put that in quotation marks",
        ),
        Error::UnknownAnchor { .. } => (
            "an alias (a word that begins with `*`) names no anchor that stands before it",
            "define it by `&` with the same name, or put the text in quotation marks",
        ),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => {
            let why = format!(
                "the file nests deeper than {MOST_LEVELS} levels, or is far longer than documents are, with its aliases written out"
            );
            return (why, "split it, or write out less by aliases");
        }
        Error::NonFiniteFloat { .. } => (
            "this number is infinite or none at all",
            "write a finite one, or put the text in quotation marks",
        ),
        Error::MergeValueNotMapOrSeqOfMaps { .. } => (
            "`<<` merges in something that is no section",
            "let it name a section, by an alias",
        ),
        Error::InvalidBinaryBase64 { .. } | Error::BinaryNotUtf8 { .. } => (
            "`!!binary` stands before something that is no text in base64",
            "write the text itself",
        ),
        Error::Eof { .. } => ("the text ends too early", "add what is missing at its end"),
        _ => UNTOLD,
    };
    (why.to_owned(), remedy)
}

/// For what has no better words: the place is told, and what usually is wrong.
const UNTOLD: (&str, &str) = (
    "something here is not as YAML wants it",
    "look at the indentation, the colons and the quotation marks around this place",
);

fn syntax(kind: &ErrorKind) -> (String, &'static str) {
    use ErrorKind as Kind;
    let (why, remedy) = match kind {
        Kind::TabNotAllowed
        | Kind::TabInBlockIndentation
        | Kind::TabInIndentation
        | Kind::TabAtBlockScalarStart
        | Kind::TabInPlainScalar => ("a tab stands where YAML takes spaces alone", "use spaces"),
        Kind::UnclosedFlowCollection { .. }
        | Kind::UnexpectedEofFlowSequence
        | Kind::UnexpectedEofFlowMapping
        | Kind::UnexpectedEofImplicitFlowMapping
        | Kind::ExpectedFlowMappingSeparator
        | Kind::ExpectedFlowSequenceSeparator => (
            "a list or section in brackets is not closed, or lacks a comma",
            "close it by `]` or `}`, and put commas between its parts",
        ),
        Kind::MisplacedFlowCollectionEnd | Kind::MismatchedFlowCollectionEnd { .. } => (
            "this bracket closes none that is open",
            "remove it, or open it by `[` or `{` first",
        ),
        Kind::UnclosedQuotedScalar | Kind::DocumentIndicatorInQuotedScalar | Kind::InvalidQuotedScalarIndent => (
            "a text begins with a quotation mark and has none at its end",
            "close it, or indent the lines in which it goes on",
        ),
        Kind::InvalidTrailingSingleQuotedScalar | Kind::InvalidTrailingDoubleQuotedScalar => (
            "something follows the quotation mark that closes a text",
            "put the whole text in quotation marks, and write one inside it twice (') or behind a backslash (\")",
        ),
        Kind::UnknownQuotedScalarEscape
        | Kind::InvalidQuotedScalarHexEscape
        | Kind::InvalidUnicodeEscape
        | Kind::InvalidLowSurrogate
        | Kind::InvalidLowSurrogateHexEscape
        | Kind::MissingLowSurrogate
        | Kind::UnpairedLowSurrogate => (
            "a backslash in a text in double quotation marks begins nothing that YAML knows",
            "write it as `\\\\`, or take single quotation marks",
        ),
        Kind::MappingValueNotAllowed | Kind::InvalidColonPlacement | Kind::InvalidMappingValueWhitespace => (
            "a colon stands where no field can begin",
            "check the indentation, and brackets that are open; if the colon belongs to a text, put that in quotation marks",
        ),
        Kind::SimpleKeyExpected
        | Kind::InvalidSimpleKey
        | Kind::ExpectedBlockMappingKey
        | Kind::MappingKeyNotAllowed => (
            "a field is expected here: a name, a colon, a space and a value",
            "add the colon, or indent the line as its neighbours",
        ),
        Kind::InvalidIndentation | Kind::InvalidBlockScalarIndent | Kind::InvalidFlowScalarIndent => (
            "this line is indented neither as its neighbours nor deeper than what it belongs to",
            "indent it with spaces as its neighbours",
        ),
        Kind::ExpectedBlockSequenceEntry | Kind::BlockSequenceEntryNotAllowed | Kind::BlockEntryInFlowCollection => (
            "a list's entry is expected here, or stands where none can",
            "begin each entry with `- `, indented as its neighbours",
        ),
        Kind::UnexpectedCharacter { .. } => ("a text cannot begin with this character", QUOTE),
        Kind::UnknownAnchor => (
            "an alias (a word that begins with `*`) names no anchor that stands before it",
            "define it by `&` with the same name, or put the text in quotation marks",
        ),
        Kind::MissingAnchorOrAliasName => ("`&` or `*` stands here without a name", QUOTE),
        Kind::UndeclaredTagHandle
        | Kind::InvalidTagTerminator
        | Kind::MissingTagUri
        | Kind::UnclosedVerbatimTag
        | Kind::InvalidGlobalTagCharacter => (
            "a tag (a word that begins with `!`) means nothing in these documents",
            "remove it; if the `!` belongs to a text, put that in quotation marks",
        ),
        Kind::RecursionLimitExceeded => ("the file nests too deeply", "write it with fewer levels"),
        _ => UNTOLD,
    };
    (why.to_owned(), remedy)
}
