//! Says in the status of every ValidatingAdmissionPolicy which generation of it was looked at.
//!
//! Types of expressions are not checked, so there is never a warning about them.

use std::sync::Arc;

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::queue::{Next, Queue};
use crate::requests::RequestError;
use crate::worker::{self, Reconcile};

/// The status that a policy lacks, if any.
fn plan(policy: &ValidatingAdmissionPolicy) -> Option<Value> {
    let generation = policy.metadata.generation?;
    let seen = policy.status.as_ref().and_then(|status| status.observed_generation);
    (seen != Some(generation)).then(|| json!({"observedGeneration": generation, "typeChecking": {}}))
}

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    for (kind, cache) in &context.observed.metadata {
        if kind.path().1 == "validatingadmissionpolicies" {
            let marked = queue.clone();
            cache.subscribe(move |_| marked.add(()));
        }
    }
    worker::start(Controller { context: context.clone() }, queue, context, tasks, stopped);
}

struct Controller {
    context: Context,
}

impl Reconcile for Controller {
    /// All policies together: there are few.
    type Key = ();
    const NAME: &'static str = "policy status";

    async fn reconcile(&self, _key: &()) -> Result<Next, RequestError> {
        let requests = &self.context.requests;
        let policies: Api<ValidatingAdmissionPolicy> = Api::all(requests.client());
        for policy in requests.bounded(policies.list(&ListParams::default())).await?.items {
            if let (Some(status), Some(name)) = (plan(&policy), &policy.metadata.name) {
                requests.patch_status(&policies, name, json!({ "status": status })).await?;
            }
        }
        Ok(Next::Wait)
    }
}

#[cfg(test)]
mod tests;
