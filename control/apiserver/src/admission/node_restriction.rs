//! NodeRestriction: a host's agent changes its own node and the pods bound to it, and nothing else.

use coracle_control_api::meta;
use coracle_control_api::status::Status;
use serde_json::Value;

use super::{Action, Request};
use crate::user::NODES;

const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) fn validate(request: &Request<'_>, object: Option<&Value>) -> Result<(), Status> {
    let user = &request.call.user;
    let Some(node) = user.name.strip_prefix("system:node:").filter(|_| user.is_in(NODES)) else { return Ok(()) };
    let kind = &request.call.kind;
    if !kind.group.is_empty() {
        return Ok(());
    }
    match (&*kind.plural, request.subresource, request.action) {
        ("nodes", _, Action::Create) if request.name != node => {
            let cause = format!("node {node:?} is not allowed to modify node {:?}", request.name);
            Err(request.forbid(&cause))
        }
        ("pods", "", Action::Create) => mirrors(request, object, node),
        ("pods", "", Action::Delete) => own(request, node, "delete pods"),
        ("pods", "status", Action::Update) => own(request, node, "update pod status for pods"),
        ("pods", "eviction", _) => own(request, node, "evict pods"),
        _ => Ok(()),
    }
}

fn node_of(pod: &Value) -> &str {
    pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default()
}

fn own(request: &Request<'_>, node: &str, what: &str) -> Result<(), Status> {
    if request.old.is_some_and(|pod| node_of(pod) == node) {
        return Ok(());
    }
    Err(request.forbid(&format!("node {node:?} can only {what} with spec.nodeName set to itself")))
}

fn mirrors(request: &Request<'_>, object: Option<&Value>, node: &str) -> Result<(), Status> {
    let Some(pod) = object else { return Ok(()) };
    if meta::annotation(pod, MIRROR).is_none() {
        let cause = format!("pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods");
        return Err(request.forbid(&cause));
    }
    if node_of(pod) != node {
        return Err(request.forbid(&format!("node {node:?} can only create pods with spec.nodeName set to itself")));
    }
    Ok(())
}
