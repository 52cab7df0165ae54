//! What the driver believes about the cluster: a pure state machine, fed by watch events and by the answers to its own requests.
//!
//! Every pod that is not finished is in exactly one [`Place`]. The queue holds exactly the pods in [`Place::Queued`].

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::config::SchedulerConfig;
use crate::node::NodeSpec;
use crate::plan::{Decision, Outcome, queue_rank};
use crate::pod::{Pod, PodKey, Requirements};
use crate::snapshot::Snapshot;

type QueueEntry = (Reverse<i32>, Timestamp, PodKey);

/// Where a pod is on its way to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Waits for the next plan.
    Queued,
    /// No node took it; waits for a change of nodes or pods.
    Parked,
    /// A plan chose this node; the Binding is on its way, or is done but not yet seen in the watch.
    Assumed(Arc<str>),
    /// Its `spec.nodeName` says so.
    Bound(Arc<str>),
    /// A Binding was refused; waits for a watch event of the pod itself or for the driver's back-off.
    Refused,
    /// Gated, terminating before it was bound, or another scheduler's.
    NotOurs,
}

#[derive(Debug)]
struct Tracked {
    pod: Arc<Pod>,
    place: Place,
    /// The message that the pod's condition has, or will have once our report is through.
    reported: Option<Arc<str>>,
}

/// The cluster as the scheduler knows it.
#[derive(Debug)]
pub(crate) struct Cache {
    scheduler_name: String,
    snapshot: Snapshot,
    pods: HashMap<PodKey, Tracked>,
    queue: BTreeSet<QueueEntry>,
    parked: HashSet<PodKey>,
    shapes: HashSet<Arc<Requirements>>,
    shapes_sweep_at: usize,
}

/// Shapes are first swept when there are this many; then whenever their number has doubled.
const SHAPES_SWEEP_MIN: usize = 256;

impl Cache {
    pub(crate) fn new(config: &SchedulerConfig) -> Self {
        Self {
            scheduler_name: config.scheduler_name.clone(),
            snapshot: Snapshot::new(),
            pods: HashMap::new(),
            queue: BTreeSet::new(),
            parked: HashSet::new(),
            shapes: HashSet::new(),
            shapes_sweep_at: SHAPES_SWEEP_MIN,
        }
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    pub(crate) fn pod(&self, key: &PodKey) -> Option<&Arc<Pod>> {
        self.pods.get(key).map(|tracked| &tracked.pod)
    }

    /// Keys of all pods that are tracked, for a relist to compare with.
    pub(crate) fn pod_keys(&self) -> impl Iterator<Item = &PodKey> {
        self.pods.keys()
    }

    /// Takes in a node as the watch shows it.
    pub(crate) fn apply_node(&mut self, spec: NodeSpec) {
        if self.snapshot.set_node(spec) {
            self.unpark();
        }
    }

    pub(crate) fn delete_node(&mut self, name: &str) {
        self.snapshot.remove_node(name);
        // The messages of the parked pods count nodes, so they are out of date.
        self.unpark();
    }

    /// Takes in a pod as the watch shows it.
    pub(crate) fn apply_pod(&mut self, mut pod: Pod) {
        if pod.finished {
            self.delete_pod(&pod.key);
            return;
        }
        pod.requirements = self.shared_shape(&pod.requirements);
        let pod = Arc::new(pod);
        let place = self.place_for(&pod);
        self.put(pod, place);
    }

    pub(crate) fn delete_pod(&mut self, key: &PodKey) {
        let Some(tracked) = self.pods.remove(key) else { return };
        if self.leave(key, &tracked) {
            self.unpark();
        }
    }

    /// The pods that a plan should decide on next, at most `count_max`, the most urgent first.
    pub(crate) fn next_batch(&self, count_max: usize) -> Vec<Arc<Pod>> {
        self.queue.iter().take(count_max).filter_map(|(_, _, key)| self.pod(key).cloned()).collect()
    }

    /// Takes a decision as done: the pod counts on its node from now on, or waits until something changes.
    pub(crate) fn accept(&mut self, decision: &Decision) {
        let Some(pod) = self.pod(&decision.pod).cloned() else { return };
        let place = match &decision.outcome {
            Outcome::Bind { node } => Place::Assumed(node.clone()),
            Outcome::Unschedulable { .. } => Place::Parked,
            Outcome::Gated => Place::NotOurs,
        };
        self.put(pod, place);
    }

    /// Whether `message` is news for the user of this pod; if so, it counts as reported from now on.
    pub(crate) fn take_news(&mut self, key: &PodKey, message: &Arc<str>) -> bool {
        let Some(tracked) = self.pods.get_mut(key) else { return false };
        if tracked.reported.as_ref() == Some(message) {
            return false;
        }
        tracked.reported = Some(message.clone());
        true
    }

    /// The report did not get through: the pod is planned again after a back-off, and reports again. Says whether it still waits.
    pub(crate) fn report_failed(&mut self, key: &PodKey) -> bool {
        let Some(tracked) = self.pods.get_mut(key) else { return false };
        tracked.reported = None;
        if tracked.place != Place::Parked {
            return false;
        }
        let pod = tracked.pod.clone();
        self.put(pod, Place::Refused);
        true
    }

    pub(crate) fn set_next_start(&mut self, next_start: usize) {
        self.snapshot.set_next_start(next_start);
    }

    /// A Binding was refused: the pod takes nothing any more and waits. Says whether the pod is still waiting for a node.
    pub(crate) fn refuse(&mut self, key: &PodKey) -> bool {
        let Some(tracked) = self.pods.get(key) else { return false };
        if !matches!(tracked.place, Place::Assumed(_)) {
            return false;
        }
        let pod = tracked.pod.clone();
        self.put(pod, Place::Refused);
        self.unpark();
        true
    }

    /// The back-off of a refused pod is over.
    pub(crate) fn requeue(&mut self, key: &PodKey) {
        if let Some(tracked) = self.pods.get(key).filter(|tracked| tracked.place == Place::Refused) {
            let pod = tracked.pod.clone();
            self.put(pod, Place::Queued);
        }
    }

    /// Where a pod belongs, given where it was.
    fn place_for(&self, pod: &Arc<Pod>) -> Place {
        if let Some(node) = &pod.node_name {
            return Place::Bound(node.clone());
        }
        if pod.gated || pod.terminating || *pod.scheduler_name != *self.scheduler_name {
            return Place::NotOurs;
        }
        let Some(before) = self.pods.get(&pod.key) else { return Place::Queued };
        let same_wish = before.pod.requirements == pod.requirements && before.pod.priority == pod.priority;
        match &before.place {
            // The event is older than our Binding, which the watch shows later.
            Place::Assumed(node) => Place::Assumed(node.clone()),
            // Our own condition comes back as an event; it must not wake the pod.
            Place::Parked if same_wish => Place::Parked,
            Place::Refused if same_wish => Place::Refused,
            Place::Queued | Place::Parked | Place::Refused | Place::Bound(_) | Place::NotOurs => Place::Queued,
        }
    }

    /// Puts the pod into `place`, out of where it was.
    fn put(&mut self, pod: Arc<Pod>, place: Place) {
        let key = pod.key.clone();
        let before = self.pods.remove(&key);
        let same_node = before.as_ref().is_some_and(|before| match (&before.place, &place) {
            (Place::Assumed(old) | Place::Bound(old), Place::Assumed(new) | Place::Bound(new)) => {
                old == new && Arc::ptr_eq(&before.pod.requirements, &pod.requirements)
            }
            _ => false,
        });
        let freed = match &before {
            Some(before) if !same_node => self.leave(&key, before),
            _ => false,
        };
        match &place {
            Place::Queued => {
                let (priority, created, _) = queue_rank(&pod);
                self.queue.insert((priority, created, key.clone()));
            }
            Place::Parked => {
                self.parked.insert(key.clone());
            }
            Place::Assumed(node) | Place::Bound(node) if !same_node => self.snapshot.add_pod(node, pod.clone()),
            Place::Assumed(_) | Place::Bound(_) | Place::Refused | Place::NotOurs => {}
        }
        let reported = before.and_then(|before| before.reported).or_else(|| pod.unschedulable_message.clone());
        self.pods.insert(key, Tracked { pod, place, reported });
        if freed {
            self.unpark();
        }
    }

    /// Takes a pod out of the index of its place. Says whether it left room on a node.
    fn leave(&mut self, key: &PodKey, tracked: &Tracked) -> bool {
        match &tracked.place {
            Place::Queued => {
                let (priority, created, _) = queue_rank(&tracked.pod);
                self.queue.remove(&(priority, created, key.clone()));
                false
            }
            Place::Parked => {
                self.parked.remove(key);
                false
            }
            Place::Assumed(node) | Place::Bound(node) => self.snapshot.remove_pod(node, key),
            Place::Refused | Place::NotOurs => false,
        }
    }

    /// Something changed that may help: every parked pod is planned again.
    fn unpark(&mut self) {
        for key in std::mem::take(&mut self.parked) {
            if let Some(tracked) = self.pods.get_mut(&key) {
                tracked.place = Place::Queued;
                let (priority, created, _) = queue_rank(&tracked.pod);
                self.queue.insert((priority, created, key));
            }
        }
    }

    /// One shared copy of equal requirements; copies that nobody uses are swept away now and then.
    fn shared_shape(&mut self, requirements: &Arc<Requirements>) -> Arc<Requirements> {
        if let Some(known) = self.shapes.get(requirements) {
            return known.clone();
        }
        if self.shapes.len() >= self.shapes_sweep_at {
            self.shapes.retain(|shape| Arc::strong_count(shape) > 1);
            self.shapes_sweep_at = (self.shapes.len() * 2).max(SHAPES_SWEEP_MIN);
        }
        self.shapes.insert(requirements.clone());
        requirements.clone()
    }
}

#[cfg(test)]
mod tests;
