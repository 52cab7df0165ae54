//! Who answers behind a Service: its EndpointSlices, its Endpoints, and slices that mirror Endpoints that somebody else keeps.

mod behind;
mod mirror;
mod slices;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::informer::IndexKey;
use crate::meta::ObjectKey;
use crate::observed::{Observed, Pod, Whole};
use crate::queue::{Next, Queue};
use crate::requests::{Deletion, RequestError};
use crate::selector::selects_map;
use crate::worker::{self, Reconcile};
use crate::workload;
use crate::writes::{Part, difference};
use slices::Change;

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const OURS: &str = "endpointslice-controller.k8s.io";
const MIRRORED: &str = "endpointslicemirroring-controller.k8s.io";
const HEADLESS: &str = "service.kubernetes.io/headless";

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    workload::mark_changed::<Service>(context, &queue);
    workload::mark_changed::<Endpoints>(context, &queue);
    let marked = queue.clone();
    context.observed.wholes.endpoint_slices.subscribe(move |change| {
        if let Some((slice, service)) = change.latest().and_then(|slice| Some((slice, slice.label(SERVICE_NAME)?))) {
            marked.add(ObjectKey { namespace: slice.meta.key.namespace.clone(), name: Arc::from(service) });
        }
    });
    let (marked, observed) = (queue.clone(), Arc::downgrade(&context.observed));
    context.observed.pods.subscribe(move |change| {
        let Some(observed) = observed.upgrade() else { return };
        for pod in change.old.into_iter().chain(change.new) {
            // A pod without an address is behind nothing.
            if !pod.addresses.is_empty() {
                services_of(&observed, pod).into_iter().for_each(|service| marked.add(service.meta.key.clone()));
            }
        }
    });
    worker::start(Controller { context: context.clone() }, queue, context, tasks, stopped);
}

fn selector(service: &Service) -> Option<&std::collections::BTreeMap<String, String>> {
    let spec = service.spec.as_ref()?;
    let external = spec.type_.as_deref() == Some("ExternalName");
    spec.selector.as_ref().filter(|selector| !selector.is_empty() && !external)
}

fn services_of(observed: &Observed, pod: &Pod) -> Vec<Arc<Whole<Service>>> {
    let namespace = &pod.meta.key.namespace;
    let by_label = pod.labels.iter().flat_map(|(key, value)| {
        observed.wholes.services.indexed(&IndexKey::Label(namespace.clone(), key.clone(), value.clone()))
    });
    by_label.filter(|service| selector(service).is_some_and(|wanted| selects_map(wanted, &pod.labels))).collect()
}

struct Controller {
    context: Context,
}

impl Controller {
    fn slices(&self, key: &ObjectKey, keeper: &str) -> Vec<Arc<Whole<EndpointSlice>>> {
        let label = IndexKey::Label(key.namespace.clone(), Arc::from(SERVICE_NAME), key.name.clone());
        let slices = self.context.observed.wholes.endpoint_slices.indexed(&label);
        slices.into_iter().filter(|slice| slice.label(MANAGED_BY) == Some(keeper) && !slice.meta.deleting).collect()
    }

    fn pods(&self, service: &Whole<Service>) -> Vec<Arc<Pod>> {
        let Some(wanted) = selector(service) else { return Vec::new() };
        let Some((key, value)) = wanted.iter().next() else { return Vec::new() };
        let label =
            IndexKey::Label(service.meta.key.namespace.clone(), Arc::from(key.as_str()), Arc::from(value.as_str()));
        let mut pods = self.context.observed.pods.indexed(&label);
        pods.retain(|pod| selects_map(wanted, &pod.labels));
        pods
    }

    async fn carry_out(&self, changes: Vec<Change>) -> Result<(), RequestError> {
        for change in changes {
            match change {
                Change::Create(slice) => match self.context.create(&*slice).await {
                    Err(error) if !error.is_namespace_terminating() => return Err(error),
                    _ => {}
                },
                Change::Update(old, new) => {
                    let written = serde_json::json!(*new);
                    if let Some(patch) = difference(&serde_json::json!(old.object), &written) {
                        self.context.patch(&old, Part::Object, patch).await?;
                    }
                }
                Change::Delete(slice) => self.context.delete(&slice, Deletion::default()).await?,
            }
        }
        Ok(())
    }

    async fn write_endpoints(&self, service: &Whole<Service>, behind: &[behind::Behind]) -> Result<(), RequestError> {
        let known = self.context.observed.wholes.endpoints.get(&service.meta.key);
        let wanted = behind::endpoints(service, behind, known.as_deref());
        match known {
            None => match self.context.create(&wanted).await {
                Err(error) if !error.is_namespace_terminating() && !error.is_already_exists() => Err(error),
                _ => Ok(()),
            },
            Some(known) => match difference(&serde_json::json!(known.object), &serde_json::json!(wanted)) {
                Some(patch) => self.context.patch(&known, Part::Object, patch).await.map(drop),
                None => Ok(()),
            },
        }
    }

    /// The Service is gone: its slices go with it as its dependents, its Endpoints are nobody's.
    async fn clean_up(&self, key: &ObjectKey) -> Result<(), RequestError> {
        let known = self.context.observed.wholes.endpoints.get(key);
        let ours = known.filter(|endpoints| endpoints.label(behind::MANAGED_BY) == Some(behind::OURS));
        match ours {
            Some(endpoints) => self.context.delete(&endpoints, Deletion::default()).await,
            None => Ok(()),
        }
    }

    async fn mirror(&self, key: &ObjectKey, service: Option<&Whole<Service>>) -> Result<(), RequestError> {
        let slices = self.slices(key, MIRRORED);
        let endpoints = self.context.observed.wholes.endpoints.get(key);
        let mirrored = service.is_some_and(|service| {
            service.spec.as_ref().is_some_and(|spec| spec.selector.as_ref().is_none_or(|wanted| wanted.is_empty()))
        });
        let source = endpoints.filter(|endpoints| mirrored && mirror::wants_mirror(endpoints));
        self.carry_out(mirror::plan(source.as_deref(), slices)).await
    }
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    const NAME: &'static str = "endpoints";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, RequestError> {
        let service = self.context.observed.wholes.services.get(key);
        self.mirror(key, service.as_deref()).await?;
        let Some(service) = service else {
            self.clean_up(key).await?;
            return Ok(Next::Wait);
        };
        if service.meta.deleting {
            return Ok(Next::Wait);
        }
        let slices = self.slices(key, OURS);
        if selector(&service).is_none() {
            self.carry_out(slices.into_iter().map(Change::Delete).collect()).await?;
            return Ok(Next::Wait);
        }
        let zone = |node: &str| {
            let node = self.context.observed.nodes.get(&ObjectKey::new("", node))?;
            node.zone.as_deref().map(str::to_owned)
        };
        let behind = behind::behind(&service, &self.pods(&service), zone);
        self.carry_out(slices::plan(&service, &behind, slices)).await?;
        self.write_endpoints(&service, &behind).await?;
        Ok(Next::Wait)
    }
}

#[cfg(test)]
mod tests;
