//! proxy: an HTTP request to a port of a pod, or to the agent of a node, through the API.

use axum::body::Body;
use axum::response::Response;
use coracle_control_api::status::Status;
use http::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderName, LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Request};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{agent, ask};
use crate::call::ResourceCall;
use crate::list_options::Version;

/// Headers that are about one connection, and what proves who the client is.
const NOT_PASSED: &[HeaderName] =
    &[AUTHORIZATION, CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

pub(crate) async fn proxy(call: &ResourceCall, request: Request<Body>) -> Result<Response, Status> {
    let snapshot = call.snapshot(Version::Latest).await?;
    let (name, port) = split_name(call.name())?;
    let entry = snapshot.get(&call.key(&name)).ok_or_else(|| call.not_found(&name))?;
    let object = call.decode(&entry)?;
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (node, mut target) = match &*call.kind.plural {
        "pods" => {
            let port = pod_port(&object, &port)?;
            let node = object.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
            if node.is_empty() {
                return Err(Status::bad_request(format!("pod {name:?} is not on a host yet")));
            }
            (
                node.to_owned(),
                format!("/podProxy/{}/{}/{port}/{}", encode(call.namespace()), encode(&name), call.info.rest),
            )
        }
        "nodes" => (name.clone(), format!("/{}", call.info.rest)),
        _ => return Err(Status::unknown_resource()),
    };
    if let Some(query) = request.uri().query() {
        target.push('?');
        target.push_str(query);
    }
    let agent = agent(call, &node)?;
    let (parts, body) = request.into_parts();
    let mut passed = Request::new(body);
    *passed.method_mut() = parts.method;
    *passed.uri_mut() = target.parse().map_err(|_| Status::bad_request("the path cannot be passed to the host"))?;
    *passed.headers_mut() = passed_headers(&parts.headers);
    let prefix = prefix_of(call, &parts.uri);
    if let Ok(value) = HeaderValue::from_str(prefix.trim_end_matches('/')) {
        passed.headers_mut().insert("x-forwarded-prefix", value);
    }
    let mut answer = ask(agent, passed).await?;
    for name in NOT_PASSED {
        answer.headers_mut().remove(name);
    }
    rewrite_location(&mut answer, &prefix);
    Ok(answer)
}

/// The path up to what the pod sees.
fn prefix_of(call: &ResourceCall, uri: &http::Uri) -> String {
    let path = uri.path();
    path.strip_suffix(call.info.rest.as_str()).unwrap_or(path).to_owned()
}

/// A redirect of the pod to another of its paths leads to that path through the proxy.
fn rewrite_location(answer: &mut Response, prefix: &str) {
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let Some(path) = location.filter(|text| text.starts_with('/') && !text.starts_with("//")) else { return };
    if let Ok(value) = HeaderValue::from_str(&format!("{}{path}", prefix.trim_end_matches('/'))) {
        answer.headers_mut().insert(LOCATION, value);
    }
}

fn passed_headers(headers: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let impersonates = name.as_str().starts_with("impersonate-");
        if !NOT_PASSED.contains(name) && !impersonates && name != HOST {
            passed.append(name.clone(), value.clone());
        }
    }
    passed
}

/// `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`; the scheme can only be HTTP.
fn split_name(text: &str) -> Result<(String, String), Status> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [name] => Ok(((*name).to_owned(), String::new())),
        [name, port] => Ok(((*name).to_owned(), (*port).to_owned())),
        ["http" | "", name, port] => Ok(((*name).to_owned(), (*port).to_owned())),
        _ => Err(Status::bad_request(format!("invalid pod request {text:?}"))),
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
