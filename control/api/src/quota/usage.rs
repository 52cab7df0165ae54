//! What one object uses.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Amounts;
use crate::kinds::fields::Fields;
use crate::kinds::pod::quality;
use crate::kinds::validation::resources::{amounts, has_amounts, is_extended, is_huge_page};
use crate::limits;
use crate::meta;
use crate::quantity::{Format, Quantity};

/// The annotation that stood for a claim's class before there was a field.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const BY_CLASS: &str = ".storageclass.storage.k8s.io/";

/// Kinds whose number can be bounded by their plain name.
const PLAIN: &[&str] = &["configmaps", "resourcequotas", "replicationcontrollers", "secrets"];
/// What is counted of services.
const OF_SERVICES: &[&str] = &["services", "services.nodeports", "services.loadbalancers"];
/// What is counted of claims, alone and by class.
const OF_CLAIMS: &[&str] = &["persistentvolumeclaims", "requests.storage"];
/// What is counted of pods.
const OF_PODS: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
];
/// What every container of a pod has to name where a quota bounds it. A mistake of upstream's that became a rule.
const REQUIRED: &[&str] = &["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

/// A kind, as quotas count its objects.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    /// Empty for the core group.
    pub group: &'a str,
    /// The resource's name in paths.
    pub plural: &'a str,
}

impl Counted<'_> {
    fn is(&self, plural: &str) -> bool {
        self.group.is_empty() && self.plural == plural
    }

    pub(super) fn is_pod(&self) -> bool {
        self.is("pods")
    }

    pub(super) fn is_claim(&self) -> bool {
        self.is("persistentvolumeclaims")
    }

    /// False for kinds that come and go too quickly to be counted.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        !(self.plural == "events" && matches!(self.group, "" | "events.k8s.io"))
    }

    /// `count/deployments.apps`.
    fn count_name(&self) -> String {
        if self.group.is_empty() {
            format!("count/{}", self.plural)
        } else {
            format!("count/{}.{}", self.plural, self.group)
        }
    }

    /// Whether objects of this kind use what a quota bounds under this name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        if name == self.count_name() {
            return true;
        }
        if self.is_pod() {
            let request = name.strip_prefix("requests.");
            return OF_PODS.contains(&name)
                || is_huge_page(name)
                || request.is_some_and(|name| is_huge_page(name) || is_extended(name));
        }
        if self.is("services") {
            return OF_SERVICES.contains(&name);
        }
        if self.is_claim() {
            let of_class = name.split_once(BY_CLASS).map(|(_, rest)| rest);
            return OF_CLAIMS.contains(&of_class.unwrap_or(name));
        }
        self.group.is_empty() && self.plural == name && PLAIN.contains(&name)
    }

    /// What an object uses at this time.
    #[must_use]
    pub fn usage(&self, object: &Value, now: Timestamp) -> Amounts {
        let mut used = Amounts::from([(self.count_name(), whole(1))]);
        if self.is_pod() {
            if is_alive(object, now) {
                used.extend(of_pod(object.child("spec").unwrap_or(&Value::Null)));
            }
        } else if self.is("services") {
            used.extend(of_service(object.child("spec").unwrap_or(&Value::Null)));
        } else if self.is_claim() {
            used.extend(of_claim(object));
        } else if self.group.is_empty() && PLAIN.contains(&self.plural) {
            used.insert(self.plural.to_owned(), whole(1));
        }
        used
    }

    /// What an object must name because a quota bounds it.
    ///
    /// # Errors
    /// What it does not name, and where.
    pub(super) fn constraints(&self, bounded: &BTreeSet<&str>, object: &Value) -> Result<(), String> {
        let spec = object.child("spec").filter(|_| self.is_pod());
        let Some(spec) = spec.filter(|spec| !has_amounts(spec.child("resources"))) else { return Ok(()) };
        let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for container in spec.list("containers").iter().chain(spec.list("initContainers")) {
            let named = computed(&list(container, "requests"), &list(container, "limits"));
            for name in REQUIRED.iter().filter(|name| bounded.contains(*name) && !named.contains_key(**name)) {
                missing.entry(name).or_default().insert(container.text("name"));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let texts = missing.into_iter().map(|(name, containers)| {
            let containers: Vec<&str> = containers.into_iter().collect();
            format!("{name} for: {}", containers.join(","))
        });
        Err(format!("must specify {}", texts.collect::<Vec<_>>().join("; ")))
    }
}

fn whole(count: usize) -> Quantity {
    let count = i64::try_from(count).unwrap_or(i64::MAX / 1000).min(i64::MAX / 1000);
    Quantity::from_milli(count * 1000, Format::DecimalSi)
}

fn list(holder: &Value, part: &str) -> Amounts {
    amounts(holder.at(&["resources", part])).map(|(name, amount)| (name.to_owned(), amount)).collect()
}

/// A pod that has ended, or whose time to end is over, uses nothing but its place.
fn is_alive(pod: &Value, now: Timestamp) -> bool {
    let phase = pod.at(&["status", "phase"]).and_then(Value::as_str).unwrap_or_default();
    if matches!(phase, "Succeeded" | "Failed") {
        return false;
    }
    let grace = pod.child("metadata").and_then(|metadata| metadata.int("deletionGracePeriodSeconds"));
    match (meta::deletion_timestamp(pod), grace) {
        (Some(time), Some(grace)) => time.checked_add(SignedDuration::from_secs(grace)).is_ok_and(|end| now <= end),
        _ => true,
    }
}

fn of_pod(spec: &Value) -> Amounts {
    let mut requests = limits::of_pod(spec, "requests", quality::requests_of_containers(spec));
    let mut limits = limits::of_pod(spec, "limits", quality::limits_of_containers(spec));
    for (name, overhead) in amounts(spec.child("overhead")) {
        requests.entry(name.to_owned()).and_modify(|sum| *sum = sum.add(&overhead)).or_insert(overhead);
        limits.entry(name.to_owned()).and_modify(|sum| *sum = sum.add(&overhead));
    }
    computed(&requests, &limits)
}

/// Requests and limits under the names that quotas have for them.
fn computed(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut used = Amounts::from([("pods".to_owned(), whole(1))]);
    for name in ["cpu", "memory", "ephemeral-storage"] {
        if let Some(amount) = requests.get(name) {
            used.insert(name.to_owned(), *amount);
            used.insert(format!("requests.{name}"), *amount);
        }
        if let Some(amount) = limits.get(name) {
            used.insert(format!("limits.{name}"), *amount);
        }
    }
    for (name, amount) in requests {
        if is_huge_page(name) {
            used.insert(name.clone(), *amount);
        }
        if is_huge_page(name) || is_extended(name) {
            used.insert(format!("requests.{name}"), *amount);
        }
    }
    used
}

fn of_service(spec: &Value) -> Amounts {
    let ports = spec.list("ports");
    let balanced = spec.text("type") == "LoadBalancer";
    let node_ports = match spec.text("type") {
        "NodePort" => ports.len(),
        "LoadBalancer" if spec.flag("allocateLoadBalancerNodePorts") == Some(false) => {
            ports.iter().filter(|port| port.int("nodePort").unwrap_or(0) != 0).count()
        }
        "LoadBalancer" => ports.len(),
        _ => 0,
    };
    Amounts::from([
        ("services".to_owned(), whole(1)),
        ("services.nodeports".to_owned(), whole(node_ports)),
        ("services.loadbalancers".to_owned(), whole(usize::from(balanced))),
    ])
}

fn of_claim(claim: &Value) -> Amounts {
    let mut used = Amounts::from([("persistentvolumeclaims".to_owned(), whole(1))]);
    let storage =
        |path: &[&str]| amounts(claim.at(path)).find(|(name, _)| *name == "storage").map(|(_, amount)| amount);
    if let Some(requested) = storage(&["spec", "resources", "requests"]) {
        let allocated = storage(&["status", "allocatedResources"]).filter(|allocated| *allocated > requested);
        used.insert("requests.storage".to_owned(), allocated.unwrap_or(requested));
    }
    let class = meta::annotation(claim, CLASS_ANNOTATION)
        .or_else(|| claim.at(&["spec", "storageClassName"]).and_then(Value::as_str))
        .unwrap_or_default();
    if !class.is_empty() {
        let of_class: Vec<(String, Quantity)> =
            used.iter().map(|(name, amount)| (format!("{class}{BY_CLASS}{name}"), *amount)).collect();
        used.extend(of_class);
    }
    used
}
