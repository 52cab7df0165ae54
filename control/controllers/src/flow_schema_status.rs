//! Says in the status of every FlowSchema whether the priority level that it names is there.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::queue::{Next, Queue};
use crate::requests::RequestError;
use crate::worker::{self, Reconcile};

const DANGLING: &str = "Dangling";

/// The condition that a schema lacks, if any.
fn plan(schema: &FlowSchema, levels: &HashSet<String>, now: Timestamp) -> Option<Value> {
    let level = schema.spec.as_ref()?.priority_level_configuration.name.as_str();
    let object = format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?}");
    let (status, reason, message) = if levels.contains(level) {
        ("False", "Found", format!("{object} and it exists"))
    } else {
        ("True", "NotFound", format!("{object} but there is no such object"))
    };
    let mut known = schema.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let known = known.find(|known| known.type_.as_deref() == Some(DANGLING));
    if known.is_some_and(|known| known.status.as_deref() == Some(status) && known.message.as_deref() == Some(&*message))
    {
        return None;
    }
    let since = known.filter(|known| known.status.as_deref() == Some(status));
    let since = since.and_then(|known| known.last_transition_time.as_ref()).map_or(now, |time| time.0);
    Some(json!({
        "type": DANGLING, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(since),
    }))
}

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    for (kind, cache) in &context.observed.metadata {
        if matches!(kind.path().1, "flowschemas" | "prioritylevelconfigurations") {
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
    /// All schemas together: there are few, and a level that comes or goes is about any of them.
    type Key = ();
    const NAME: &'static str = "flow schema status";

    async fn reconcile(&self, _key: &()) -> Result<Next, RequestError> {
        let requests = &self.context.requests;
        let schemas: Api<FlowSchema> = Api::all(requests.client());
        let levels: Api<PriorityLevelConfiguration> = Api::all(requests.client());
        let levels = requests.bounded(levels.list(&ListParams::default())).await?;
        let levels = levels.items.into_iter().filter_map(|level| level.metadata.name).collect();
        for schema in requests.bounded(schemas.list(&ListParams::default())).await?.items {
            if let (Some(condition), Some(name)) = (plan(&schema, &levels, Timestamp::now()), &schema.metadata.name) {
                requests.patch_status(&schemas, name, json!({"status": {"conditions": [condition]}})).await?;
            }
        }
        Ok(Next::Wait)
    }
}

#[cfg(test)]
mod tests;
