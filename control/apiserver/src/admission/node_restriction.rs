//! NodeRestriction: a host's agent changes its own node and the pods bound to it, and nothing else.

use coracle_control_api::meta;
use coracle_control_api::status::Status;
use serde_json::{Map, Value, json};

use super::{Action, Request};
use crate::authorization::pod_references;
use crate::user::NODES;

mod labels;

const MIRROR: &str = "kubernetes.io/config.mirror";
/// Where hosts renew their leases.
const LEASES: &str = "kube-node-lease";

/// Refuses what a node's agent has no business with.
///
/// # Errors
/// 403 in upstream's words.
pub(super) fn validate(request: &Request<'_>, object: Option<&Value>) -> Result<(), Status> {
    let user = &request.call.user;
    if !user.is_in(NODES) {
        return Ok(());
    }
    let Some(node) = user.name.strip_prefix("system:node:") else { return Ok(()) };
    if node.is_empty() {
        return Err(request.forbid(&format!("could not determine node from user {:?}", user.name)));
    }
    let kind = &request.call.kind;
    match (&*kind.group, &*kind.plural) {
        ("", "pods") => pods(request, object, node),
        ("", "nodes") => nodes(request, object, node),
        ("", "persistentvolumeclaims") => claims(request, object, node),
        ("", "serviceaccounts") => accounts(request, object, node),
        ("coordination.k8s.io", "leases") => leases(request, node),
        ("storage.k8s.io", "csinodes") => named_like_it(request, node, "CSINode"),
        _ => Ok(()),
    }
}

fn node_of(pod: &Value) -> &str {
    pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn pods(request: &Request<'_>, object: Option<&Value>, node: &str) -> Result<(), Status> {
    match (request.subresource, request.action) {
        ("", Action::Create) => mirrors(request, object, node),
        ("", Action::Delete) => own(request, node, "delete pods"),
        ("", Action::Update) => {
            let cause =
                format!("unexpected operation \"UPDATE\", node {node:?} can only create and delete mirror pods");
            Err(request.forbid(&cause))
        }
        ("status", Action::Update) => {
            own(request, node, "update pod status for pods")?;
            let labels = |pod: Option<&Value>| pod.and_then(meta::labels).cloned().unwrap_or_default();
            if labels(request.old) != labels(object) {
                return Err(request.forbid(&format!("node {node:?} cannot update labels through pod status")));
            }
            Ok(())
        }
        ("eviction", _) => own(request, node, "evict pods"),
        (other, _) => {
            Err(request
                .forbid(&format!("unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed")))
        }
    }
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
    owned_by_node(request, pod, node)?;
    let refuse = |what: &str| Err(request.forbid(&format!("node {node:?} can not create pods that reference {what}")));
    let empty = json!({});
    let spec = pod.get("spec").unwrap_or(&empty);
    if !text(spec, "/serviceAccountName").is_empty() {
        return refuse("a service account");
    }
    for plural in ["secrets", "configmaps", "persistentvolumeclaims"] {
        if pod_references(spec).any(|(named, _)| named == plural) {
            return refuse(plural);
        }
    }
    Ok(())
}

/// A mirror belongs to its node.
fn owned_by_node(request: &Request<'_>, pod: &Value, node: &str) -> Result<(), Status> {
    let refuse = |what: &str| Err(request.forbid(&format!("node {node:?} can only create pods with {what}")));
    let owner = match meta::owner_references(pod) {
        [owner] => owner,
        [] => return refuse("an owner reference set to itself"),
        _ => return refuse("a single owner reference set to itself"),
    };
    if (text(owner, "/apiVersion"), text(owner, "/kind"), text(owner, "/name")) != ("v1", "Node", node) {
        return refuse("an owner reference set to itself");
    }
    let is = |field: &str| owner.get(field).and_then(Value::as_bool) == Some(true);
    if !is("controller") {
        return refuse("a controller owner reference set to itself");
    }
    if is("blockOwnerDeletion") {
        let cause = format!("node {node:?} must not set blockOwnerDeletion on an owner reference");
        return Err(request.forbid(&cause));
    }
    let Some(entry) = request.snapshot.get(format!("/registry/core/nodes/{node}").as_bytes()) else {
        return Err(Status::not_found("", "nodes", node));
    };
    let known: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
    let (uid, known) = (text(owner, "/uid"), meta::uid(&known));
    if uid != known {
        return Err(request.forbid(&format!("node {node} UID mismatch: expected {uid} got {known}")));
    }
    Ok(())
}

fn nodes(request: &Request<'_>, object: Option<&Value>, node: &str) -> Result<(), Status> {
    if request.name != node {
        let cause = format!("node {node:?} is not allowed to modify node {:?}", request.name);
        return Err(request.forbid(&cause));
    }
    let Some(new) = object else { return Ok(()) };
    let empty = Map::new();
    let labels_of = |object: Option<&'_ Value>| object.and_then(meta::labels).cloned().unwrap_or_else(Map::new);
    let old_labels = request.old.map_or(empty, |old| labels_of(Some(old)));
    let forbidden = labels::forbidden(&labels_of(Some(new)), &old_labels);
    let verb = if request.action == Action::Create { "set" } else { "modify" };
    if !forbidden.is_empty() {
        let cause = format!("is not allowed to {verb} the following labels: {}", forbidden.join(", "));
        return Err(request.forbid(&cause));
    }
    let spec = |object: &Value, field: &str| object.pointer(&format!("/spec/{field}")).cloned().unwrap_or_default();
    let Some(old) = request.old else {
        if !spec(new, "configSource").is_null() {
            let cause = format!("node {node:?} is not allowed to create pods with a non-nil configSource");
            return Err(request.forbid(&cause));
        }
        return Ok(());
    };
    if !spec(new, "configSource").is_null() && spec(new, "configSource") != spec(old, "configSource") {
        let cause = format!("node {node:?} is not allowed to update configSource to a new non-nil configSource");
        return Err(request.forbid(&cause));
    }
    let list = |object: &Value| spec(object, "taints").as_array().cloned().unwrap_or_default();
    if list(new) != list(old) {
        return Err(request.forbid(&format!("node {node:?} is not allowed to modify taints")));
    }
    if meta::owner_references(new) != meta::owner_references(old) {
        return Err(request.forbid(&format!("node {node:?} is not allowed to modify ownerReferences")));
    }
    Ok(())
}

/// Of a claim a node tells how large it is now, and nothing else.
fn claims(request: &Request<'_>, object: Option<&Value>, node: &str) -> Result<(), Status> {
    if request.subresource != "status" {
        return Err(request.forbid("may only update PVC status"));
    }
    let rest = |object: Option<&Value>| {
        let mut object = object.cloned().unwrap_or_default();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
            metadata.remove("managedFields");
        }
        if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
            for field in ["capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"] {
                status.remove(field);
            }
        }
        object
    };
    if rest(request.old) != rest(object) {
        let cause =
            format!("node {node:?} is not allowed to update fields other than status.capacity and status.conditions");
        return Err(request.forbid(&cause));
    }
    Ok(())
}

/// A node asks for tokens of the pods that are bound to it, bound to the pod.
fn accounts(request: &Request<'_>, object: Option<&Value>, node: &str) -> Result<(), Status> {
    if request.action != Action::Create || request.subresource != "token" {
        return Ok(());
    }
    let null = Value::Null;
    let reference = object.and_then(|object| object.pointer("/spec/boundObjectRef")).unwrap_or(&null);
    if (text(reference, "/apiVersion"), text(reference, "/kind")) != ("v1", "Pod")
        || text(reference, "/name").is_empty()
    {
        return Err(request.forbid("node requested token not bound to a pod"));
    }
    if text(reference, "/uid").is_empty() {
        return Err(request.forbid("node requested token with a pod binding without a uid"));
    }
    let (namespace, name) = (request.call.namespace(), text(reference, "/name"));
    let Some(entry) = request.snapshot.get(format!("/registry/core/pods/{namespace}/{name}").as_bytes()) else {
        return Err(Status::not_found("", "pods", name));
    };
    let pod: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
    if text(reference, "/uid") != meta::uid(&pod) {
        let cause = format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have been \
             deleted and then recreated",
            text(reference, "/uid")
        );
        return Err(request.forbid(&cause));
    }
    if node_of(&pod) != node {
        return Err(request.forbid("node requested token bound to a pod scheduled on a different node"));
    }
    Ok(())
}

fn leases(request: &Request<'_>, node: &str) -> Result<(), Status> {
    if request.call.namespace() != LEASES {
        return Err(request.forbid(&format!("can only access leases in the {LEASES:?} system namespace")));
    }
    named_like_it(request, node, "lease")
}

fn named_like_it(request: &Request<'_>, node: &str, what: &str) -> Result<(), Status> {
    if request.name == node {
        return Ok(());
    }
    let text = match (what, request.action) {
        ("lease", _) => "can only access node lease with the same name as the requesting node".to_owned(),
        _ => format!("can only access {what} with the same name as the requesting node"),
    };
    Err(request.forbid(&text))
}
