//! Jobs that have ended and whose time to live is over are deleted, with what they own.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use kube::api::PropagationPolicy;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::meta::ObjectKey;
use crate::observed::Whole;
use crate::queue::{Next, Queue};
use crate::requests::{Deletion, RequestError};
use crate::worker::{self, Reconcile};
use crate::workload;

/// When the Job is to go, if it is to go at all.
fn plan(job: &Whole<Job>) -> Option<Timestamp> {
    let time_to_live = job.spec.as_ref()?.ttl_seconds_after_finished?;
    let conditions = job.status.as_ref()?.conditions.as_ref()?.iter();
    let mut last =
        conditions.filter(|known| matches!(known.type_.as_str(), "Complete" | "Failed") && known.status == "True");
    let ended = last.next()?.last_transition_time.as_ref()?.0;
    let at = ended.checked_add(SignedDuration::from_secs(i64::from(time_to_live))).ok();
    at.filter(|_| !job.meta.deleting)
}

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    let marked = queue.clone();
    context.observed.wholes.jobs.subscribe(move |change| {
        if let Some(job) = change.new.filter(|job| plan(job).is_some()) {
            marked.add(job.meta.key.clone());
        }
    });
    worker::start(Controller { context: context.clone() }, queue, context, tasks, stopped);
}

struct Controller {
    context: Context,
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    const NAME: &'static str = "finished jobs";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, RequestError> {
        let Some(job) = self.context.observed.wholes.jobs.get(key) else { return Ok(Next::Wait) };
        let Some(at) = plan(&job) else { return Ok(Next::Wait) };
        if at > Timestamp::now() {
            return Ok(workload::look_at(Some(at)));
        }
        let how = Deletion { propagation: Some(PropagationPolicy::Foreground), grace_period_seconds: None };
        self.context.delete(&job, how).await?;
        Ok(Next::Wait)
    }
}

#[cfg(test)]
mod tests;
