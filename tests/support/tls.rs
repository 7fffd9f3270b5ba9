//! Certificates for a broker and its clients, made by `openssl` when a test asks for them, and never anywhere else.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::io;
use crate::process::Program;
use crate::{Error, rundir};

const LIMIT: Duration = Duration::from_secs(60);

/// An authority that signs certificates. It lives as long as its files, which go with the test binary.
#[derive(Debug)]
pub struct Authority {
    home: PathBuf,
    certificate: String,
}

/// A certificate with its private key, both as PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub private_key: String,
}

impl Authority {
    /// Makes an authority that nobody trusts yet.
    pub async fn new(name: &str) -> Result<Self, Error> {
        let home = rundir::fresh_data_directory("authority")?;
        let subject = format!("/CN={name}");
        openssl(&home, "ca")
            .args(["-nodes", "-subj", subject.as_str()])
            .args(["-addext", "keyUsage=critical,keyCertSign"])
            .made()
            .await?;
        let certificate = read(&home.join("ca.pem"))?;
        Ok(Self { home, certificate })
    }

    /// Returns its own certificate as PEM: whoever has it can trust what it signs.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Signs a certificate for `name` that is good for these addresses, such as `IP:127.0.0.1`.
    pub async fn issue(&self, name: &str, addresses: &str) -> Result<Identity, Error> {
        self.signed(name, addresses, &["-nodes".to_owned()]).await
    }

    /// Signs a certificate for a client whose private key is locked with a password.
    pub async fn issue_locked(&self, name: &str, password: &str) -> Result<Identity, Error> {
        let lock = ["-passout".to_owned(), format!("pass:{password}")];
        self.signed(name, "DNS:client.invalid", &lock).await
    }

    async fn signed(&self, name: &str, addresses: &str, lock: &[String]) -> Result<Identity, Error> {
        let subject = format!("/CN={name}");
        let alternative = format!("subjectAltName={addresses}");
        openssl(&self.home, name)
            .args(["-CA", "ca.pem", "-CAkey", "ca.key"])
            .args(["-subj", subject.as_str(), "-addext", alternative.as_str()])
            .args(["-addext", "basicConstraints=critical,CA:false"])
            .args(lock)
            .made()
            .await?;
        Ok(Identity {
            certificate: read(&self.home.join(format!("{name}.pem")))?,
            private_key: read(&self.home.join(format!("{name}.key")))?,
        })
    }
}

/// One run of `openssl req`, which makes a key and a certificate in the authority's directory.
struct Request(Program);

fn openssl(home: &Path, name: &str) -> Request {
    let program = Program::new("openssl", "openssl")
        .current_dir(home)
        .args(["req", "-x509", "-days", "2", "-newkey", "ec"])
        .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-keyout".to_owned(), format!("{name}.key")])
        .args(["-out".to_owned(), format!("{name}.pem")]);
    Request(program)
}

impl Request {
    fn args<A: AsRef<std::ffi::OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        Self(self.0.args(arguments))
    }

    async fn made(self) -> Result<(), Error> {
        let (status, output) = self.0.run(LIMIT).await?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Helper {
            program: "openssl".to_owned(),
            status,
            output,
        })
    }
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(io(format!("read {}", path.display())))
}
