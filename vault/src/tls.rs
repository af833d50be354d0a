//! HTTP clients whose TLS is rustls on ring, whatever else the process has installed.
//!
//! Shared by what speaks to the manager and by what speaks to sites. It knows neither: timeouts, User-Agent and address
//! checks are added by the caller.

use std::{sync::Arc, time::Duration};

use reqwest::{ClientBuilder, redirect, retry};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use thiserror::Error;

/// Why no TLS client can be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The extra roots are not PEM, or hold no certificate.
    #[error("the extra root certificates are not PEM certificates")]
    NotPem,
    /// An extra root is PEM, but rustls takes no trust anchor from it.
    #[error("extra root certificate {position} cannot be a trust anchor")]
    NotARoot {
        /// Which certificate of the file, from 1.
        position: usize,
        /// What rustls says.
        source: rustls::Error,
    },
    /// ring and rustls have no protocol version in common; only a wrong build brings this.
    #[error("TLS cannot be configured")]
    Unsupported(#[source] rustls::Error),
}

/// The builder of a client that verifies certificates against the machine's store and `extra_roots_pem`.
///
/// It follows no redirect, repeats no request, takes no proxy from the environment and sends no `Referer`. Connections
/// are kept for [`IDLE_CONNECTION_MAX`]. A machine without any root certificate still gets a client: each https
/// connection is then refused, plain http to loopback works.
///
/// # Errors
/// See [`TlsError`]; nothing is sent or written.
pub fn client_builder(extra_roots_pem: Option<&[u8]>) -> Result<ClientBuilder, TlsError> {
    Ok(ClientBuilder::new()
        .tls_backend_preconfigured(client_config(extra_roots_pem)?)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .referer(false)
        .pool_idle_timeout(IDLE_CONNECTION_MAX))
}

fn client_config(extra_roots_pem: Option<&[u8]>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = extra_roots_pem {
        add_extra_roots(&mut roots, pem)?;
    }
    let native = rustls_native_certs::load_native_certs();
    let (added, ignored) = roots.add_parsable_certificates(native.certs);
    if added == 0 || ignored > 0 || !native.errors.is_empty() {
        tracing::warn!(added, ignored, errors = native.errors.len(), "root certificates of the machine");
    }

    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unsupported)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn add_extra_roots(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), TlsError> {
    let before = roots.len();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let certificate = certificate.map_err(|_| TlsError::NotPem)?;
        roots.add(certificate).map_err(|source| TlsError::NotARoot { position: index + 1, source })?;
    }
    if roots.len() == before { Err(TlsError::NotPem) } else { Ok(()) }
}

/// How long an unused connection is kept: Node's servers close after 5 s and others later, and a request that meets a
/// closing connection ends ambiguous.
pub const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests;
