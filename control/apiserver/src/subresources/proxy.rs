//! proxy: an HTTP request to a port of a pod, to an endpoint of a service, or to the agent of a node, through the API.

mod headers;
mod location;

use axum::body::Body;
use axum::response::Response;
use coracle_control_api::status::Status;
use coracle_control_store::Snapshot;
use http::header::{HOST, HeaderValue, LOCATION};
use http::{Method, Request, StatusCode, Uri};
use serde_json::Value;

use super::ask;
use super::container::{encode, node_agent};
use crate::backend::tls::{Trust, client_config, secure};
use crate::backend::{self, BackendError, Place, ResolveError};
use crate::call::ResourceCall;
use crate::list_options::Version;
use crate::streaming::{is_upgrade, pass_through};

pub(crate) use headers::{append_forwarded, passed_headers, remove_hop_by_hop};

/// The port of the agents, which is also meant when none is named.
const AGENT_PORT: &str = "10250";

/// Where a request goes.
enum Target {
    /// A path of an agent. It takes no upgrades.
    Agent {
        node: String,
        path: String,
    },
    Server {
        place: Place,
        https: bool,
    },
}

pub(crate) async fn proxy(call: &ResourceCall, request: Request<Body>) -> Result<Response, Status> {
    let snapshot = call.snapshot(Version::Latest).await?;
    let upgrades = is_upgrade(request.headers());
    let target = target(call, &snapshot, upgrades)?;
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !upgrades && reads && call.info.rest.is_empty() && !request.uri().path().ends_with('/') {
        return Ok(add_slash(request.uri()));
    }
    let original = request.uri().clone();
    let prefix = prefix_of(call, &original);
    let own_host = request.headers().get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut answer = match target {
        Target::Agent { node, path } => {
            let agent = node_agent(call, &snapshot, &node)?;
            ask(agent, passed(request, &with_query(&path, &original), upgrades, &prefix)?).await?
        }
        Target::Server { place, https } => {
            let path = with_query(&format!("/{}", call.info.rest), &original);
            return to_server(call, request, place, https, &path, &prefix).await;
        }
    };
    remove_hop_by_hop(answer.headers_mut());
    location::rewrite(answer.headers_mut(), &prefix, &own_host, "");
    Ok(answer)
}

fn target(call: &ResourceCall, snapshot: &Snapshot, upgrades: bool) -> Result<Target, Status> {
    let what = &*call.kind.singular;
    let (scheme, name, port) = split_name(call.name(), what)?;
    let https = scheme == "https";
    if call.kind.plural == "services" {
        let place = backend::resolve(snapshot, call.namespace(), name, port).map_err(|error| match error {
            ResolveError::UnknownService(name) => call.not_found(&name),
            ResolveError::UnknownPort(..) | ResolveError::NoEndpoints(_) => Status::unavailable(error.to_string()),
        })?;
        return Ok(Target::Server { place, https });
    }
    let entry = snapshot.get(&call.key(name)).ok_or_else(|| call.not_found(name))?;
    if call.kind.plural == "nodes" {
        if !matches!(port, "" | AGENT_PORT) {
            let text = format!("no port {port:?} of node {name:?} can be reached but that of its agent");
            return Err(Status::unavailable(text));
        }
        return Ok(Target::Agent { node: name.to_owned(), path: format!("/{}", call.info.rest) });
    }
    let pod = call.decode(&entry)?;
    let port = pod_port(&pod, port)?;
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
    if node.is_empty() {
        return Err(Status::bad_request("address not allowed"));
    }
    let path = format!("{}/{}", encode(call.namespace()), encode(name));
    if https || upgrades {
        return Ok(Target::Server { place: Place::Pod { node, path, port }, https });
    }
    Ok(Target::Agent { node, path: format!("/podProxy/{path}/{port}/{}", call.info.rest) })
}

/// One exchange with a server, over a connection of its own.
async fn to_server(
    call: &ResourceCall,
    request: Request<Body>,
    place: Place,
    https: bool,
    path: &str,
    prefix: &str,
) -> Result<Response, Status> {
    let unreachable = |error: &BackendError| Status::unavailable(format!("error trying to reach service: {error}"));
    let upgrades = is_upgrade(request.headers());
    let own_host = request.headers().get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let authority = match &place {
        Place::Address(address) => address.to_string(),
        Place::Pod { port, .. } => format!("localhost:{port}"),
    };
    let mut passed = passed(request, path, upgrades, prefix)?;
    if let Ok(host) = HeaderValue::from_str(&authority) {
        passed.headers_mut().insert(HOST, host);
    }
    let client = passed.extensions_mut().remove::<hyper::upgrade::OnUpgrade>();
    let mut stream = backend::connect(&call.shared.hosts, &place).await.map_err(|error| unreachable(&error))?;
    if https {
        let config = client_config(Trust::Anybody, None).map_err(|error| Status::internal(&error.to_string()))?;
        let secured = secure(stream, config, "localhost").await;
        stream = secured.map_err(|error| Status::unavailable(format!("error trying to reach service: {error}")))?;
    }
    let mut answer = backend::send(&call.shared, stream, passed).await.map_err(|error| unreachable(&error))?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(client) = client else { return Err(Status::bad_request("this connection cannot be upgraded")) };
        return pass_through(call, client, answer);
    }
    if upgrades && answer.status().as_u16() < 400 {
        let text = format!("invalid upgrade response: status code {}", answer.status().as_u16());
        return Err(Status::internal(&text));
    }
    remove_hop_by_hop(answer.headers_mut());
    location::rewrite(answer.headers_mut(), prefix, &own_host, &authority);
    Ok(answer)
}

/// The request as the other side gets it.
fn passed(request: Request<Body>, path: &str, upgrades: bool, prefix: &str) -> Result<Request<Body>, Status> {
    let (mut parts, body) = request.into_parts();
    let original = parts.uri.path().to_owned();
    parts.uri = path.parse::<Uri>().map_err(|_| Status::bad_request("the path cannot be passed on"))?;
    parts.headers = passed_headers(&parts.headers, upgrades);
    append_forwarded(&mut parts.headers, &original, prefix);
    parts.version = http::Version::HTTP_11;
    Ok(Request::from_parts(parts, body))
}

fn with_query(path: &str, original: &Uri) -> String {
    match original.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// The path up to what the other side sees, without the slash at its end.
fn prefix_of(call: &ResourceCall, uri: &Uri) -> String {
    let path = uri.path();
    path.strip_suffix(call.info.rest.as_str()).unwrap_or(path).trim_end_matches('/').to_owned()
}

/// Relative links of a page need the slash at the end of its path.
fn add_slash(uri: &Uri) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(value) = HeaderValue::from_str(&with_query(&format!("{}/", uri.path()), uri)) {
        answer.headers_mut().insert(LOCATION, value);
    }
    answer
}

/// `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`.
fn split_name<'a>(text: &'a str, what: &str) -> Result<(&'a str, &'a str, &'a str), Status> {
    let parts: Vec<&str> = text.split(':').collect();
    match *parts.as_slice() {
        [name] => Ok(("", name, "")),
        [name, port] => Ok(("", name, port)),
        [scheme @ ("http" | "https" | ""), name, port] => Ok((scheme, name, port)),
        _ => Err(Status::bad_request(format!("invalid {what} request {text:?}"))),
    }
}

/// A port by number, by the name that a container gives it, or the first one that a container has.
fn pod_port(pod: &Value, wanted: &str) -> Result<u16, Status> {
    if let Ok(number) = wanted.parse::<u16>()
        && number > 0
    {
        return Ok(number);
    }
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
    let ports = containers.filter_map(|container| container.get("ports").and_then(Value::as_array)).flatten();
    let mut ports = ports.filter(|port| wanted.is_empty() || port.get("name").and_then(Value::as_str) == Some(wanted));
    let number = ports.next().and_then(|port| port.get("containerPort")).and_then(Value::as_u64);
    match number.and_then(|number| u16::try_from(number).ok()) {
        Some(number) => Ok(number),
        None if wanted.is_empty() => Ok(80),
        None => Err(Status::unavailable(format!("no port {wanted:?} found for the pod"))),
    }
}
