//! What the scheduler keeps of a Pod: who it is, and what it needs of a node.

mod requests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as api;

use crate::resources::Resources;

pub use requests::{MEMORY_BYTES_DEFAULT, MILLI_CPU_DEFAULT};

/// Names one pod at one time: a pod that is deleted and created anew under its name has another `uid`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodKey {
    /// `metadata.namespace`.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
    /// `metadata.uid`.
    pub uid: Arc<str>,
}

impl fmt::Display for PodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A pod as the scheduler sees it: some hundred bytes, most of them shared between pods made from one template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Which pod this is.
    pub key: PodKey,
    /// `spec.priority`; higher goes first.
    pub priority: i32,
    /// `metadata.creationTimestamp`; among equal priorities the older pod goes first.
    pub created: Timestamp,
    /// `spec.nodeName`: the node the pod is bound to, or none while it waits.
    pub node_name: Option<Arc<str>>,
    /// `spec.schedulerName`: whose pod this is.
    pub scheduler_name: Arc<str>,
    /// Whether `spec.schedulingGates` holds anything.
    pub gated: bool,
    /// Whether `metadata.deletionTimestamp` is set.
    pub terminating: bool,
    /// Whether the phase is Succeeded or Failed: such a pod takes nothing from its node.
    pub finished: bool,
    /// The message of the condition PodScheduled=False, so that the same sentence is not written again.
    pub unschedulable_message: Option<Arc<str>>,
    /// What the pod asks for.
    pub requirements: Arc<Requirements>,
}

/// Everything about a pod that decides where it may run. Two pods with equal requirements get equal answers, which is why a failure is
/// remembered by requirements and not by pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Requirements {
    /// What the pod takes from a node, over all of its containers.
    pub requests: Resources,
    /// CPU for scoring, in thousandths of a core: a container that names none counts as [`MILLI_CPU_DEFAULT`].
    pub scored_milli_cpu: i64,
    /// Memory for scoring, in bytes: a container that names none counts as [`MEMORY_BYTES_DEFAULT`].
    pub scored_memory_bytes: i64,
    /// `spec.nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
    /// Required node affinity: one term must match. `None` when there is no requirement.
    pub required_node_terms: Option<Vec<NodeTerm>>,
    /// Preferred node affinity, with weights of 1 to 100.
    pub preferred_node_terms: Vec<(i32, NodeTerm)>,
    /// `spec.tolerations`.
    pub tolerations: Vec<Toleration>,
    /// Ports that the pod wants on its node's own address.
    pub host_ports: Vec<HostPort>,
    /// Whether `spec.preemptionPolicy` is Never.
    pub preempts_never: bool,
}

/// A term of a node selector: all of its expressions must hold. A term without any matches no node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeTerm {
    /// Expressions over the node's labels.
    pub expressions: Vec<NodeExpression>,
    /// Expressions over the node's fields; upstream knows one, `metadata.name`.
    pub fields: Vec<NodeExpression>,
}

/// One expression of a node selector term.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeExpression {
    /// The label or field.
    pub key: String,
    /// In, NotIn, Exists, DoesNotExist, Gt or Lt.
    pub operator: String,
    /// What to compare with.
    pub values: Vec<String>,
}

/// One of `spec.tolerations`. Empty strings stand for absent fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Toleration {
    /// The taint's key; empty with operator Exists tolerates every key.
    pub key: String,
    /// Equal (also when empty) or Exists.
    pub operator: String,
    /// The taint's value, for Equal.
    pub value: String,
    /// The taint's effect; empty tolerates every effect.
    pub effect: String,
}

/// A port on the node's own address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// TCP, UDP or SCTP.
    pub protocol: String,
    /// 1 to 65535.
    pub port: i32,
    /// The address; `0.0.0.0` stands for all of them.
    pub address: String,
}

impl Pod {
    /// What the scheduler keeps of `pod`.
    #[must_use]
    pub fn from_api(pod: &api::Pod) -> Self {
        let spec = pod.spec.as_ref();
        let text = |field: Option<&String>| Arc::from(field.map_or("", String::as_str));
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        Self {
            key: PodKey {
                namespace: text(pod.metadata.namespace.as_ref()),
                name: text(pod.metadata.name.as_ref()),
                uid: text(pod.metadata.uid.as_ref()),
            },
            priority: spec.and_then(|spec| spec.priority).unwrap_or(0),
            created: pod.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |time| time.0),
            node_name: spec.and_then(|spec| spec.node_name.as_deref()).filter(|name| !name.is_empty()).map(Arc::from),
            scheduler_name: text(spec.and_then(|spec| spec.scheduler_name.as_ref())),
            gated: spec.and_then(|spec| spec.scheduling_gates.as_ref()).is_some_and(|gates| !gates.is_empty()),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            finished: matches!(phase, Some("Succeeded" | "Failed")),
            unschedulable_message: unschedulable_message(pod),
            requirements: Arc::new(spec.map(Requirements::from_api).unwrap_or_default()),
        }
    }
}

impl Requirements {
    /// Reads what `spec` asks of a node.
    #[must_use]
    pub fn from_api(spec: &api::PodSpec) -> Self {
        let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
        let preferred = affinity.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
        let scored = requests::scored(spec);
        Self {
            requests: requests::requested(spec),
            scored_milli_cpu: scored.milli_cpu,
            scored_memory_bytes: scored.memory_bytes,
            node_selector: spec.node_selector.clone().unwrap_or_default(),
            required_node_terms: required
                .map(|selector| selector.node_selector_terms.iter().map(NodeTerm::from_api).collect()),
            preferred_node_terms: preferred
                .into_iter()
                .flatten()
                .map(|term| (term.weight, NodeTerm::from_api(&term.preference)))
                .collect(),
            tolerations: spec.tolerations.iter().flatten().map(Toleration::from_api).collect(),
            host_ports: host_ports(spec),
            preempts_never: spec.preemption_policy.as_deref() == Some("Never"),
        }
    }
}

impl NodeTerm {
    fn from_api(term: &api::NodeSelectorTerm) -> Self {
        let read = |list: &Option<Vec<api::NodeSelectorRequirement>>| {
            list.iter()
                .flatten()
                .map(|requirement| NodeExpression {
                    key: requirement.key.clone(),
                    operator: requirement.operator.clone(),
                    values: requirement.values.clone().unwrap_or_default(),
                })
                .collect()
        };
        Self { expressions: read(&term.match_expressions), fields: read(&term.match_fields) }
    }
}

impl Toleration {
    fn from_api(toleration: &api::Toleration) -> Self {
        Self {
            key: toleration.key.clone().unwrap_or_default(),
            operator: toleration.operator.clone().unwrap_or_default(),
            value: toleration.value.clone().unwrap_or_default(),
            effect: toleration.effect.clone().unwrap_or_default(),
        }
    }
}

fn host_ports(spec: &api::PodSpec) -> Vec<HostPort> {
    let restartable = |container: &&api::Container| container.restart_policy.as_deref() == Some("Always");
    let sidecars = spec.init_containers.iter().flatten().filter(restartable);
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let host_port = port.host_port.filter(|number| *number > 0)?;
            let or = |field: &Option<String>, default: &str| match field.as_deref() {
                None | Some("") => default.to_owned(),
                Some(text) => text.to_owned(),
            };
            Some(HostPort {
                protocol: or(&port.protocol, "TCP"),
                port: host_port,
                address: or(&port.host_ip, "0.0.0.0"),
            })
        })
        .collect()
}

fn unschedulable_message(pod: &api::Pod) -> Option<Arc<str>> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|condition| condition.type_ == "PodScheduled")?;
    if condition.status != "False" || condition.reason.as_deref() != Some("Unschedulable") {
        return None;
    }
    condition.message.as_deref().map(Arc::from)
}

#[cfg(test)]
pub(crate) mod tests;
