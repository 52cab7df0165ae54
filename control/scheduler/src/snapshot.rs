//! The nodes and what runs on them, at one moment.

use std::collections::HashMap;
use std::sync::Arc;

use crate::node::{Node, NodeSpec};
use crate::pod::{Pod, PodKey};

/// What [`plan`](crate::plan) looks at.
///
/// A pod may be seen before its node, or stay after it: what it takes is then kept aside under the node's name, and counts as soon as the
/// node is there.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    nodes: Vec<Arc<Node>>,
    index: HashMap<Arc<str>, usize>,
    absent: HashMap<Arc<str>, Node>,
    next_start: usize,
}

impl Snapshot {
    /// No nodes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The nodes, in an order that only node arrivals and departures change.
    #[must_use]
    pub fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// The node of this name, if it exists.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.index.get(name).map(|position| self.nodes[*position].as_ref())
    }

    /// Where in [`Snapshot::nodes`] the next pod's search begins, so that a large cluster is not searched from the same end each time.
    #[must_use]
    pub fn next_start(&self) -> usize {
        self.next_start
    }

    /// Moves the beginning of the search.
    pub fn set_next_start(&mut self, next_start: usize) {
        self.next_start = next_start;
    }

    /// Adds the node or replaces what is known of it. Says whether anything changed.
    pub fn set_node(&mut self, spec: NodeSpec) -> bool {
        if let Some(position) = self.index.get(&spec.name) {
            let node = &mut self.nodes[*position];
            if *node.spec == spec {
                return false;
            }
            Arc::make_mut(node).spec = Arc::new(spec);
            return true;
        }
        let name = spec.name.clone();
        let node = match self.absent.remove(&name) {
            Some(mut node) => {
                node.spec = Arc::new(spec);
                node
            }
            None => Node::new(spec),
        };
        self.index.insert(name, self.nodes.len());
        self.nodes.push(Arc::new(node));
        true
    }

    /// Takes the node away; its pods are remembered until they go as well.
    pub fn remove_node(&mut self, name: &str) {
        let Some(position) = self.index.remove(name) else { return };
        let node = self.nodes.swap_remove(position);
        if let Some(moved) = self.nodes.get(position) {
            self.index.insert(moved.spec.name.clone(), position);
        }
        if node.pod_count() > 0 {
            self.absent.insert(node.spec.name.clone(), Arc::unwrap_or_clone(node));
        }
    }

    /// Counts `pod` on the node of this name.
    pub fn add_pod(&mut self, node: &Arc<str>, pod: Arc<Pod>) {
        if let Some(position) = self.index.get(node) {
            Arc::make_mut(&mut self.nodes[*position]).add_pod(pod);
            return;
        }
        let kept = self.absent.entry(node.clone());
        kept.or_insert_with(|| Node::new(NodeSpec { name: node.clone(), ..NodeSpec::default() })).add_pod(pod);
    }

    /// Counts the pod as gone from the node of this name. Says whether it was there and the node exists.
    pub fn remove_pod(&mut self, node: &str, key: &PodKey) -> bool {
        if let Some(position) = self.index.get(node) {
            return Arc::make_mut(&mut self.nodes[*position]).remove_pod(key);
        }
        if let Some(kept) = self.absent.get_mut(node) {
            kept.remove_pod(key);
            if kept.pod_count() == 0 {
                self.absent.remove(node);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
