//! Finds where a webhook is, and connects to it.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use coracle_control_store::{Snapshot, Store};
use http::Uri;
use hyper_util::client::legacy::connect;
use hyper_util::rt::TokioIo;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::net::TcpStream;

use crate::backend::{self, BackendError, Place, ResolveError, Stream};
use crate::host_links::HostLinks;

/// Connects to the host of a URI; one below `.svc` is a service.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    store: Store,
    hosts: HostLinks,
}

impl Connector {
    pub(super) fn new(store: Store, hosts: HostLinks) -> Self {
        Self { store, hosts }
    }
}

impl tower::Service<Uri> for Connector {
    type Response = Connection;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let snapshot = self.store.snapshot();
        let hosts = self.hosts.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
            let port = uri.port_u16().unwrap_or(443);
            let target = match host.strip_suffix(".svc").and_then(|service| service.split_once('.')) {
                Some((name, namespace)) => resolve(&snapshot, namespace, name, port).map_err(io::Error::other)?,
                None => Target::Name(host, port),
            };
            let stream = match target {
                Target::Place(place) => backend::connect(&hosts, &place).await.map_err(told)?,
                Target::Name(name, port) => dial(&name, port).await?,
            };
            Ok(Connection(TokioIo::new(stream)))
        })
    }
}

/// In the words of upstream's client.
fn told(error: BackendError) -> io::Error {
    match error {
        BackendError::Dial(address, error) => io::Error::new(error.kind(), dial_error(&address.to_string(), &error)),
        other => io::Error::other(other),
    }
}

fn dial_error(shown: &str, error: &io::Error) -> String {
    let cause = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        _ => error.to_string(),
    };
    format!("dial tcp {shown}: {cause}")
}

async fn dial(name: &str, port: u16) -> Result<Box<dyn Stream>, io::Error> {
    let connected = TcpStream::connect((name, port)).await;
    let stream =
        connected.map_err(|error| io::Error::new(error.kind(), dial_error(&format!("{name}:{port}"), &error)))?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

/// Bytes to and from a webhook, as the pool of connections wants them.
pub(super) struct Connection(TokioIo<Box<dyn Stream>>);

impl connect::Connection for Connection {
    fn connected(&self) -> connect::Connected {
        connect::Connected::new()
    }
}

impl hyper::rt::Read for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl hyper::rt::Write for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Where a service can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Place(Place),
    Name(String, u16),
}

/// Finds where a service is: its external name, one of its ready endpoints, or without any, its address.
pub(super) fn resolve(snapshot: &Snapshot, namespace: &str, name: &str, port: u16) -> Result<Target, ResolveError> {
    let service = backend::service(snapshot, namespace, name)?;
    let spec = |field: &str| service["spec"][field].as_str().unwrap_or_default();
    if spec("type") == "ExternalName" {
        return Ok(Target::Name(spec("externalName").to_owned(), port));
    }
    match backend::resolve(snapshot, namespace, name, &port.to_string()) {
        Ok(place) => Ok(Target::Place(place)),
        Err(ResolveError::NoEndpoints(name)) => match spec("clusterIP").parse::<IpAddr>() {
            Ok(address) => Ok(Target::Place(Place::Address(SocketAddr::new(address, port)))),
            Err(_) => Err(ResolveError::NoEndpoints(name)),
        },
        Err(error) => Err(error),
    }
}

/// Trusts the authorities of a bundle, or those of the system when it is empty.
pub(crate) fn tls_config(pem: &[u8]) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    if pem.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        let certificates: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect();
        let (added, _) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err("unable to load root certificates: unable to parse bytes as PEM block".to_owned());
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
