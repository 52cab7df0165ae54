//! What the scheduler keeps of a Node: what it offers, and what the pods on it have taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use k8s_openapi::api::core::v1 as api;

use crate::pod::{HostPort, Pod, PodKey, Toleration};
use crate::resources::{Resources, pod_slots};

/// A node and the account of what is taken on it.
///
/// The account is changed only by [`Node::add_pod`] and [`Node::remove_pod`], and each pod counts once however often it is added. A clone
/// is cheap (the node's data and its pods are shared), which is what lets a plan work on its own copy.
#[derive(Clone, Debug)]
pub struct Node {
    /// What the node itself says.
    pub spec: Arc<NodeSpec>,
    pods: OrdMap<PodKey, Arc<Pod>>,
    requested: Resources,
    scored_milli_cpu: i64,
    scored_memory_bytes: i64,
    ports: BTreeMap<HostPort, u32>,
}

/// The part of a Node object that scheduling reads. Heartbeats do not change it, so an equal one wakes nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSpec {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `spec.taints`.
    pub taints: Vec<Taint>,
    /// `spec.unschedulable`: cordoned.
    pub unschedulable: bool,
    /// `status.allocatable`.
    pub allocatable: Resources,
    /// How many pods fit: `pods` of `status.allocatable`.
    pub pod_slots: i64,
}

/// One of `spec.taints`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Taint {
    /// The taint's name.
    pub key: String,
    /// May be empty.
    pub value: String,
    /// NoSchedule, PreferNoSchedule or NoExecute.
    pub effect: String,
}

impl Node {
    /// A node with nothing on it.
    #[must_use]
    pub fn new(spec: NodeSpec) -> Self {
        Self {
            spec: Arc::new(spec),
            pods: OrdMap::new(),
            requested: Resources::default(),
            scored_milli_cpu: 0,
            scored_memory_bytes: 0,
            ports: BTreeMap::new(),
        }
    }

    /// Counts `pod` as running here. A pod that is here already is counted by its new requirements.
    pub fn add_pod(&mut self, pod: Arc<Pod>) {
        self.remove_pod(&pod.key);
        let needs = &pod.requirements;
        self.requested.add(&needs.requests);
        self.scored_milli_cpu = self.scored_milli_cpu.saturating_add(needs.scored_milli_cpu);
        self.scored_memory_bytes = self.scored_memory_bytes.saturating_add(needs.scored_memory_bytes);
        for port in &needs.host_ports {
            *self.ports.entry(port.clone()).or_default() += 1;
        }
        self.pods.insert(pod.key.clone(), pod);
    }

    /// Counts the pod as gone. Says whether it was here.
    pub fn remove_pod(&mut self, key: &PodKey) -> bool {
        let Some(pod) = self.pods.remove(key) else { return false };
        let needs = &pod.requirements;
        self.requested.subtract(&needs.requests);
        self.scored_milli_cpu = self.scored_milli_cpu.saturating_sub(needs.scored_milli_cpu);
        self.scored_memory_bytes = self.scored_memory_bytes.saturating_sub(needs.scored_memory_bytes);
        for port in &needs.host_ports {
            if let Some(count) = self.ports.get_mut(port) {
                *count -= 1;
                if *count == 0 {
                    self.ports.remove(port);
                }
            }
        }
        true
    }

    /// The pods here, running and assumed.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.values()
    }

    /// How many pods are here.
    #[must_use]
    pub fn pod_count(&self) -> usize {
        self.pods.len()
    }

    /// What the pods here have asked for, together.
    #[must_use]
    pub fn requested(&self) -> &Resources {
        &self.requested
    }

    /// What the pods here weigh in scores: thousandths of a core and bytes.
    #[must_use]
    pub fn scored(&self) -> (i64, i64) {
        (self.scored_milli_cpu, self.scored_memory_bytes)
    }

    /// Whether a pod here holds `port`, or one of them all addresses of it.
    #[must_use]
    pub fn holds_port(&self, port: &HostPort) -> bool {
        const EVERY_ADDRESS: &str = "0.0.0.0";
        self.ports.keys().any(|held| {
            held.port == port.port
                && held.protocol == port.protocol
                && (held.address == port.address || held.address == EVERY_ADDRESS || port.address == EVERY_ADDRESS)
        })
    }
}

impl NodeSpec {
    /// What scheduling reads of `node`.
    #[must_use]
    pub fn from_api(node: &api::Node) -> Self {
        let spec = node.spec.as_ref();
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        let taint = |taint: &api::Taint| Taint {
            key: taint.key.clone(),
            value: taint.value.clone().unwrap_or_default(),
            effect: taint.effect.clone(),
        };
        Self {
            name: Arc::from(node.metadata.name.as_deref().unwrap_or_default()),
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: spec.and_then(|spec| spec.taints.as_ref()).into_iter().flatten().map(taint).collect(),
            unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
            allocatable: allocatable.map(Resources::from_list).unwrap_or_default(),
            pod_slots: allocatable.map_or(0, pod_slots),
        }
    }
}

impl Taint {
    /// Whether any of `tolerations` lets a pod live with this taint (Kubernetes documentation, "Taints and Tolerations").
    #[must_use]
    pub fn is_tolerated(&self, tolerations: &[Toleration]) -> bool {
        tolerations.iter().any(|toleration| {
            let effect = toleration.effect.is_empty() || toleration.effect == self.effect;
            let key = toleration.key.is_empty() || toleration.key == self.key;
            let value = match toleration.operator.as_str() {
                "" | "Equal" => !toleration.key.is_empty() && toleration.value == self.value,
                "Exists" => true,
                _ => false,
            };
            effect && key && value
        })
    }
}
