//! What is in a namespace: deletes it, and counts what is left.

use std::collections::BTreeMap;

use futures::future::join_all;
use kube::api::{DeleteParams, ListParams};
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::discovery::{ApiCapabilities, ApiResource, Discovery, Scope, verbs};
use kube::{Api, Client};

use crate::requests::{RequestError, Requests};

/// Objects that are counted in one list request; a namespace with more of a kind shows at least this many.
const COUNT_MAX: u32 = 500;

/// What is left in a namespace after its content was deleted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Remaining {
    /// Objects left, by resource (`pods`, `widgets.example.com`).
    pub(super) objects: BTreeMap<String, usize>,
    /// Objects that hold a finalizer, by finalizer.
    pub(super) finalizers: BTreeMap<String, usize>,
    /// Resources that could not be deleted or listed, with what the API server said.
    pub(super) failures: BTreeMap<String, String>,
}

impl Remaining {
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.failures.is_empty()
    }

    fn add(&mut self, resource: &str, listed: &[PartialObjectMeta<DynamicObject>], more: usize) {
        if listed.is_empty() {
            return;
        }
        self.objects.insert(resource.to_owned(), listed.len() + more);
        for finalizer in listed.iter().flat_map(|object| object.metadata.finalizers.iter().flatten()) {
            *self.finalizers.entry(finalizer.clone()).or_default() += 1;
        }
    }

    /// Upstream's message of NamespaceContentRemaining.
    pub(super) fn resource_message(&self) -> Option<String> {
        let counts = self.objects.iter().map(|(resource, count)| format!("{resource} has {count} resource instances"));
        let counts: Vec<String> = counts.collect();
        (!counts.is_empty()).then(|| format!("Some resources are remaining: {}", counts.join(", ")))
    }

    /// Upstream's message of NamespaceFinalizersRemaining.
    pub(super) fn finalizer_message(&self) -> Option<String> {
        let counts =
            self.finalizers.iter().map(|(finalizer, count)| format!("{finalizer} in {count} resource instances"));
        let counts: Vec<String> = counts.collect();
        (!counts.is_empty())
            .then(|| format!("Some content in the namespace has finalizers remaining: {}", counts.join(", ")))
    }

    /// What the API server refused; empty when it refused nothing.
    pub(super) fn failure_messages(&self) -> String {
        let failures: Vec<String> =
            self.failures.iter().map(|(resource, cause)| format!("{resource}: {cause}")).collect();
        failures.join("; ")
    }
}

/// The content of one namespace.
pub(super) struct Content<'a> {
    requests: &'a Requests,
    namespace: &'a str,
}

impl<'a> Content<'a> {
    pub(super) fn new(requests: &'a Requests, namespace: &'a str) -> Self {
        Self { requests, namespace }
    }

    /// Deletes everything, pods before the rest: while pods are left, nothing else is touched.
    pub(super) async fn delete(&self) -> Result<Remaining, RequestError> {
        let resources = namespaced_resources(self.requests).await?;
        let (pods, others): (Vec<_>, Vec<_>) =
            resources.iter().partition(|(resource, _)| resource.group.is_empty() && resource.plural == "pods");
        let remaining = self.delete_all(&pods).await;
        if !remaining.is_empty() {
            return Ok(remaining);
        }
        Ok(self.delete_all(&others).await)
    }

    async fn delete_all(&self, resources: &[&(ApiResource, ApiCapabilities)]) -> Remaining {
        let mut remaining = Remaining::default();
        let results = join_all(resources.iter().map(|(resource, verbs)| self.delete_kind(resource, verbs))).await;
        for ((resource, _), result) in resources.iter().zip(results) {
            let name = match resource.group.as_str() {
                "" => resource.plural.clone(),
                group => format!("{}.{group}", resource.plural),
            };
            match result {
                Ok((listed, more)) => remaining.add(&name, &listed, more),
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    remaining.failures.insert(name, error.cause());
                }
            }
        }
        remaining
    }

    /// Deletes all objects of one kind. Returns those that are left, and how many more there are.
    async fn delete_kind(
        &self,
        resource: &ApiResource,
        capabilities: &ApiCapabilities,
    ) -> Result<(Vec<PartialObjectMeta<DynamicObject>>, usize), RequestError> {
        let objects: Api<DynamicObject> = Api::namespaced_with(self.requests.client(), self.namespace, resource);
        let parameters = DeleteParams::background();
        if capabilities.supports_operation(verbs::DELETE_COLLECTION) {
            self.requests.bounded(objects.delete_collection(&parameters, &ListParams::default())).await?;
        }
        let left = self.requests.bounded(objects.list_metadata(&ListParams::default().limit(COUNT_MAX))).await?;
        if !capabilities.supports_operation(verbs::DELETE_COLLECTION) {
            for object in &left.items {
                let name = object.metadata.name.as_deref().unwrap_or_default();
                match self.requests.bounded(objects.delete(name, &parameters)).await {
                    Err(error) if !error.is_not_found() => return Err(error),
                    _ => {}
                }
            }
        }
        let more = left.metadata.remaining_item_count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
        Ok((left.items, more))
    }
}

/// Every resource that can be in a namespace and can be listed and deleted.
async fn namespaced_resources(requests: &Requests) -> Result<Vec<(ApiResource, ApiCapabilities)>, RequestError> {
    let discovery = requests.bounded(discover(requests.client())).await?;
    // Not the recommended ones: those leave out kinds that a group serves in another than its preferred version only.
    let all = discovery.groups().flat_map(|group| group.resources_by_stability());
    let wanted = all.filter(|(_, capabilities)| {
        capabilities.scope == Scope::Namespaced
            && capabilities.supports_operation(verbs::LIST)
            && capabilities.supports_operation(verbs::DELETE)
    });
    Ok(wanted.collect())
}

async fn discover(client: Client) -> kube::Result<Discovery> {
    Discovery::new(client).run_aggregated().await
}
