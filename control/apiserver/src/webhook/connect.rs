//! Finds where a webhook is, and connects to it.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use coracle_control_store::{Snapshot, Store};
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;
use tokio::net::TcpStream;

/// Connects to the host of a URI; one below `.svc` is a service.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    store: Store,
}

impl Connector {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let snapshot = self.store.snapshot();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
            let port = uri.port_u16().unwrap_or(443);
            match host.strip_suffix(".svc").and_then(|service| service.split_once('.')) {
                Some((name, namespace)) => {
                    let place = resolve(&snapshot, namespace, name, port).map_err(io::Error::other)?;
                    dial(place).await
                }
                None => dial(Place::Name(host, port)).await,
            }
        })
    }
}

async fn dial(place: Place) -> Result<TokioIo<TcpStream>, io::Error> {
    let (connected, shown) = match &place {
        Place::Address(address) => (TcpStream::connect(address).await, address.to_string()),
        Place::Name(name, port) => (TcpStream::connect((name.as_str(), *port)).await, format!("{name}:{port}")),
    };
    let stream = connected.map_err(|error| {
        let cause = match error.kind() {
            io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
            _ => error.to_string(),
        };
        io::Error::new(error.kind(), format!("dial tcp {shown}: {cause}"))
    })?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

/// Where a service can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Address(SocketAddr),
    Name(String, u16),
}

/// Finds a place where a service is: one of its ready endpoints; without any, its address.
pub(super) fn resolve(snapshot: &Snapshot, namespace: &str, name: &str, port: u16) -> Result<Place, String> {
    let read = |key: String| -> Option<Value> {
        snapshot.get(key.as_bytes()).and_then(|entry| serde_json::from_slice(&entry.value).ok())
    };
    let service = read(format!("/registry/core/services/{namespace}/{name}"))
        .ok_or_else(|| format!("service {name:?} not found"))?;
    let spec = service.get("spec").cloned().unwrap_or_default();
    if spec.get("type").and_then(Value::as_str) == Some("ExternalName") {
        let external = spec.get("externalName").and_then(Value::as_str).unwrap_or_default();
        return Ok(Place::Name(external.to_owned(), port));
    }
    let ports = spec.get("ports").and_then(Value::as_array).cloned().unwrap_or_default();
    let wanted = ports.iter().find(|entry| entry.get("port").and_then(Value::as_u64) == Some(u64::from(port)));
    let wanted = wanted.ok_or_else(|| format!("no service port {port} found for service {name:?}"))?;
    let port_name = wanted.get("name").and_then(Value::as_str).unwrap_or_default();
    if let Some(address) = slice_endpoint(snapshot, namespace, name, port_name) {
        return Ok(Place::Address(address));
    }
    if let Some(endpoints) = read(format!("/registry/core/endpoints/{namespace}/{name}"))
        && let Some(address) = endpoints_address(&endpoints, port_name)
    {
        return Ok(Place::Address(address));
    }
    let cluster: Option<IpAddr> = spec.get("clusterIP").and_then(Value::as_str).and_then(|text| text.parse().ok());
    match cluster {
        Some(address) => Ok(Place::Address(SocketAddr::new(address, port))),
        None => Err(format!("no endpoints available for service {name:?}")),
    }
}

fn slice_endpoint(snapshot: &Snapshot, namespace: &str, service: &str, port_name: &str) -> Option<SocketAddr> {
    let prefix = format!("/registry/discovery.k8s.io/endpointslices/{namespace}/");
    let slices =
        snapshot.prefix(prefix.as_bytes()).filter_map(|entry| serde_json::from_slice::<Value>(&entry.value).ok());
    for slice in slices {
        let owner = slice.pointer("/metadata/labels/kubernetes.io~1service-name").and_then(Value::as_str);
        if owner != Some(service) {
            continue;
        }
        let Some(port) = port_of(slice.get("ports"), port_name) else { continue };
        let endpoints = slice.get("endpoints").and_then(Value::as_array).into_iter().flatten();
        let ready =
            endpoints.filter(|endpoint| endpoint.pointer("/conditions/ready").and_then(Value::as_bool).unwrap_or(true));
        let found = ready
            .filter_map(|endpoint| endpoint.pointer("/addresses/0").and_then(Value::as_str))
            .find_map(|text| text.parse::<IpAddr>().ok());
        if let Some(address) = found {
            return Some(SocketAddr::new(address, port));
        }
    }
    None
}

fn endpoints_address(endpoints: &Value, port_name: &str) -> Option<SocketAddr> {
    endpoints.get("subsets").and_then(Value::as_array)?.iter().find_map(|subset| {
        let port = port_of(subset.get("ports"), port_name)?;
        let address = subset.pointer("/addresses/0/ip").and_then(Value::as_str)?;
        Some(SocketAddr::new(address.parse().ok()?, port))
    })
}

fn port_of(ports: Option<&Value>, name: &str) -> Option<u16> {
    let ports = ports.and_then(Value::as_array)?;
    let named = |port: &&Value| port.get("name").and_then(Value::as_str).unwrap_or_default() == name;
    let number = ports.iter().find(named)?.get("port").and_then(Value::as_u64)?;
    u16::try_from(number).ok()
}

/// Trusts the authorities of a bundle, or those of the system when it is empty.
pub(super) fn tls_config(pem: &[u8]) -> Result<rustls::ClientConfig, String> {
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
