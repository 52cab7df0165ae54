//! `NodeUnschedulable`: a cordoned node takes only pods that tolerate it.

use super::{Filter, Reason, Verdict};
use crate::node::{Node, Taint};
use crate::pod::Pod;

pub(super) struct NodeUnschedulable;

impl Filter for NodeUnschedulable {
    fn judge<'a>(&self, pod: &'a Pod, node: &'a Node, reasons: &mut Vec<Reason<'a>>) -> Verdict {
        if !node.spec.unschedulable {
            return Verdict::Fits;
        }
        let taint = Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            value: String::new(),
            effect: "NoSchedule".to_owned(),
        };
        if taint.is_tolerated(&pod.requirements.tolerations) {
            return Verdict::Fits;
        }
        reasons.push(Reason::Text("node(s) were unschedulable"));
        Verdict::Unresolvable
    }
}
