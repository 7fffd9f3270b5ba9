//! What looks like a secret, so that it is refused where it would be readable, and never quoted in a fault.
//!
//! A name is judged by its words: `DB_PASS` promises a secret and `BYPASS` does not. A value is judged by the forms in which
//! secrets are written, and by the names that stand in it.

use std::sync::LazyLock;

use regex::Regex;

/// What follows the words of a secret in names whose values only say where it is, or how it is treated.
const HARMLESS_ENDINGS: [&str; 14] = [
    "name", "file", "path", "url", "uri", "endpoint", "type", "size", "ttl", "seconds", "enabled", "limit", "count",
    "timeout",
];

/// Where a name's next word begins beside separators: `dbPassword`, `APIKey`.
static HUMP: LazyLock<Regex> = LazyLock::new(|| pattern("([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])"));

/// Values that are a secret under any name: private keys, AWS access keys, tokens of well-known services, what an HTTP
/// header carries, passwords in a URL. In a URL digits and a slash are taken for a port, and what stands behind for a path.
static SECRET_VALUE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----|\b(AKIA|ASIA)[A-Z0-9]{16}\b|\b(gh[opsur]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}|sk_live_\w{10,})|\beyJ[\w-]+\.eyJ[\w-]+\.|(^|[:=,"'])\s*(?i:bearer)\s+[^\s$<]\S{7,}|(^|[:=,"'])\s*(?i:basic)\s+[A-Za-z0-9+/]+[A-Z0-9+/=][A-Za-z0-9+/=]*\s*($|["',;}])|://[^/?#\s:@\[]*:([^/?#\s@"']+|[0-9]*[^0-9,/?#\s@"'][^\s@"']*)@"#,
    )
});

/// A name within a value, up to where its own value begins: JSON, YAML, a line of JAAS, a URL's query.
static NAMED: LazyLock<Regex> = LazyLock::new(|| pattern(r#"([A-Za-z][A-Za-z0-9_.-]*)["']?\s*[:=]\s*["']?"#));

/// Whether an environment variable of this name and value would put a secret where everybody can read it.
pub(crate) fn is_secret(name: &str, value: &str) -> bool {
    holds_secret(name, value) || is_secret_value(value)
}

/// Whether the value alone shows that it is secret.
pub(crate) fn is_secret_value(value: &str) -> bool {
    let names_one = || {
        NAMED.captures_iter(value).any(|found| {
            // The words of an ARN stand between colons, and name nothing.
            let is_inside = value[..found.get_match().start()].ends_with(':');
            let named = beginning(&value[found.get_match().end()..]);
            // `Pwd` is how database drivers call a password, and how a shell calls the directory that it is in.
            let is_password = found[1].eq_ignore_ascii_case("pwd") && !named.starts_with('/');
            let name = if is_password { "password" } else { &found[1] };
            !is_inside && holds_secret(name, &named)
        })
    };
    SECRET_VALUE.is_match(value) || names_one()
}

/// Whether what stands at `path` might be a secret, so that a fault had better not show it.
pub(crate) fn is_private_path(path: &str) -> bool {
    path.contains(".environment") || path.contains(".security") || promises_secret(&words(path))
}

/// Returns the first word of what stands behind a name within a value, or so much of it as tells what it is.
fn beginning(text: &str) -> String {
    let ends = |character: char| character.is_whitespace() || "\"',;&}])".contains(character);
    text.chars()
        .take_while(|character| !ends(*character))
        .take(64)
        .collect()
}

fn holds_secret(name: &str, value: &str) -> bool {
    let words = words(name);
    let ending = words.last().map(String::as_str).unwrap_or_default();
    let is_placeholder = value.starts_with("${") || (value.starts_with('<') && value.ends_with('>'));
    let is_reference = is_placeholder || (ending == "arn" && value.starts_with("arn:"));
    let is_amount = ending == "tokens" && value.parse::<f64>().is_ok();
    let says_nothing = ["", "true", "false", "yes", "no", "null", "none"].contains(&value.to_lowercase().as_str());
    promises_secret(&words) && !HARMLESS_ENDINGS.contains(&ending) && !is_reference && !is_amount && !says_nothing
}

fn promises_secret(words: &[String]) -> bool {
    let in_any = [
        "password",
        "passwd",
        "passphrase",
        "credential",
        "apikey",
        "privatekey",
        "accesskey",
    ];
    let at_an_end = ["secret", "secrets", "token", "tokens", "jaas"];
    let is_telling = |word: &String| {
        in_any.iter().any(|part| word.contains(part)) || at_an_end.iter().any(|end| word.ends_with(end))
    };
    let key_of = ["api", "private", "access", "signing", "encryption"];
    let is_key = |pair: &[String]| key_of.contains(&pair[0].as_str()) && pair[1].starts_with("key");
    // `PWD` alone is the directory that a shell is in.
    let is_short = match words {
        [.., last] if last == "pass" => true,
        [_, .., last] => last == "pwd",
        _ => false,
    };
    is_short || words.iter().any(is_telling) || words.windows(2).any(is_key)
}

/// Returns the words of a name, in lower case.
fn words(name: &str) -> Vec<String> {
    let apart = HUMP.replace_all(name, "${1}${3}_${2}${4}");
    let words = apart.split(|character: char| !character.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is written here and compiles")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name_or_by_value() {
        assert!(is_secret("DB_PASSWORD", "hunter2"));
        assert!(is_secret("apiKey", "x"));
        assert!(is_secret("SETTINGS", "-----BEGIN RSA PRIVATE KEY-----\nMII"));
        assert!(is_secret("SETTINGS", "AKIAIOSFODNN7EXAMPLE"));
        assert!(is_secret("PROXY", "http://user:pass@proxy:3128"));
        assert!(is_secret(
            "LOGIN",
            r#"ScramLoginModule required username="a" password="b";"#
        ));
    }

    #[test]
    fn what_only_points_to_a_secret_is_none() {
        assert!(!is_secret(
            "SECRET_ARN",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a"
        ));
        assert!(!is_secret("LOG_LEVEL", "debug"));
        assert!(!is_secret("PROXY", "http://proxy:3128"));
    }

    #[test]
    fn names_are_judged_by_their_whole_words() {
        for name in [
            "DB_PASS",
            "MYSQL_PWD",
            "PGPASSWORD",
            "dbPassword",
            "APIKey",
            "API-KEY",
            "AUTH_TOKEN",
            "AUTHTOKEN",
            "CLIENT_SECRET",
            "clientSecret",
            "API_TOKENS",
            "KAFKA_CREDENTIALS",
            "aws.secret.access.key",
            "SIGNING_KEY",
            "SASL_JAAS_CONFIG",
            "PASSWORD_HASH",
        ] {
            assert!(is_secret(name, "hunter2"), "{name}");
        }
        for (name, value) in [
            ("MAX_TOKENS", "512"),
            ("TOKENIZER", "bpe"),
            ("SECRETARY", "alice"),
            ("PWD", "/app"),
            ("BYPASS", "hosts"),
            ("COMPASS", "north"),
            ("KEY", "messageId"),
            ("TOKEN_LIMIT", "512"),
            ("TOKEN_URL", "https://login.example/token"),
            ("PASSWORD_FILE", "/run/secrets/a"),
            ("USE_TOKEN", "true"),
            ("MONKEY_API", "x"),
            ("SECRET_NAME", "prod/kafka"),
            ("PASSENGERS", "3"),
        ] {
            assert!(!is_secret(name, value), "{name}");
        }
        assert!(
            is_secret("SECRET_ARN", "hunter2"),
            "what is called an ARN has to be one"
        );
    }

    #[test]
    fn a_value_may_name_the_secret_in_it() {
        for value in [
            r#"{"password":"hunter2"}"#,
            "password: hunter2",
            "user=a;password=b",
            r#"{"auth":{"apiKey":"x"}}"#,
            "https://api.example/?token=abc",
            "Bearer abcdef0123456789",
            "Basic dXNlcjpwYXNz",
            "Authorization: Bearer abcdef0123456789",
            "Authorization: Basic dXNlcjpwYXNz",
            r#"{"headers":{"Authorization":"Basic dXNlcjpwYXNz"}}"#,
            r#"{"header":"Bearer abcdef0123456789"}"#,
            "redis://:hunter2@cache:6379",
            "http://user:pa/ss@proxy:1",
            "http://user:1234@proxy:1",
            "http://user:1,2@proxy:1",
            "Server=x;Uid=a;Pwd=hunter2",
            r#"{"pwd":"hunter2"}"#,
            "ghp_0123456789abcdefghijABCDEFGHIJ012345",
            "xoxb-123456789012-abcdefghij",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        ] {
            assert!(is_secret_value(value), "{value}");
        }
        for value in [
            "debug",
            r#"{"password_file":"/run/a"}"#,
            r#"{"password":""}"#,
            "penstock_bridge=debug,info",
            r#"{"maxTokens":5}"#,
            "password: ${DB_PASSWORD}",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a",
            "http://proxy:3128",
            "Basic training",
            r#"{"token":null}"#,
            "Authorization: Bearer ${TOKEN}",
            "the bearer certificates of last year",
            r#"{"plan":"basic training"}"#,
            "redis://cache:6379/0",
            "redis://user@cache:6379",
            "http://proxy:3128/a@b",
            "http://proxy:3128?mail=a@example.com",
            "http://[::1]:8080/users/@me",
            "mongodb://a:27017,b:27017/orders?appName=a@b",
            "https://example.com/a:b@c",
            r#"{"url":"http://proxy:3128","mail":"a@example.com"}"#,
            "alice@example.com",
            "mailto:alice@example.com",
            "Alice <alice@example.com>: on call",
            "registry.example:5000/team/bridge:1.2@sha256:0123456789abcdef0123456789abcdef",
            "jdbc:postgresql://db:5432/orders?user=a",
            "PWD=/app",
            r#"{"pwd":"/app","home":"/root"}"#,
            r#"{"a":[1,{"b":"c: d"}]}"#,
        ] {
            assert!(!is_secret_value(value), "{value}");
        }
    }

    #[test]
    fn a_long_value_is_judged_soon() {
        for part in [
            "a:",
            "pass=${",
            "password=${x",
            "a=\"",
            "Basic ",
            ":basic a",
            "://a:",
            "pwd=/",
        ] {
            assert!(!is_secret_value(&part.repeat(256 * 1024 / part.len())), "{part}");
        }
    }
}
