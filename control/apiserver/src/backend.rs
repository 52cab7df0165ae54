//! Servers behind this one: where a Service's pods are, and one HTTP exchange with one of them.
//!
//! A pod is reached through its host, as a forwarded port is, since its address means nothing outside of the virtual
//! network. An endpoint that is no pod is reached by its address.

mod insecure;
pub(crate) mod tls;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use coracle_control_api::kinds;
use coracle_control_api::meta;
use coracle_control_store::Snapshot;
use http::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rand::Rng as _;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::host_links::HostLinks;
use crate::server::Shared;
use crate::streaming::open_port;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A port of a pod, of which the path is `NAMESPACE/NAME`.
    Pod {
        node: String,
        path: String,
        port: u16,
    },
    Address(SocketAddr),
}

/// Why no server is found for a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("service {0:?} not found")]
    UnknownService(String),
    #[error("no service port {0} found for service {1:?}")]
    UnknownPort(u16, String),
    #[error("no endpoints available for service {0:?}")]
    NoEndpoints(String),
}

/// Why a server does not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    #[error("{0}")]
    Host(String),
    #[error("dial tcp {0}: {1}")]
    Dial(SocketAddr, #[source] io::Error),
    #[error("dial tcp: i/o timeout")]
    Timeout,
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("too many connections are open")]
    TooMany,
}

/// Bytes to and from a server.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

fn read(snapshot: &Snapshot, plural: &str, namespace: &str, name: &str) -> Option<Value> {
    let key = kinds::find("", "v1", plural)?.storage_key(namespace, name);
    serde_json::from_slice(&snapshot.get(key.as_bytes())?.value).ok()
}

/// A service as it is stored.
///
/// # Errors
/// There is none of this name.
pub(crate) fn service(snapshot: &Snapshot, namespace: &str, name: &str) -> Result<Value, ResolveError> {
    read(snapshot, "services", namespace, name).ok_or_else(|| ResolveError::UnknownService(name.to_owned()))
}

/// Finds a ready endpoint of a service, any of them. `port` is the number or the name of a port of the service; empty
/// means the port without a name.
///
/// # Errors
/// There is no such service or port, or nothing behind it.
pub(crate) fn resolve(snapshot: &Snapshot, namespace: &str, name: &str, port: &str) -> Result<Place, ResolveError> {
    let service = service(snapshot, namespace, name)?;
    let mut port_name = port.to_owned();
    if let Ok(number) = port.parse::<u16>() {
        let ports = meta::list(&service, &["spec", "ports"]);
        let found = ports.iter().find(|port| port["port"].as_u64() == Some(u64::from(number)));
        let found = found.ok_or_else(|| ResolveError::UnknownPort(number, name.to_owned()))?;
        port_name = found["name"].as_str().unwrap_or_default().to_owned();
    }
    let mut places = slice_places(snapshot, namespace, name, &port_name);
    if places.is_empty() {
        places = endpoints_places(snapshot, namespace, name, &port_name);
    }
    if places.is_empty() {
        return Err(ResolveError::NoEndpoints(name.to_owned()));
    }
    let chosen = rand::rng().random_range(0..places.len());
    Ok(places.swap_remove(chosen))
}

/// Whether any slice says something of the service.
pub(crate) fn has_slices(snapshot: &Snapshot, namespace: &str, service: &str) -> bool {
    slices(snapshot, namespace, service).next().is_some()
}

fn slices(snapshot: &Snapshot, namespace: &str, service: &str) -> impl Iterator<Item = Value> {
    let prefix = kinds::find("discovery.k8s.io", "v1", "endpointslices").map(|kind| kind.namespace_prefix(namespace));
    let entries: Vec<_> = snapshot.prefix(prefix.unwrap_or_default().as_bytes()).collect();
    let service = service.to_owned();
    entries.into_iter().filter_map(|entry| serde_json::from_slice::<Value>(&entry.value).ok()).filter(move |slice| {
        meta::labels(slice).and_then(|labels| labels.get("kubernetes.io/service-name")).and_then(Value::as_str)
            == Some(&service)
    })
}

fn slice_places(snapshot: &Snapshot, namespace: &str, service: &str, port: &str) -> Vec<Place> {
    let mut places = Vec::new();
    for slice in slices(snapshot, namespace, service) {
        let Some(port) = number_of(meta::list(&slice, &["ports"]), port) else { continue };
        let ready = meta::list(&slice, &["endpoints"])
            .iter()
            .filter(|endpoint| endpoint["conditions"]["ready"].as_bool() != Some(false));
        places.extend(ready.filter_map(|endpoint| place(snapshot, endpoint, endpoint["addresses"][0].as_str()?, port)));
    }
    places
}

fn endpoints_places(snapshot: &Snapshot, namespace: &str, service: &str, port: &str) -> Vec<Place> {
    let Some(endpoints) = read(snapshot, "endpoints", namespace, service) else { return Vec::new() };
    let mut places = Vec::new();
    for subset in meta::list(&endpoints, &["subsets"]) {
        let Some(port) = number_of(meta::list(subset, &["ports"]), port) else { continue };
        let addresses = meta::list(subset, &["addresses"]).iter();
        places.extend(addresses.filter_map(|address| place(snapshot, address, address["ip"].as_str()?, port)));
    }
    places
}

/// The number of the port with this name.
fn number_of(ports: &[Value], name: &str) -> Option<u16> {
    let port = ports.iter().find(|port| port["name"].as_str().unwrap_or_default() == name)?;
    port["port"].as_u64().and_then(|number| u16::try_from(number).ok())
}

/// Where an endpoint is: its pod, when it names one that is on a host.
fn place(snapshot: &Snapshot, endpoint: &Value, address: &str, port: u16) -> Option<Place> {
    let target = &endpoint["targetRef"];
    if target["kind"] != "Pod" {
        return Some(Place::Address(SocketAddr::new(address.parse::<IpAddr>().ok()?, port)));
    }
    let (namespace, name) = (target["namespace"].as_str()?, target["name"].as_str()?);
    let pod = read(snapshot, "pods", namespace, name)?;
    let node = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty())?;
    Some(Place::Pod { node: node.to_owned(), path: format!("{namespace}/{name}"), port })
}

/// Connects to a server.
///
/// # Errors
/// It cannot be reached.
pub(crate) async fn connect(hosts: &HostLinks, place: &Place) -> Result<Box<dyn Stream>, BackendError> {
    let connecting = async {
        Ok(match place {
            Place::Pod { node, path, port } => {
                let unreachable = || BackendError::Host(format!("the host of node {node:?} cannot be reached"));
                let agent = hosts.get(node).ok_or_else(unreachable)?;
                let stream = open_port(agent, path, *port).await;
                Box::new(stream.map_err(|status| BackendError::Host(status.message))?) as Box<dyn Stream>
            }
            Place::Address(address) => {
                let stream = TcpStream::connect(address).await.map_err(|error| BackendError::Dial(*address, error))?;
                // Without it a connection is slower but works.
                let _ = stream.set_nodelay(true);
                Box::new(stream)
            }
        })
    };
    tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or(Err(BackendError::Timeout))
}

/// Sends a request over a connection of its own, and gives the answer as soon as it begins. The connection lives as long
/// as the answer, or what the answer upgrades it to.
///
/// # Errors
/// The server hangs up, or does not speak HTTP.
pub(crate) async fn send(
    shared: &Shared,
    stream: impl Stream + 'static,
    request: Request<Body>,
) -> Result<Response, BackendError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = connection.with_upgrades();
    let carried = shared.sessions.spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a server behind this one ended badly");
        }
    });
    carried.map_err(|_| BackendError::TooMany)?;
    Ok(sender.send_request(request).await?.map(Body::new))
}
