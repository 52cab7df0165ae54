//! Gathers the rules of ClusterRoles that an aggregation rule selects into the ClusterRole that has it.

use std::sync::Arc;
use std::time::Duration;

use coracle_control_api::selector::LabelSelector;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::Api;
use kube::api::ListParams;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Context;
use crate::queue::{Next, Queue};
use crate::requests::RequestError;
use crate::worker::{self, Reconcile};

/// Roles often come many at a time, and one look at all of them is enough.
const GATHER: Duration = Duration::from_millis(20);

/// The roles whose rules are not those that they gather, and what these are.
fn plan(roles: &[ClusterRole]) -> Vec<(String, Vec<PolicyRule>)> {
    let name = |role: &ClusterRole| role.metadata.name.clone().unwrap_or_default();
    let mut sorted: Vec<&ClusterRole> = roles.iter().collect();
    sorted.sort_by_key(|role| name(role));
    let mut changes = Vec::new();
    for role in roles {
        let Some(rule) = &role.aggregation_rule else { continue };
        let mut gathered: Vec<PolicyRule> = Vec::new();
        for selector in rule.cluster_role_selectors.iter().flatten() {
            // What cannot be read selects nothing.
            let Ok(selector) = LabelSelector::from_object(serde_json::to_value(selector).ok().as_ref()) else {
                continue;
            };
            let selected =
                sorted.iter().filter(|other| name(other) != name(role) && selector.matches(labels(other).as_ref()));
            for rule in selected.flat_map(|other| other.rules.iter().flatten()) {
                if !gathered.contains(rule) {
                    gathered.push(rule.clone());
                }
            }
        }
        if role.rules.clone().unwrap_or_default() != gathered {
            changes.push((name(role), gathered));
        }
    }
    changes
}

fn labels(role: &ClusterRole) -> Option<Map<String, Value>> {
    let labels = role.metadata.labels.as_ref()?;
    Some(labels.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect())
}

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    let roles = context.observed.metadata.iter().find(|(kind, _)| kind.path().1 == "clusterroles");
    let Some((_, roles)) = roles else { return };
    let marked = queue.clone();
    roles.subscribe(move |_| marked.add_at((), Instant::now() + GATHER));
    worker::start(Controller { context: context.clone() }, queue, context, tasks, stopped);
}

struct Controller {
    context: Context,
}

impl Reconcile for Controller {
    /// All roles together: each may gather from any other.
    type Key = ();
    const NAME: &'static str = "role aggregation";

    async fn reconcile(&self, _key: &()) -> Result<Next, RequestError> {
        let requests = &self.context.requests;
        let roles: Api<ClusterRole> = Api::all(requests.client());
        let listed = requests.bounded(roles.list(&ListParams::default())).await?;
        for (name, rules) in plan(&listed.items) {
            requests.patch(&roles, &name, json!({"rules": rules})).await?;
        }
        Ok(Next::Wait)
    }
}

#[cfg(test)]
mod tests;
