//! DaemonSets: one pod on every node where one belongs.

mod nodes;
mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::{self as api, PodTemplateSpec};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::history::{HASH_LABEL, surplus};
use crate::informer::IndexKey;
use crate::meta::ObjectKey;
use crate::observed::{Node, Pod, Whole};
use crate::queue::{Next, Queue};
use crate::requests::RequestError;
use crate::selector;
use crate::worker::{self, Reconcile};
use crate::workload::{self, BURST_MAX};
pub(crate) use nodes::tolerates;
use nodes::{Eligible, eligible, send_to, tolerations};
use plan::{Plan, Wanted, places, plan, status};

const COMPONENT: &str = "daemonset-controller";
const GENERATION_LABEL: &str = "pod-template-generation";
const GENERATION: &str = "deprecated.daemonset.template.generation";

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    workload::mark_changed::<DaemonSet>(context, &queue);
    workload::mark_owners_of_pods::<DaemonSet>(context, &queue);
    workload::mark_owners_of::<DaemonSet, ControllerRevision>(context, &queue);
    let (marked, sets) = (queue.clone(), context.observed.wholes.daemon_sets.clone());
    context.observed.nodes.subscribe(move |change| {
        // A heartbeat changes nothing of this.
        let same = |old: &Arc<Node>, new: &Arc<Node>| {
            old.meta.uid == new.meta.uid && old.labels == new.labels && old.taints == new.taints
        };
        if !matches!((change.old, change.new), (Some(old), Some(new)) if same(old, new)) {
            sets.filter(|_| true).into_iter().for_each(|set| marked.add(set.meta.key.clone()));
        }
    });
    worker::start(Controller { context: context.clone() }, queue, context, tasks, stopped);
}

struct Controller {
    context: Context,
}

impl Controller {
    fn eligible_nodes(&self, template: &PodTemplateSpec) -> BTreeMap<Arc<str>, Eligible> {
        let spec = template.spec.clone().unwrap_or_default();
        let tolerations = tolerations(&spec);
        let nodes = self.context.observed.nodes.filter(|_| true);
        nodes.into_iter().map(|node| (node.meta.key.name.clone(), eligible(&spec, &tolerations, &node))).collect()
    }

    async fn carry_out(
        &self,
        set: &Whole<DaemonSet>,
        template: &PodTemplateSpec,
        hash: &str,
        mut plan: Plan,
    ) -> Result<(), RequestError> {
        for pod in &plan.failed {
            let (name, node) = (&pod.meta.key, pod.destination().cloned().unwrap_or_default());
            let message = format!("Found failed daemon pod {name} on node {node}, will try to kill it");
            self.context.events.warning(set, COMPONENT, "FailedDaemonPod", message);
        }
        plan.delete.truncate(BURST_MAX);
        let (deleted, failed) = self.context.delete_pods(&plan.delete).await;
        for pod in deleted {
            let message = format!("Deleted pod: {}", pod.meta.key.name);
            self.context.events.normal(set, COMPONENT, "SuccessfulDelete", message);
        }
        plan.create_on.truncate(BURST_MAX);
        let pods = plan.create_on.iter().map(|node| pod(set, template, hash, node)).collect();
        let created = self.context.create_pods(pods).await;
        for pod in created.pods {
            let message = format!("Created pod: {}", pod.meta.key.name);
            self.context.events.normal(set, COMPONENT, "SuccessfulCreate", message);
        }
        let error = created.errors.into_iter().find(|error| !error.is_namespace_terminating());
        if let Some(error) = &error {
            let message = format!("Error creating: {}", error.cause());
            self.context.events.warning(set, COMPONENT, "FailedCreate", message);
        }
        error.or(failed).map_or(Ok(()), Err)
    }
}

/// The pod for a node.
fn pod(set: &Whole<DaemonSet>, template: &PodTemplateSpec, hash: &str, node: &str) -> api::Pod {
    let mut pod = workload::pod_of_template(set, template);
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(HASH_LABEL.to_owned(), hash.to_owned());
    if let Some(generation) = set.annotation(GENERATION) {
        labels.insert(GENERATION_LABEL.to_owned(), generation.to_owned());
    }
    let spec = pod.spec.get_or_insert_default();
    spec.tolerations = Some(tolerations(spec));
    send_to(spec, node);
    pod.metadata.generate_name = Some(workload::generate_name(set.name()));
    pod
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    const NAME: &'static str = "daemon set";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, RequestError> {
        let Some(set) = self.context.observed.wholes.daemon_sets.get(key) else { return Ok(Next::Wait) };
        let Some(spec) = set.spec.as_ref() else { return Ok(Next::Wait) };
        if selector::is_empty(&spec.selector) {
            let message = "This daemon set is selecting all pods. A non-empty selector is required.".to_owned();
            self.context.events.warning(&set, COMPONENT, "SelectingAll", message);
            return Ok(Next::Wait);
        }
        let pods = self.context.claim_pods(&set, &spec.selector, |_| true).await?;
        let known = self.context.claim::<_, ControllerRevision>(&set, &spec.selector).await?;
        if set.meta.deleting {
            return Ok(Next::Wait);
        }
        let revision = self.context.revision_of(&set, &spec.template, &known, HASH_LABEL).await?;
        let hash = revision.label(HASH_LABEL).unwrap_or_default().to_owned();
        let nodes = self.eligible_nodes(&spec.template);
        let desired = nodes.values().filter(|eligible| eligible.run).count();
        let Some(wanted) = Wanted::of(&set, hash, desired) else { return Ok(Next::Wait) };
        let now = workload::now();
        let plan = plan(&wanted, &places(nodes.clone(), &pods), now);
        let look_again = plan.look_again;
        let done = self.carry_out(&set, &spec.template, &wanted.hash, plan).await;
        // What was just created or deleted counts already.
        let pods: Vec<Arc<Pod>> = self.context.observed.pods.indexed(&IndexKey::Controller(set.meta.uid.clone()));
        let new_status = status(&set, &wanted, &places(nodes, &pods), now);
        self.context.write_status(&set, &set.status, &new_status).await?;
        done?;
        let used = |known: &Whole<ControllerRevision>| {
            let hash = known.label(HASH_LABEL);
            known.meta.uid == revision.meta.uid || pods.iter().any(|pod| pod.labels.get(HASH_LABEL) == hash)
        };
        self.context.forget_revisions(surplus(&known, spec.revision_history_limit.unwrap_or(10), used)).await?;
        Ok(workload::look_at(look_again))
    }
}
