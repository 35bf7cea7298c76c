//! TLS with the server that a zone is copied from (RFC 9103): the one that an authority of the operator's choice says has this name.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{TlsFileError, form, open, read_file};

/// Speaks TLS with one server.
pub(crate) struct Client {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Client {
    /// Returns what believes a server that certificates in the file `roots`, PEM, say has this name. Errors: the file, which holds no such certificate.
    pub(crate) fn new(name: ServerName<'static>, roots: &Path) -> Result<Self, TlsFileError> {
        let pem = read_file(open(roots)?, roots, "certificates of authorities")?;
        let refused = || form(roots, "certificates of authorities");
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let mut store = RootCertStore::empty();
        let (taken, _) = store.add_parsable_certificates(certificates.map_err(|_| refused())?);
        if taken == 0 {
            return Err(refused());
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).map_err(|_| refused())?;
        let mut config = builder.with_root_certificates(store).with_no_client_auth();
        config.alpn_protocols = vec![b"dot".to_vec()];
        Ok(Self { connector: Arc::new(config).into(), name })
    }

    /// Shakes hands. Errors: the connection's, and those of another server.
    pub(crate) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

/// Returns a text as the name of a server; `None` if it is none.
pub(crate) fn server_name(text: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(text.to_owned()).ok()
}
