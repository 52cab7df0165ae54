//! `NodeResourcesBalancedAllocation`: prefers nodes on which CPU and memory would be used in like shares, so that neither runs out long
//! before the other.

use super::node_resources_fit::scaled;
use super::{SCORE_MAX, Score};
use crate::node::Node;
use crate::pod::Pod;

pub(super) struct NodeResourcesBalancedAllocation;

/// Shares are counted in millionths.
const WHOLE: i64 = 1_000_000;

impl Score for NodeResourcesBalancedAllocation {
    /// Upstream's measure is the standard deviation of the shares used; of two values that is half of their difference.
    fn score(&self, pod: &Pod, node: &Node) -> i64 {
        let (has, taken, wants) = (&node.spec.allocatable, node.requested(), &pod.requirements.requests);
        let cpu = used_share(has.milli_cpu, taken.milli_cpu, wants.milli_cpu);
        let memory = used_share(has.memory_bytes, taken.memory_bytes, wants.memory_bytes);
        let deviation = match (cpu, memory) {
            (Some(cpu), Some(memory)) => (cpu - memory).abs() / 2,
            _ => 0,
        };
        (WHOLE - deviation) * SCORE_MAX / WHOLE
    }
}

fn used_share(capacity: i64, taken: i64, wanted: i64) -> Option<i64> {
    (capacity > 0).then(|| scaled(taken.saturating_add(wanted).clamp(0, capacity), WHOLE, capacity))
}
