//! `NodePorts`: a port on the node's own address belongs to one pod.

use super::{Filter, Reason, Verdict};
use crate::node::Node;
use crate::pod::Pod;

pub(super) struct NodePorts;

impl Filter for NodePorts {
    fn judge<'a>(&self, pod: &'a Pod, node: &'a Node, reasons: &mut Vec<Reason<'a>>) -> Verdict {
        if !pod.requirements.host_ports.iter().any(|port| node.holds_port(port)) {
            return Verdict::Fits;
        }
        reasons.push(Reason::Text("node(s) didn't have free ports for the requested pod ports"));
        Verdict::Unschedulable
    }
}
