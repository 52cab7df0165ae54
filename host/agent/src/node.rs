//! The Node object of this host and its Lease: made, kept up to date, made again when somebody deletes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::agent::Shared;
use crate::deadline::in_time;
use crate::events::COMPONENT;
use crate::host;
use crate::life::time;

/// The version that a node of ours reports.
const KUBELET_VERSION: &str = "v1.34.0+coracle";
const LEASE_NAMESPACE: &str = "kube-node-lease";
/// First and longest wait after a write that failed.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LONGEST: Duration = Duration::from_secs(10);

/// The task that keeps the node.
pub(crate) struct NodeTask {
    shared: Arc<Shared>,
    nodes: Api<Node>,
    leases: Api<Lease>,
    stopping: watch::Receiver<Option<Duration>>,
    registered: watch::Sender<bool>,
    /// The identity of the Node object, once it is known.
    uid: Option<String>,
    /// When each of the two writes is due, and how long to wait if it fails.
    node_due: Due,
    lease_due: Due,
    started: Timestamp,
    /// Whether the current list has named the node.
    seen: bool,
}

/// When something is to be written next.
#[derive(Debug, Clone, Copy)]
struct Due {
    at: Instant,
    retry: Duration,
}

impl Due {
    fn now() -> Self {
        Self { at: Instant::now(), retry: RETRY_FIRST }
    }

    fn done(&mut self, period: Duration) {
        *self = Self { at: Instant::now() + period, retry: RETRY_FIRST };
    }

    fn failed(&mut self) {
        self.at = Instant::now() + self.retry;
        self.retry = (self.retry * 2).min(RETRY_LONGEST);
    }
}

impl NodeTask {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        stopping: watch::Receiver<Option<Duration>>,
        registered: watch::Sender<bool>,
    ) -> Self {
        Self {
            nodes: Api::all(shared.client.clone()),
            leases: Api::namespaced(shared.client.clone(), LEASE_NAMESPACE),
            shared: Arc::clone(shared),
            stopping,
            registered,
            uid: None,
            node_due: Due::now(),
            lease_due: Due::now(),
            started: Timestamp::now(),
            seen: false,
        }
    }

    /// Runs until the agent stops.
    pub(crate) async fn run(mut self) {
        let selector = format!("metadata.name={}", self.shared.config.node_name);
        let config = watcher::Config::default().fields(&selector).streaming_lists();
        let mut events = std::pin::pin!(watcher(self.nodes.clone(), config).default_backoff());
        while self.stopping.borrow().is_none() {
            self.write_due().await;
            let next = self.node_due.at.min(self.lease_due.at);
            // Every arm is cancel-safe.
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                event = events.next() => match event {
                    Some(Ok(event)) => self.observe(&event),
                    Some(Err(error)) => tracing::debug!(%error, "the watch on the node failed and is begun again"),
                    None => return,
                },
                _ = self.stopping.changed() => {}
            }
        }
    }

    /// Sees whether the object is as the agent left it: there, and ready.
    fn observe(&mut self, event: &Event<Node>) {
        match event {
            Event::Init => self.seen = false,
            Event::InitApply(node) | Event::Apply(node) => {
                self.seen = true;
                // Whoever missed the Lease has said so in the status, and a renewed Lease does not take that back.
                if is_not_ready(node) {
                    self.node_due = Due::now();
                }
            }
            Event::InitDone if self.seen => {}
            Event::InitDone | Event::Delete(_) => {
                if self.uid.is_some() {
                    tracing::warn!("the node object was deleted and is made again");
                }
                self.node_due = Due::now();
            }
        }
    }

    async fn write_due(&mut self) {
        let now = Instant::now();
        if self.node_due.at <= now {
            match in_time(self.write_node()).await {
                Ok(()) => {
                    self.node_due.done(self.shared.config.node_status_period);
                    self.registered.send_if_modified(|registered| !std::mem::replace(registered, true));
                }
                Err(error) => {
                    tracing::warn!(%error, "the node was not written");
                    self.node_due.failed();
                }
            }
        }
        if self.lease_due.at <= now && self.uid.is_some() {
            match in_time(self.renew_lease()).await {
                Ok(()) => self.lease_due.done(self.shared.config.lease_renew_period),
                Err(error) => {
                    // At first start the namespace of leases may come a moment later than the node.
                    tracing::debug!(%error, "the node's lease was not renewed");
                    self.lease_due.failed();
                }
            }
        }
    }

    async fn write_node(&mut self) -> Result<(), kube::Error> {
        let name = self.shared.config.node_name.clone();
        let params = PatchParams { field_manager: Some(COMPONENT.to_owned()), ..PatchParams::default() };
        let metadata = self.metadata();
        let node = match self.nodes.get_opt(&name).await? {
            Some(node) if has_labels(&node, &metadata) => node,
            Some(_) => self.nodes.patch(&name, &params, &Patch::Strategic(json!({ "metadata": metadata }))).await?,
            None => self.create(&metadata).await?,
        };
        self.uid = node.uid();
        let status = self.status(&node);
        self.nodes.patch_status(&name, &params, &Patch::Strategic(json!({ "status": status }))).await?;
        Ok(())
    }

    async fn create(&self, metadata: &Value) -> Result<Node, kube::Error> {
        let mut object = json!({ "apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {} });
        object["metadata"]["name"] = self.shared.config.node_name.as_str().into();
        let node: Node = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
        let params = PostParams { field_manager: Some(COMPONENT.to_owned()), ..PostParams::default() };
        self.nodes.create(&params, &node).await
    }

    fn metadata(&self) -> Value {
        let config = &self.shared.config;
        let mut labels: BTreeMap<&str, &str> = BTreeMap::from([
            ("kubernetes.io/hostname", config.node_name.as_str()),
            ("kubernetes.io/os", host::os()),
            ("kubernetes.io/arch", host::architecture()),
            ("beta.kubernetes.io/os", host::os()),
            ("beta.kubernetes.io/arch", host::architecture()),
            ("coracle.dev/runtime", "wasm"),
        ]);
        labels.extend(config.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        json!({ "labels": labels })
    }

    fn status(&self, node: &Node) -> Value {
        let config = &self.shared.config;
        let resources = &config.resources;
        let containers_max = self.shared.runtime.containers_max();
        let amounts = |cpu_reserved: u64, memory_reserved: u64, pods: u32| {
            json!({
                "cpu": cpu(resources.cpu_millis.saturating_sub(cpu_reserved)),
                "memory": format!("{}Ki", resources.memory_bytes.saturating_sub(memory_reserved) / 1024),
                "ephemeral-storage": format!("{}Ki", resources.storage_bytes / 1024),
                "pods": pods.to_string(),
            })
        };
        json!({
            "capacity": amounts(0, 0, config.pods_max),
            // A pod has at least one container, and the host cannot run more containers than this.
            "allocatable": amounts(
                resources.cpu_millis_reserved,
                resources.memory_bytes_reserved,
                config.pods_max.min(containers_max),
            ),
            "addresses": [
                { "type": "InternalIP", "address": config.host_address.to_string() },
                { "type": "Hostname", "address": config.node_name },
            ],
            "conditions": self.conditions(node),
            "nodeInfo": {
                "architecture": host::architecture(),
                "bootID": host::boot_id(),
                "containerRuntimeVersion": concat!("coracle://", env!("CARGO_PKG_VERSION")),
                "kernelVersion": host::kernel_version(),
                "kubeProxyVersion": "",
                "kubeletVersion": KUBELET_VERSION,
                "machineID": host::machine_id(),
                "operatingSystem": host::os(),
                "osImage": host::os_image(),
                "systemUUID": host::machine_id(),
            },
        })
    }

    fn conditions(&self, node: &Node) -> Value {
        let now = Timestamp::now();
        let known = node.status.as_ref().and_then(|status| status.conditions.as_ref());
        let since = |name: &str, status: &str| {
            let known = known.into_iter().flatten().find(|known| known.type_ == name && known.status == status);
            known.and_then(|known| known.last_transition_time.as_ref()).map_or(self.started, |time| time.0)
        };
        let condition = |name: &str, status: &str, reason: &str, message: &str| {
            json!({
                "type": name,
                "status": status,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": time(now),
                "lastTransitionTime": time(since(name, status)),
            })
        };
        json!([
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "the host has memory for more pods"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "the host has room on its disk"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID", "containers need no processes of their own"),
            condition("Ready", "True", "KubeletReady", "the agent is ready to run pods"),
        ])
    }

    async fn renew_lease(&self) -> Result<(), kube::Error> {
        let name = &self.shared.config.node_name;
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let params = PatchParams { field_manager: Some(COMPONENT.to_owned()), ..PatchParams::default() };
        let renewal = json!({ "spec": { "holderIdentity": name, "renewTime": now } });
        match self.leases.patch(name, &params, &Patch::Merge(renewal)).await {
            Err(kube::Error::Api(answer)) if answer.is_not_found() => {}
            other => return other.map(|_| ()),
        }
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": name,
                "namespace": LEASE_NAMESPACE,
                "ownerReferences": [{ "apiVersion": "v1", "kind": "Node", "name": name, "uid": self.uid }],
            },
            "spec": {
                "holderIdentity": name,
                "leaseDurationSeconds": self.shared.config.lease_duration.as_secs(),
                "renewTime": now,
            },
        });
        let lease: Lease = serde_json::from_value(lease).map_err(kube::Error::SerdeError)?;
        let params = PostParams { field_manager: Some(COMPONENT.to_owned()), ..PostParams::default() };
        self.leases.create(&params, &lease).await.map(|_| ())
    }
}

/// Whether the object has a Ready condition that says something else.
fn is_not_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status != "True")
}

fn cpu(millis: u64) -> String {
    if millis.is_multiple_of(1000) { (millis / 1000).to_string() } else { format!("{millis}m") }
}

fn has_labels(node: &Node, metadata: &Value) -> bool {
    let wanted = metadata["labels"].as_object().into_iter().flatten();
    wanted.into_iter().all(|(name, value)| node.labels().get(name).map(String::as_str) == value.as_str())
}
