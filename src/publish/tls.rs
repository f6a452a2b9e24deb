//! TLS by rustls, with the system's certificate authorities or those of a file.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Makes a configuration with the authorities of `ca_file`, or else the system's, and this client's certificate and
/// key.
///
/// # Errors
/// A certificate or the key can't be read, or is missing.
pub fn config(ca_file: Option<&Path>, client: Option<&(PathBuf, PathBuf)>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS can't be set up: {error}"))?;
    let builder = builder.with_root_certificates(authorities(ca_file)?);
    let Some((certificate, key)) = client else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates("tls-certificate-file", certificate)?;
    let key_error = |error: &dyn std::fmt::Display| format!("tls-key-file {}: {error}", key.display());
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| key_error(&error))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| key_error(&error))
}

fn authorities(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    let Some(file) = ca_file else {
        let found = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            return Err(
                "this system has no certificate authorities: install ca-certificates, or set tls-ca-file".into()
            );
        }
        return Ok(store);
    };
    for certificate in certificates("tls-ca-file", file)? {
        store.add(certificate).map_err(|error| format!("tls-ca-file {}: {error}", file.display()))?;
    }
    Ok(store)
}

/// Reads the certificates of a file, at least one.
fn certificates(property: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |error: &dyn std::fmt::Display| {
        format!("{property} {}: {error}; a file of certificates in PEM form is needed", file.display())
    };
    let found = CertificateDer::pem_file_iter(file).and_then(|found| found.collect::<Result<Vec<_>, _>>());
    let found = found.map_err(|error| failed(&error))?;
    if found.is_empty() { Err(failed(&"it contains no certificate")) } else { Ok(found) }
}
