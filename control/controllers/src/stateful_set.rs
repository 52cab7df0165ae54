//! StatefulSets: pods with names and claims of their own, one after the other.

mod claims;
mod plan;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{self as api, PersistentVolumeClaim, PodTemplateSpec};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::history::{HASH_LABEL, REVISION_HASH_LABEL, Revision, surplus, template_of};
use crate::informer::IndexKey;
use crate::meta::ObjectKey;
use crate::observed::{Pod, Whole};
use crate::queue::{Next, Queue};
use crate::requests::RequestError;
use crate::selector;
use crate::worker::{self, Reconcile};
use crate::workload;
use plan::{Action, Wanted, ordinal, plan, revision, status};

const COMPONENT: &str = "statefulset-controller";
const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    workload::mark_changed::<StatefulSet>(context, &queue);
    workload::mark_owners_of_pods::<StatefulSet>(context, &queue);
    workload::mark_owners_of::<StatefulSet, ControllerRevision>(context, &queue);
    worker::start(Controller { context: context.clone() }, queue, context, tasks, stopped);
}

struct Controller {
    context: Context,
}

/// The template of a set now, and the one before the update that is under way.
struct Templates {
    current: PodTemplateSpec,
    update: PodTemplateSpec,
}

impl Controller {
    async fn carry_out(
        &self,
        set: &Whole<StatefulSet>,
        wanted: &Wanted,
        templates: &Templates,
        actions: Vec<Action>,
    ) -> Result<(), RequestError> {
        for action in actions {
            match action {
                Action::Create { ordinal, updated } => {
                    let (template, revision) = if updated {
                        (&templates.update, &wanted.update)
                    } else {
                        (&templates.current, &wanted.current)
                    };
                    self.create(set, template, revision, ordinal).await?;
                }
                Action::Delete(pod) => self.delete(set, &pod).await?,
            }
        }
        Ok(())
    }

    async fn create(
        &self,
        set: &Whole<StatefulSet>,
        template: &PodTemplateSpec,
        revision: &str,
        ordinal: u32,
    ) -> Result<(), RequestError> {
        let name = format!("{}-{ordinal}", set.name());
        for claim in claims::of_pod(set, ordinal) {
            self.create_claim(set, &name, &claim).await?;
        }
        let pod = pod(set, template, revision, ordinal);
        match self.context.create_pod(&pod).await {
            Ok(_) => {
                let message = format!("create Pod {name} in StatefulSet {} successful", set.name());
                self.context.events.normal(set, COMPONENT, "SuccessfulCreate", message);
                Ok(())
            }
            Err(error) if error.is_namespace_terminating() => Ok(()),
            Err(error) => {
                let cause = error.cause();
                let message = format!("create Pod {name} in StatefulSet {} failed error: {cause}", set.name());
                self.context.events.warning(set, COMPONENT, "FailedCreate", message);
                Err(error)
            }
        }
    }

    async fn create_claim(
        &self,
        set: &Whole<StatefulSet>,
        pod: &str,
        claim: &PersistentVolumeClaim,
    ) -> Result<(), RequestError> {
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        let key = ObjectKey::new(set.namespace(), name);
        if self.context.observed.wholes.claims.get(&key).is_some() {
            return Ok(());
        }
        match self.context.create(claim).await {
            Ok(_) => {
                let message = format!("create Claim {name} Pod {pod} in StatefulSet {} success", set.name());
                self.context.events.normal(set, COMPONENT, "SuccessfulCreate", message);
                Ok(())
            }
            Err(error) if error.is_already_exists() => Ok(()),
            Err(error) => {
                let (cause, set_name) = (error.cause(), set.name());
                let message =
                    format!("create Claim {name} for Pod {pod} in StatefulSet {set_name} failed error: {cause}");
                self.context.events.warning(set, COMPONENT, "FailedCreate", message);
                Err(error)
            }
        }
    }

    async fn delete(&self, set: &Whole<StatefulSet>, pod: &Pod) -> Result<(), RequestError> {
        let name = &pod.meta.key.name;
        match self.context.delete_pod(pod).await {
            Ok(true) => {
                let message = format!("delete Pod {name} in StatefulSet {} successful", set.name());
                self.context.events.normal(set, COMPONENT, "SuccessfulDelete", message);
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(error) => {
                let message =
                    format!("delete Pod {name} in StatefulSet {} failed error: {}", set.name(), error.cause());
                self.context.events.warning(set, COMPONENT, "FailedDelete", message);
                Err(error)
            }
        }
    }

    /// Claims name as their owners whoever's end is to be theirs.
    async fn keep_claims(&self, set: &Whole<StatefulSet>, pods: &[Arc<Pod>]) -> Result<(), RequestError> {
        for pod in pods {
            let Some(ordinal) = ordinal(set.name(), &pod.meta.key.name) else { continue };
            for name in claims::names(set, ordinal) {
                let key = ObjectKey { namespace: set.meta.key.namespace.clone(), name: Arc::from(name) };
                let Some(claim) = self.context.observed.wholes.claims.get(&key) else { continue };
                if let Some(patch) = claims::owners_patch(set, pod, ordinal, &claim) {
                    self.context.patch(&claim, crate::writes::Part::Object, patch).await?;
                }
            }
        }
        Ok(())
    }

    /// The revisions before and after the update: of the two templates, and their names.
    async fn revisions(
        &self,
        set: &Whole<StatefulSet>,
        template: &PodTemplateSpec,
        known: &[Revision],
    ) -> Result<(Templates, String, String), RequestError> {
        let newest = self.context.revision_of(set, template, known, REVISION_HASH_LABEL).await?;
        let named = set.status.as_ref().and_then(|status| status.current_revision.as_deref());
        let current = known.iter().find(|revision| Some(revision.name()) == named).unwrap_or(&newest);
        let templates =
            Templates { current: template_of(current).unwrap_or_else(|| template.clone()), update: template.clone() };
        Ok((templates, current.name().to_owned(), newest.name().to_owned()))
    }
}

/// The pod of an ordinal.
fn pod(set: &Whole<StatefulSet>, template: &PodTemplateSpec, revision: &str, ordinal: u32) -> api::Pod {
    let mut pod = workload::pod_of_template(set, template);
    let name = format!("{}-{ordinal}", set.name());
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(HASH_LABEL.to_owned(), revision.to_owned());
    labels.insert(POD_NAME_LABEL.to_owned(), name.clone());
    labels.insert(POD_INDEX_LABEL.to_owned(), ordinal.to_string());
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(name.clone());
    spec.subdomain = set.spec.as_ref().and_then(|spec| spec.service_name.clone()).filter(|service| !service.is_empty());
    claims::mount(set, spec, ordinal);
    pod.metadata.name = Some(name);
    pod
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    const NAME: &'static str = "stateful set";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, RequestError> {
        let Some(set) = self.context.observed.wholes.stateful_sets.get(key) else { return Ok(Next::Wait) };
        let Some(spec) = set.spec.as_ref() else { return Ok(Next::Wait) };
        if selector::is_empty(&spec.selector) {
            return Ok(Next::Wait);
        }
        let member = |pod: &Pod| ordinal(set.name(), &pod.meta.key.name).is_some();
        let pods = self.context.claim_pods(&set, &spec.selector, member).await?;
        let known = self.context.claim::<_, ControllerRevision>(&set, &spec.selector).await?;
        if set.meta.deleting {
            return Ok(Next::Wait);
        }
        let (templates, current, update) = self.revisions(&set, &spec.template, &known).await?;
        let Some(wanted) = Wanted::of(&set, current, update) else { return Ok(Next::Wait) };
        let now = workload::now();
        self.keep_claims(&set, &pods).await?;
        let done = self.carry_out(&set, &wanted, &templates, plan(&wanted, &pods, now)).await;
        // What was just created or deleted counts already.
        let pods = self.context.observed.pods.indexed(&IndexKey::Controller(set.meta.uid.clone()));
        let (new_status, look_again) = status(&set, &wanted, &pods, now);
        self.context.write_status(&set, &set.status, &new_status).await?;
        done?;
        let used = |known: &Whole<ControllerRevision>| {
            known.name() == wanted.current
                || known.name() == wanted.update
                || pods.iter().any(|pod| revision(pod) == known.name())
        };
        let limit = spec.revision_history_limit.unwrap_or(10);
        self.context.forget_revisions(surplus(&known, limit, used)).await?;
        Ok(workload::look_at(look_again))
    }
}
