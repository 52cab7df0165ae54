//! port-forward: connections to ports of a pod.

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use coracle_control_api::status::Status;
use http::Request;

use super::host::{HostStream, open_port};
use super::upgrade::{self, Offer};
use super::{spdy, websocket};
use crate::call::Call;

/// The most bytes that are carried at a time.
pub(super) const CHUNK_BYTES: usize = 32 * 1024;
/// Ports of one WebSocket: each has two of the 256 channels.
const PORTS_MAX: usize = 64;

/// The pod whose ports are forwarded.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) agent: Router,
    /// `NAMESPACE/NAME`, as in a path.
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl Target {
    /// Connects to a port.
    ///
    /// # Errors
    /// The host's words for why not.
    pub(super) async fn connect(&self, port: u16) -> Result<HostStream, String> {
        open_port(self.agent.clone(), &self.path, port).await.map_err(|status| status.message)
    }

    /// What the client is told of a connection that failed.
    pub(super) fn failure(&self, port: u16, cause: &str) -> String {
        format!("error forwarding port {port} to pod {}, uid {}: {cause}", self.name, self.uid)
    }
}

/// Answers a request to forward ports.
///
/// # Errors
/// 400 when it is no upgrade, or names no ports where it must.
pub(crate) fn serve(call: &Call, mut request: Request<Body>, target: Target) -> Result<Response, Status> {
    let offer = upgrade::offer(&call.headers)?;
    let upgrade = upgrade::take(&mut request)?;
    let (sessions, shutdown) = (&call.shared.sessions, call.shared.shutdown.clone());
    match offer {
        Offer::Spdy { protocols } => {
            let (answer, chosen) = upgrade::spdy_answer(&protocols, spdy::PORT_FORWARD_PROTOCOLS);
            if chosen.is_none() {
                return Ok(answer);
            }
            upgrade::switch(sessions, upgrade, answer, async move |connection| {
                let (reader, writer) = tokio::io::split(connection);
                spdy::run_port_forward(reader, writer, target, shutdown).await;
            })
        }
        Offer::WebSocket { key, protocols } => {
            if let Some(tunnelled) = choose_tunnelled(&protocols) {
                let answer = upgrade::websocket_answer(&key, &tunnelled);
                return upgrade::switch(sessions, upgrade, answer, async move |connection| {
                    websocket::run_tunnel(connection, target, shutdown).await;
                });
            }
            let known = websocket::PORT_FORWARD_PROTOCOLS;
            let chosen = protocols.iter().find_map(|offer| known.iter().find(|known| *known == offer)).copied();
            let chosen = if protocols.is_empty() { Some("") } else { chosen };
            let Some(protocol) = chosen else { return Ok(upgrade::no_protocol_fits()) };
            let ports = ports(call)?;
            let answer = upgrade::websocket_answer(&key, protocol);
            upgrade::switch(sessions, upgrade, answer, async move |connection| {
                websocket::run_port_forward(connection, protocol, target, ports, shutdown).await;
            })
        }
    }
}

/// The name of the protocol in the tunnel, with the tunnel's prefix.
fn choose_tunnelled(offered: &[String]) -> Option<String> {
    offered
        .iter()
        .find(|offer| {
            let inner = offer.strip_prefix(websocket::TUNNEL_PREFIX);
            inner.is_some_and(|inner| spdy::PORT_FORWARD_PROTOCOLS.contains(&inner))
        })
        .cloned()
}

/// The ports of the query: `ports=1,2` or several of those.
fn ports(call: &Call) -> Result<Vec<u16>, Status> {
    let words: Vec<&str> = call.query.all("ports").flat_map(|value| value.split(',')).collect();
    if words.is_empty() {
        return Err(Status::bad_request("query parameter \"port\" is required"));
    }
    if words.len() > PORTS_MAX {
        return Err(Status::bad_request(format!("at most {PORTS_MAX} ports can be forwarded over one connection")));
    }
    words.into_iter().map(parse_port).collect()
}

/// A port in decimal.
///
/// # Errors
/// 400 in upstream's words.
pub(super) fn parse_port(text: &str) -> Result<u16, Status> {
    match text.trim().parse::<u16>() {
        Ok(0) => Err(Status::bad_request(format!("port {text:?} must be > 0"))),
        Ok(port) => Ok(port),
        Err(_) => Err(Status::bad_request(format!("unable to parse {text:?} as a port"))),
    }
}
