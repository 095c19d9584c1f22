//! The one TLS stack: rustls on ring, for the XMPP WebSocket and every HTTP call.
//!
//! Public authorities come compiled in (webpki-roots): reading the system's store would cost every
//! cold start some milliseconds, and the Lambda image's store is the same list. A private authority
//! is added by `[tls] caFile`.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Why TLS cannot be set up.
#[derive(Debug, Clone, thiserror::Error)]
#[error("[tls] caFile: {} {fault}; point it at a PEM file that holds the authority's certificate, or remove it", file.display())]
pub struct TlsError {
    file: PathBuf,
    fault: String,
}

/// TLS configuration, made when first needed: most invocations open no TLS connection at all.
#[derive(Debug, Clone)]
pub struct Tls {
    ca_file: Option<PathBuf>,
    config: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl Tls {
    /// Trusts the public authorities and, if given, those in `ca_file`.
    #[must_use]
    pub fn new(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, config: Arc::default() }
    }

    /// The client configuration.
    ///
    /// # Errors
    /// [`TlsError`] when the file with the private authority is unusable; no retry helps.
    pub fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(file) = &self.ca_file {
            add_authorities(&mut roots, file)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports the default protocol versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(self.config.get_or_init(|| Arc::new(config)).clone())
    }
}

fn add_authorities(roots: &mut RootCertStore, file: &Path) -> Result<(), TlsError> {
    let fault = |fault: String| TlsError { file: file.to_owned(), fault };
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(format!("cannot be read ({error})")))?;
    if certificates.is_empty() {
        return Err(fault("holds no certificate".to_owned()));
    }
    for certificate in certificates {
        roots.add(certificate).map_err(|error| fault(format!("holds an unusable certificate ({error})")))?;
    }
    Ok(())
}
