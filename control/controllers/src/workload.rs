//! What the controllers that own other objects share: who owns what, which key an event is about, and how many are made at a time.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{self as api, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::Context;
use crate::informer::{Change, IndexKey, Kept};
use crate::meta::{Meta, ObjectKey};
use crate::observed::{Labels, Observed, Pod, Whole, WholeKind};
use crate::queue::{Next, Queue};
use crate::requests::RequestError;
use crate::selector::selects;
use crate::writes::{Part, adoption, release};

/// Requests of one reconciliation that are under way at the same time.
const CONCURRENT_MAX: usize = 32;
/// Pods that one reconciliation creates or deletes at most (upstream: `BurstReplicas`).
pub(crate) const BURST_MAX: usize = 500;

/// Something that a workload can own.
pub(crate) trait Owned: Kept {
    fn labels(&self) -> Labels;
}

impl Owned for Pod {
    fn labels(&self) -> Labels {
        self.labels.clone()
    }
}

impl<K: WholeKind> Owned for Whole<K> {
    fn labels(&self) -> Labels {
        Labels::new(self.metadata().labels.as_ref())
    }
}

/// The time, as objects write it: in whole seconds.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Look again when it is this time.
pub(crate) fn look_at(at: Option<Timestamp>) -> Next {
    let Some(at) = at else { return Next::Wait };
    let wait = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
    // Times are in whole seconds, and a little late is better than a little early.
    Next::after(wait + Duration::from_millis(5))
}

/// Marks every object of the kind when it changes.
pub(crate) fn mark_changed<K: WholeKind>(context: &Context, queue: &Arc<Queue<ObjectKey>>) {
    let queue = queue.clone();
    K::cache(&context.observed).subscribe(move |change| {
        if let Some(object) = change.latest() {
            queue.add(object.meta.key.clone());
        }
    });
}

/// Marks the workloads of kind `K` that own a pod that changes, or that may own one that nobody owns.
pub(crate) fn mark_owners_of_pods<K: WholeKind>(context: &Context, queue: &Arc<Queue<ObjectKey>>) {
    let (queue, observed) = (queue.clone(), Arc::downgrade(&context.observed));
    context.observed.pods.subscribe(move |change| {
        if let Some(observed) = observed.upgrade() {
            mark_owners::<K, Pod>(&observed, change, &queue);
        }
    });
}

/// Marks the workloads of kind `K` that own an object of kind `O` that changes.
pub(crate) fn mark_owners_of<K: WholeKind, O: WholeKind>(context: &Context, queue: &Arc<Queue<ObjectKey>>) {
    let (queue, observed) = (queue.clone(), Arc::downgrade(&context.observed));
    O::cache(&context.observed).subscribe(move |change| {
        if let Some(observed) = observed.upgrade() {
            mark_owners::<K, Whole<O>>(&observed, change, &queue);
        }
    });
}

fn mark_owners<K: WholeKind, V: Owned>(observed: &Observed, change: &Change<'_, V>, queue: &Queue<ObjectKey>) {
    let owner = |object: &Arc<V>| owner_key::<K>(object.meta());
    let (old, new) = (change.old.and_then(owner), change.new.and_then(owner));
    for key in old.iter().chain(new.iter().filter(|new| Some(*new) != old.as_ref())) {
        queue.add(key.clone());
    }
    let Some(orphan) = change.new.filter(|object| object.meta().controller().is_none()) else { return };
    let labels = orphan.labels();
    if change.old.is_some_and(|old| old.meta().controller().is_none() && old.labels() == labels) {
        return;
    }
    for workload in K::cache(observed).indexed(&IndexKey::Namespace(orphan.meta().key.namespace.clone())) {
        if workload.object.selector().is_some_and(|selector| selects(&selector, &labels)) {
            queue.add(workload.meta.key.clone());
        }
    }
}

/// The object of kind `K` that controls this one.
pub(crate) fn owner_key<K: WholeKind>(meta: &Meta) -> Option<ObjectKey> {
    let owner = meta.controller()?;
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    let ours = owner.kind == K::KIND && group == K::GROUP;
    ours.then(|| ObjectKey { namespace: meta.key.namespace.clone(), name: Arc::from(owner.name.as_str()) })
}

/// What is to happen to the ownership of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is ours and stays so.
    Keep,
    /// It is nobody's and we want it.
    Adopt,
    /// It is ours and no longer selected.
    Release,
    Leave,
}

/// Decides as upstream's controller reference manager does.
pub(crate) fn claim(owner: &Meta, selector: &LabelSelector, object: &Meta, labels: &Labels) -> Claim {
    match object.controller() {
        Some(controller) if *controller.uid != *owner.uid => Claim::Leave,
        Some(_) if selects(selector, labels) => Claim::Keep,
        Some(_) if owner.deleting => Claim::Leave,
        Some(_) => Claim::Release,
        None if owner.deleting || object.deleting || !selects(selector, labels) => Claim::Leave,
        None => Claim::Adopt,
    }
}

impl Context {
    /// The pods of a workload, after it has adopted those that it selects and nobody owns, and let go those that it no longer selects.
    /// `wanted` narrows what is adopted.
    pub(crate) async fn claim_pods<K: WholeKind>(
        &self,
        owner: &Whole<K>,
        selector: &LabelSelector,
        wanted: impl Fn(&Pod) -> bool,
    ) -> Result<Vec<Arc<Pod>>, RequestError> {
        let pods = &self.observed.pods;
        let mut ours = Vec::new();
        let mut adopting = false;
        let orphans = pods.indexed(&IndexKey::Orphans(owner.meta.key.namespace.clone()));
        for pod in pods.indexed(&IndexKey::Controller(owner.meta.uid.clone())).into_iter().chain(orphans) {
            match claim(&owner.meta, selector, &pod.meta, &pod.labels) {
                Claim::Keep => ours.push(pod),
                Claim::Adopt if wanted(&pod) && !pod.finished => {
                    if !adopting && !self.may_adopt(owner).await? {
                        continue;
                    }
                    adopting = true;
                    if let Some(adopted) = self.patch_pod(&pod, Part::Object, adoption(owner)).await? {
                        ours.push(Arc::new(adopted));
                    }
                }
                Claim::Release => drop(self.patch_pod(&pod, Part::Object, release(&owner.meta.uid)).await?),
                Claim::Leave | Claim::Adopt => {}
            }
        }
        Ok(ours)
    }

    /// The objects of kind `O` of a workload; see [`Context::claim_pods`].
    pub(crate) async fn claim<K: WholeKind, O: WholeKind>(
        &self,
        owner: &Whole<K>,
        selector: &LabelSelector,
    ) -> Result<Vec<Arc<Whole<O>>>, RequestError> {
        let objects = O::cache(&self.observed);
        let mut ours = Vec::new();
        let mut adopting = false;
        let orphans = objects.indexed(&IndexKey::Orphans(owner.meta.key.namespace.clone()));
        for object in objects.indexed(&IndexKey::Controller(owner.meta.uid.clone())).into_iter().chain(orphans) {
            match claim(&owner.meta, selector, &object.meta, &object.labels()) {
                Claim::Keep => ours.push(object),
                Claim::Adopt => {
                    if !adopting && !self.may_adopt(owner).await? {
                        continue;
                    }
                    adopting = true;
                    if let Some(adopted) = self.patch_lists(&object, adoption(owner)).await? {
                        ours.push(Arc::new(adopted));
                    }
                }
                Claim::Release => drop(self.patch_lists(&object, release(&owner.meta.uid)).await?),
                Claim::Leave => {}
            }
        }
        Ok(ours)
    }

    /// The cache may be behind: what is adopted by an owner that is gone would be collected at once.
    async fn may_adopt<K: WholeKind>(&self, owner: &Whole<K>) -> Result<bool, RequestError> {
        let now: Option<K> = self.get(&owner.meta).await?;
        Ok(now.is_some_and(|now| {
            let metadata = k8s_openapi::Metadata::metadata(&now);
            metadata.uid.as_deref() == Some(&*owner.meta.uid) && metadata.deletion_timestamp.is_none()
        }))
    }

    /// Creates pods in batches that double as long as all goes well, so that a template that is refused is not tried by the hundred.
    pub(crate) async fn create_pods(&self, pods: Vec<api::Pod>) -> Created {
        let mut outcome = Created::default();
        let mut waiting = pods.into_iter();
        let mut batch_size = 1;
        loop {
            let batch: Vec<api::Pod> = waiting.by_ref().take(batch_size).collect();
            if batch.is_empty() {
                return outcome;
            }
            let requests = stream::iter(batch).map(|pod| async move { self.create_pod(&pod).await });
            let answers: Vec<_> = requests.buffer_unordered(CONCURRENT_MAX).collect().await;
            for answer in answers {
                match answer {
                    Ok(pod) => outcome.pods.push(pod),
                    Err(error) => outcome.errors.push(error),
                }
            }
            if !outcome.errors.is_empty() {
                outcome.skipped = waiting.len();
                return outcome;
            }
            batch_size = batch_size.saturating_mul(2);
        }
    }

    /// Deletes pods. Returns those that were there, and the first error.
    pub(crate) async fn delete_pods(&self, pods: &[Arc<Pod>]) -> (Vec<Arc<Pod>>, Option<RequestError>) {
        let requests = stream::iter(pods.to_vec()).map(|pod| async move { (self.delete_pod(&pod).await, pod) });
        let answers: Vec<_> = requests.buffer_unordered(CONCURRENT_MAX).collect().await;
        let (mut deleted, mut failed) = (Vec::new(), None);
        for (answer, pod) in answers {
            match answer {
                Ok(true) => deleted.push(pod),
                Ok(false) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        (deleted, failed)
    }
}

/// What came of creating pods.
#[derive(Debug, Default)]
pub(crate) struct Created {
    pub(crate) pods: Vec<Pod>,
    pub(crate) errors: Vec<RequestError>,
    /// How many were not tried.
    pub(crate) skipped: usize,
}

/// A pod as a template describes it, owned by `owner`. It has no name yet.
pub(crate) fn pod_of_template<K: WholeKind>(owner: &Whole<K>, template: &PodTemplateSpec) -> api::Pod {
    let described = template.metadata.clone().unwrap_or_default();
    let metadata = ObjectMeta {
        namespace: Some(owner.namespace().to_owned()),
        labels: described.labels,
        annotations: described.annotations,
        finalizers: described.finalizers,
        owner_references: Some(vec![owner.controller_reference()]),
        ..ObjectMeta::default()
    };
    api::Pod { metadata, spec: template.spec.clone(), status: None }
}

/// The beginning of the names of the pods of a workload: what is too long for a name is cut.
pub(crate) fn generate_name(workload: &str) -> String {
    /// Names have at most 63 characters, of which the API server adds five.
    const LENGTH_MAX: usize = 58;
    let mut name: String = workload.chars().take(LENGTH_MAX - 1).collect();
    name.push('-');
    name
}

#[cfg(test)]
mod tests;
