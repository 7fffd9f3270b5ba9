//! `spec.kafka`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::faults::{Faults, pattern};
use super::secrets::check_reference;
use crate::{Kafka, KafkaSecurity, KafkaSpec, ScramMechanism};

/// More are never asked: one answer names all brokers.
const MOST_SERVERS: usize = 32;

static SERVER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\]):(?<port>[0-9]{1,5})$")
});
static MSK_SERVER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\.kafka(?:-serverless)?\.(?<region>[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2})\.amazonaws\.com(?:\.cn)?:(?<port>[0-9]+)$",
    )
});

static CERTIFICATE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----"));
/// How keystores begin in base 64: those of Java with FEEDFEED, those of PKCS #12 with a sequence whose first part is the version 3.
static KEYSTORE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\s*(/u3\+7Q|feedfeed|MII[A-Za-z0-9+/]{3}IBA|MIACAQM)|\.(?i:jks)$"));

pub(super) fn kafka(spec: Option<&KafkaSpec>, secrets: &BTreeMap<String, String>, faults: &mut Faults) -> Kafka {
    let spec = spec.cloned().unwrap_or_default();
    let security = spec.security.unwrap_or(KafkaSecurity::Plaintext {});
    let bootstrap_servers = spec.bootstrap_servers.unwrap_or_default();
    check_servers(&bootstrap_servers, &security, faults);
    if let Some(server) = bootstrap_servers.iter().find(|server| MSK_SERVER.is_match(server)) {
        check_msk_scram(server, &security, faults);
    }
    check_security(&security, secrets, faults);
    Kafka {
        bootstrap_servers,
        security,
    }
}

fn check_servers(servers: &[String], security: &KafkaSecurity, faults: &mut Faults) {
    let path = "spec.kafka.bootstrapServers";
    if servers.is_empty() {
        faults.missing(path, "name the brokers to ask first, each `host:port`");
    }
    if servers.len() > MOST_SERVERS {
        faults.hide(
            path,
            format!("are {} brokers", servers.len()),
            format!("name at most {MOST_SERVERS}; the first answer names all the others"),
        );
    }
    let mut seen = BTreeSet::new();
    for (index, server) in servers.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if !seen.insert(server) {
            faults.refuse(&path, server, "stands there twice", "remove one of them");
        }
        check_server(&path, server, faults);
        check_msk_server(&path, server, security, faults);
    }
}

fn check_server(path: &str, server: &str, faults: &mut Faults) {
    let port = SERVER
        .captures(server)
        .and_then(|parts| parts["port"].parse::<u16>().ok());
    if server.contains('@') {
        faults.hide(
            path,
            "has a user name in it, and what stands behind that is not shown",
            "write `host:port` alone; `spec.kafka.security` says who the bridge is",
        );
    } else if server.contains("://") {
        faults.refuse(
            path,
            server,
            "begins with a protocol, which `spec.kafka.security` says",
            "write `host:port` alone",
        );
    } else if server.contains(',') {
        faults.refuse(
            path,
            server,
            "is more than one broker",
            "make each an element of the list",
        );
    } else if port.is_none_or(|port| port == 0) {
        faults.refuse(
            path,
            server,
            "is not `host:port`",
            "write the broker's host name or address, a colon, and a port from 1 to 65535",
        );
    }
}

/// How the reason begins of a fault that the security may mend as well as the port.
pub(super) const OTHER_PORT: &str = "is the port that Amazon MSK has for";

/// Amazon MSK gives each way of authenticating a port of its own, so a mix-up can be told before anything runs.
fn check_msk_server(path: &str, server: &str, security: &KafkaSecurity, faults: &mut Faults) {
    let Some(parts) = MSK_SERVER.captures(server) else {
        return;
    };
    let (meant, ports) = match security {
        KafkaSecurity::Plaintext {} => ("plaintext", "9092"),
        KafkaSecurity::MutualTls { .. } => ("mutualTls", "9094 (public: 9194)"),
        KafkaSecurity::Scram { .. } => ("scram", "9096 (public: 9196)"),
        KafkaSecurity::MskIam { .. } => ("mskIam", "9098 (public: 9198)"),
    };
    let known = match &parts["port"] {
        "9092" => "plaintext",
        "9094" | "9194" => "mutualTls",
        "9096" | "9196" => "scram",
        "9098" | "9198" => "mskIam",
        _ => meant,
    };
    if known != meant {
        let why = format!("{OTHER_PORT} `{known}`, and `spec.kafka.security` is `{meant}`");
        faults.refuse(path, server, why, format!("use port {ports}, or correct the security"));
    }
    if let KafkaSecurity::MskIam { region } = security
        && region != &parts["region"]
    {
        let why = format!("is not the region of the broker, {}", &parts["region"]);
        faults.refuse(
            "spec.kafka.security.mskIam.region",
            region,
            why,
            "name the region of the MSK cluster",
        );
    }
}

/// Amazon MSK takes SCRAM in one form alone.
fn check_msk_scram(server: &str, security: &KafkaSecurity, faults: &mut Faults) {
    let KafkaSecurity::Scram { mechanism, tls, .. } = security else {
        return;
    };
    let path = "spec.kafka.security.scram";
    if *mechanism == ScramMechanism::Sha256 {
        faults.refuse(
            &format!("{path}.mechanism"),
            "SCRAM-SHA-256",
            format!("is not a mechanism that Amazon MSK has, and {server} is a broker of it"),
            "use `SCRAM-SHA-512`, or leave the field out",
        );
    }
    if !tls {
        faults.refuse(
            &format!("{path}.tls"),
            false,
            format!("is not how Amazon MSK takes SCRAM, and {server} is a broker of it"),
            "remove it",
        );
    }
}

fn check_security(security: &KafkaSecurity, secrets: &BTreeMap<String, String>, faults: &mut Faults) {
    let path = "spec.kafka.security";
    match security {
        KafkaSecurity::Plaintext {} => {}
        KafkaSecurity::Scram {
            username,
            password,
            tls,
            ca_certificates,
            ..
        } => {
            check_reference(&format!("{path}.scram.username"), username, secrets, faults);
            check_reference(&format!("{path}.scram.password"), password, secrets, faults);
            let path = format!("{path}.scram.caCertificates");
            if !tls && ca_certificates.is_some() {
                faults.hide(
                    &path,
                    "would do nothing without `tls`",
                    "remove it, or remove `tls: false`",
                );
            }
            check_authorities(&path, ca_certificates.as_deref(), faults);
        }
        KafkaSecurity::MutualTls {
            certificate,
            private_key,
            private_key_password,
            ca_certificates,
        } => {
            let path = format!("{path}.mutualTls");
            check_reference(&format!("{path}.certificate"), certificate, secrets, faults);
            check_reference(&format!("{path}.privateKey"), private_key, secrets, faults);
            if let Some(password) = private_key_password {
                check_reference(&format!("{path}.privateKeyPassword"), password, secrets, faults);
            }
            check_authorities(&format!("{path}.caCertificates"), ca_certificates.as_deref(), faults);
        }
        KafkaSecurity::MskIam { region } => faults.check_region(&format!("{path}.mskIam.region"), region),
    }
}

/// Authorities are public and stand in the document; a private key or a Java keystore must not.
fn check_authorities(path: &str, text: Option<&str>, faults: &mut Faults) {
    let Some(text) = text else { return };
    let begun = text.matches("-----BEGIN CERTIFICATE-----").count();
    let ended = text.matches("-----END CERTIFICATE-----").count();
    let whole = CERTIFICATE.find_iter(text).count();
    if text.contains("PRIVATE KEY") {
        faults.hide(
            path,
            "has a private key in it",
            "keep certificates only, put the key into Secrets Manager, and replace it: it has been readable",
        );
    } else if KEYSTORE.is_match(text) {
        faults.hide(
            path,
            "is a keystore, and only PEM is read",
            "convert it: `keytool -importkeystore -srckeystore trust.jks -destkeystore trust.p12 -deststoretype PKCS12`, then `openssl pkcs12 -in trust.p12 -nokeys -out ca.pem`",
        );
    } else if whole == 0 || (whole, whole) != (begun, ended) {
        faults.hide(
            path,
            "holds no complete PEM certificate",
            "paste the text from `-----BEGIN CERTIFICATE-----` to `-----END CERTIFICATE-----`",
        );
    }
}
