//! Lets claims and volumes that are deleted go as soon as nobody uses them.
//!
//! The API server's admission gives each a finalizer when it is created. A claim is used by every pod that names it and has not ended,
//! a volume by the claim that it is bound to.

use std::sync::Arc;

use k8s_openapi::api::core::v1 as api;
use kube::Api;
use kube::api::ListParams;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::informer::Change;
use crate::meta::{CLAIM_FINALIZER, Meta, ObjectKey, VOLUME_FINALIZER};
use crate::observed::Pod;
use crate::queue::{Next, Queue};
use crate::requests::{RequestError, without_finalizer};
use crate::worker::{self, Reconcile};

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Subject {
    Claim(ObjectKey),
    Volume(ObjectKey),
}

/// Whether the finalizer is all that keeps the object.
fn is_held(meta: &Meta) -> bool {
    meta.deleting && meta.storage_finalizer
}

fn uses(pod: &Pod, claim: &ObjectKey) -> bool {
    !pod.finished && pod.meta.key.namespace == claim.namespace && pod.claims.contains(&claim.name)
}

fn may_release_claim<'a>(claim: &Meta, pods: impl IntoIterator<Item = &'a Pod>) -> bool {
    is_held(claim) && !pods.into_iter().any(|pod| uses(pod, &claim.key))
}

fn may_release_volume(volume: &Meta, phase: Option<&str>) -> bool {
    is_held(volume) && phase != Some("Bound")
}

/// The claims that this change of a pod may have freed.
fn freed(change: &Change<'_, Pod>) -> Vec<ObjectKey> {
    let Some(old) = change.old.filter(|old| !old.finished && !old.claims.is_empty()) else { return Vec::new() };
    if change.gone().is_none() && change.new.is_some_and(|new| !new.finished) {
        return Vec::new();
    }
    let claim = |name: &Arc<str>| ObjectKey { namespace: old.meta.key.namespace.clone(), name: name.clone() };
    old.claims.iter().map(claim).collect()
}

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    let observed = &context.observed;
    let marked = queue.clone();
    observed.wholes.claims.subscribe(move |change| {
        if let Some(claim) = change.new.filter(|claim| is_held(&claim.meta)) {
            marked.add(Subject::Claim(claim.meta.key.clone()));
        }
    });
    let marked = queue.clone();
    observed.wholes.volumes.subscribe(move |change| {
        if let Some(volume) = change.new.filter(|volume| is_held(&volume.meta)) {
            marked.add(Subject::Volume(volume.meta.key.clone()));
        }
    });
    let (marked, claims) = (queue.clone(), observed.wholes.claims.clone());
    observed.pods.subscribe(move |change| {
        for claim in freed(change) {
            if claims.get(&claim).is_some_and(|claim| is_held(&claim.meta)) {
                marked.add(Subject::Claim(claim));
            }
        }
    });
    worker::start(Controller { context: context.clone() }, queue, context, tasks, stopped);
}

struct Controller {
    context: Context,
}

impl Controller {
    async fn look_at_claim(&self, key: &ObjectKey) -> Result<Next, RequestError> {
        let (observed, requests) = (&self.context.observed, &self.context.requests);
        let Some(claim) = observed.wholes.claims.get(key) else { return Ok(Next::Wait) };
        let claim = &claim.meta;
        let users = observed.pods.filter(|pod| uses(pod, key));
        if !may_release_claim(claim, users.iter().map(|pod| &**pod)) {
            return Ok(Next::Wait);
        }
        // The watch may be behind, and a claim cannot be taken back: the API server is asked before it is let go.
        let pods: Api<api::Pod> = Api::namespaced(requests.client(), &key.namespace);
        let pods = requests.bounded(pods.list(&ListParams::default())).await?;
        let pods: Vec<Pod> = pods.items.iter().map(Pod::from_api).collect();
        if may_release_claim(claim, &pods) {
            let claims: Api<api::PersistentVolumeClaim> = Api::namespaced(requests.client(), &key.namespace);
            requests.rewrite(&claims, claim, without_finalizer(CLAIM_FINALIZER)).await?;
        }
        Ok(Next::Wait)
    }

    async fn look_at_volume(&self, key: &ObjectKey) -> Result<Next, RequestError> {
        let requests = &self.context.requests;
        let volumes: Api<api::PersistentVolume> = Api::all(requests.client());
        // The API server is asked, since a volume that is let go cannot be taken back.
        let Some(volume) = requests.bounded(volumes.get_opt(&key.name)).await? else { return Ok(Next::Wait) };
        let meta = Meta::from_api(&volume.metadata);
        let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
        if may_release_volume(&meta, phase) {
            requests.rewrite(&volumes, &meta, without_finalizer(VOLUME_FINALIZER)).await?;
        }
        Ok(Next::Wait)
    }
}

impl Reconcile for Controller {
    type Key = Subject;
    const NAME: &'static str = "volume protection";

    async fn reconcile(&self, subject: &Subject) -> Result<Next, RequestError> {
        match subject {
            Subject::Claim(key) => self.look_at_claim(key).await,
            Subject::Volume(key) => self.look_at_volume(key).await,
        }
    }
}

#[cfg(test)]
mod tests;
