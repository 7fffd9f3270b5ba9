//! The flags that say how to reach Kafka, and how they become [`Settings`].
//!
//! A secret is never a flag, as every user of a machine can list those: it comes by an environment variable, or from a
//! file that a flag names.

use std::path::{Path, PathBuf};

use crate::{
    CERTIFICATE_VARIABLE, PASSWORD_VARIABLE, PRIVATE_KEY_PASSWORD_VARIABLE, PRIVATE_KEY_VARIABLE, ScramMechanism,
    Secret, Security, Settings, SettingsError, USERNAME_VARIABLE,
};

/// How to reach Kafka, as typed.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Kafka")]
pub struct KafkaArgs {
    /// Some of the brokers as host:port, separated by commas
    #[arg(
        long,
        env = "PENSTOCK_BOOTSTRAP_SERVERS",
        value_delimiter = ',',
        value_name = "HOST:PORT",
        required = true
    )]
    pub bootstrap_servers: Vec<String>,
    /// How to authenticate
    #[arg(long, env = "PENSTOCK_KAFKA_SECURITY", value_enum, default_value_t)]
    pub kafka_security: SecurityMode,
    /// Whether SCRAM goes over TLS; true when missing
    #[arg(long, env = "PENSTOCK_KAFKA_TLS", value_name = "BOOL")]
    pub kafka_tls: Option<bool>,
    /// The file with the SCRAM user name; or set PENSTOCK_KAFKA_USERNAME
    #[arg(long, env = "PENSTOCK_KAFKA_USERNAME_FILE", value_name = "FILE")]
    pub kafka_username_file: Option<PathBuf>,
    /// The file with the SCRAM password; or set PENSTOCK_KAFKA_PASSWORD
    #[arg(long, env = "PENSTOCK_KAFKA_PASSWORD_FILE", value_name = "FILE")]
    pub kafka_password_file: Option<PathBuf>,
    /// The PEM file with the client certificate; or set PENSTOCK_KAFKA_CERTIFICATE
    #[arg(long, env = "PENSTOCK_KAFKA_CERTIFICATE_FILE", value_name = "FILE")]
    pub kafka_certificate_file: Option<PathBuf>,
    /// The PEM file with the private key; or set PENSTOCK_KAFKA_PRIVATE_KEY
    #[arg(long, env = "PENSTOCK_KAFKA_PRIVATE_KEY_FILE", value_name = "FILE")]
    pub kafka_private_key_file: Option<PathBuf>,
    /// The file with the private key's password; or set PENSTOCK_KAFKA_PRIVATE_KEY_PASSWORD
    #[arg(long, env = "PENSTOCK_KAFKA_PRIVATE_KEY_PASSWORD_FILE", value_name = "FILE")]
    pub kafka_private_key_password_file: Option<PathBuf>,
    /// The PEM file with the authorities to trust; the system's when missing
    #[arg(long, env = "PENSTOCK_KAFKA_CA_FILE", value_name = "FILE")]
    pub kafka_ca_file: Option<PathBuf>,
    /// The region of the MSK cluster
    #[arg(long, env = "PENSTOCK_KAFKA_REGION", value_name = "REGION")]
    pub kafka_region: Option<String>,
}

/// A way to authenticate, as typed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SecurityMode {
    /// Neither encrypted nor authenticated
    #[default]
    Plaintext,
    /// User name and password, SCRAM-SHA-256
    #[value(name = "scram-sha-256")]
    ScramSha256,
    /// User name and password, SCRAM-SHA-512
    #[value(name = "scram-sha-512")]
    ScramSha512,
    /// TLS with a client certificate
    MutualTls,
    /// IAM authentication of Amazon MSK
    MskIam,
}

/// Why the flags do not say how to reach Kafka.
#[derive(Debug, thiserror::Error)]
pub enum ArgsError {
    /// A flag has no meaning beside this way to authenticate.
    #[error("--{flag} has no meaning with --kafka-security {mode}: leave it out, or choose another --kafka-security")]
    RefuseFlag {
        /// Which flag.
        flag: &'static str,
        /// The way to authenticate.
        mode: &'static str,
    },
    /// A value is missing.
    #[error("--kafka-security {mode} needs {what}: {mend}")]
    MissingValue {
        /// Which value.
        what: &'static str,
        /// The way to authenticate.
        mode: &'static str,
        /// How to give it.
        mend: String,
    },
    /// A secret is given twice.
    #[error("the {what} is given by both {variable} and the file {}: give one of them", file.display())]
    AmbiguousSecret {
        /// Which secret.
        what: &'static str,
        /// The environment variable.
        variable: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// A file could not be read.
    #[error("could not read the {what} from {}", file.display())]
    ReadFile {
        /// What it should hold.
        what: &'static str,
        /// Which file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The settings that the flags make are faulty.
    #[error("the Kafka settings cannot be used")]
    CheckSettings(#[source] SettingsError),
}

impl SecurityMode {
    /// Returns the mode as typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::ScramSha256 => "scram-sha-256",
            Self::ScramSha512 => "scram-sha-512",
            Self::MutualTls => "mutual-tls",
            Self::MskIam => "msk-iam",
        }
    }

    fn is_scram(self) -> bool {
        matches!(self, Self::ScramSha256 | Self::ScramSha512)
    }
}

impl KafkaArgs {
    /// Returns the settings of a client named `client_id`; secrets come from the process's environment or from files.
    pub fn settings(&self, client_id: &str) -> Result<Settings, ArgsError> {
        self.settings_with(client_id, |variable| std::env::var(variable).ok())
    }

    fn settings_with(&self, client_id: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<Settings, ArgsError> {
        self.refuse_flags_without_meaning()?;
        let security = self.security(&lookup)?;
        let bootstrap_servers = self
            .bootstrap_servers
            .iter()
            .map(|server| server.trim().to_owned())
            .collect();
        let settings = Settings {
            bootstrap_servers,
            security,
            client_id: client_id.to_owned(),
        };
        settings.check().map_err(ArgsError::CheckSettings)?;
        Ok(settings)
    }

    fn security(&self, lookup: &impl Fn(&str) -> Option<String>) -> Result<Security, ArgsError> {
        Ok(match self.kafka_security {
            SecurityMode::Plaintext => Security::Plaintext,
            SecurityMode::ScramSha256 => self.scram(ScramMechanism::Sha256, lookup)?,
            SecurityMode::ScramSha512 => self.scram(ScramMechanism::Sha512, lookup)?,
            SecurityMode::MutualTls => self.mutual_tls(lookup)?,
            SecurityMode::MskIam => Security::MskIam { region: self.region()? },
        })
    }

    fn scram(
        &self,
        mechanism: ScramMechanism,
        lookup: &impl Fn(&str) -> Option<String>,
    ) -> Result<Security, ArgsError> {
        let username = read_secret(
            "user name",
            USERNAME_VARIABLE,
            self.kafka_username_file.as_deref(),
            lookup,
        )?;
        let password = read_secret(
            "password",
            PASSWORD_VARIABLE,
            self.kafka_password_file.as_deref(),
            lookup,
        )?;
        Ok(Security::Scram {
            mechanism,
            username: self.needs("a user name", username, USERNAME_VARIABLE, "kafka-username-file")?,
            password: self.needs("a password", password, PASSWORD_VARIABLE, "kafka-password-file")?,
            tls: self.kafka_tls.unwrap_or(true),
            ca_certificates: self.authorities()?,
        })
    }

    fn mutual_tls(&self, lookup: &impl Fn(&str) -> Option<String>) -> Result<Security, ArgsError> {
        let file = self.kafka_certificate_file.as_deref();
        let certificate = read_secret("client certificate", CERTIFICATE_VARIABLE, file, lookup)?;
        let file = self.kafka_private_key_file.as_deref();
        let private_key = read_secret("private key", PRIVATE_KEY_VARIABLE, file, lookup)?;
        let file = self.kafka_private_key_password_file.as_deref();
        let certificate_flag = "kafka-certificate-file";
        Ok(Security::MutualTls {
            certificate: self.needs(
                "a client certificate",
                certificate,
                CERTIFICATE_VARIABLE,
                certificate_flag,
            )?,
            private_key: self.needs(
                "a private key",
                private_key,
                PRIVATE_KEY_VARIABLE,
                "kafka-private-key-file",
            )?,
            private_key_password: read_secret("private key's password", PRIVATE_KEY_PASSWORD_VARIABLE, file, lookup)?,
            ca_certificates: self.authorities()?,
        })
    }

    fn region(&self) -> Result<String, ArgsError> {
        let mend = || "give --kafka-region or set PENSTOCK_KAFKA_REGION".to_owned();
        let mode = self.kafka_security.as_str();
        self.kafka_region.clone().ok_or_else(|| ArgsError::MissingValue {
            what: "a region",
            mode,
            mend: mend(),
        })
    }

    fn authorities(&self) -> Result<Option<String>, ArgsError> {
        let what = "list of trusted authorities";
        self.kafka_ca_file
            .as_deref()
            .map(|file| read_file(what, file))
            .transpose()
    }

    fn needs(
        &self,
        what: &'static str,
        secret: Option<Secret>,
        variable: &str,
        flag: &str,
    ) -> Result<Secret, ArgsError> {
        secret.ok_or_else(|| ArgsError::MissingValue {
            what,
            mode: self.kafka_security.as_str(),
            mend: format!("set {variable}, or name a file by --{flag}"),
        })
    }

    /// A flag that would be ignored is refused: whoever wrote it expects it to do something.
    fn refuse_flags_without_meaning(&self) -> Result<(), ArgsError> {
        let mode = self.kafka_security;
        let (scram, mutual) = (mode.is_scram(), mode == SecurityMode::MutualTls);
        let encrypted = mutual || (scram && self.kafka_tls != Some(false));
        let flags = [
            ("kafka-tls", self.kafka_tls.is_some(), scram),
            ("kafka-username-file", self.kafka_username_file.is_some(), scram),
            ("kafka-password-file", self.kafka_password_file.is_some(), scram),
            ("kafka-certificate-file", self.kafka_certificate_file.is_some(), mutual),
            ("kafka-private-key-file", self.kafka_private_key_file.is_some(), mutual),
            (
                "kafka-private-key-password-file",
                self.kafka_private_key_password_file.is_some(),
                mutual,
            ),
            ("kafka-ca-file", self.kafka_ca_file.is_some(), encrypted),
            (
                "kafka-region",
                self.kafka_region.is_some(),
                mode == SecurityMode::MskIam,
            ),
        ];
        match flags.into_iter().find(|(_, given, meant)| *given && !meant) {
            Some((flag, ..)) => Err(ArgsError::RefuseFlag {
                flag,
                mode: mode.as_str(),
            }),
            None => Ok(()),
        }
    }
}

/// Returns a secret from the environment or from a file, if it is in one of them; in both, it is refused.
pub fn read_secret(
    what: &'static str,
    variable: &'static str,
    file: Option<&Path>,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Option<Secret>, ArgsError> {
    match (lookup(variable), file) {
        (Some(_), Some(file)) => Err(ArgsError::AmbiguousSecret {
            what,
            variable,
            file: file.to_owned(),
        }),
        (Some(text), None) => Ok(Some(Secret::new(text))),
        (None, Some(file)) => read_file(what, file).map(|text| Some(Secret::new(text.trim_end_matches(['\r', '\n'])))),
        (None, None) => Ok(None),
    }
}

/// Key stores are no text; read loosely, they get as far as the check that says how to convert them.
fn read_file(what: &'static str, file: &Path) -> Result<String, ArgsError> {
    let read = std::fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    read.map_err(|source| ArgsError::ReadFile {
        what,
        file: file.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        kafka: KafkaArgs,
    }

    fn parsed(flags: &[&str]) -> KafkaArgs {
        let flags = ["test", "--bootstrap-servers", "one:9092,two:9092"].iter().chain(flags);
        Command::try_parse_from(flags)
            .unwrap_or_else(|error| panic!("{error}"))
            .kafka
    }

    fn environment(variable: &str) -> Option<String> {
        match variable {
            USERNAME_VARIABLE => Some("alice".to_owned()),
            PASSWORD_VARIABLE => Some("canary".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn plaintext_needs_only_brokers() {
        let settings = parsed(&[])
            .settings_with("penstock", |_| None)
            .expect("brokers suffice");
        assert_eq!(settings.security, Security::Plaintext);
        assert_eq!(settings.bootstrap_servers, ["one:9092", "two:9092"]);
    }

    #[test]
    fn scram_takes_its_secrets_from_the_environment() {
        let args = parsed(&["--kafka-security", "scram-sha-512", "--kafka-tls", "false"]);
        let settings = args.settings_with("penstock", environment).expect("it is complete");
        let Security::Scram {
            mechanism,
            username,
            tls,
            ..
        } = settings.security
        else {
            panic!("{settings:?}")
        };
        assert_eq!(
            (mechanism, username.expose(), tls),
            (ScramMechanism::Sha512, "alice", false)
        );
    }

    #[test]
    fn a_missing_secret_says_how_to_give_it() {
        let args = parsed(&["--kafka-security", "scram-sha-256"]);
        let error = args
            .settings_with("penstock", |_| None)
            .expect_err("there is no user name")
            .to_string();
        let expected = "--kafka-security scram-sha-256 needs a user name: set PENSTOCK_KAFKA_USERNAME, or name a file by \
                        --kafka-username-file";
        assert_eq!(error, expected);
    }

    #[test]
    fn a_flag_that_would_be_ignored_is_refused() {
        for (flags, refused) in [
            (vec!["--kafka-region", "eu-west-1"], "kafka-region"),
            (vec!["--kafka-tls", "true"], "kafka-tls"),
            (
                vec!["--kafka-security", "msk-iam", "--kafka-ca-file", "ca.pem"],
                "kafka-ca-file",
            ),
            (
                vec!["--kafka-security", "mutual-tls", "--kafka-password-file", "x"],
                "kafka-password-file",
            ),
        ] {
            let error = parsed(&flags)
                .settings_with("penstock", environment)
                .expect_err("it has no meaning");
            assert!(
                matches!(error, ArgsError::RefuseFlag { flag, .. } if flag == refused),
                "{error}"
            );
        }
    }

    #[test]
    fn a_secret_given_twice_is_refused_without_printing_it() {
        let args = parsed(&["--kafka-security", "scram-sha-512", "--kafka-password-file", "password"]);
        let error = args
            .settings_with("penstock", environment)
            .expect_err("which one is it?");
        assert!(matches!(error, ArgsError::AmbiguousSecret { .. }), "{error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }

    #[test]
    fn msk_iam_needs_its_region() {
        let args = parsed(&["--kafka-security", "msk-iam"]);
        let error = args
            .settings_with("penstock", |_| None)
            .expect_err("there is no region");
        assert!(
            matches!(error, ArgsError::MissingValue { what: "a region", .. }),
            "{error}"
        );
    }
}
