//! The pod of a subresource, its container, and the host on which it runs.

use axum::Router;
use coracle_control_api::kinds;
use coracle_control_api::meta;
use coracle_control_api::status::Status;
use coracle_control_store::Snapshot;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::agent;
use crate::call::ResourceCall;

/// The lists of containers, in the order in which upstream names them.
const LISTS: &[&str] = &["initContainers", "containers", "ephemeralContainers"];

fn names<'a>(pod: &'a Value, list: &str) -> impl Iterator<Item = &'a str> {
    meta::list(pod, &["spec", list]).iter().filter_map(|container| container.get("name").and_then(Value::as_str))
}

/// The container that is asked for, or the only one there is.
///
/// # Errors
/// 400 in upstream's words.
pub(super) fn choose_container(call: &ResourceCall, pod: &Value) -> Result<String, Status> {
    let name = call.name();
    let all: Vec<&str> = LISTS.iter().flat_map(|list| names(pod, list)).collect();
    let asked = call.query.text("container");
    if !asked.is_empty() {
        if all.contains(&asked) {
            return Ok(asked.to_owned());
        }
        return Err(Status::bad_request(format!("container {asked} is not valid for pod {name}")));
    }
    let containers: Vec<&str> = names(pod, "containers").collect();
    match containers.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Status::bad_request(format!("a container name must be specified for pod {name}"))),
        _ => {
            let text = format!("a container name must be specified for pod {name}, choose one of: [{}]", all.join(" "));
            Err(Status::bad_request(text))
        }
    }
}

/// The agent of the pod's host.
///
/// # Errors
/// 400 for a pod that is on no host, 404 when its node is gone, 503 when the host cannot be reached.
pub(super) fn agent_of(call: &ResourceCall, snapshot: &Snapshot, pod: &Value) -> Result<Router, Status> {
    let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
    if node.is_empty() {
        return Err(Status::bad_request(format!("pod {} does not have a host assigned", call.name())));
    }
    node_agent(call, snapshot, node)
}

/// The agent of a node.
///
/// # Errors
/// 404 when there is no such node, 503 when its host cannot be reached.
pub(super) fn node_agent(call: &ResourceCall, snapshot: &Snapshot, node: &str) -> Result<Router, Status> {
    if let Ok(router) = agent(call, node) {
        return Ok(router);
    }
    let key = kinds::find("", "v1", "nodes").map(|kind| kind.storage_key("", node)).unwrap_or_default();
    if snapshot.get(key.as_bytes()).is_none() {
        return Err(Status::not_found("", "nodes", node));
    }
    agent(call, node)
}

/// Namespace and name of the pod, as in a path.
pub(super) fn pod_path(call: &ResourceCall) -> String {
    format!("{}/{}", encode(call.namespace()), encode(call.name()))
}

/// Text as one segment of a path.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
