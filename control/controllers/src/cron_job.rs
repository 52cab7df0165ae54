//! CronJobs: a Job at every time that the schedule names.

mod plan;

use std::sync::Arc;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::informer::IndexKey;
use crate::job::{has_condition, is_finished};
use crate::meta::ObjectKey;
use crate::observed::Whole;
use crate::queue::{Next, Queue};
use crate::requests::{Deletion, RequestError};
use crate::worker::{self, Reconcile};
use crate::workload;
use plan::{Plan, job_of, plan};

const COMPONENT: &str = "cronjob-controller";

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    workload::mark_changed::<CronJob>(context, &queue);
    workload::mark_owners_of::<CronJob, Job>(context, &queue);
    worker::start(Controller { context: context.clone() }, queue, context, tasks, stopped);
}

struct Controller {
    context: Context,
}

impl Controller {
    fn tell(&self, cron: &Whole<CronJob>, plan: &Plan) {
        for (warning, reason, message) in plan.events.clone() {
            if warning {
                self.context.events.warning(cron, COMPONENT, reason, message);
            } else {
                self.context.events.normal(cron, COMPONENT, reason, message);
            }
        }
    }

    async fn delete(&self, cron: &Whole<CronJob>, job: &Whole<Job>) -> Result<(), RequestError> {
        let how = Deletion { propagation: Some(kube::api::PropagationPolicy::Background), grace_period_seconds: None };
        self.context.delete(job, how).await?;
        let message = format!("Deleted job {}", job.name());
        self.context.events.normal(cron, COMPONENT, "SuccessfulDelete", message);
        Ok(())
    }

    async fn create(&self, cron: &Whole<CronJob>, at: jiff::Timestamp) -> Result<(), RequestError> {
        let Some(job) = job_of(cron, at) else { return Ok(()) };
        let name = job.metadata.name.clone().unwrap_or_default();
        match self.context.create(&job).await {
            Ok(_) => {
                self.context.events.normal(cron, COMPONENT, "SuccessfulCreate", format!("Created job {name}"));
                Ok(())
            }
            // It was started already, and the status does not know yet.
            Err(error) if error.is_already_exists() || error.is_namespace_terminating() => Ok(()),
            Err(error) => {
                let message = format!("Error creating job: {}", error.cause());
                self.context.events.warning(cron, COMPONENT, "FailedCreate", message);
                Err(error)
            }
        }
    }
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    const NAME: &'static str = "cron job";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, RequestError> {
        let Some(cron) = self.context.observed.wholes.cron_jobs.get(key) else { return Ok(Next::Wait) };
        if cron.meta.deleting {
            return Ok(Next::Wait);
        }
        let of_cron = IndexKey::Controller(cron.meta.uid.clone());
        let jobs = self.context.observed.wholes.jobs.indexed(&of_cron);
        let plan = plan(&cron, &jobs, workload::now());
        for job in &plan.delete {
            self.delete(&cron, job).await?;
        }
        if let Some(at) = plan.start {
            self.create(&cron, at).await?;
        }
        let jobs = self.context.observed.wholes.jobs.indexed(&of_cron);
        let status = plan::status(&cron, &jobs, plan.start);
        self.context.write_status(&cron, &cron.status, &status).await?;
        self.tell(&cron, &plan);
        Ok(workload::look_at(plan.look_again))
    }
}

/// When a Job ended, if it did.
fn ended(job: &Job) -> Option<jiff::Timestamp> {
    if !is_finished(job) {
        return None;
    }
    let conditions = job.status.as_ref()?.conditions.as_ref()?.iter();
    let mut last =
        conditions.filter(|known| matches!(known.type_.as_str(), "Complete" | "Failed") && known.status == "True");
    last.next()?.last_transition_time.as_ref().map(|time| time.0)
}

fn has_succeeded(job: &Job) -> bool {
    has_condition(job, "Complete")
}
