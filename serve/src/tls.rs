//! Certificate and key, read once when the servers start.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use crate::errors::ServeError;
use crate::settings::TlsFiles;

/// The configuration of TLS with these files: versions 1.2 and 1.3, no certificates of clients.
pub(crate) fn config(files: &TlsFiles) -> Result<ServerConfig, ServeError> {
    let of_cert = |message: String| fault("sql.tls_cert_file", &files.cert_file, message);
    let of_key = |message: String| fault("sql.tls_key_file", &files.key_file, message);
    let certificates = CertificateDer::pem_file_iter(&files.cert_file).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|error| of_cert(error.to_string()))?;
    if certificates.is_empty() {
        return Err(of_cert("there is no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key_file).map_err(|error| of_key(error.to_string()))?;
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| of_cert(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| of_key(error.to_string()))
}

fn fault(setting: &'static str, file: &Path, message: String) -> ServeError {
    ServeError::Tls { setting, file: file.to_owned(), message }
}
