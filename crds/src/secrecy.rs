//! What looks like a secret, so that it is refused where it would be readable, and never quoted in a fault.

use std::sync::LazyLock;

use regex::Regex;

/// Names that promise a secret value.
static SECRET_NAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)passw(or)?d|passphrase|secret|token|credential|jaas|private[_.-]?key|api[_.-]?key|access[_.-]?key")
});

/// Endings of names whose values only say where a secret is, or how one is treated.
static HARMLESS_ENDING: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)[_.-](arn|name|file|path|size|ttl|seconds|enabled)$"));

/// Values that are a secret under any name: private keys, AWS access keys, passwords in a JAAS line or in a URL.
static SECRET_VALUE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----|\b(AKIA|ASIA)[A-Z0-9]{16}\b|(?i:password\s*=\s*\S)|://[^/\s:@]+:[^/\s@]+@"#,
    )
});

/// Whether an environment variable of this name and value would put a secret where everybody can read it.
pub(crate) fn is_secret(name: &str, value: &str) -> bool {
    (SECRET_NAME.is_match(name) && !HARMLESS_ENDING.is_match(name)) || is_secret_value(value)
}

/// Whether the value alone shows that it is secret.
pub(crate) fn is_secret_value(value: &str) -> bool {
    SECRET_VALUE.is_match(value)
}

/// Whether what stands at `path` might be a secret, so that a fault had better not show it.
pub(crate) fn is_private_path(path: &str) -> bool {
    path.contains(".environment") || path.contains(".security") || SECRET_NAME.is_match(path)
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
}
