//! The cluster's own certificate authority, and what it signs.
//!
//! Everything is ECDSA P-256, which is signed in well under a millisecond, so that a first start costs next to nothing.
//! The files, all PEM and readable by their owner only: `ca.crt`, `ca.key`, `server.crt`, `server.key`, `admin.crt`,
//! `admin.key`, `service-account.key`, and `front-proxy-ca.*` with `front-proxy-client.*`. A file is replaced atomically, so that a crash leaves the old or the new one.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::aggregation::FrontProxy;
use crate::tokens::{ServiceAccountKey, ServiceAccountKeyError};
use crate::user::MASTERS;

/// How long the authority is valid.
const AUTHORITY_DAYS: i64 = 3650;
/// How long what it signs is valid.
const LEAF_DAYS: i64 = 365;
/// A certificate with fewer days left than this is signed anew when the directory is opened.
const RENEWAL_DAYS: i64 = 60;
/// Clocks of clients may be behind ours by this much.
const CLOCK_SKEW_MINUTES: i64 = 60;

/// Names that the server certificate has beside those that are asked for.
const SERVER_NAMES: &[&str] = &[
    "localhost",
    "127.0.0.1",
    "::1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// A certificate with its key, both PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key, PKCS #8.
    pub key_pem: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Identity").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

/// The authority and the identities that it signed for this server.
#[derive(Debug, Clone)]
pub struct Pki {
    authority_pem: String,
    issuer: Arc<Issuer<'static, KeyPair>>,
    server: Identity,
    admin: Identity,
    service_account_key_pem: String,
    front_proxy: (String, Identity),
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenPkiError {
    /// The directory or a file cannot be read or written.
    #[error("cannot use `{path}`")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what its name says.
    #[error("`{path}` does not hold a usable certificate or key")]
    Content {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: rcgen::Error,
    },
    /// A certificate cannot be made.
    #[error("cannot sign the certificate of `{subject}`")]
    Sign {
        /// The common name of the certificate.
        subject: String,
        /// The cause.
        #[source]
        source: rcgen::Error,
    },
}

/// Why a TLS configuration cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsConfigError {
    /// A PEM text cannot be read.
    #[error("cannot read a certificate or key")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// The certificate and the key do not go together, or the provider refuses them.
    #[error("cannot use the certificates for TLS")]
    Tls(#[source] rustls::Error),
    /// The authority cannot check clients.
    #[error("cannot check client certificates with the authority")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
}

impl Pki {
    /// Opens the directory; makes it, and whatever is missing or about to expire.
    ///
    /// `server_names` are the host names and addresses by which clients reach the server, beside `localhost`,
    /// `kubernetes.default.svc` and their like; the server certificate is signed anew when it lacks one of them.
    ///
    /// # Errors
    /// A file that cannot be read, written or understood, by its path. Nothing that exists is overwritten because of
    /// such an error.
    pub fn open_or_create(directory: &Path, server_names: &[String]) -> Result<Self, OpenPkiError> {
        let now = OffsetDateTime::now_utc();
        make_directory(directory)?;
        let (authority_pem, issuer) = open_authority(directory, "ca", "coracle", now)?;
        let mut names: Vec<String> = SERVER_NAMES.iter().map(|name| (*name).to_owned()).collect();
        names.extend(server_names.iter().filter(|name| !SERVER_NAMES.contains(&name.as_str())).cloned());
        let server = open_leaf(directory, "server", &authority_pem, now, &names, || {
            sign(&issuer, now, "kube-apiserver", None, &names, ExtendedKeyUsagePurpose::ServerAuth)
        })?;
        let admin = open_leaf(directory, "admin", &authority_pem, now, &[], || {
            sign(&issuer, now, "kubernetes-admin", Some(MASTERS), &[], ExtendedKeyUsagePurpose::ClientAuth)
        })?;
        let service_account_key_pem = open_key(&directory.join("service-account.key"))?;
        let front_proxy = open_front_proxy(directory, now)?;
        Ok(Self { authority_pem, issuer: Arc::new(issuer), server, admin, service_account_key_pem, front_proxy })
    }

    /// The authority's certificate, PEM.
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// The server's certificate and key.
    pub fn server(&self) -> &Identity {
        &self.server
    }

    /// The administrator: user `kubernetes-admin` in the group `system:masters`.
    pub fn admin(&self) -> &Identity {
        &self.admin
    }

    /// By what servers that extend the API believe this one. Its authority signs nothing else, since who holds such a
    /// certificate can say that he is anybody.
    pub fn front_proxy(&self) -> FrontProxy {
        let (authority_pem, identity) = self.front_proxy.clone();
        FrontProxy { authority_pem, identity }
    }

    /// The key that signs the tokens of service accounts.
    ///
    /// # Errors
    /// The file holds a key of another sort.
    pub fn service_account_key(&self) -> Result<ServiceAccountKey, ServiceAccountKeyError> {
        ServiceAccountKey::from_pem(&self.service_account_key_pem)
    }

    /// A client certificate for that user, in that group.
    ///
    /// # Errors
    /// A name that cannot stand in a certificate.
    pub fn issue_client(&self, user: &str, group: Option<&str>) -> Result<Identity, OpenPkiError> {
        let now = OffsetDateTime::now_utc();
        sign(&self.issuer, now, user, group, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// TLS for [`crate::ApiServer::serve`]: HTTP/2 and HTTP/1.1, client certificates of this authority asked for but
    /// not required.
    ///
    /// # Errors
    /// Certificates that rustls does not accept.
    pub fn server_config(&self) -> Result<Arc<rustls::ServerConfig>, TlsConfigError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.authority_pem.as_bytes()) {
            roots.add(certificate.map_err(TlsConfigError::Pem)?).map_err(TlsConfigError::Tls)?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(TlsConfigError::Verifier)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.server.certificate_pem.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(self.server.key_pem.as_bytes()).map_err(TlsConfigError::Pem)?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsConfigError::Tls)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.map_err(TlsConfigError::Pem)?, key)
            .map_err(TlsConfigError::Tls)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The authority towards servers that extend the API, and what it has signed.
fn open_front_proxy(directory: &Path, now: OffsetDateTime) -> Result<(String, Identity), OpenPkiError> {
    let (authority_pem, issuer) = open_authority(directory, "front-proxy-ca", "coracle-front-proxy", now)?;
    let identity = open_leaf(directory, "front-proxy-client", &authority_pem, now, &[], || {
        sign(&issuer, now, "front-proxy-client", None, &[], ExtendedKeyUsagePurpose::ClientAuth)
    })?;
    Ok((authority_pem, identity))
}

fn open_authority(
    directory: &Path,
    file: &str,
    subject: &str,
    now: OffsetDateTime,
) -> Result<(String, Issuer<'static, KeyPair>), OpenPkiError> {
    let (certificate_path, key_path) = (directory.join(format!("{file}.crt")), directory.join(format!("{file}.key")));
    if let (Some(certificate_pem), Some(key_pem)) = (read(&certificate_path)?, read(&key_path)?) {
        let key = parse_key(&key_path, &key_pem)?;
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key)
            .map_err(|source| OpenPkiError::Content { path: certificate_path, source })?;
        return Ok((certificate_pem, issuer));
    }
    let wrap = |source| OpenPkiError::Sign { subject: subject.to_owned(), source };
    let key = KeyPair::generate().map_err(wrap)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params.not_before = now - Duration::minutes(CLOCK_SKEW_MINUTES);
    params.not_after = now + Duration::days(AUTHORITY_DAYS);
    // The key first: a certificate without its key would be of no use after a crash between the two.
    write(&key_path, &key.serialize_pem())?;
    let issuer = CertifiedIssuer::self_signed(params, key).map_err(wrap)?;
    let certificate_pem = issuer.pem();
    write(&certificate_path, &certificate_pem)?;
    let key = read(&key_path)?.unwrap_or_default();
    let issuer = Issuer::from_ca_cert_pem(&certificate_pem, parse_key(&key_path, &key)?).map_err(wrap)?;
    Ok((certificate_pem, issuer))
}

/// A certificate and its key from the directory, or new ones when they are missing, about to expire, of another
/// authority, or without one of the names.
fn open_leaf(
    directory: &Path,
    name: &str,
    authority_pem: &str,
    now: OffsetDateTime,
    names: &[String],
    make: impl FnOnce() -> Result<Identity, OpenPkiError>,
) -> Result<Identity, OpenPkiError> {
    let (certificate_path, key_path) = (directory.join(format!("{name}.crt")), directory.join(format!("{name}.key")));
    if let (Some(certificate_pem), Some(key_pem)) = (read(&certificate_path)?, read(&key_path)?)
        && parse_key(&key_path, &key_pem).is_ok_and(|key| is_current(&certificate_pem, authority_pem, &key, names, now))
    {
        return Ok(Identity { certificate_pem, key_pem });
    }
    let identity = make()?;
    write(&key_path, &identity.key_pem)?;
    write(&certificate_path, &identity.certificate_pem)?;
    Ok(identity)
}

fn is_current(pem: &str, authority_pem: &str, key: &KeyPair, names: &[String], now: OffsetDateTime) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(pem.as_bytes()) else { return false };
    let Ok((_, certificate)) = X509Certificate::from_der(&der) else { return false };
    let Ok(authority_der) = CertificateDer::from_pem_slice(authority_pem.as_bytes()) else { return false };
    let Ok((_, authority)) = X509Certificate::from_der(&authority_der) else { return false };
    let renewal = (now + Duration::days(RENEWAL_DAYS)).unix_timestamp();
    let present: Vec<String> = match certificate.subject_alternative_name() {
        Ok(Some(extension)) => extension.value.general_names.iter().filter_map(name_text).collect(),
        Ok(None) => Vec::new(),
        Err(_) => return false,
    };
    certificate.validity().not_after.timestamp() > renewal
        && certificate.public_key().subject_public_key.data.as_ref() == key.public_key_raw()
        && certificate.verify_signature(Some(authority.public_key())).is_ok()
        && names.iter().all(|name| present.contains(name))
}

fn name_text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) => Some((*text).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(bytes) => Some(IpAddr::from(bytes).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        },
        _ => None,
    }
}

fn sign(
    issuer: &Issuer<'_, KeyPair>,
    now: OffsetDateTime,
    common_name: &str,
    organization: Option<&str>,
    names: &[String],
    usage: ExtendedKeyUsagePurpose,
) -> Result<Identity, OpenPkiError> {
    let wrap = |source| OpenPkiError::Sign { subject: common_name.to_owned(), source };
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into().map_err(wrap)?),
        });
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    params.not_before = now - Duration::minutes(CLOCK_SKEW_MINUTES);
    params.not_after = now + Duration::days(LEAF_DAYS);
    let key = KeyPair::generate().map_err(wrap)?;
    let certificate = params.signed_by(&key, issuer).map_err(wrap)?;
    Ok(Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

fn open_key(path: &Path) -> Result<String, OpenPkiError> {
    if let Some(pem) = read(path)? {
        parse_key(path, &pem)?;
        return Ok(pem);
    }
    let wrap = |source| OpenPkiError::Sign { subject: "service accounts".to_owned(), source };
    let pem = KeyPair::generate().map_err(wrap)?.serialize_pem();
    write(path, &pem)?;
    Ok(pem)
}

fn parse_key(path: &Path, pem: &str) -> Result<KeyPair, OpenPkiError> {
    KeyPair::from_pem(pem).map_err(|source| OpenPkiError::Content { path: path.to_owned(), source })
}

fn make_directory(directory: &Path) -> Result<(), OpenPkiError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(|source| OpenPkiError::File { path: directory.to_owned(), source })
}

fn read(path: &Path) -> Result<Option<String>, OpenPkiError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpenPkiError::File { path: path.to_owned(), source }),
    }
}

/// Writes a file that its owner alone may read, whole or not at all, and durably.
fn write(path: &Path, text: &str) -> Result<(), OpenPkiError> {
    let attempt = || {
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let temporary = PathBuf::from(name);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        drop(file);
        std::fs::rename(&temporary, path)
    };
    attempt().map_err(|source| OpenPkiError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
