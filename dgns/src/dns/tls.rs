//! The certificate by which clients know the server over TLS, and the handshake. The DNS part's room of rustls.
//!
//! TLS 1.3 alone (copies of the zone need it: RFC 9103 section 7.1), with the provider that all of the server uses. The files are read again as long
//! as the server runs, so that a certificate that was renewed is served without a restart; files that cannot be used leave the one before in service.

pub(crate) mod client;
mod life;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use identity::hash::{Hash, sha256};
use rustls::client::verify_server_name;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

pub(super) use self::life::Life;
use super::limits::{CERTIFICATE_BYTES_MAX, CERTIFICATE_EVERY};
use super::metrics::Metrics;
use crate::shutdown;

/// Where a certificate and its key lie, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// A file cannot be read.
    #[error("[dns.tls] file {path}: {error}; certbot writes fullchain.pem and privkey.pem, openssl req -x509 makes both to try", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Everybody can read the key.
    #[error("[dns.tls] key {path} is readable by everybody (mode {mode:o}); run: chmod o-rwx {path}", path = .path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file holds something else, or is longer than [`CERTIFICATE_BYTES_MAX`].
    #[error("[dns.tls] file {path} holds no {what} in PEM, which begins with -----BEGIN", path = .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What was expected.
        what: &'static str,
    },
    /// The two do not belong together.
    #[error("[dns.tls] key {key} is not the key of the first certificate in {certificate}; name the two files of one renewal", key = .files.key.display(), certificate = .files.certificate.display())]
    Mismatch {
        /// The files.
        files: TlsFiles,
    },
    /// A key or certificate of a kind that is not served.
    #[error("[dns.tls] {certificate} and {key} cannot be used: {error}; ECDSA P-256 and RSA keys can", key = .files.key.display(), certificate = .files.certificate.display())]
    Unusable {
        /// The files.
        files: TlsFiles,
        /// Why.
        error: rustls::Error,
    },
    /// A certificate that an authority gave is not for a name that was asked for.
    #[error("the certificate is not for {0}")]
    Name(String),
    /// A certificate that an authority gave is over, or not good yet, or does not say.
    #[error("the certificate is not good now")]
    Time,
}

/// What both files held at one time.
struct Held {
    key: Arc<CertifiedKey>,
    /// Of their bytes.
    hash: Hash,
    /// `None`: the server's own certificate does not say.
    life: Option<Life>,
}

/// The certificate that is served now, if there is one.
#[derive(Debug)]
struct Served(RwLock<Option<Arc<CertifiedKey>>>);

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What TLS is spoken with.
pub struct Tls {
    files: TlsFiles,
    served: Arc<Served>,
    /// What was read at the start.
    first: Option<(Hash, u64)>,
    dot: TlsAcceptor,
    doh: TlsAcceptor,
    doq: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the files. Errors: [`TlsFileError`] names the file, and what to do.
    pub fn open(files: TlsFiles) -> Result<Arc<Self>, TlsFileError> {
        let held = read(&files)?;
        Self::new(files, Some(held))
    }

    /// The same with files that may be yet to come: until then no handshake comes to its end.
    pub fn open_later(files: TlsFiles) -> Result<Arc<Self>, TlsFileError> {
        let held = read(&files).ok();
        Self::new(files, held)
    }

    fn new(files: TlsFiles, held: Option<Held>) -> Result<Arc<Self>, TlsFileError> {
        let first = held.as_ref().map(|held| (held.hash, held.end_s()));
        let served = Arc::new(Served(RwLock::new(held.map(|held| held.key))));
        let settings = |error| TlsFileError::Unusable { files: files.clone(), error };
        let dot = Arc::new(server(&served, &[b"dot"]).map_err(settings)?);
        let doh = Arc::new(server(&served, &[b"h2", b"http/1.1"]).map_err(settings)?);
        let doq = Arc::new(server(&served, &[b"doq"]).map_err(settings)?);
        Ok(Arc::new(Self { served, first, dot: dot.into(), doh: doh.into(), doq, files }))
    }

    /// Speaks TLS with whoever connected for DNS over TLS. Errors: the connection's, and those of a client that speaks it not, not 1.3, or for something else than DNS.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.dot.accept(stream).await
    }

    /// The same for DNS over HTTPS.
    pub(crate) async fn accept_https(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.doh.accept(stream).await
    }

    /// Returns the settings for DNS over QUIC, which speaks TLS itself.
    pub(crate) fn quic(&self) -> &Arc<ServerConfig> {
        &self.doq
    }

    /// Reads the files again and again until `stop`, and serves what they hold; the metrics say until when it is good.
    pub(crate) async fn keep(self: Arc<Self>, metrics: Arc<Metrics>, mut stop: watch::Receiver<bool>) {
        let (mut serving, mut said) = (self.first.map(|(hash, _)| hash), None);
        metrics.note_certificate_end(self.first.map_or(0, |(_, end_s)| end_s));
        let mut ticks = tokio::time::interval(CERTIFICATE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown::requested(&mut stop) => return,
                _ = ticks.tick() => {}
            }
            let files = self.files.clone();
            let Ok(held) = tokio::task::spawn_blocking(move || read(&files)).await else { continue };
            match held {
                Ok(held) => {
                    said = None;
                    if serving != Some(held.hash) {
                        serving = Some(held.hash);
                        metrics.note_certificate_end(held.end_s());
                        *self.served.0.write().unwrap_or_else(PoisonError::into_inner) = Some(held.key);
                        tracing::info!("another certificate of DNS is served");
                    }
                }
                // One that is yet to come.
                Err(_) if serving.is_none() => {}
                // A renewal writes one file after the other; what lasts is said once.
                Err(error) => {
                    let text = error.to_string();
                    if said.as_ref() != Some(&text) {
                        tracing::warn!(%error, "the certificate of DNS stays the one before");
                        said = Some(text);
                    }
                }
            }
        }
    }
}

impl Held {
    fn end_s(&self) -> u64 {
        self.life.map_or(0, |life| life.end_s)
    }
}

/// Returns when the certificate is good that `pem` has, with its key, for all of `names`. Errors: [`TlsFileError`], what it cannot be served for.
pub(super) fn judge(pem: &[u8], path: &Path, names: &[String]) -> Result<Life, TlsFileError> {
    let held = certified(&TlsFiles { certificate: path.to_owned(), key: path.to_owned() }, pem, pem)?;
    let parsed = held.key.end_entity_cert().and_then(ParsedCertificate::try_from);
    for name in names {
        let is_for = |parsed| verify_server_name(parsed, &ServerName::try_from(name.as_str()).ok()?).ok();
        parsed.as_ref().ok().and_then(is_for).ok_or_else(|| TlsFileError::Name(name.clone()))?;
    }
    held.life.ok_or(TlsFileError::Time)
}

/// Returns the settings of a server that speaks these protocols over TLS.
fn server(served: &Arc<Served>, protocols: &[&[u8]]) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(served.clone());
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.ticketer = Ticketer::new()?;
    Ok(config)
}

/// Reads both files.
fn read(files: &TlsFiles) -> Result<Held, TlsFileError> {
    let TlsFiles { certificate, key } = files;
    let key_file = open(key)?;
    // Of the file that is read, whatever the path names by then.
    let mode = key_file.metadata().map_err(|error| TlsFileError::Io { path: key.clone(), error })?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(TlsFileError::Permissions { path: key.clone(), mode: mode & 0o777 });
    }
    let chain_pem = read_file(open(certificate)?, certificate, CERTIFICATE)?;
    let key_pem = read_file(key_file, key, KEY)?;
    certified(files, &chain_pem, &key_pem)
}

/// Puts a chain and a key together, which `files` hold.
fn certified(files: &TlsFiles, chain_pem: &[u8], key_pem: &[u8]) -> Result<Held, TlsFileError> {
    let TlsFiles { certificate, key } = files;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain_pem).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| form(certificate, CERTIFICATE))?;
    let private = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| form(key, KEY))?;
    let hash = sha256(&[&sha256(&[chain_pem]), &sha256(&[key_pem])]);
    let life = chain.first().and_then(|certificate| Life::of(certificate));
    match CertifiedKey::from_der(chain, private, &default_provider()) {
        Ok(key) => Ok(Held { key: Arc::new(key), hash, life }),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(TlsFileError::Mismatch { files: files.clone() })
        }
        Err(error) => Err(TlsFileError::Unusable { files: files.clone(), error }),
    }
}

fn open(path: &Path) -> Result<File, TlsFileError> {
    File::open(path).map_err(|error| TlsFileError::Io { path: path.to_owned(), error })
}

fn read_file(file: File, path: &Path, what: &'static str) -> Result<Zeroizing<Vec<u8>>, TlsFileError> {
    let mut bytes = Zeroizing::new(Vec::new());
    match file.take(CERTIFICATE_BYTES_MAX + 1).read_to_end(&mut bytes) {
        Ok(length) if length as u64 <= CERTIFICATE_BYTES_MAX => Ok(bytes),
        Ok(_) => Err(form(path, what)),
        Err(error) => Err(TlsFileError::Io { path: path.to_owned(), error }),
    }
}

fn form(path: &Path, what: &'static str) -> TlsFileError {
    TlsFileError::Form { path: path.to_owned(), what }
}

const CERTIFICATE: &str = "certificate";
const KEY: &str = "private key";
