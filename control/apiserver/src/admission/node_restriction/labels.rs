//! The labels that a node's agent may set on its node: those that only tell what the machine is. By the others people
//! keep work on the machines that they trust with it.

use serde_json::{Map, Value};

/// Labels of the reserved domains that an agent may set.
const ALLOWED: &[&str] = &[
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];
/// Domains in which an agent may set any label.
const ALLOWED_DOMAINS: &[&str] = &["kubelet.kubernetes.io", "node.kubernetes.io"];
/// Domains, and all below them, of which an agent may set only what is listed.
const RESERVED_DOMAINS: &[&str] = &["kubernetes.io", "k8s.io"];
/// The domain that is kept for people, with all below it.
const PROTECTED_DOMAIN: &str = "node-restriction.kubernetes.io";

fn is_within(domain: &str, parent: &str) -> bool {
    domain == parent || domain.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
}

fn is_forbidden(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    if is_within(domain, PROTECTED_DOMAIN) {
        return true;
    }
    let reserved = RESERVED_DOMAINS.iter().any(|parent| is_within(domain, parent));
    let allowed = ALLOWED.contains(&key) || ALLOWED_DOMAINS.iter().any(|parent| is_within(domain, parent));
    reserved && !allowed
}

/// The labels that differ between the two and that an agent may not touch, in order.
pub(super) fn forbidden(new: &Map<String, Value>, old: &Map<String, Value>) -> Vec<String> {
    let mut keys: Vec<&String> = new.keys().chain(old.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().filter(|key| new.get(*key) != old.get(*key) && is_forbidden(key)).cloned().collect()
}
