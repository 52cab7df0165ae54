//! What the conditions and taints of a node should be.

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::observed::{Node, Pod};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const CORDONED: &str = "node.kubernetes.io/unschedulable";
/// Conditions that keep pods away while they are True, and the taints that do it.
const PRESSURES: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
];
/// The conditions that only a live host can vouch for.
const VOUCHED: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// What the condition Ready says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    NotReady,
    Unknown,
    /// The host has not said anything yet.
    Unreported,
}

impl Readiness {
    pub(super) fn of(node: &Node) -> Self {
        match node.condition("Ready").map(|ready| ready.status.as_str()) {
            None => Self::Unreported,
            Some("True") => Self::Ready,
            Some("Unknown") => Self::Unknown,
            Some(_) => Self::NotReady,
        }
    }
}

/// What has to be written.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// Conditions to merge into the status.
    pub(super) conditions: Vec<api::NodeCondition>,
    /// The whole list of taints, when it is to change.
    pub(super) taints: Option<Vec<api::Taint>>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.conditions.is_empty() && self.taints.is_none()
    }
}

/// Compares the node with what it should be. `silent` says that its grace period is over.
pub(super) fn plan(node: &Node, silent: bool, now: Timestamp) -> Changes {
    let conditions = if silent { doubted_conditions(node, now) } else { Vec::new() };
    let readiness = if silent { Readiness::Unknown } else { Readiness::of(node) };
    let wanted = wanted_taints(node, readiness, silent);
    let kept = |taint: &&api::Taint| !is_ours(taint) || wanted.contains(&(taint.key.as_str(), taint.effect.as_str()));
    let mut taints: Vec<api::Taint> = node.taints.iter().filter(kept).cloned().collect();
    for (key, effect) in wanted {
        if !taints.iter().any(|taint| taint.key == key && taint.effect == effect) {
            let time_added = (effect == "NoExecute").then_some(Time(now));
            taints.push(api::Taint { key: key.to_owned(), effect: effect.to_owned(), value: None, time_added });
        }
    }
    Changes { conditions, taints: (taints != node.taints).then_some(taints) }
}

/// Whether the pod still counts as ready although its node, for all we know, stopped being ready afterwards.
pub(super) fn is_doubtful(pod: &Pod, node: &Node) -> bool {
    let Some(ready_since) = pod.ready_since.filter(|_| !pod.finished) else { return false };
    match Readiness::of(node) {
        Readiness::Ready | Readiness::Unreported => false,
        Readiness::Unknown => true,
        // The host lives and speaks for its pods: only what it said before it stopped being ready is doubted.
        Readiness::NotReady => {
            let since = node.condition("Ready").and_then(|ready| ready.last_transition_time.as_ref());
            since.is_some_and(|since| ready_since < since.0)
        }
    }
}

fn doubted_conditions(node: &Node, now: Timestamp) -> Vec<api::NodeCondition> {
    let doubted = VOUCHED.iter().filter_map(|kind| {
        let known = node.condition(kind);
        if known.is_some_and(|known| known.status == "Unknown") {
            return None;
        }
        let (reason, message) = match known {
            Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
            None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
        };
        Some(api::NodeCondition {
            type_: (*kind).to_owned(),
            status: "Unknown".to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_heartbeat_time: known.and_then(|known| known.last_heartbeat_time.clone()),
            last_transition_time: Some(Time(now)),
        })
    });
    doubted.collect()
}

fn wanted_taints(node: &Node, readiness: Readiness, silent: bool) -> Vec<(&'static str, &'static str)> {
    let mut wanted = Vec::new();
    match readiness {
        Readiness::Ready => {}
        Readiness::Unreported => wanted.push((NOT_READY, "NoSchedule")),
        Readiness::NotReady => wanted.extend([(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")]),
        Readiness::Unknown => wanted.extend([(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]),
    }
    for (kind, key) in PRESSURES {
        // A silent host's own words become Unknown together with these taints.
        let believed = !(silent && VOUCHED.contains(&kind));
        if believed && node.condition(kind).is_some_and(|condition| condition.status == "True") {
            wanted.push((key, "NoSchedule"));
        }
    }
    if node.unschedulable {
        wanted.push((CORDONED, "NoSchedule"));
    }
    wanted
}

/// Whether this controller alone decides about the taint.
fn is_ours(taint: &api::Taint) -> bool {
    let soft =
        taint.effect == "NoSchedule" && (taint.key == CORDONED || PRESSURES.iter().any(|(_, key)| taint.key == *key));
    let hard = matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute");
    soft || (hard && (taint.key == NOT_READY || taint.key == UNREACHABLE))
}

#[cfg(test)]
mod tests;
