//! Who may do what: a fixed table, until there are roles.
//!
//! The administrators may do everything, every built-in part of the cluster what it needs, everyone who is known may read
//! discovery and ask about himself, and nobody may see that the server lives. Whoever asks, asks [`authorize`], so that
//! roles will take the table's place in one spot.

use coracle_control_api::status::Status;

use crate::authentication::ANONYMOUS;
use crate::request_info::RequestInfo;
use crate::user::{AUTHENTICATED, MASTERS, NODES, UserInfo};

const SCHEDULER: &str = "system:kube-scheduler";
const CONTROLLERS: &str = "system:kube-controller-manager";

/// Paths that anyone may read.
const HEALTH: &[&str] = &["/healthz", "/livez", "/readyz"];
/// Paths that everyone who is known may read, with everything below them.
const DISCOVERY: &[&str] = &["/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz"];

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "update", "patch", "delete", "get", "list", "watch"];

/// What is asked for, of a resource or of another path.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Attributes<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// The path, for what is no resource; then the other fields but the verb are empty.
    pub(crate) path: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    pub(crate) fn of(info: &'a RequestInfo) -> Self {
        if !info.is_resource {
            return Self { verb: info.verb, path: Some(&info.path), ..Self::default() };
        }
        Self {
            verb: info.verb,
            group: &info.group,
            resource: &info.resource,
            subresource: &info.subresource,
            namespace: &info.namespace,
            name: &info.authorized_name,
            path: None,
        }
    }
}

/// Refuses what the user may not do.
///
/// # Errors
/// 403 in upstream's words; 401 for nobody, who would be told no more by a refusal.
pub(crate) fn authorize(user: &UserInfo, attributes: &Attributes<'_>) -> Result<(), Status> {
    if is_allowed(user, attributes) {
        return Ok(());
    }
    if user.name == ANONYMOUS {
        return Err(Status::unauthorized());
    }
    Err(refusal(user, attributes))
}

fn refusal(user: &UserInfo, attributes: &Attributes<'_>) -> Status {
    let Attributes { verb, group, resource, subresource, namespace, name, path } = *attributes;
    if let Some(path) = path {
        return Status::forbidden("", "", "", &format!("User {:?} cannot {verb} path {path:?}", user.name));
    }
    let full = if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
    let place = if namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {namespace:?}")
    };
    let cause = format!("User {:?} cannot {verb} resource {full:?} in API group {group:?} {place}", user.name);
    Status::forbidden(group, resource, name, &cause)
}

/// The table.
pub(crate) fn is_allowed(user: &UserInfo, attributes: &Attributes<'_>) -> bool {
    if user.is_in(MASTERS) {
        return true;
    }
    if let Some(path) = attributes.path {
        return is_path_allowed(user, attributes.verb, path);
    }
    if user.name == CONTROLLERS || is_self_review(user, attributes) {
        return true;
    }
    if user.name == SCHEDULER {
        return is_scheduler_allowed(attributes);
    }
    match user.name.strip_prefix("system:node:") {
        Some(node) if user.is_in(NODES) => is_node_allowed(node, attributes),
        _ => false,
    }
}

fn is_path_allowed(user: &UserInfo, verb: &str, path: &str) -> bool {
    let below = |roots: &[&str]| {
        roots.iter().any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    };
    matches!(verb, "get" | "head") && (below(HEALTH) || (user.is_in(AUTHENTICATED) && below(DISCOVERY)))
}

/// Everyone who is known may ask who he is and what he may do.
fn is_self_review(user: &UserInfo, attributes: &Attributes<'_>) -> bool {
    let review = matches!(
        (attributes.group, attributes.resource),
        ("authentication.k8s.io", "selfsubjectreviews")
            | ("authorization.k8s.io", "selfsubjectaccessreviews" | "selfsubjectrulesreviews")
    );
    review && attributes.verb == "create" && user.is_in(AUTHENTICATED)
}

fn is_scheduler_allowed(attributes: &Attributes<'_>) -> bool {
    let Attributes { verb, group, resource, subresource, .. } = *attributes;
    match (group, resource, subresource) {
        ("", "secrets" | "configmaps" | "serviceaccounts", _) => false,
        ("", "pods", "binding") | ("", "bindings", "") => verb == "create",
        ("", "pods", "status") => matches!(verb, "update" | "patch"),
        ("", "pods", "") if verb == "delete" => true,
        ("" | "events.k8s.io", "events", "") => matches!(verb, "create" | "update" | "patch"),
        ("coordination.k8s.io", "leases", "") => WRITE.contains(&verb),
        (_, _, "") => READ.contains(&verb),
        _ => false,
    }
}

fn is_node_allowed(node: &str, attributes: &Attributes<'_>) -> bool {
    let Attributes { verb, group, resource, subresource, namespace, name, .. } = *attributes;
    let own = name == node;
    match (group, resource, subresource) {
        ("", "nodes", "") => READ.contains(&verb) || verb == "create" || (own && matches!(verb, "update" | "patch")),
        ("", "nodes", "status") => own && matches!(verb, "get" | "update" | "patch"),
        ("", "pods", "") => READ.contains(&verb) || matches!(verb, "create" | "delete"),
        ("", "pods", "status") => matches!(verb, "get" | "update" | "patch"),
        ("", "pods", "eviction") => verb == "create",
        ("", "configmaps" | "secrets" | "serviceaccounts" | "services" | "namespaces", "") => READ.contains(&verb),
        ("", "persistentvolumeclaims" | "persistentvolumes" | "endpoints", "") => READ.contains(&verb),
        ("", "serviceaccounts", "token") => verb == "create",
        ("" | "events.k8s.io", "events", "") => matches!(verb, "create" | "update" | "patch"),
        ("coordination.k8s.io", "leases", "") if namespace == "kube-node-lease" => {
            verb == "create" || (own && WRITE.contains(&verb))
        }
        ("node.k8s.io", "runtimeclasses", "") | ("discovery.k8s.io", "endpointslices", "") => READ.contains(&verb),
        ("networking.k8s.io", "networkpolicies", "") => READ.contains(&verb),
        ("authentication.k8s.io", "tokenreviews", "") | ("authorization.k8s.io", "subjectaccessreviews", "") => {
            verb == "create"
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
