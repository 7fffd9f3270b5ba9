//! Rust source with what does not run taken out, for rules about what a file may name.

/// Returns `text` without comments, and with the insides of string and character literals gone; line breaks stay where they were.
pub fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = raw_string(rest, &code) {
            length
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' {
            character(rest)
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.push(' ');
        code.extend(rest[..length].chars().filter(|character| *character == '\n'));
        rest = &rest[length..];
    }
    code
}

/// Returns the numbers (from 1) of the lines of `text` whose code names `word` as a whole identifier path, such as `tokio` or `SystemTime::now`.
pub fn lines_naming(text: &str, word: &str) -> Vec<usize> {
    let code = code_only(text);
    let lines = code.lines().enumerate().filter(|(_, line)| names(line, word));
    lines.map(|(index, _)| index + 1).collect()
}

/// A word that ends in `_` stands for every identifier that begins with it.
fn names(line: &str, word: &str) -> bool {
    let part_of_a_word = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(part_of_a_word);
        let after = line[at + word.len()..].chars().next().is_some_and(part_of_a_word);
        !before && (word.ends_with('_') || !after)
    })
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Returns the length of a raw string (`r"…"`, `br#"…"#`), if one starts here and not within an identifier.
fn raw_string(text: &str, before: &str) -> Option<usize> {
    if before
        .chars()
        .next_back()
        .is_some_and(|last| last.is_alphanumeric() || last == '_')
    {
        return None;
    }
    let after_prefix = ["r", "br", "cr"].iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let hashes = after_prefix.len() - after_prefix.trim_start_matches('#').len();
    let inside = after_prefix[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
    Some(text.len() - inside.len() + length)
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + character.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// A lifetime (`'a`) is not a literal: only its apostrophe is taken.
fn character(text: &str) -> usize {
    let mut inside = text.chars().skip(1);
    match (inside.next(), inside.next()) {
        (Some('\\'), _) => quoted(text, '\''),
        (Some(character), Some('\'')) => character.len_utf8() + 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_run_is_not_named() {
        for harmless in [
            "// tokio",
            "//! tokio",
            "/* a /* nested */ tokio */",
            "let text = \"tokio \\\" tokio\";",
            "let text = r#\"tokio \" tokio\"#;",
            "let quote = '\"'; // tokio",
            "let escaped = '\\''; // tokio",
            "fn of<'a>(text: &'a str) {} // tokio",
            "tokio_like(); my_tokio();",
        ] {
            assert!(
                lines_naming(harmless, "tokio").is_empty(),
                "{harmless}: {}",
                code_only(harmless)
            );
        }
    }

    #[test]
    fn what_runs_is_named_with_its_line() {
        let text = "//! tokio\nlet a = \"two\nlines\";\nuse tokio::time;\nlet b = '\\n'; tokio::spawn(work);\nlet x: &'static str = tokio();\n";
        assert_eq!(lines_naming(text, "tokio"), [4, 5, 6]);
    }

    #[test]
    fn a_prefix_stands_for_every_name_that_begins_with_it() {
        assert_eq!(lines_naming("use aws_sdk_ecs::Client;", "aws_sdk_"), [1]);
        assert!(lines_naming("use aws_sdk_ecs::Client;", "aws_sdk").is_empty());
    }
}
