//! Certificates for TLS, made by openssl, under an authority of the test's own.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::programs::run;

/// An authority; it signs what it is asked for.
#[derive(Debug)]
pub struct Authority {
    directory: TempDir,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Authority {
    /// Returns a new one.
    pub fn new() -> Self {
        let new = Self { directory: tempfile::tempdir().expect("temporary directories can be made") };
        new.openssl("authority", &["-subj", "/CN=authority of a test"]);
        new
    }

    /// Returns the file of its own certificate.
    pub fn root(&self) -> PathBuf {
        self.certificate("authority").certificate
    }

    /// Returns a new certificate for 127.0.0.1 and a host, whose files have this name.
    pub fn signs(&self, name: &str, host: &str) -> Certificate {
        let Certificate { certificate, key } = self.certificate("authority");
        let (subject, alternatives) = (format!("/CN={host}"), format!("subjectAltName=DNS:{host},IP:127.0.0.1"));
        let [certificate, key] = [&certificate, &key].map(|path| path.display().to_string());
        let signed = ["-CA", &certificate, "-CAkey", &key, "-subj", &subject, "-addext", &alternatives];
        self.openssl(name, &[&signed[..], &["-addext", "basicConstraints=critical,CA:FALSE"]].concat());
        self.certificate(name)
    }

    fn certificate(&self, name: &str) -> Certificate {
        let file = |end: &str| self.directory.path().join(format!("{name}.{end}"));
        Certificate { certificate: file("pem"), key: file("key") }
    }

    fn openssl(&self, name: &str, arguments: &[&str]) {
        let Certificate { certificate, key } = self.certificate(name);
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        command.args(["-days", "30", "-out"]).arg(certificate).arg("-keyout").arg(key).args(arguments);
        run(command, "").exits(0);
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
