//! ReplicaSets and ReplicationControllers: so many equal pods.

mod plan;

use std::marker::PhantomData;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{
    PodTemplateSpec, ReplicationController, ReplicationControllerCondition, ReplicationControllerStatus,
};
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::informer::IndexKey;
use crate::meta::ObjectKey;
use crate::observed::{Pod, Whole, WholeKind};
use crate::queue::{Next, Queue};
use crate::requests::RequestError;
use crate::worker::{self, Reconcile};
use crate::workload;
use plan::{Counts, Failure, Scaling, Wanted, condition_after, counts, plan};

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    start_kind::<ReplicaSet>(context, tasks, stopped);
    start_kind::<ReplicationController>(context, tasks, stopped);
}

fn start_kind<K: Replicating>(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    workload::mark_changed::<K>(context, &queue);
    workload::mark_owners_of_pods::<K>(context, &queue);
    worker::start(Controller { context: context.clone(), kind: PhantomData::<K> }, queue, context, tasks, stopped);
}

/// A kind that keeps a number of pods, and how it says so.
trait Replicating: WholeKind {
    const NAME: &'static str;
    const COMPONENT: &'static str;
    type Status: Serialize + Send + Sync;

    fn wanted(&self) -> Option<Wanted>;
    fn template(&self) -> Option<&PodTemplateSpec>;
    fn status(&self) -> Self::Status;
    /// The condition ReplicaFailure that is there.
    fn failure(&self) -> Option<Failure>;
    fn new_status(&self, counts: &Counts, failure: Option<Failure>) -> Self::Status;
}

impl Replicating for ReplicaSet {
    const NAME: &'static str = "replica set";
    const COMPONENT: &'static str = "replicaset-controller";
    type Status = ReplicaSetStatus;

    fn wanted(&self) -> Option<Wanted> {
        let spec = self.spec.as_ref()?;
        let labels = spec.template.as_ref().and_then(|template| template.metadata.as_ref()?.labels.clone());
        Some(Wanted {
            replicas: usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0),
            min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
            template_labels: labels.unwrap_or_default(),
        })
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }

    fn status(&self) -> ReplicaSetStatus {
        self.status.clone().unwrap_or_default()
    }

    fn failure(&self) -> Option<Failure> {
        let condition =
            self.status.as_ref()?.conditions.iter().flatten().find(|known| known.type_ == "ReplicaFailure")?;
        Some(Failure {
            reason: condition.reason.clone().unwrap_or_default(),
            message: condition.message.clone().unwrap_or_default(),
            since: condition.last_transition_time.clone(),
        })
    }

    fn new_status(&self, counts: &Counts, failure: Option<Failure>) -> ReplicaSetStatus {
        let old = Replicating::status(self);
        let mut conditions: Vec<_> =
            old.conditions.into_iter().flatten().filter(|known| known.type_ != "ReplicaFailure").collect();
        conditions.extend(failure.map(|failure| ReplicaSetCondition {
            type_: "ReplicaFailure".to_owned(),
            status: "True".to_owned(),
            reason: Some(failure.reason),
            message: Some(failure.message),
            last_transition_time: failure.since,
        }));
        ReplicaSetStatus {
            replicas: counts.replicas,
            fully_labeled_replicas: some(counts.fully_labeled),
            ready_replicas: some(counts.ready),
            available_replicas: some(counts.available),
            terminating_replicas: old.terminating_replicas,
            observed_generation: self.metadata.generation,
            conditions: Some(conditions).filter(|conditions| !conditions.is_empty()),
        }
    }
}

impl Replicating for ReplicationController {
    const NAME: &'static str = "replication controller";
    const COMPONENT: &'static str = "replication-controller";
    type Status = ReplicationControllerStatus;

    fn wanted(&self) -> Option<Wanted> {
        let spec = self.spec.as_ref()?;
        let labels = spec.template.as_ref().and_then(|template| template.metadata.as_ref()?.labels.clone());
        Some(Wanted {
            replicas: usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0),
            min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
            template_labels: labels.unwrap_or_default(),
        })
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }

    fn status(&self) -> ReplicationControllerStatus {
        self.status.clone().unwrap_or_default()
    }

    fn failure(&self) -> Option<Failure> {
        let condition =
            self.status.as_ref()?.conditions.iter().flatten().find(|known| known.type_ == "ReplicaFailure")?;
        Some(Failure {
            reason: condition.reason.clone().unwrap_or_default(),
            message: condition.message.clone().unwrap_or_default(),
            since: condition.last_transition_time.clone(),
        })
    }

    fn new_status(&self, counts: &Counts, failure: Option<Failure>) -> ReplicationControllerStatus {
        let old = Replicating::status(self);
        let mut conditions: Vec<_> =
            old.conditions.into_iter().flatten().filter(|known| known.type_ != "ReplicaFailure").collect();
        conditions.extend(failure.map(|failure| ReplicationControllerCondition {
            type_: "ReplicaFailure".to_owned(),
            status: "True".to_owned(),
            reason: Some(failure.reason),
            message: Some(failure.message),
            last_transition_time: failure.since,
        }));
        ReplicationControllerStatus {
            replicas: counts.replicas,
            fully_labeled_replicas: some(counts.fully_labeled),
            ready_replicas: some(counts.ready),
            available_replicas: some(counts.available),
            observed_generation: self.metadata.generation,
            conditions: Some(conditions).filter(|conditions| !conditions.is_empty()),
        }
    }
}

/// Counts of nothing are left out of the status, as upstream's are.
fn some(count: i32) -> Option<i32> {
    (count != 0).then_some(count)
}

struct Controller<K> {
    context: Context,
    kind: PhantomData<K>,
}

impl<K: Replicating> Controller<K> {
    async fn scale(&self, set: &Whole<K>, scaling: Scaling) -> Result<(), (&'static str, RequestError)> {
        match scaling {
            Scaling::None => Ok(()),
            Scaling::Create(count) => self.create(set, count).await.map_err(|error| ("FailedCreate", error)),
            Scaling::Delete(doomed) => self.delete(set, &doomed).await.map_err(|error| ("FailedDelete", error)),
        }
    }

    async fn create(&self, set: &Whole<K>, count: usize) -> Result<(), RequestError> {
        let Some(template) = set.object.template() else { return Ok(()) };
        let mut pod = workload::pod_of_template(set, template);
        pod.metadata.generate_name = Some(workload::generate_name(set.name()));
        let created = self.context.create_pods(vec![pod; count]).await;
        for pod in &created.pods {
            let message = format!("Created pod: {}", pod.meta.key.name);
            self.context.events.normal(set, K::COMPONENT, "SuccessfulCreate", message);
        }
        let mut errors = created.errors.into_iter().filter(|error| !error.is_namespace_terminating()).peekable();
        if let Some(error) = errors.peek() {
            let message = format!("Error creating: {}", error.cause());
            self.context.events.warning(set, K::COMPONENT, "FailedCreate", message);
        }
        errors.next().map_or(Ok(()), Err)
    }

    async fn delete(&self, set: &Whole<K>, doomed: &[Arc<Pod>]) -> Result<(), RequestError> {
        let (deleted, failed) = self.context.delete_pods(doomed).await;
        for pod in deleted {
            let message = format!("Deleted pod: {}", pod.meta.key.name);
            self.context.events.normal(set, K::COMPONENT, "SuccessfulDelete", message);
        }
        let Some(error) = failed else { return Ok(()) };
        let message = format!("Error deleting: {}", error.cause());
        self.context.events.warning(set, K::COMPONENT, "FailedDelete", message);
        Err(error)
    }

    /// For each node, how many pods of the same owner's sets are on it: those go first where there are more.
    fn crowding(&self, set: &Whole<K>, pods: &[Arc<Pod>]) -> Vec<Arc<Pod>> {
        let Some(owner) = set.meta.controller() else { return pods.to_vec() };
        let siblings = K::cache(&self.context.observed).indexed(&IndexKey::Controller(Arc::from(owner.uid.as_str())));
        let of = |sibling: &Arc<Whole<K>>| {
            self.context.observed.pods.indexed(&IndexKey::Controller(sibling.meta.uid.clone()))
        };
        siblings.iter().flat_map(of).collect()
    }
}

impl<K: Replicating> Reconcile for Controller<K> {
    type Key = ObjectKey;
    const NAME: &'static str = K::NAME;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, RequestError> {
        let Some(set) = K::cache(&self.context.observed).get(key) else { return Ok(Next::Wait) };
        let (Some(wanted), Some(selector)) = (set.object.wanted(), set.object.selector()) else {
            return Ok(Next::Wait);
        };
        let pods = self.context.claim_pods(&set, &selector, |_| true).await?;
        let now = workload::now();
        let scaling =
            if set.meta.deleting { Scaling::None } else { plan(&wanted, &pods, || self.crowding(&set, &pods), now) };
        let scaled = self.scale(&set, scaling).await;
        // What was just created or deleted counts already.
        let pods = self.context.observed.pods.indexed(&IndexKey::Controller(set.meta.uid.clone()));
        let counted = counts(&wanted, &pods, now);
        let failed = scaled.as_ref().err().map(|(reason, error)| (*reason, error.cause()));
        let failure = condition_after(failed, set.object.failure(), now);
        let new_status = set.object.new_status(&counted, failure);
        self.context.write_status(&set, &Replicating::status(&set.object), &new_status).await?;
        scaled.map_err(|(_, error)| error)?;
        Ok(workload::look_at(counted.look_again))
    }
}
