//! `TaintToleration`: taints with NoSchedule or NoExecute keep a pod away unless it tolerates them; PreferNoSchedule only
//! makes the node less welcome.

use super::{Filter, Reason, Score, Verdict, stretch};
use crate::node::{Node, Taint};
use crate::pod::Pod;

pub(super) struct TaintToleration;

impl Filter for TaintToleration {
    fn judge<'a>(&self, pod: &'a Pod, node: &'a Node, reasons: &mut Vec<Reason<'a>>) -> Verdict {
        let forbids = |taint: &&Taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute");
        let mut forbidding = node.spec.taints.iter().filter(forbids);
        match forbidding.find(|taint| !taint.is_tolerated(&pod.requirements.tolerations)) {
            None => Verdict::Fits,
            Some(taint) => {
                reasons.push(Reason::UntoleratedTaint(taint));
                Verdict::Unresolvable
            }
        }
    }
}

impl Score for TaintToleration {
    fn score(&self, pod: &Pod, node: &Node) -> i64 {
        const SOFT: &str = "PreferNoSchedule";
        let disliked = |taint: &&Taint| taint.effect == SOFT && !taint.is_tolerated(&pod.requirements.tolerations);
        i64::try_from(node.spec.taints.iter().filter(disliked).count()).unwrap_or(i64::MAX)
    }

    fn normalize(&self, scores: &mut [i64]) {
        stretch(scores, true);
    }
}
