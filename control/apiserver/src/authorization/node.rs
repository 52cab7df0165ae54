//! What the agent of a node may do. Rules about his own node cannot be told in a role.

use coracle_control_store::Store;
use serde_json::Value;

use super::Attributes;
use super::graph::NodeGraph;

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "update", "patch", "delete", "get", "list", "watch"];

/// Where the relations between nodes and objects are looked up.
#[derive(Debug, Clone)]
pub(super) struct Relations {
    pub(super) graph: std::sync::Arc<NodeGraph>,
    pub(super) store: Store,
}

/// What may be said of a request by a node's agent.
enum Rule {
    Yes,
    No,
    /// If a pod that is bound to the node names the object.
    Related,
    /// If a claim that such a pod names is bound to the volume.
    RelatedVolume,
    /// If it is about the attachment of a volume to the node.
    Attached,
}

/// Whether the agent of the node may do this.
///
/// # Errors
/// What a refusal adds; empty where there is nothing to say.
pub(super) fn allows(node: &str, attributes: &Attributes<'_>, relations: Option<&Relations>) -> Result<(), String> {
    let Attributes { resource, namespace, name, .. } = *attributes;
    let unrelated = || Err(format!(": no relationship found between node '{node}' and this object"));
    let related = |relations: &Relations| match rule(node, attributes) {
        Rule::Related => relations.graph.has(&relations.store, node, resource, namespace, name),
        Rule::RelatedVolume => claim_of(&relations.store, name).is_some_and(|(namespace, claim)| {
            relations.graph.has(&relations.store, node, "persistentvolumeclaims", &namespace, &claim)
        }),
        Rule::Attached => {
            let path = ["/registry/storage.k8s.io/volumeattachments/", name].concat();
            read(&relations.store, &path).and_then(|object| text(&object, "/spec/nodeName")).as_deref() == Some(node)
        }
        Rule::Yes | Rule::No => false,
    };
    match rule(node, attributes) {
        Rule::Yes => Ok(()),
        Rule::No => Err(String::new()),
        _ if name.is_empty() => Err(": No Object name found".to_owned()),
        _ if relations.is_some_and(related) => Ok(()),
        _ => unrelated(),
    }
}

fn read(store: &Store, key: &str) -> Option<Value> {
    serde_json::from_slice(&store.snapshot().get(key.as_bytes())?.value).ok()
}

fn text(object: &Value, pointer: &str) -> Option<String> {
    object.pointer(pointer)?.as_str().map(str::to_owned)
}

/// Namespace and name of the claim that a volume is bound to.
fn claim_of(store: &Store, volume: &str) -> Option<(String, String)> {
    let volume = read(store, &["/registry/core/persistentvolumes/", volume].concat())?;
    Some((text(&volume, "/spec/claimRef/namespace")?, text(&volume, "/spec/claimRef/name")?))
}

fn rule(node: &str, attributes: &Attributes<'_>) -> Rule {
    let Attributes { verb, group, resource, subresource, namespace, name, .. } = *attributes;
    let own = name == node;
    let when = |allowed: bool, rule: Rule| if allowed { rule } else { Rule::No };
    match (group, resource, subresource) {
        ("", "secrets" | "configmaps", "") => when(READ.contains(&verb) && !namespace.is_empty(), Rule::Related),
        ("", "persistentvolumeclaims", "") => when(verb == "get", Rule::Related),
        ("", "persistentvolumes", "") => when(verb == "get", Rule::RelatedVolume),
        ("", "serviceaccounts", "token") => when(verb == "create", Rule::Related),
        ("storage.k8s.io", "volumeattachments", "") => when(verb == "get", Rule::Attached),
        _ => when(allowed_to_all(attributes, own), Rule::Yes),
    }
}

/// What needs no relation between the node and the object but that of being the node's own.
fn allowed_to_all(attributes: &Attributes<'_>, own: bool) -> bool {
    let Attributes { verb, group, resource, subresource, namespace, .. } = *attributes;
    match (group, resource, subresource) {
        ("", "nodes", "") => READ.contains(&verb) || verb == "create" || (own && matches!(verb, "update" | "patch")),
        ("", "nodes", "status") => own && matches!(verb, "get" | "update" | "patch"),
        ("", "pods", "") => READ.contains(&verb) || matches!(verb, "create" | "delete"),
        ("", "pods", "status") => matches!(verb, "get" | "update" | "patch"),
        ("", "pods", "eviction") => verb == "create",
        ("", "serviceaccounts" | "services" | "namespaces" | "endpoints", "") => READ.contains(&verb),
        ("" | "events.k8s.io", "events", "") => matches!(verb, "create" | "update" | "patch"),
        ("coordination.k8s.io", "leases", "") if namespace == "kube-node-lease" => {
            verb == "create" || (own && WRITE.contains(&verb))
        }
        ("node.k8s.io", "runtimeclasses", "") | ("discovery.k8s.io", "endpointslices", "") => READ.contains(&verb),
        ("networking.k8s.io", "networkpolicies", "") => READ.contains(&verb),
        ("certificates.k8s.io", "certificatesigningrequests", "") => READ.contains(&verb) || verb == "create",
        ("storage.k8s.io", "csidrivers", "") => READ.contains(&verb),
        ("storage.k8s.io", "csinodes", "") => verb == "create" || (own && WRITE.contains(&verb)),
        ("authentication.k8s.io", "tokenreviews", "") | ("authorization.k8s.io", "subjectaccessreviews", "") => {
            verb == "create"
        }
        _ => false,
    }
}
