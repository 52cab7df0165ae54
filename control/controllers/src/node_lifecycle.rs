//! Watches over the nodes: one whose lease runs out is marked unreachable, and taints follow what its conditions say.
//!
//! A heartbeat counts from the moment we see it, by our own clock, so that a host with a wrong clock is as alive as any other; after a
//! restart every node has the full grace period again. Nothing is polled: each node has one timer, which is looked at when it ends.

mod plan;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as api;
use kube::Api;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Context;
use crate::informer::IndexKey;
use crate::meta::ObjectKey;
use crate::observed::{LEASE_NAMESPACE, Node};
use crate::queue::{Next, Queue};
use crate::requests::{Note, RequestError};
use crate::worker::{self, Reconcile};
use plan::{Readiness, plan};

const COMPONENT: &str = "node-controller";

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    let heartbeats = Arc::new(Heartbeats::default());
    let (marked, noted) = (queue.clone(), heartbeats.clone());
    context.observed.nodes.subscribe(move |change| match change.new {
        Some(node) => {
            noted.note_node(node);
            marked.add(node.meta.key.name.clone());
        }
        None => change.old.into_iter().for_each(|node| noted.forget(&node.meta.key.name)),
    });
    let (marked, noted, nodes) = (queue.clone(), heartbeats.clone(), context.observed.nodes.clone());
    context.observed.leases.subscribe(move |change| {
        let Some(lease) = change.new.filter(|lease| &*lease.meta.key.namespace == LEASE_NAMESPACE) else { return };
        let name = lease.meta.key.name.clone();
        noted.note(&name);
        // A renewal is news only for a node that was given up; for the others the timer finds it.
        if nodes.get(&ObjectKey::new("", &name)).is_some_and(|node| Readiness::of(&node) == Readiness::Unknown) {
            marked.add(name);
        }
    });
    let (marked, nodes) = (queue.clone(), context.observed.nodes.clone());
    context.observed.pods.subscribe(move |change| {
        let Some(name) = change.new.filter(|pod| pod.ready_since.is_some()).and_then(|pod| pod.node_name.as_ref())
        else {
            return;
        };
        if nodes.get(&ObjectKey::new("", name)).is_some_and(|node| Readiness::of(&node) == Readiness::Unknown) {
            marked.add(name.clone());
        }
    });
    worker::start(Controller { context: context.clone(), heartbeats }, queue, context, tasks, stopped);
}

/// When each node was last heard of.
#[derive(Debug, Default)]
struct Heartbeats {
    nodes: Mutex<HashMap<Arc<str>, Heartbeat>>,
}

#[derive(Debug)]
struct Heartbeat {
    heard: Instant,
    /// What the node's own status said last: its readiness, and when the host wrote it.
    reported: Option<(Readiness, Option<Timestamp>)>,
}

impl Heartbeats {
    fn note(&self, name: &Arc<str>) {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let heartbeat =
            nodes.entry(name.clone()).or_insert_with(|| Heartbeat { heard: Instant::now(), reported: None });
        heartbeat.heard = Instant::now();
    }

    /// A status that was written anew is a sign of life too, unless it says Unknown: only we write that.
    fn note_node(&self, node: &Node) {
        let readiness = Readiness::of(node);
        let written = node.condition("Ready").and_then(|ready| ready.last_heartbeat_time.as_ref()).map(|time| time.0);
        let reported = Some((readiness, written));
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Heartbeat { heard: Instant::now(), reported };
        let heartbeat = nodes.entry(node.meta.key.name.clone()).or_insert_with(fresh);
        if heartbeat.reported != reported {
            heartbeat.reported = reported;
            if readiness != Readiness::Unknown {
                heartbeat.heard = Instant::now();
            }
        }
    }

    fn forget(&self, name: &Arc<str>) {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    fn heard(&self, name: &Arc<str>) -> Instant {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.get(name).map_or_else(Instant::now, |heartbeat| heartbeat.heard)
    }
}

struct Controller {
    context: Context,
    heartbeats: Arc<Heartbeats>,
}

impl Controller {
    /// Carries out the plan for the node as it is at the API server. One write per look: the watch shows what was written, and what is
    /// then still to be done is planned from that.
    async fn change_node(&self, name: &Arc<str>, silent: bool) -> Result<(), RequestError> {
        let requests = &self.context.requests;
        let nodes: Api<api::Node> = Api::all(requests.client());
        let Some(object) = requests.bounded(nodes.get_opt(name)).await? else { return Ok(()) };
        let changes = plan(&Node::from_api(&object), silent, Timestamp::now());
        if !changes.conditions.is_empty() {
            requests.patch_status(&nodes, name, json!({"status": {"conditions": changes.conditions}})).await?;
            let about = reference("Node", &object.metadata.uid.unwrap_or_default(), None, name);
            let message = format!("Node {name} status is now: NodeNotReady");
            requests.record(about, COMPONENT, Note { kind: "Normal", reason: "NodeNotReady", message }).await;
        } else if let Some(taints) = changes.taints {
            // The list is written as a whole, so the version makes sure that nobody else's taint is lost.
            let version = object.metadata.resource_version;
            requests
                .patch(&nodes, name, json!({"metadata": {"resourceVersion": version}, "spec": {"taints": taints}}))
                .await?;
        }
        Ok(())
    }

    /// Nobody on an unreachable node can say that its pods are ready, so they are not.
    async fn doubt_pods(&self, name: &str, node: &Node) -> Result<(), RequestError> {
        let here = self.context.observed.pods.indexed(&IndexKey::Node(Arc::from(name)));
        for pod in here.iter().filter(|pod| plan::is_doubtful(pod, node)) {
            let requests = &self.context.requests;
            let key = &pod.meta.key;
            let pods: Api<api::Pod> = Api::namespaced(requests.client(), &key.namespace);
            let condition = json!({"type": "Ready", "status": "False", "lastTransitionTime": Timestamp::now()});
            let patch = json!({"metadata": {"uid": &*pod.meta.uid}, "status": {"conditions": [condition]}});
            requests.patch_status(&pods, &key.name, patch).await?;
            let about = reference("Pod", &pod.meta.uid, Some(&key.namespace), &key.name);
            let message = "Node is not ready".to_owned();
            requests.record(about, COMPONENT, Note { kind: "Warning", reason: "NodeNotReady", message }).await;
        }
        Ok(())
    }
}

impl Reconcile for Controller {
    type Key = Arc<str>;
    const NAME: &'static str = "node lifecycle";

    async fn reconcile(&self, name: &Arc<str>) -> Result<Next, RequestError> {
        let key = ObjectKey::new("", name);
        let Some(node) = self.context.observed.nodes.get(&key) else { return Ok(Next::Wait) };
        let deadline = self.heartbeats.heard(name) + self.context.config.node_monitor_grace_period;
        let silent = deadline <= Instant::now();
        if !plan(&node, silent, Timestamp::now()).is_empty() {
            self.change_node(name, silent).await?;
        }
        if Readiness::of(&node) != Readiness::Ready {
            self.doubt_pods(name, &node).await?;
        }
        Ok(if silent { Next::Wait } else { Next::At(deadline) })
    }
}

fn reference(kind: &str, uid: &str, namespace: Option<&str>, name: &str) -> api::ObjectReference {
    api::ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some(kind.to_owned()),
        uid: Some(uid.to_owned()),
        namespace: namespace.map(str::to_owned),
        name: Some(name.to_owned()),
        ..api::ObjectReference::default()
    }
}
