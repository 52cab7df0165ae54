//! Jobs: pods that run until so many have succeeded.
//!
//! No end of a pod is counted twice or lost: a pod keeps a finalizer until its end is in the Job's status. First its uid goes into
//! `uncountedTerminatedPods`, then its finalizer goes, then the uid becomes a number. Each of these steps is written in the version of
//! the Job that it was planned from.

mod finish;
mod indexes;
mod plan;
mod pods;

use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::informer::IndexKey;
use crate::meta::ObjectKey;
use crate::observed::{JOB_FINALIZER, Pod, Whole};
use crate::queue::{Next, Queue};
use crate::requests::RequestError;
use crate::worker::{self, Reconcile};
use crate::workload;
use crate::writes::{Part, difference};
use plan::{Plan, plan};

const COMPONENT: &str = "job-controller";
const NAME_LABEL: &str = "batch.kubernetes.io/job-name";

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    workload::mark_changed::<Job>(context, &queue);
    workload::mark_owners_of_pods::<Job>(context, &queue);
    // A pod whose Job is gone, or that was made an orphan, still has the finalizer.
    let marked = queue.clone();
    context.observed.pods.subscribe(move |change| {
        let Some(pod) = change.new.filter(|pod| pod.job_tracked) else { return };
        if let Some(job) = pod.labels.get(NAME_LABEL) {
            marked.add(ObjectKey { namespace: pod.meta.key.namespace.clone(), name: Arc::from(job) });
        }
    });
    worker::start(Controller { context: context.clone() }, queue, context, tasks, stopped);
}

/// Whether this condition is True.
pub(crate) fn has_condition(job: &Job, kind: &str) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    conditions.into_iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

/// Whether the Job has ended, one way or the other.
pub(crate) fn is_finished(job: &Job) -> bool {
    has_condition(job, "Complete") || has_condition(job, "Failed")
}

struct Controller {
    context: Context,
}

impl Controller {
    async fn release(&self, pod: &Pod) -> Result<(), RequestError> {
        let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": [JOB_FINALIZER]}});
        self.context.patch_pod(pod, Part::Object, patch).await.map(drop)
    }

    /// Lets go of pods that no Job counts.
    async fn release_strays(&self, key: &ObjectKey, job: Option<&Whole<Job>>) -> Result<(), RequestError> {
        let label = IndexKey::Label(key.namespace.clone(), Arc::from(NAME_LABEL), key.name.clone());
        for pod in self.context.observed.pods.indexed(&label) {
            let counted = job.is_some_and(|job| pod.meta.is_controlled_by(&job.meta.uid) && !job.meta.deleting);
            if pod.job_tracked && !counted {
                self.release(&pod).await?;
            }
        }
        Ok(())
    }

    async fn scale(&self, job: &Whole<Job>, plan: &Plan) -> Result<(), RequestError> {
        let (deleted, failed) = self.context.delete_pods(&plan.delete).await;
        for pod in deleted {
            let message = format!("Deleted pod: {}", pod.meta.key.name);
            self.context.events.normal(job, COMPONENT, "SuccessfulDelete", message);
        }
        let pods = plan.create.iter().filter_map(|new| pods::pod(job, new)).collect();
        let created = self.context.create_pods(pods).await;
        for pod in created.pods {
            let message = format!("Created pod: {}", pod.meta.key.name);
            self.context.events.normal(job, COMPONENT, "SuccessfulCreate", message);
        }
        let error = created.errors.into_iter().find(|error| !error.is_namespace_terminating());
        if let Some(error) = &error {
            let message = format!("Error creating: {}", error.cause());
            self.context.events.warning(job, COMPONENT, "FailedCreate", message);
        }
        error.or(failed).map_or(Ok(()), Err)
    }

    /// Writes the status in the version that it was planned from.
    async fn write(&self, job: &Whole<Job>, plan: &Plan) -> Result<(), RequestError> {
        let Some(status) = difference(&json!(job.status), &json!(plan.status)) else { return Ok(()) };
        let version = &job.metadata().resource_version;
        self.context
            .patch(job, Part::Status, json!({"metadata": {"resourceVersion": version}, "status": status}))
            .await?;
        for (warning, reason, message) in plan.events.clone() {
            if warning {
                self.context.events.warning(job, COMPONENT, reason, message);
            } else {
                self.context.events.normal(job, COMPONENT, reason, message);
            }
        }
        Ok(())
    }
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    const NAME: &'static str = "job";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, RequestError> {
        let Some(job) = self.context.observed.wholes.jobs.get(key) else {
            self.release_strays(key, None).await?;
            return Ok(Next::Wait);
        };
        // Somebody else is to look after it.
        let managed = job.spec.as_ref().and_then(|spec| spec.managed_by.as_deref());
        if managed.is_some_and(|managed| managed != "kubernetes.io/job-controller") {
            return Ok(Next::Wait);
        }
        let Some(selector) = job.spec.as_ref().and_then(|spec| spec.selector.clone()) else { return Ok(Next::Wait) };
        let pods = self.context.claim_pods(&job, &selector, |_| true).await?;
        self.release_strays(key, Some(&job)).await?;
        if job.meta.deleting {
            return Ok(Next::Wait);
        }
        let plan = plan(&job, &pods, workload::now());
        // What is counted is written before anything else is done, so that nothing is done on a count that does not hold.
        self.write(&job, &plan).await?;
        for pod in &plan.release {
            self.release(pod).await?;
        }
        let scaled = self.scale(&job, &plan).await;
        scaled?;
        Ok(workload::look_at(plan.look_again))
    }
}
