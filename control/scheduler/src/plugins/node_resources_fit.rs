//! `NodeResourcesFit`: a node gives no more than it has, in CPU, memory, storage, extended resources and number of pods. Among nodes
//! with room, the emptiest is preferred (upstream's strategy LeastAllocated, CPU and memory in equal parts).

use super::{Filter, Reason, SCORE_MAX, Score, Verdict};
use crate::node::Node;
use crate::pod::Pod;

pub(super) struct NodeResourcesFit;

impl Filter for NodeResourcesFit {
    fn judge<'a>(&self, pod: &'a Pod, node: &'a Node, reasons: &mut Vec<Reason<'a>>) -> Verdict {
        let mut verdict = Verdict::Fits;
        if i64::try_from(node.pod_count()).unwrap_or(i64::MAX) >= node.spec.pod_slots {
            reasons.push(Reason::Text("Too many pods"));
            verdict = Verdict::Unschedulable;
        }
        let (wants, has, taken) = (&pod.requirements.requests, &node.spec.allocatable, node.requested());
        let scalars =
            wants.scalars.iter().map(|(name, wanted)| (name.as_str(), *wanted, has.scalar(name), taken.scalar(name)));
        let amounts = [
            ("cpu", wants.milli_cpu, has.milli_cpu, taken.milli_cpu),
            ("memory", wants.memory_bytes, has.memory_bytes, taken.memory_bytes),
            (
                "ephemeral-storage",
                wants.ephemeral_storage_bytes,
                has.ephemeral_storage_bytes,
                taken.ephemeral_storage_bytes,
            ),
        ];
        for (name, wanted, allocatable, taken) in amounts.into_iter().chain(scalars) {
            if wanted <= 0 || wanted <= allocatable.saturating_sub(taken) {
                continue;
            }
            reasons.push(Reason::Insufficient(name));
            if wanted > allocatable {
                verdict = Verdict::Unresolvable;
            } else if verdict == Verdict::Fits {
                verdict = Verdict::Unschedulable;
            }
        }
        verdict
    }
}

impl Score for NodeResourcesFit {
    fn score(&self, pod: &Pod, node: &Node) -> i64 {
        let (milli_cpu, memory_bytes) = node.scored();
        let free = [
            free_share(node.spec.allocatable.milli_cpu, milli_cpu, pod.requirements.scored_milli_cpu),
            free_share(node.spec.allocatable.memory_bytes, memory_bytes, pod.requirements.scored_memory_bytes),
        ];
        let known = || free.iter().flatten();
        match i64::try_from(known().count()) {
            Ok(count @ 1..) => known().sum::<i64>() / count,
            _ => 0,
        }
    }
}

/// How much of `capacity` is left with the pod on it, in hundredths. `None` when the node has none of it.
fn free_share(capacity: i64, taken: i64, wanted: i64) -> Option<i64> {
    if capacity <= 0 {
        return None;
    }
    let left = capacity.saturating_sub(taken).saturating_sub(wanted).max(0);
    Some(scaled(left, SCORE_MAX, capacity))
}

/// `amount * factor / divisor` without overflow, for amounts that are not negative and a positive divisor.
pub(super) fn scaled(amount: i64, factor: i64, divisor: i64) -> i64 {
    let product = i128::from(amount) * i128::from(factor) / i128::from(divisor);
    i64::try_from(product).unwrap_or(i64::MAX)
}
