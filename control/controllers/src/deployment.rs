//! Deployments: they move pods from one template to the next, through ReplicaSets.

mod plan;
mod status;
mod strategy;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::informer::IndexKey;
use crate::meta::ObjectKey;
use crate::observed::Whole;
use crate::queue::{Next, Queue};
use crate::requests::{Deletion, RequestError};
use crate::selector;
use crate::worker::{self, Reconcile};
use crate::workload;
use crate::writes::Part;
use plan::{Step, plan};
use status::{Done, report};
pub(crate) use strategy::scaled;
use strategy::{DESIRED, MAX, Set, is_recreating, replicas, room, size, split};

const COMPONENT: &str = "deployment-controller";
/// Steps of one reconciliation. What is left is done in the next.
const STEPS_MAX: usize = 32;

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    workload::mark_changed::<Deployment>(context, &queue);
    workload::mark_owners_of::<Deployment, ReplicaSet>(context, &queue);
    mark_when_pods_go(context, &queue);
    worker::start(Controller { context: context.clone() }, queue, context, tasks, stopped);
}

/// A Deployment that recreates its pods waits for the old ones to go.
fn mark_when_pods_go(context: &Context, queue: &Arc<Queue<ObjectKey>>) {
    let (queue, observed) = (queue.clone(), Arc::downgrade(&context.observed));
    context.observed.pods.subscribe(move |change| {
        let ended = change.new.is_none_or(|pod| pod.finished);
        let (true, Some(pod), Some(observed)) = (ended, change.old, observed.upgrade()) else { return };
        let set = workload::owner_key::<ReplicaSet>(&pod.meta).and_then(|key| observed.wholes.replica_sets.get(&key));
        let Some(key) = set.and_then(|set| workload::owner_key::<Deployment>(&set.meta)) else { return };
        if observed.wholes.deployments.get(&key).is_some_and(|deployment| is_recreating(&deployment)) {
            queue.add(key);
        }
    });
}

struct Controller {
    context: Context,
}

impl Controller {
    fn may_run_old_pods(&self, deployment: &Whole<Deployment>, sets: &[Set]) -> bool {
        let pods = |set: &Set| self.context.observed.pods.indexed(&IndexKey::Controller(set.meta.uid.clone()));
        is_recreating(deployment)
            && split(deployment, sets).1.iter().any(|set| pods(set).iter().any(|pod| !pod.finished))
    }

    async fn scale(&self, deployment: &Whole<Deployment>, set: &Set, to: i32) -> Result<(), RequestError> {
        let (from, wanted) = (size(set), replicas(deployment));
        let annotations = json!({DESIRED: wanted.to_string(), MAX: (wanted + room(deployment).0).to_string()});
        // The version makes sure that no step is planned from a size that is no longer true.
        let version = &set.metadata().resource_version;
        let metadata = json!({"annotations": annotations, "resourceVersion": version});
        let patch = json!({"metadata": metadata, "spec": {"replicas": to}});
        self.context.patch(set, Part::Object, patch).await?;
        if from != to {
            let direction = if to > from { "up" } else { "down" };
            let message = format!("Scaled {direction} replica set {} from {from} to {to}", set.name());
            self.context.events.normal(deployment, COMPONENT, "ScalingReplicaSet", message);
        }
        Ok(())
    }

    /// Creates the set of the present template. A name that another object has is counted as a collision.
    async fn create(&self, deployment: &Whole<Deployment>, set: &ReplicaSet) -> Result<Done, RequestError> {
        let name = set.metadata.name.clone().unwrap_or_default();
        match self.context.create(set).await {
            Ok(_) => {
                let to = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
                if to > 0 {
                    let message = format!("Scaled up replica set {name} from 0 to {to}");
                    self.context.events.normal(deployment, COMPONENT, "ScalingReplicaSet", message);
                }
                Ok(Done::Created(name))
            }
            Err(error) if error.is_already_exists() => {
                let known = deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
                let patch = json!({"status": {"collisionCount": known + 1}});
                self.context.patch(deployment, Part::Status, patch).await?;
                Ok(Done::Nothing)
            }
            Err(error) => {
                let message = format!("Failed to create new replica set \"{name}\": {}", error.cause());
                if !error.is_namespace_terminating() {
                    self.context.events.warning(deployment, COMPONENT, "ReplicaSetCreateError", message.clone());
                }
                Ok(Done::Failed { message, error })
            }
        }
    }
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    const NAME: &'static str = "deployment";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, RequestError> {
        let deployments = &self.context.observed.wholes.deployments;
        let Some(deployment) = deployments.get(key) else { return Ok(Next::Wait) };
        let Some(selected) = deployment.spec.as_ref().map(|spec| spec.selector.clone()) else { return Ok(Next::Wait) };
        if selector::is_empty(&selected) {
            let message = "This deployment is selecting all pods. A non-empty selector is required.".to_owned();
            self.context.events.warning(&deployment, COMPONENT, "SelectingAll", message);
            return Ok(Next::Wait);
        }
        let mut done = Done::Nothing;
        let mut judged = false;
        for _ in 0..STEPS_MAX {
            let Some(deployment) = deployments.get(key) else { return Ok(Next::Wait) };
            let sets = self.context.claim::<_, ReplicaSet>(&deployment, &selected).await?;
            match plan(&deployment, &sets, self.may_run_old_pods(&deployment, &sets)) {
                Step::Create(set) => done = self.create(&deployment, &set).await?,
                Step::Patch(set, patch) => drop(self.context.patch(&set, Part::Object, patch).await?),
                Step::PatchSelf(patch) => drop(self.context.patch(&deployment, Part::Object, patch).await?),
                Step::Scale(set, to) => self.scale(&deployment, &set, to).await?,
                Step::Delete(set) => self.context.delete(&set, Deletion::default()).await?,
                Step::Done { judged: last } => {
                    judged = last;
                    break;
                }
            }
            if matches!(done, Done::Failed { .. }) {
                break;
            }
        }
        let Some(deployment) = deployments.get(key) else { return Ok(Next::Wait) };
        let sets = self.context.claim::<_, ReplicaSet>(&deployment, &selected).await?;
        let report = report(&deployment, &sets, judged, &done, workload::now());
        self.context.write_status(&deployment, &deployment.status, &report.status).await?;
        match done {
            Done::Failed { error, .. } => Err(error),
            Done::Created(_) | Done::Nothing => Ok(workload::look_at(report.look_again)),
        }
    }
}
