//! Where the brokers are and who we are, and the client configuration made from it.
//!
//! The configuration holds an allow-list of keys: nothing that a user writes becomes a key of it.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::Secret;
use crate::pem::{self, Content};

/// Where the brokers are and who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Some of the brokers as `host:port`; the others are found through them.
    pub bootstrap_servers: Vec<String>,
    /// How to authenticate, and whether to encrypt.
    pub security: Security,
    /// The name that the brokers' logs and quotas know this client by.
    pub client_id: String,
}

/// How to authenticate, and whether to encrypt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// User name and password, over TLS unless `tls` is false.
    Scram {
        /// The mechanism that the broker offers.
        mechanism: ScramMechanism,
        /// The user name, which many treat as part of the secret.
        username: Secret,
        /// The password.
        password: Secret,
        /// Whether to encrypt.
        tls: bool,
        /// The authorities to trust, as PEM; the system's when missing.
        ca_certificates: Option<String>,
    },
    /// TLS with a client certificate.
    MutualTls {
        /// The client certificate and its chain, as PEM.
        certificate: Secret,
        /// The private key, as PEM.
        private_key: Secret,
        /// The private key's password, if it has one.
        private_key_password: Option<Secret>,
        /// The authorities to trust, as PEM; the system's when missing.
        ca_certificates: Option<String>,
    },
    /// IAM authentication of Amazon MSK with the default credentials of the process, over TLS.
    MskIam {
        /// The region of the cluster.
        region: String,
    },
}

/// A SCRAM mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScramMechanism {
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No broker was given.
    #[error("no bootstrap server is given: name at least one broker as `host:port`")]
    MissingBootstrapServers,
    /// A broker's address is not one.
    #[error("the bootstrap server `{0}` is not `host:port`: write for example `broker-1.example.com:9092`")]
    InvalidBootstrapServer(String),
    /// A certificate or key is not PEM.
    #[error("the {what} {fault}")]
    InvalidPem {
        /// Which of them.
        what: &'static str,
        /// What it is instead, and how to convert it.
        fault: String,
    },
    /// A secret is empty.
    #[error("the {0} is empty: give its value by the environment or a file")]
    EmptySecret(&'static str),
    /// The region is not one.
    #[error("the region `{0}` is not an AWS region: write for example `eu-west-1`")]
    InvalidRegion(String),
}

impl Settings {
    /// Returns the first fault that would keep every client from connecting, before one tries.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.bootstrap_servers.is_empty() {
            return Err(SettingsError::MissingBootstrapServers);
        }
        if let Some(server) = self.bootstrap_servers.iter().find(|server| !is_address(server)) {
            return Err(SettingsError::InvalidBootstrapServer(server.clone()));
        }
        self.security.check()
    }

    /// Returns the configuration that every client starts from. It holds secrets: it must never be printed.
    pub fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap_servers.join(","))
            .set("client.id", &self.client_id)
            .set("socket.keepalive.enable", "true")
            .set("socket.connection.setup.timeout.ms", "10000")
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "5000")
            .set("retry.backoff.ms", "100")
            .set("retry.backoff.max.ms", "1000")
            .set("log.connection.close", "false")
            .set("allow.auto.create.topics", "false")
            // The crate goes by a logger that nobody installs, and would keep warnings to itself.
            .set_log_level(RDKafkaLogLevel::Warning);
        self.security.apply(&mut config);
        config
    }
}

impl ScramMechanism {
    /// Returns the mechanism's name in the SASL protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }
}

impl Security {
    fn check(&self) -> Result<(), SettingsError> {
        match self {
            Self::Plaintext => Ok(()),
            Self::Scram {
                username,
                password,
                ca_certificates,
                ..
            } => {
                refuse_empty("user name", username)?;
                refuse_empty("password", password)?;
                check_authorities(ca_certificates.as_deref())
            }
            Self::MutualTls {
                certificate,
                private_key,
                private_key_password,
                ca_certificates,
            } => {
                check_pem("client certificate", certificate.expose(), Content::Certificates)?;
                check_pem("private key", private_key.expose(), Content::PrivateKey)?;
                if let Some(password) = private_key_password {
                    refuse_empty("private key's password", password)?;
                }
                check_authorities(ca_certificates.as_deref())
            }
            Self::MskIam { region } if is_region(region) => Ok(()),
            Self::MskIam { region } => Err(SettingsError::InvalidRegion(region.clone())),
        }
    }

    fn apply(&self, config: &mut ClientConfig) {
        match self {
            Self::Plaintext => {
                config.set("security.protocol", "PLAINTEXT");
            }
            Self::Scram {
                mechanism,
                username,
                password,
                tls,
                ca_certificates,
            } => {
                config
                    .set("security.protocol", if *tls { "SASL_SSL" } else { "SASL_PLAINTEXT" })
                    .set("sasl.mechanism", mechanism.as_str())
                    .set("sasl.username", username.expose())
                    .set("sasl.password", password.expose());
                if *tls {
                    trust(config, ca_certificates.as_deref());
                }
            }
            Self::MutualTls {
                certificate,
                private_key,
                private_key_password,
                ca_certificates,
            } => {
                config
                    .set("security.protocol", "SSL")
                    .set("ssl.certificate.pem", certificate.expose())
                    .set("ssl.key.pem", private_key.expose());
                if let Some(password) = private_key_password {
                    config.set("ssl.key.password", password.expose());
                }
                trust(config, ca_certificates.as_deref());
            }
            Self::MskIam { .. } => {
                config
                    .set("security.protocol", "SASL_SSL")
                    .set("sasl.mechanism", "OAUTHBEARER");
                trust(config, None);
            }
        }
    }
}

/// Host names are always verified; only the authorities differ.
fn trust(config: &mut ClientConfig, ca_certificates: Option<&str>) {
    config.set("ssl.endpoint.identification.algorithm", "https");
    match ca_certificates {
        Some(pem) => config.set("ssl.ca.pem", pem),
        None => config.set("ssl.ca.location", "probe"),
    };
}

fn check_authorities(ca_certificates: Option<&str>) -> Result<(), SettingsError> {
    match ca_certificates {
        Some(text) => check_pem("list of trusted authorities", text, Content::Certificates),
        None => Ok(()),
    }
}

fn check_pem(what: &'static str, text: &str, content: Content) -> Result<(), SettingsError> {
    match pem::fault(text, content) {
        Some(fault) => Err(SettingsError::InvalidPem { what, fault }),
        None => Ok(()),
    }
}

fn refuse_empty(what: &'static str, secret: &Secret) -> Result<(), SettingsError> {
    if secret.expose().is_empty() {
        Err(SettingsError::EmptySecret(what))
    } else {
        Ok(())
    }
}

fn is_address(server: &str) -> bool {
    let Some((host, port)) = server.rsplit_once(':') else {
        return false;
    };
    let plain = |character: char| !character.is_whitespace() && !"/,@".contains(character);
    !host.is_empty() && host.chars().all(plain) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// The region becomes part of a host name, so nothing but its own characters may stand in it.
fn is_region(region: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    region.len() <= 32 && region.contains('-') && region.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\ncanary-key\n-----END PRIVATE KEY-----\n";

    fn settings(security: Security) -> Settings {
        let bootstrap_servers = vec!["one:9092".to_owned(), "two:9092".to_owned()];
        Settings {
            bootstrap_servers,
            security,
            client_id: "penstock-test".to_owned(),
        }
    }

    fn scram(tls: bool, ca_certificates: Option<String>) -> Security {
        Security::Scram {
            mechanism: ScramMechanism::Sha512,
            username: Secret::new("canary-user"),
            password: Secret::new("canary-password"),
            tls,
            ca_certificates,
        }
    }

    fn mutual_tls() -> Security {
        Security::MutualTls {
            certificate: Secret::new(CERTIFICATE),
            private_key: Secret::new(KEY),
            private_key_password: Some(Secret::new("canary-key-password")),
            ca_certificates: Some(CERTIFICATE.to_owned()),
        }
    }

    fn msk() -> Security {
        Security::MskIam {
            region: "eu-west-1".to_owned(),
        }
    }

    /// Returns the values of the security keys, in the order of `keys`.
    fn values<'a>(config: &'a ClientConfig, keys: &[&str]) -> Vec<Option<&'a str>> {
        keys.iter().map(|key| config.get(key)).collect()
    }

    #[test]
    fn plaintext_sets_no_authentication() {
        let config = settings(Security::Plaintext).client_config();
        let keys = [
            "bootstrap.servers",
            "client.id",
            "security.protocol",
            "sasl.mechanism",
            "ssl.ca.location",
        ];
        let expected = [
            Some("one:9092,two:9092"),
            Some("penstock-test"),
            Some("PLAINTEXT"),
            None,
            None,
        ];
        assert_eq!(values(&config, &keys), expected);
    }

    #[test]
    fn scram_goes_over_tls_with_the_system_authorities_unless_told_otherwise() {
        let keys = [
            "security.protocol",
            "sasl.mechanism",
            "sasl.username",
            "sasl.password",
            "ssl.ca.location",
        ];
        let config = settings(scram(true, None)).client_config();
        let (user, password) = (Some("canary-user"), Some("canary-password"));
        let expected = [Some("SASL_SSL"), Some("SCRAM-SHA-512"), user, password, Some("probe")];
        assert_eq!(values(&config, &keys), expected);
        let config = settings(scram(false, None)).client_config();
        let expected = [Some("SASL_PLAINTEXT"), Some("SCRAM-SHA-512"), user, password, None];
        assert_eq!(values(&config, &keys), expected);
        let config = settings(scram(true, Some(CERTIFICATE.to_owned()))).client_config();
        assert_eq!(
            values(&config, &["ssl.ca.pem", "ssl.ca.location"]),
            [Some(CERTIFICATE), None]
        );
    }

    #[test]
    fn mutual_tls_hands_over_pem_texts() {
        let config = settings(mutual_tls()).client_config();
        let keys = [
            "security.protocol",
            "ssl.certificate.pem",
            "ssl.key.pem",
            "ssl.key.password",
            "ssl.ca.pem",
        ];
        let expected = [
            Some("SSL"),
            Some(CERTIFICATE),
            Some(KEY),
            Some("canary-key-password"),
            Some(CERTIFICATE),
        ];
        assert_eq!(values(&config, &keys), expected);
    }

    #[test]
    fn msk_iam_is_oauthbearer_over_tls() {
        let config = settings(msk()).client_config();
        let keys = ["security.protocol", "sasl.mechanism", "ssl.ca.location"];
        assert_eq!(
            values(&config, &keys),
            [Some("SASL_SSL"), Some("OAUTHBEARER"), Some("probe")]
        );
    }

    #[test]
    fn librdkafka_knows_every_key() {
        for security in [
            Security::Plaintext,
            scram(true, None),
            scram(false, None),
            mutual_tls(),
            msk(),
        ] {
            let config = settings(security.clone()).client_config();
            assert!(config.create_native_config().is_ok(), "{security:?}");
        }
    }

    #[test]
    fn no_secret_is_printed() {
        for security in [scram(true, None), mutual_tls()] {
            let printed = format!("{:?}", settings(security));
            assert!(!printed.contains("canary"), "{printed}");
        }
    }

    #[test]
    fn faults_are_found_before_a_client_tries() {
        for security in [Security::Plaintext, scram(true, None), mutual_tls(), msk()] {
            assert_eq!(settings(security).check(), Ok(()));
        }
        let mut unreachable = settings(Security::Plaintext);
        unreachable.bootstrap_servers = vec!["http://one:9092".to_owned()];
        let refused = SettingsError::InvalidBootstrapServer("http://one:9092".to_owned());
        assert_eq!(unreachable.check(), Err(refused));
        let elsewhere = settings(Security::MskIam {
            region: "evil.example.com/".to_owned(),
        });
        assert_eq!(
            elsewhere.check(),
            Err(SettingsError::InvalidRegion("evil.example.com/".to_owned()))
        );
    }

    #[test]
    fn a_key_store_in_place_of_pem_is_refused_without_printing_it() {
        let mut security = mutual_tls();
        if let Security::MutualTls { private_key, .. } = &mut security {
            *private_key = Secret::new("/u3+7Qcanary");
        }
        let error = settings(security)
            .check()
            .expect_err("a key store is no PEM")
            .to_string();
        assert!(
            error.starts_with("the private key is a Java key store (JKS); "),
            "{error}"
        );
        assert!(!error.contains("canary"), "{error}");
    }
}
