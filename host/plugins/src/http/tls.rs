//! The trusted certificates: the system's, or those of a grant's `ca_file`.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::failure::HttpFailure;
use crate::files;

/// TLS. Set up at the first request that needs it: reading the system's certificates takes longer
/// than everything else in a cold start.
#[derive(Default)]
pub(super) struct Tls {
    system: Mutex<Option<Arc<ClientConfig>>>,
}

impl Tls {
    /// The TLS configuration for a grant. A `ca_file` is read at each request, so that the next
    /// request uses a replaced file.
    pub(super) fn config(&self, ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, HttpFailure> {
        match ca_file {
            Some(path) => client_config(&read(path)?)
                .map_err(|reason| HttpFailure::Certificates { path: path.to_owned(), reason }),
            None => {
                let mut system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(config) = &*system {
                    return Ok(config.clone());
                }
                let found = rustls_native_certs::load_native_certs();
                let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
                if found.certs.is_empty() {
                    return Err(HttpFailure::NoCertificates(errors.join("; ")));
                }
                let config = client_config(&found.certs).map_err(HttpFailure::NoCertificates)?;
                Ok(system.insert(config).clone())
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, HttpFailure> {
    let unusable = |reason: String| HttpFailure::Certificates { path: path.to_owned(), reason };
    let pem =
        files::read(path, files::MAX_TEXT_BYTES).map_err(|error| unusable(error.to_string()))?;
    CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(error.to_string()))
}

/// A client that trusts all of the certificates that can be read.
fn client_config(certificates: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(certificates.iter().cloned());
    if usable == 0 {
        return Err("expected at least one certificate of an authority (PEM)".to_owned());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
