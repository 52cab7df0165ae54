//! How the API server reaches the agents of the hosts.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

/// The agents that can be reached, by the name of their node.
///
/// An agent is a service with the kubelet's paths: `/containerLogs/{namespace}/{pod}/{container}`,
/// `/podProxy/{namespace}/{pod}/{port}/{path}`, and those of [`coracle_control_api::remote_command`], which are streamed in
/// both directions at the same time. In one process it is the agent's own router; over the network it is a
/// router that forwards through the host's link. Clones share one registry.
#[derive(Debug, Clone, Default)]
pub struct HostLinks {
    agents: Arc<RwLock<HashMap<String, axum::Router>>>,
}

impl HostLinks {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the agent of a node reachable, in place of the one known before.
    pub fn register(&self, node_name: impl Into<String>, agent: axum::Router) {
        self.agents.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(node_name.into(), agent);
    }

    /// Forgets the agent of a node.
    pub fn remove(&self, node_name: &str) {
        self.agents.write().unwrap_or_else(std::sync::PoisonError::into_inner).remove(node_name);
    }

    /// The agent of a node, if it can be reached.
    pub fn get(&self, node_name: &str) -> Option<axum::Router> {
        self.agents.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(node_name).cloned()
    }
}
