//! What is kept of a Pod: the part that some controller reads, since there are many.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as api;

use super::unversioned;
use crate::informer::{IndexKey, Kept};
use crate::meta::Meta;

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";
const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// The finalizer of a pod whose end its Job has not counted yet.
pub(crate) const JOB_FINALIZER: &str = "batch.kubernetes.io/job-tracking";

/// Labels, sorted by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Labels(Box<[(Arc<str>, Arc<str>)]>);

/// `status.phase`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Pending,
    Running,
    Succeeded,
    Failed,
    Unknown,
}

/// A port of a container that has a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NamedPort {
    pub(crate) name: Box<str>,
    pub(crate) protocol: Box<str>,
    pub(crate) port: i32,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContainerEnd {
    pub(crate) name: Box<str>,
    pub(crate) exit_code: i32,
    pub(crate) finished: Option<Timestamp>,
}

/// A Pod.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pod {
    pub(crate) meta: Meta,
    pub(crate) labels: Labels,
    /// `spec.nodeName`, when bound.
    pub(crate) node_name: Option<Arc<str>>,
    /// The only node that a pod that is not bound may run on.
    pub(crate) target_node: Option<Arc<str>>,
    pub(crate) phase: Phase,
    /// Succeeded or Failed.
    pub(crate) finished: bool,
    /// Since when the condition Ready is True; none when it is not.
    pub(crate) ready_since: Option<Timestamp>,
    /// The claims that its volumes name, and those made for it.
    pub(crate) claims: Box<[Arc<str>]>,
    /// The most restarts that one of its containers has seen.
    pub(crate) restarts: i32,
    /// The restarts of all its containers together.
    pub(crate) restarts_sum: i32,
    pub(crate) deletion_cost: i32,
    pub(crate) deletion_time: Option<Timestamp>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) hostname: Option<Box<str>>,
    pub(crate) subdomain: Option<Box<str>>,
    /// `status.podIPs`.
    pub(crate) addresses: Box<[Box<str>]>,
    pub(crate) ports: Box<[NamedPort]>,
    /// The conditions that are True.
    pub(crate) conditions: Box<[Box<str>]>,
    /// Of a pod of a Job: whether its end has not been counted yet.
    pub(crate) job_tracked: bool,
    pub(crate) completion_index: Option<u32>,
    /// How often its index failed before it.
    pub(crate) index_failures: u32,
    /// The containers that have ended, init containers included.
    pub(crate) ends: Box<[ContainerEnd]>,
}

impl Labels {
    pub(crate) fn new(labels: Option<&BTreeMap<String, String>>) -> Self {
        let pairs = labels.into_iter().flatten();
        Self(pairs.map(|(key, value)| (Arc::from(key.as_str()), Arc::from(value.as_str()))).collect())
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let place = self.0.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        self.0.get(place).map(|(_, value)| &**value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Arc<str>, Arc<str>)> {
        self.0.iter()
    }
}

impl Kept for Pod {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn index(&self, add: &mut dyn FnMut(IndexKey)) {
        let namespace = &self.meta.key.namespace;
        match self.meta.controller() {
            Some(owner) => add(IndexKey::Controller(Arc::from(owner.uid.as_str()))),
            None => add(IndexKey::Orphans(namespace.clone())),
        }
        if let Some(node) = &self.node_name {
            add(IndexKey::Node(node.clone()));
        }
        for (key, value) in self.labels.iter() {
            add(IndexKey::Label(namespace.clone(), key.clone(), value.clone()));
        }
    }
}

impl Pod {
    pub(crate) fn from_api(pod: &api::Pod) -> Self {
        let (spec, status) = (pod.spec.as_ref(), pod.status.as_ref());
        let phase = Phase::of(status.and_then(|status| status.phase.as_deref()));
        let conditions = || status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
        let mut met = conditions().filter(|condition| condition.status == "True");
        let ready = met.clone().find(|condition| condition.type_ == "Ready");
        let node_name = spec.and_then(|spec| spec.node_name.as_deref());
        let annotation = |name| pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(name));
        let finalizers = pod.metadata.finalizers.iter().flatten();
        let some_text = |text: Option<&String>| text.filter(|text| !text.is_empty()).map(|text| text.as_str().into());
        Self {
            meta: Meta::from_api(&unversioned(&pod.metadata)),
            labels: Labels::new(pod.metadata.labels.as_ref()),
            node_name: node_name.filter(|name| !name.is_empty()).map(Arc::from),
            target_node: spec.filter(|_| node_name.is_none_or(str::is_empty)).and_then(target_node),
            phase,
            finished: matches!(phase, Phase::Succeeded | Phase::Failed),
            ready_since: ready.map(|ready| ready.last_transition_time.as_ref().map_or(Timestamp::MIN, |time| time.0)),
            claims: claims_of(pod),
            restarts: statuses(status).map(|container| container.restart_count).max().unwrap_or(0),
            restarts_sum: statuses(status).map(|container| container.restart_count).fold(0, i32::saturating_add),
            deletion_cost: annotation(DELETION_COST).and_then(|cost| cost.parse().ok()).unwrap_or(0),
            deletion_time: pod.metadata.deletion_timestamp.as_ref().map(|time| time.0),
            started: status.and_then(|status| status.start_time.as_ref()).map(|time| time.0),
            hostname: some_text(spec.and_then(|spec| spec.hostname.as_ref())),
            subdomain: some_text(spec.and_then(|spec| spec.subdomain.as_ref())),
            addresses: addresses_of(status),
            ports: ports_of(spec),
            conditions: met.by_ref().map(|condition| condition.type_.as_str().into()).collect(),
            job_tracked: finalizers.into_iter().any(|finalizer| finalizer == JOB_FINALIZER),
            completion_index: annotation(COMPLETION_INDEX).and_then(|index| index.parse().ok()),
            index_failures: annotation(INDEX_FAILURES).and_then(|count| count.parse().ok()).unwrap_or(0),
            ends: statuses(status).filter_map(ContainerEnd::of).collect(),
        }
    }

    /// Where it is, or where it will be when it is bound.
    pub(crate) fn destination(&self) -> Option<&Arc<str>> {
        self.node_name.as_ref().or(self.target_node.as_ref())
    }

    /// Whether it has not ended and is not being deleted.
    pub(crate) fn is_active(&self) -> bool {
        !self.finished && !self.meta.deleting
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready_since.is_some()
    }

    /// Whether it has been ready for this long.
    pub(crate) fn is_available(&self, min_ready_seconds: i32, now: Timestamp) -> bool {
        self.available_at(min_ready_seconds).is_some_and(|at| at <= now)
    }

    /// When it will have been ready for this long, if it is ready.
    pub(crate) fn available_at(&self, min_ready_seconds: i32) -> Option<Timestamp> {
        let wait = jiff::SignedDuration::from_secs(i64::from(min_ready_seconds.max(0)));
        self.ready_since.map(|since| since.checked_add(wait).unwrap_or(Timestamp::MAX))
    }

    pub(crate) fn has_condition(&self, kind: &str) -> bool {
        self.conditions.iter().any(|condition| **condition == *kind)
    }
}

impl Phase {
    fn of(text: Option<&str>) -> Self {
        match text {
            Some("Running") => Self::Running,
            Some("Succeeded") => Self::Succeeded,
            Some("Failed") => Self::Failed,
            Some("Unknown") => Self::Unknown,
            _ => Self::Pending,
        }
    }
}

impl ContainerEnd {
    fn of(container: &api::ContainerStatus) -> Option<Self> {
        let ended = container.state.as_ref()?.terminated.as_ref()?;
        Some(Self {
            name: container.name.as_str().into(),
            exit_code: ended.exit_code,
            finished: ended.finished_at.as_ref().map(|time| time.0),
        })
    }
}

/// The node that the required affinity names alone: how the pods of a DaemonSet find their nodes.
fn target_node(spec: &api::PodSpec) -> Option<Arc<str>> {
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let [term] = required.node_selector_terms.as_slice() else { return None };
    let [field] = term.match_fields.as_deref()? else { return None };
    let [name] = field.values.as_deref()? else { return None };
    (field.key == "metadata.name" && field.operator == "In").then(|| Arc::from(name.as_str()))
}

fn statuses(status: Option<&api::PodStatus>) -> impl Iterator<Item = &api::ContainerStatus> {
    let init = status.and_then(|status| status.init_container_statuses.as_ref()).into_iter().flatten();
    init.chain(status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten())
}

fn addresses_of(status: Option<&api::PodStatus>) -> Box<[Box<str>]> {
    let Some(status) = status else { return Box::default() };
    let several = status.pod_ips.iter().flatten().map(|address| &address.ip);
    let listed: Box<[Box<str>]> = several.map(|ip| ip.as_str().into()).collect();
    match &status.pod_ip {
        Some(ip) if listed.is_empty() && !ip.is_empty() => Box::from([ip.as_str().into()]),
        _ => listed,
    }
}

fn ports_of(spec: Option<&api::PodSpec>) -> Box<[NamedPort]> {
    let restarted = |container: &&api::Container| container.restart_policy.as_deref() == Some("Always");
    let sidecars = spec.and_then(|spec| spec.init_containers.as_ref()).into_iter().flatten().filter(restarted);
    let containers = spec.into_iter().flat_map(|spec| &spec.containers).chain(sidecars);
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    let named = |port: &api::ContainerPort| {
        Some(NamedPort {
            name: port.name.as_deref()?.into(),
            protocol: port.protocol.as_deref().unwrap_or("TCP").into(),
            port: port.container_port,
        })
    };
    ports.filter_map(named).collect()
}

/// The claims that the pod's volumes name. An ephemeral volume has a claim named for the pod and the volume.
fn claims_of(pod: &api::Pod) -> Box<[Arc<str>]> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref()).into_iter().flatten();
    let claim = |volume: &api::Volume| match &volume.persistent_volume_claim {
        Some(named) => Some(Arc::from(named.claim_name.as_str())),
        None if volume.ephemeral.is_some() => {
            let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
            Some(Arc::from(format!("{pod_name}-{}", volume.name)))
        }
        None => None,
    };
    volumes.filter_map(claim).collect()
}
