//! Tells PEM from the key stores that Java users have at hand, and says how to convert those.

/// What a PEM text should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// One certificate or a chain.
    Certificates,
    /// A private key.
    PrivateKey,
}

/// Returns why `text` is not the wanted PEM, with the commands that make it so; nothing of the text itself.
pub(crate) fn fault(text: &str, content: Content) -> Option<String> {
    let sound = match content {
        Content::Certificates => text.contains("-----BEGIN CERTIFICATE-----"),
        Content::PrivateKey => text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----"),
    };
    if sound {
        return None;
    }
    let looks_like = if is_java_key_store(text) {
        "is a Java key store (JKS)"
    } else if text.trim().is_empty() {
        "is empty"
    } else {
        "is not PEM"
    };
    Some(format!("{looks_like}; {}", advice(content)))
}

/// Java key stores begin with FE ED FE ED; read as text that is replacement characters, in base64 it is `/u3+7Q`.
fn is_java_key_store(text: &str) -> bool {
    text.starts_with("/u3+7Q") || text.starts_with("\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}")
}

fn advice(content: Content) -> &'static str {
    match content {
        Content::Certificates => {
            "give text that begins with `-----BEGIN CERTIFICATE-----`. From a JKS or PKCS#12 store: \
             `keytool -importkeystore -srckeystore client.jks -destkeystore client.p12 -deststoretype PKCS12`, \
             then `openssl pkcs12 -in client.p12 -nokeys -out certificate.pem`"
        }
        Content::PrivateKey => {
            "give text that begins with `-----BEGIN PRIVATE KEY-----` or `-----BEGIN ENCRYPTED PRIVATE KEY-----`. From \
             a JKS or PKCS#12 store: `keytool -importkeystore -srckeystore client.jks -destkeystore client.p12 \
             -deststoretype PKCS12`, then `openssl pkcs12 -in client.p12 -nocerts -out private-key.pem`"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_is_accepted_with_text_before_it() {
        let text = "Bag Attributes\n-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        assert_eq!(fault(text, Content::Certificates), None);
        for kind in [
            "PRIVATE KEY",
            "RSA PRIVATE KEY",
            "EC PRIVATE KEY",
            "ENCRYPTED PRIVATE KEY",
        ] {
            assert_eq!(
                fault(&format!("-----BEGIN {kind}-----"), Content::PrivateKey),
                None,
                "{kind}"
            );
        }
    }

    #[test]
    fn a_certificate_is_no_private_key() {
        assert!(fault("-----BEGIN CERTIFICATE-----", Content::PrivateKey).is_some());
    }

    #[test]
    fn a_java_key_store_is_named_with_the_commands_that_convert_it() {
        let binary = String::from_utf8_lossy(&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]).into_owned();
        for text in [binary.as_str(), "/u3+7QAAAAIAAAAB"] {
            let fault = fault(text, Content::PrivateKey).expect("a key store is refused");
            assert!(fault.contains("Java key store"), "{fault}");
            assert!(
                fault.contains("keytool -importkeystore") && fault.contains("openssl pkcs12"),
                "{fault}"
            );
        }
    }
}
