//! The decision itself: snapshot and waiting pods in, decisions out.

mod failure;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use crate::node::Node;
use crate::plugins::{FILTERS, SCORES, Verdict};
use crate::pod::{Pod, PodKey, Requirements};
use crate::snapshot::Snapshot;
use failure::Failure;

/// Up to this many nodes, every node is examined for every pod.
const EXAMINE_ALL_NODES_MAX: usize = 100;

/// What is to happen with one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The pod.
    pub pod: PodKey,
    /// What was decided.
    pub outcome: Outcome,
}

/// The ways in which a pod can come out of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Bind the pod to this node.
    Bind {
        /// The node's name.
        node: Arc<str>,
    },
    /// No node takes the pod now.
    Unschedulable {
        /// Why, in upstream's words: the message of the pod's condition and of the Event.
        message: Arc<str>,
    },
    /// The pod has scheduling gates: nothing is decided until they are gone.
    Gated,
}

/// The decisions of one batch, and where the next batch should begin its search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// One per pod, in the order in which the pods were placed.
    pub decisions: Vec<Decision>,
    /// For [`Snapshot::set_next_start`].
    pub next_start: usize,
}

/// Decides on `pods`, the one with the highest priority first, then the oldest, then by name.
///
/// # Guarantees
///
/// - One decision for each pod. The result depends on nothing but the arguments.
/// - The decisions hold together: applied all at once to `snapshot`, no node gives more than it has.
#[must_use]
pub fn plan(snapshot: &Snapshot, pods: &[Arc<Pod>]) -> Plan {
    let mut order: Vec<&Arc<Pod>> = pods.iter().collect();
    order.sort_by(|a, b| queue_rank(a).cmp(&queue_rank(b)));
    let mut planner = Planner {
        nodes: snapshot.nodes().to_vec(),
        next_start: snapshot.next_start(),
        failures: HashMap::new(),
        feasible: Vec::new(),
    };
    let decisions =
        order.into_iter().map(|pod| Decision { pod: pod.key.clone(), outcome: planner.decide(pod) }).collect();
    Plan { decisions, next_start: planner.next_start }
}

/// The place of a pod in the queue: smaller goes first.
pub(crate) fn queue_rank(pod: &Pod) -> (Reverse<i32>, jiff::Timestamp, &PodKey) {
    (Reverse(pod.priority), pod.created, &pod.key)
}

struct Planner<'p> {
    nodes: Vec<Arc<Node>>,
    next_start: usize,
    /// Placing pods only takes room away, so what failed once in this batch fails again. A filter that a placed pod can turn from no to
    /// yes (pod affinity) must not be answered from here.
    failures: HashMap<(&'p Requirements, Option<&'p Arc<str>>), Arc<str>>,
    feasible: Vec<usize>,
}

impl<'p> Planner<'p> {
    fn decide(&mut self, pod: &'p Arc<Pod>) -> Outcome {
        if pod.gated {
            return Outcome::Gated;
        }
        let shape = (pod.requirements.as_ref(), pod.node_name.as_ref());
        if let Some(message) = self.failures.get(&shape) {
            return Outcome::Unschedulable { message: message.clone() };
        }
        match self.find_feasible(pod) {
            Ok(()) => {
                let position = self.best(pod);
                let node = Arc::make_mut(&mut self.nodes[position]);
                node.add_pod(pod.clone());
                Outcome::Bind { node: node.spec.name.clone() }
            }
            Err(message) => {
                self.failures.insert(shape, message.clone());
                Outcome::Unschedulable { message }
            }
        }
    }

    /// Fills `feasible` with positions of nodes that pass every filter, as many as are worth ranking.
    fn find_feasible(&mut self, pod: &Pod) -> Result<(), Arc<str>> {
        self.feasible.clear();
        let count = self.nodes.len();
        let enough = feasible_enough(count);
        let mut reasons = Vec::new();
        let mut failure = Failure::new(pod, count);
        let mut examined = 0;
        for step in 0..count {
            let position = (self.next_start + step) % count;
            let node = &self.nodes[position];
            examined = step + 1;
            let verdict = FILTERS
                .iter()
                .map(|filter| filter.judge(pod, node, &mut reasons))
                .find(|verdict| *verdict != Verdict::Fits)
                .unwrap_or(Verdict::Fits);
            if verdict == Verdict::Fits {
                self.feasible.push(position);
                if self.feasible.len() == enough {
                    break;
                }
            } else if self.feasible.is_empty() {
                failure.count(verdict, &mut reasons);
            }
            reasons.clear();
        }
        if self.feasible.is_empty() {
            return Err(failure.message().into());
        }
        if count > EXAMINE_ALL_NODES_MAX {
            self.next_start = (self.next_start + examined) % count;
        }
        Ok(())
    }

    /// The feasible node with the highest weighted score; of equals, the one found first.
    fn best(&self, pod: &Pod) -> usize {
        if let [only] = self.feasible[..] {
            return only;
        }
        let mut totals = vec![0_i64; self.feasible.len()];
        let mut scores = Vec::with_capacity(self.feasible.len());
        for (score, weight) in SCORES {
            scores.clear();
            scores.extend(self.feasible.iter().map(|position| score.score(pod, &self.nodes[*position])));
            score.normalize(&mut scores);
            for (total, score) in totals.iter_mut().zip(&scores) {
                *total += score * weight;
            }
        }
        let ranked = totals.iter().zip(&self.feasible).enumerate();
        ranked.max_by_key(|(found, (total, _))| (**total, Reverse(*found))).map_or(0, |(_, (_, position))| *position)
    }
}

/// How many feasible nodes are enough to choose from: all of a small cluster, a tenth of one with 5,000 nodes. The curve is upstream's
/// (`percentageOfNodesToScore` 0): half, less one percent for every 125 nodes, at least 5 percent and at least 100 nodes.
fn feasible_enough(nodes: usize) -> usize {
    let percent = 50_usize.saturating_sub(nodes / 125).max(5);
    (nodes * percent / 100).max(EXAMINE_ALL_NODES_MAX)
}

#[cfg(test)]
mod tests;
