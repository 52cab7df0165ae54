//! What the agent of a node may do. Rules about his own node cannot be told in a role.

use super::Attributes;

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "update", "patch", "delete", "get", "list", "watch"];

/// Whether the agent of the node may do this.
pub(super) fn allows(node: &str, attributes: &Attributes<'_>) -> bool {
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
        ("certificates.k8s.io", "certificatesigningrequests", "") => READ.contains(&verb) || verb == "create",
        ("storage.k8s.io", "csidrivers" | "volumeattachments", "") => READ.contains(&verb),
        ("storage.k8s.io", "csinodes", "") => verb == "create" || (own && WRITE.contains(&verb)),
        ("authentication.k8s.io", "tokenreviews", "") | ("authorization.k8s.io", "subjectaccessreviews", "") => {
            verb == "create"
        }
        _ => false,
    }
}
