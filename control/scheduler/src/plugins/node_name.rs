//! `NodeName`: a pod that names its node runs there or nowhere.

use super::{Filter, Reason, Verdict};
use crate::node::Node;
use crate::pod::Pod;

pub(super) struct NodeName;

impl Filter for NodeName {
    fn judge<'a>(&self, pod: &'a Pod, node: &'a Node, reasons: &mut Vec<Reason<'a>>) -> Verdict {
        if pod.node_name.as_ref().is_none_or(|name| *name == node.spec.name) {
            return Verdict::Fits;
        }
        reasons.push(Reason::Text("node(s) didn't match the requested node name"));
        Verdict::Unresolvable
    }
}
