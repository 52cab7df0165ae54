//! TLS towards servers behind this one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::TlsConnector;

use super::Stream;
use super::insecure::AnyCertificate;
use crate::pki::Identity;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Whom to believe.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trust<'a> {
    /// Certificates that these authorities have signed, in PEM.
    Authorities(&'a [u8]),
    Anybody,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsSetupError {
    #[error("unable to load root certificates: unable to parse bytes as PEM block")]
    NoAuthorities,
    #[error("the certificate of this server cannot be used")]
    Identity(#[source] rustls_pki_types::pem::Error),
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// What a connection needs; `identity` is shown to servers that ask for it.
///
/// # Errors
/// A bundle without certificates, or an identity that is none.
pub(crate) fn client_config(trust: Trust<'_>, identity: Option<&Identity>) -> Result<Arc<ClientConfig>, TlsSetupError> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match trust {
        Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate::new(provider))),
        Trust::Authorities(pem) => {
            let mut roots = RootCertStore::empty();
            let (added, _) =
                roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
            if added == 0 {
                return Err(TlsSetupError::NoAuthorities);
            }
            builder.with_root_certificates(roots)
        }
    };
    let Some(identity) = identity else { return Ok(Arc::new(builder.with_no_client_auth())) };
    let chain = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(TlsSetupError::Identity)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).map_err(TlsSetupError::Identity)?;
    Ok(Arc::new(builder.with_client_auth_cert(chain, key)?))
}

/// Speaks TLS over a connection to the server of this name.
///
/// # Errors
/// The handshake fails or takes too long.
pub(crate) async fn secure(
    stream: Box<dyn Stream>,
    config: Arc<ClientConfig>,
    name: &str,
) -> io::Result<Box<dyn Stream>> {
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let handshake = TlsConnector::from(config).connect(name, stream);
    let done = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await;
    Ok(Box::new(done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?))
}
