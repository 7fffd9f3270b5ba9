//! The connection to Kafka, with the secrets that the environment holds.

use penstock_crds::{
    BridgeConfig, KAFKA_CERTIFICATE_VARIABLE, KAFKA_PASSWORD_VARIABLE, KAFKA_PRIVATE_KEY_PASSWORD_VARIABLE,
    KAFKA_PRIVATE_KEY_VARIABLE, KAFKA_USERNAME_VARIABLE, KafkaSecurity, ScramMechanism,
};
use penstock_kafka::{Secret, Security, Settings};

use crate::config::ConfigError;

/// Returns how to connect, checked as far as that is possible without connecting.
pub(super) fn connection(
    bridge: &BridgeConfig,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Settings, ConfigError> {
    let settings = Settings {
        bootstrap_servers: bridge.kafka.bootstrap_servers.clone(),
        security: security(&bridge.kafka.security, variable)?,
        client_id: format!("penstock-bridge-{}", bridge.connector),
    };
    settings.check().map_err(ConfigError::Connection)?;
    Ok(settings)
}

fn security(wanted: &KafkaSecurity, variable: impl Fn(&str) -> Option<String>) -> Result<Security, ConfigError> {
    let secret = |name: &'static str| {
        let value = variable(name).filter(|value| !value.is_empty());
        value.map(Secret::new).ok_or(ConfigError::MissingSecret(name))
    };
    Ok(match wanted {
        KafkaSecurity::Plaintext {} => Security::Plaintext,
        KafkaSecurity::Scram {
            mechanism,
            tls,
            ca_certificates,
            ..
        } => Security::Scram {
            mechanism: match mechanism {
                ScramMechanism::Sha256 => penstock_kafka::ScramMechanism::Sha256,
                ScramMechanism::Sha512 => penstock_kafka::ScramMechanism::Sha512,
            },
            username: secret(KAFKA_USERNAME_VARIABLE)?,
            password: secret(KAFKA_PASSWORD_VARIABLE)?,
            tls: *tls,
            ca_certificates: ca_certificates.clone(),
        },
        KafkaSecurity::MutualTls {
            private_key_password,
            ca_certificates,
            ..
        } => Security::MutualTls {
            certificate: secret(KAFKA_CERTIFICATE_VARIABLE)?,
            private_key: secret(KAFKA_PRIVATE_KEY_VARIABLE)?,
            private_key_password: match private_key_password {
                Some(_) => Some(secret(KAFKA_PRIVATE_KEY_PASSWORD_VARIABLE)?),
                None => None,
            },
            ca_certificates: ca_certificates.clone(),
        },
        KafkaSecurity::MskIam { region } => Security::MskIam { region: region.clone() },
    })
}
