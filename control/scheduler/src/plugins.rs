//! The rules that say where a pod may run and where it had better run, one file per upstream plugin, under upstream's names.
//!
//! A filter looks at one pod and one node and knows nothing else; the first that refuses settles the node, in the order of
//! [`FILTERS`], which is upstream's and therefore decides which reason a user reads. A score gives each node that is left a number;
//! after normalization it lies between 0 and [`SCORE_MAX`], and the weights of [`SCORES`] are upstream's defaults.

mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources_balanced_allocation;
mod node_resources_fit;
mod node_unschedulable;
mod taint_toleration;

use std::fmt;

use crate::node::{Node, Taint};
use crate::pod::Pod;

/// The best score after normalization.
pub(crate) const SCORE_MAX: i64 = 100;

/// What a filter says of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The pod may run here.
    Fits,
    /// Not now, but it could if other pods went away.
    Unschedulable,
    /// Not even on the empty node.
    Unresolvable,
}

/// Why a filter refused, in upstream's words when displayed. Borrowed, so that refusing costs no allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason<'a> {
    Text(&'static str),
    Insufficient(&'a str),
    UntoleratedTaint(&'a Taint),
}

/// Refuses nodes.
pub(crate) trait Filter: Sync {
    /// Judges the node; on a refusal, appends the reasons.
    fn judge<'a>(&self, pod: &'a Pod, node: &'a Node, reasons: &mut Vec<Reason<'a>>) -> Verdict;
}

/// Ranks nodes.
pub(crate) trait Score: Sync {
    /// The node's raw score.
    fn score(&self, pod: &Pod, node: &Node) -> i64;
    /// Brings raw scores to 0..=[`SCORE_MAX`]. Scores that are there already need nothing.
    fn normalize(&self, _scores: &mut [i64]) {}
}

/// The filters, in the order in which they are asked.
pub(crate) const FILTERS: &[&dyn Filter] = &[
    &node_unschedulable::NodeUnschedulable,
    &node_name::NodeName,
    &taint_toleration::TaintToleration,
    &node_affinity::NodeAffinity,
    &node_ports::NodePorts,
    &node_resources_fit::NodeResourcesFit,
];

/// The scores with their weights.
pub(crate) const SCORES: &[(&dyn Score, i64)] = &[
    (&taint_toleration::TaintToleration, 3),
    (&node_affinity::NodeAffinity, 2),
    (&node_resources_fit::NodeResourcesFit, 1),
    (&node_resources_balanced_allocation::NodeResourcesBalancedAllocation, 1),
];

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Insufficient(resource) => write!(f, "Insufficient {resource}"),
            Self::UntoleratedTaint(taint) => {
                write!(f, "node(s) had untolerated taint {{{}: {}}}", taint.key, taint.value)
            }
        }
    }
}

/// Stretches raw scores so that the highest becomes [`SCORE_MAX`]; `reverse` turns them round, for counts of what is unwanted.
fn stretch(scores: &mut [i64], reverse: bool) {
    let highest = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        let stretched = if highest == 0 { 0 } else { score.saturating_mul(SCORE_MAX) / highest };
        *score = if reverse { SCORE_MAX - stretched } else { stretched };
    }
}

#[cfg(test)]
pub(crate) mod tests;
