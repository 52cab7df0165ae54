//! Deletes pods that nobody will ever end: those bound to a node that does not exist, those deleted before they were bound, and the oldest
//! of those that ended, when there are too many.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as api;
use kube::Api;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Context;
use crate::informer::{Change, IndexKey};
use crate::meta::ObjectKey;
use crate::observed::Pod;
use crate::queue::{Next, Queue};
use crate::requests::{Deletion, RequestError};
use crate::worker::{self, Reconcile};

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Subject {
    /// A node that pods are bound to and that we do not see.
    MissingNode(Arc<str>),
    /// A pod that is being deleted and has no node.
    NeverBound(ObjectKey),
    /// The pods that have ended.
    Ended,
}

/// Of the pods that have ended, the oldest that are too many.
fn plan_ended(mut ended: Vec<Arc<Pod>>, count_max: usize) -> Vec<Arc<Pod>> {
    let surplus = ended.len().saturating_sub(count_max);
    ended.sort_by(|a, b| (a.meta.created, &a.meta.key).cmp(&(b.meta.created, &b.meta.key)));
    ended.truncate(surplus);
    ended
}

fn is_never_bound(pod: &Pod) -> bool {
    pod.meta.deleting && pod.node_name.is_none()
}

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    let (marked, nodes) = (queue.clone(), context.observed.nodes.clone());
    let (ended, ended_max) = (AtomicUsize::new(0), context.config.terminated_pods_max);
    context.observed.pods.subscribe(move |change| {
        if count_ended(&ended, change) > ended_max {
            marked.add(Subject::Ended);
        }
        let Some(pod) = change.new else { return };
        match &pod.node_name {
            Some(name) if nodes.get(&ObjectKey::new("", name)).is_none() => {
                marked.add(Subject::MissingNode(name.clone()))
            }
            None if is_never_bound(pod) => marked.add(Subject::NeverBound(pod.meta.key.clone())),
            _ => {}
        }
    });
    let marked = queue.clone();
    context.observed.nodes.subscribe(move |change| {
        if let Some(node) = change.latest() {
            marked.add(Subject::MissingNode(node.meta.key.name.clone()));
        }
    });
    let controller = Controller { context: context.clone(), missing_since: Mutex::default() };
    worker::start(controller, queue, context, tasks, stopped);
}

/// Keeps the number of pods that have ended, and returns it.
fn count_ended(ended: &AtomicUsize, change: &Change<'_, Pod>) -> usize {
    let before = change.old.is_some_and(|pod| pod.finished);
    let after = change.new.is_some_and(|pod| pod.finished);
    match (before, after) {
        (false, true) => ended.fetch_add(1, Ordering::Relaxed) + 1,
        (true, false) => ended.fetch_sub(1, Ordering::Relaxed) - 1,
        _ => 0,
    }
}

struct Controller {
    context: Context,
    missing_since: Mutex<HashMap<Arc<str>, Instant>>,
}

impl Controller {
    async fn look_for_node(&self, name: &Arc<str>) -> Result<Next, RequestError> {
        let observed = &self.context.observed;
        let there = observed.nodes.get(&ObjectKey::new("", name)).is_some();
        let lost = if there { Vec::new() } else { observed.pods.indexed(&IndexKey::Node(name.clone())) };
        if lost.is_empty() {
            self.missing_since.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
            return Ok(Next::Wait);
        }
        let since = {
            let mut missing_since = self.missing_since.lock().unwrap_or_else(PoisonError::into_inner);
            *missing_since.entry(name.clone()).or_insert_with(Instant::now)
        };
        let until = since + self.context.config.missing_node_quarantine;
        if Instant::now() < until {
            return Ok(Next::At(until));
        }
        let nodes: Api<api::Node> = Api::all(self.context.requests.client());
        if self.context.requests.bounded(nodes.get_opt(name)).await?.is_some() {
            return Ok(Next::Wait);
        }
        for pod in lost {
            self.end(&pod, "node no longer exists").await?;
        }
        Ok(Next::Wait)
    }

    /// Marks the pod as failed, if it has not ended by itself, and deletes it at once: there is no host to wait for.
    async fn end(&self, pod: &Pod, why: &str) -> Result<(), RequestError> {
        let requests = &self.context.requests;
        let key = &pod.meta.key;
        let pods: Api<api::Pod> = Api::namespaced(requests.client(), &key.namespace);
        if !pod.finished {
            let condition = json!({
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "DeletionByPodGC",
                "message": format!("PodGC: {why}"),
                "lastTransitionTime": Timestamp::now(),
            });
            let status = json!({"phase": "Failed", "conditions": [condition]});
            let failed = requests
                .patch_status(&pods, &key.name, json!({"metadata": {"uid": &*pod.meta.uid}, "status": status}))
                .await;
            match failed {
                Err(error) if !error.is_conflict() => return Err(error),
                _ => {}
            }
        }
        let at_once = Deletion { grace_period_seconds: Some(0), propagation: None };
        requests.delete(&pods, &pod.meta, at_once).await
    }

    async fn thin_out(&self) -> Result<Next, RequestError> {
        let ended = self.context.observed.pods.filter(|pod| pod.finished);
        for pod in plan_ended(ended, self.context.config.terminated_pods_max) {
            self.end(&pod, "too many ended pods").await?;
        }
        Ok(Next::Wait)
    }
}

impl Reconcile for Controller {
    type Key = Subject;
    const NAME: &'static str = "pod garbage";

    async fn reconcile(&self, subject: &Subject) -> Result<Next, RequestError> {
        match subject {
            Subject::MissingNode(name) => self.look_for_node(name).await,
            Subject::Ended => self.thin_out().await,
            Subject::NeverBound(key) => {
                if let Some(pod) = self.context.observed.pods.get(key).filter(|pod| is_never_bound(pod)) {
                    self.end(&pod, "deleted before it was bound to a node").await?;
                }
                Ok(Next::Wait)
            }
        }
    }
}

#[cfg(test)]
mod tests;
