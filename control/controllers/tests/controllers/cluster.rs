//! An API server on a directory of its own, with the controllers and nothing else.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use coracle_control_apiserver::{ApiServer, ApiServerConfig, HostLinks, UserInfo};
use coracle_control_controllers::{Controllers, ControllersConfig};
use coracle_control_store::{Store, StoreConfig};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Far above what anything here takes, so that a slow machine fails no test.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Cluster {
    pub(crate) client: Client,
    controllers: Controllers,
    _directory: TempDir,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::start_with(|config| config).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(ControllersConfig) -> ControllersConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(StoreConfig::new(directory.path())).await.unwrap();
        let api = ApiServer::new(store, ApiServerConfig::default(), HostLinks::new());
        api.bootstrap().await.unwrap();
        let client = |user| Client::new(api.router_for(user), "default");
        let config = change(ControllersConfig::new("PEM"));
        let controllers = Controllers::start(client(UserInfo::controllers()), config);
        Self { client: client(UserInfo::admin()), controllers, _directory: directory }
    }

    pub(crate) async fn stop(self) {
        tokio::time::timeout(PATIENCE, self.controllers.stop()).await.unwrap();
    }

    pub(crate) fn all<K: Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    pub(crate) fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }
}

pub(crate) async fn create<K>(objects: &Api<K>, object: Value) -> K
where
    K: Clone + DeserializeOwned + Debug + Serialize,
{
    objects.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
}

/// Looks often until what is looked at is as wanted; the last look is in the panic's message.
pub(crate) async fn eventually<K>(objects: &Api<K>, name: &str, wanted: impl Fn(Option<&K>) -> bool) -> Option<K>
where
    K: Clone + DeserializeOwned + Debug,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = objects.get_opt(name).await.unwrap();
        if wanted(seen.as_ref()) {
            return seen;
        }
        assert!(Instant::now() < deadline, "{name} is not so after {PATIENCE:?}: {seen:#?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Says of a pod what its host would say.
pub(crate) async fn mark_ready(pods: &Api<Pod>, name: &str) {
    pods.patch_status(name, &PatchParams::default(), &running_and_ready()).await.unwrap();
}

fn running_and_ready() -> Patch<Value> {
    let condition = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let addresses = json!([{"ip": "100.64.0.1"}]);
    let status = json!({"phase": "Running", "podIP": "100.64.0.1", "podIPs": addresses, "conditions": [condition]});
    Patch::Strategic(json!({"status": status}))
}

/// A host that makes every pod ready as soon as it sees it, until the answer is dropped.
pub(crate) fn keep_ready(pods: Api<Pod>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            for pod in pods.list(&ListParams::default()).await.unwrap().items {
                let status = pod.status.unwrap_or_default();
                if status.phase.as_deref() == Some("Pending") && pod.metadata.deletion_timestamp.is_none() {
                    // The pod may be gone by now.
                    let _ = pods
                        .patch_status(&pod.metadata.name.unwrap(), &PatchParams::default(), &running_and_ready())
                        .await;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    tasks
}
