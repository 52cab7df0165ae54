//! A ServiceAccount called `default` in every namespace, so that every pod has an identity.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::meta::{Meta, ObjectKey};
use crate::observed::Namespace;
use crate::queue::{Next, Queue};
use crate::requests::RequestError;
use crate::worker::{self, Reconcile};

const ACCOUNT: &str = "default";

/// Whether the namespace lacks its account.
fn plan(namespace: Option<&Namespace>, account: Option<&Meta>) -> bool {
    namespace.is_some_and(|namespace| !namespace.meta.deleting) && account.is_none()
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
    context.observed.service_accounts.subscribe(move |change| {
        if let Some(account) = change.gone().filter(|account| &*account.key.name == ACCOUNT) {
            marked.add(account.key.namespace.clone());
        }
    });
    worker::start(Controller { context: context.clone() }, queue, context, tasks, stopped);
}

struct Controller {
    context: Context,
}

impl Reconcile for Controller {
    type Key = Arc<str>;
    const NAME: &'static str = "service account";

    async fn reconcile(&self, name: &Arc<str>) -> Result<Next, RequestError> {
        let observed = &self.context.observed;
        let namespace = observed.namespaces.get(&ObjectKey::new("", name));
        let account = observed.service_accounts.get(&ObjectKey::new(name, ACCOUNT));
        if plan(namespace.as_deref(), account.as_deref()) {
            let metadata = ObjectMeta { name: Some(ACCOUNT.to_owned()), ..ObjectMeta::default() };
            let accounts = Api::namespaced(self.context.requests.client(), name);
            self.context.requests.create(&accounts, &ServiceAccount { metadata, ..ServiceAccount::default() }).await?;
        }
        Ok(Next::Wait)
    }
}
