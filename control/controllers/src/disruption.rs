//! PodDisruptionBudgets: how many of the pods that they select may be evicted now.

mod plan;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::ReplicationController;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::informer::IndexKey;
use crate::meta::ObjectKey;
use crate::observed::{Pod, Whole, WholeKind};
use crate::queue::{Next, Queue};
use crate::requests::RequestError;
use crate::selector::{is_empty, selects};
use crate::worker::{self, Reconcile};
use crate::workload::{self, owner_key};
use plan::plan;

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    workload::mark_changed::<PodDisruptionBudget>(context, &queue);
    let (marked, budgets) = (queue.clone(), context.observed.wholes.disruption_budgets.clone());
    context.observed.pods.subscribe(move |change| {
        let Some(pod) = change.latest() else { return };
        for budget in budgets.indexed(&IndexKey::Namespace(pod.meta.key.namespace.clone())) {
            let selector = budget.object.selector();
            let touched = |pod: &Arc<Pod>| selector.as_ref().is_some_and(|selector| selects(selector, &pod.labels));
            if change.old.is_some_and(touched) || change.new.is_some_and(touched) {
                marked.add(budget.meta.key.clone());
            }
        }
    });
    mark_with_scale::<Deployment>(context, &queue);
    mark_with_scale::<ReplicaSet>(context, &queue);
    mark_with_scale::<StatefulSet>(context, &queue);
    mark_with_scale::<ReplicationController>(context, &queue);
    worker::start(Controller { context: context.clone() }, queue, context, tasks, stopped);
}

/// A budget in percent follows the size of the workload.
fn mark_with_scale<K: WholeKind>(context: &Context, queue: &Arc<Queue<ObjectKey>>) {
    let (queue, budgets) = (queue.clone(), context.observed.wholes.disruption_budgets.clone());
    K::cache(&context.observed).subscribe(move |change| {
        let Some(workload) = change.latest() else { return };
        let (old, new) = (change.old.map(|old| old.generation()), change.new.map(|new| new.generation()));
        if old != new {
            let here = IndexKey::Namespace(workload.meta.key.namespace.clone());
            budgets.indexed(&here).into_iter().for_each(|budget| queue.add(budget.meta.key.clone()));
        }
    });
}

struct Controller {
    context: Context,
}

impl Controller {
    fn pods(&self, budget: &Whole<PodDisruptionBudget>) -> Vec<Arc<Pod>> {
        let Some(selector) = budget.object.selector() else { return Vec::new() };
        let namespace = &budget.meta.key.namespace;
        let pods = &self.context.observed.pods;
        let label = selector.match_labels.as_ref().and_then(|labels| labels.iter().next());
        let mut selected = match label {
            Some((key, value)) => {
                pods.indexed(&IndexKey::Label(namespace.clone(), Arc::from(key.as_str()), Arc::from(value.as_str())))
            }
            None => pods.filter(|pod| pod.meta.key.namespace == *namespace),
        };
        selected.retain(|pod| is_empty(&selector) || selects(&selector, &pod.labels));
        selected
    }

    /// The workload that decides about the pod's number, by its uid, and that number.
    fn scale_of(&self, pod: &Pod) -> Option<(Arc<str>, i32)> {
        let wholes = &self.context.observed.wholes;
        if let Some(set) = owner_key::<ReplicaSet>(&pod.meta).and_then(|key| wholes.replica_sets.get(&key)) {
            let deployment = owner_key::<Deployment>(&set.meta).and_then(|key| wholes.deployments.get(&key));
            return match deployment {
                Some(deployment) => {
                    Some((deployment.meta.uid.clone(), deployment.spec.as_ref()?.replicas.unwrap_or(1)))
                }
                None => Some((set.meta.uid.clone(), set.spec.as_ref()?.replicas.unwrap_or(1))),
            };
        }
        if let Some(set) = owner_key::<StatefulSet>(&pod.meta).and_then(|key| wholes.stateful_sets.get(&key)) {
            return Some((set.meta.uid.clone(), set.spec.as_ref()?.replicas.unwrap_or(1)));
        }
        let set = wholes.replication_controllers.get(&owner_key::<ReplicationController>(&pod.meta)?)?;
        Some((set.meta.uid.clone(), set.spec.as_ref()?.replicas.unwrap_or(1)))
    }
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    const NAME: &'static str = "disruption";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, RequestError> {
        let Some(budget) = self.context.observed.wholes.disruption_budgets.get(key) else { return Ok(Next::Wait) };
        let plan = plan(&budget, &self.pods(&budget), |pod| self.scale_of(pod), workload::now());
        self.context.write_status(&budget, &budget.status, &plan.status).await?;
        Ok(workload::look_at(plan.look_again))
    }
}
