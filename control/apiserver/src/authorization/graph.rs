//! Which objects a node may read because a pod that is bound to it names them.
//!
//! The pods are looked at once, and then only what has changed of them since the last question: nothing is done for a
//! cluster whose nodes ask nothing. What is kept is a count per node and object, no pods.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use coracle_control_api::meta;
use coracle_control_store::{Entry, Snapshot, Store, Watch, WatchEvent};
use futures::FutureExt as _;
use serde_json::Value;

use super::references::pod_references;
use crate::stored;

/// All pods lie under this prefix of the store.
const PODS: &str = "/registry/core/pods/";

/// The objects that the pods of each node name.
#[derive(Debug, Default)]
pub(crate) struct NodeGraph {
    current: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    /// Tells of changes; nobody waits on it.
    watch: Watch,
    edges: Edges,
}

impl NodeGraph {
    /// Whether a pod that is bound to the node names the object.
    pub(super) fn has(&self, store: &Store, node: &str, plural: &str, namespace: &str, name: &str) -> bool {
        let mut guard = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *guard = guard.take().and_then(Current::refresh).or_else(|| Current::new(store));
        let wanted = edge(node, plural, namespace, name);
        // Without a watch the store is going down.
        guard.as_ref().is_some_and(|current| current.edges.counts.contains_key(&wanted))
    }
}

impl Current {
    fn new(store: &Store) -> Option<Self> {
        let snapshot = store.snapshot();
        let edges = Edges::of(&snapshot);
        let watch = store.watch(PODS.as_bytes(), snapshot.revision()).ok()?;
        Some(Self { watch, edges })
    }

    /// Takes in what has happened since. `None` when that is no longer known.
    fn refresh(mut self) -> Option<Self> {
        loop {
            match self.watch.next().now_or_never() {
                None => return Some(self),
                Some(Err(_)) => return None,
                Some(Ok(batch)) => {
                    for event in &batch.events {
                        self.edges.take(event);
                    }
                }
            }
        }
    }
}

/// How many pods name an object on a node.
#[derive(Debug, Default)]
struct Edges {
    counts: HashMap<String, u32>,
}

impl Edges {
    fn of(snapshot: &Snapshot) -> Self {
        let mut edges = Self::default();
        for entry in snapshot.prefix(PODS.as_bytes()) {
            edges.change(&entry, true);
        }
        edges
    }

    fn take(&mut self, event: &WatchEvent) {
        let (new, old) = match event {
            WatchEvent::Put { entry, previous } => (Some(entry), previous.as_ref()),
            WatchEvent::Delete { previous, .. } => (None, Some(previous)),
        };
        // Most writes are about the status.
        let spec = |entry: &Entry| stored::find(&entry.value, &["spec"]).map(<[u8]>::to_vec);
        if let (Some(new), Some(old)) = (new, old)
            && spec(new) == spec(old)
        {
            return;
        }
        if let Some(new) = new {
            self.change(new, true);
        }
        if let Some(old) = old {
            self.change(old, false);
        }
    }

    fn change(&mut self, entry: &Entry, add: bool) {
        let Ok(pod) = serde_json::from_slice::<Value>(&entry.value) else { return };
        for edge in edges_of(&pod) {
            if add {
                *self.counts.entry(edge).or_default() += 1;
            } else if let Some(count) = self.counts.get_mut(&edge) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&edge);
                }
            }
        }
    }
}

/// What the pod lets its node read.
fn edges_of(pod: &Value) -> Vec<String> {
    let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
    let Some(spec) = pod.get("spec").filter(|_| !node.is_empty()) else { return Vec::new() };
    let namespace = meta::namespace(pod);
    let mut edges: Vec<String> =
        pod_references(spec).map(|(plural, name)| edge(node, plural, namespace, name)).collect();
    if let Some(account) = spec.get("serviceAccountName").and_then(Value::as_str).filter(|name| !name.is_empty()) {
        edges.push(edge(node, "serviceaccounts", namespace, account));
    }
    for volume in spec.get("volumes").and_then(Value::as_array).into_iter().flatten() {
        if volume.get("ephemeral").is_some_and(|ephemeral| !ephemeral.is_null()) {
            let volume = volume.get("name").and_then(Value::as_str).unwrap_or_default();
            edges.push(edge(node, "persistentvolumeclaims", namespace, &format!("{}-{volume}", meta::name(pod))));
        }
    }
    edges
}

/// Names have no blanks.
fn edge(node: &str, plural: &str, namespace: &str, name: &str) -> String {
    format!("{node} {plural} {namespace} {name}")
}
