//! The ConfigMap `kube-root-ca.crt` in every namespace: with it a pod checks that it speaks with the real API server.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::meta::ObjectKey;
use crate::observed::Namespace;
use crate::queue::{Next, Queue};
use crate::requests::RequestError;
use crate::worker::{self, Reconcile};

const CONFIG_MAP: &str = "kube-root-ca.crt";
const ENTRY: &str = "ca.crt";

#[derive(Debug, PartialEq, Eq)]
enum Action {
    Nothing,
    Create,
    Repair,
}

/// What to do, given the namespace and the data of the ConfigMap that is there.
fn plan(namespace: Option<&Namespace>, data: Option<&BTreeMap<String, String>>, ca_pem: &str) -> Action {
    if namespace.is_none_or(|namespace| namespace.meta.deleting) {
        return Action::Nothing;
    }
    match data {
        None => Action::Create,
        Some(data) if data.len() == 1 && data.get(ENTRY).is_some_and(|pem| pem == ca_pem) => Action::Nothing,
        Some(_) => Action::Repair,
    }
}

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    let marked = queue.clone();
    context.observed.namespaces.subscribe(move |change| {
        if let Some(namespace) = change.new {
            marked.add(namespace.meta.key.name.clone());
        }
    });
    let marked = queue.clone();
    context.observed.config_maps.subscribe(move |change| {
        if let Some(map) = change.latest().filter(|map| &*map.key.name == CONFIG_MAP) {
            marked.add(map.key.namespace.clone());
        }
    });
    worker::start(Controller { context: context.clone() }, queue, context, tasks, stopped);
}

struct Controller {
    context: Context,
}

impl Controller {
    /// The data of the ConfigMap. The cache holds metadata only, so an existing one is read from the API server.
    async fn data(
        &self,
        maps: &Api<ConfigMap>,
        namespace: &str,
    ) -> Result<Option<BTreeMap<String, String>>, RequestError> {
        if self.context.observed.config_maps.get(&ObjectKey::new(namespace, CONFIG_MAP)).is_none() {
            return Ok(None);
        }
        let map = self.context.requests.bounded(maps.get_opt(CONFIG_MAP)).await?;
        Ok(map.map(|map| map.data.unwrap_or_default()))
    }
}

impl Reconcile for Controller {
    type Key = Arc<str>;
    const NAME: &'static str = "root certificate";

    async fn reconcile(&self, name: &Arc<str>) -> Result<Next, RequestError> {
        let requests = &self.context.requests;
        let maps: Api<ConfigMap> = Api::namespaced(requests.client(), name);
        let namespace = self.context.observed.namespaces.get(&ObjectKey::new("", name));
        let data = self.data(&maps, name).await?;
        let data_wanted = BTreeMap::from([(ENTRY.to_owned(), self.context.config.ca_pem.clone())]);
        match plan(namespace.as_deref(), data.as_ref(), &self.context.config.ca_pem) {
            Action::Nothing => {}
            Action::Create => {
                let metadata = ObjectMeta { name: Some(CONFIG_MAP.to_owned()), ..ObjectMeta::default() };
                requests
                    .create(&maps, &ConfigMap { metadata, data: Some(data_wanted), ..ConfigMap::default() })
                    .await?;
            }
            Action::Repair => {
                let mut patched: serde_json::Map<_, _> =
                    data.into_iter().flatten().map(|(key, _)| (key, json!(null))).collect();
                patched.extend(data_wanted.into_iter().map(|(key, value)| (key, json!(value))));
                requests.patch(&maps, CONFIG_MAP, json!({"data": patched})).await?;
            }
        }
        Ok(Next::Wait)
    }
}

#[cfg(test)]
mod tests;
