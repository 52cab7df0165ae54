//! Pods that do not bear a taint of their node with the effect NoExecute are deleted, at once or when their patience is over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{self as api, Taint, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::daemon_set::tolerates;
use crate::informer::IndexKey;
use crate::meta::ObjectKey;
use crate::observed::{Node, Pod};
use crate::queue::{Next, Queue};
use crate::requests::RequestError;
use crate::worker::{self, Reconcile};
use crate::workload;
use crate::writes::Part;

const COMPONENT: &str = "taint-eviction-controller";

/// Until when the pod may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stay {
    ForEver,
    Until(Timestamp),
}

fn evicting(node: &Node) -> impl Iterator<Item = &Taint> {
    node.taints.iter().filter(|taint| taint.effect == "NoExecute")
}

/// Decides by the pod's tolerations. `since` says since when a taint is there.
fn plan<'a>(
    taints: impl Iterator<Item = &'a Taint>,
    tolerations: &[Toleration],
    since: impl Fn(&Taint) -> Timestamp,
) -> Stay {
    let mut stay = Stay::ForEver;
    for taint in taints {
        let there = since(taint);
        let bearing: Vec<_> = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).collect();
        // Of several tolerations of one taint the least patient counts.
        let until = match bearing.iter().filter_map(|toleration| toleration.toleration_seconds).min() {
            _ if bearing.is_empty() => there,
            None => continue,
            Some(seconds) => there.checked_add(SignedDuration::from_secs(seconds.max(0))).unwrap_or(Timestamp::MAX),
        };
        stay = match stay {
            Stay::Until(known) => Stay::Until(known.min(until)),
            Stay::ForEver => Stay::Until(until),
        };
    }
    stay
}

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    let marked = queue.clone();
    context.observed.nodes.subscribe(move |change| {
        let taints = |node: &Arc<Node>| evicting(node).cloned().collect::<Vec<_>>();
        if change.old.map(taints) != change.new.map(taints) {
            change.latest().into_iter().for_each(|node| marked.add(node.meta.key.name.clone()));
        }
    });
    let (marked, nodes) = (queue.clone(), context.observed.nodes.clone());
    context.observed.pods.subscribe(move |change| {
        let Some(node) = change.new.and_then(|pod| pod.node_name.as_ref()) else { return };
        let bound = change.old.is_none_or(|old| old.node_name.as_ref() != Some(node));
        if bound && nodes.get(&ObjectKey::new("", node)).is_some_and(|node| evicting(&node).next().is_some()) {
            marked.add(node.clone());
        }
    });
    worker::start(Controller { context: context.clone(), seen: Mutex::default() }, queue, context, tasks, stopped);
}

struct Controller {
    context: Context,
    /// Since when we know of taints that do not say so themselves.
    seen: Mutex<HashMap<(Arc<str>, String), Timestamp>>,
}

impl Controller {
    fn since(&self, node: &Arc<str>, taint: &Taint) -> Timestamp {
        if let Some(time) = &taint.time_added {
            return time.0;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen.entry((node.clone(), taint.key.clone())).or_insert_with(Timestamp::now)
    }

    fn forget(&self, name: &Arc<str>, node: Option<&Node>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|(known, key), _| {
            known != name || node.is_some_and(|node| evicting(node).any(|taint| taint.key == *key))
        });
    }

    /// How long the pod may stay. Its tolerations are asked for: few pods ever need them.
    async fn stay(&self, node: &Node, pod: &Pod) -> Result<Stay, RequestError> {
        let key = &pod.meta.key;
        let pods: Api<api::Pod> = Api::namespaced(self.context.requests.client(), &key.namespace);
        let Some(found) = self.context.requests.bounded(pods.get_opt(&key.name)).await? else {
            return Ok(Stay::ForEver);
        };
        if found.metadata.uid.as_deref() != Some(&*pod.meta.uid) {
            return Ok(Stay::ForEver);
        }
        let tolerations = found.spec.and_then(|spec| spec.tolerations).unwrap_or_default();
        Ok(plan(evicting(node), &tolerations, |taint| self.since(&node.meta.key.name, taint)))
    }

    async fn evict(&self, pod: &Pod) -> Result<(), RequestError> {
        let message = format!("Marking for deletion Pod {}", pod.meta.key);
        self.context.events.about_pod(pod, COMPONENT, "TaintManagerEviction", message);
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint", "lastTransitionTime": Time(workload::now()),
        });
        self.context.patch_pod(pod, Part::Status, json!({"status": {"conditions": [condition]}})).await?;
        self.context.delete_pod(pod).await.map(drop)
    }
}

impl Reconcile for Controller {
    type Key = Arc<str>;
    const NAME: &'static str = "taint eviction";

    async fn reconcile(&self, name: &Arc<str>) -> Result<Next, RequestError> {
        let node = self.context.observed.nodes.get(&ObjectKey::new("", name));
        self.forget(name, node.as_deref());
        let Some(node) = node.filter(|node| evicting(node).next().is_some()) else { return Ok(Next::Wait) };
        let mut next: Option<Timestamp> = None;
        for pod in self.context.observed.pods.indexed(&IndexKey::Node(name.clone())) {
            if pod.meta.deleting || pod.finished {
                continue;
            }
            match self.stay(&node, &pod).await? {
                Stay::ForEver => {}
                Stay::Until(until) if until <= Timestamp::now() => self.evict(&pod).await?,
                Stay::Until(until) => next = Some(next.map_or(until, |known| known.min(until))),
            }
        }
        Ok(workload::look_at(next))
    }
}

#[cfg(test)]
mod tests;
