//! A cluster for one test: in this process, on port 0, in a directory that goes with it, spoken to over TLS as any
//! client would.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

use coracle::cluster::{Cluster, ClusterConfig};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The longest that a test waits for something that should happen; far above what it takes, so that a slow machine
/// fails no test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running cluster and a client with the administrator's certificate.
pub(super) struct TestCluster {
    pub(super) client: Client,
    cluster: Option<Cluster>,
    directory: TempDir,
}

impl TestCluster {
    /// A fresh cluster.
    pub(super) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    /// A cluster on a directory that may have been another's.
    pub(super) async fn start_in(directory: TempDir) -> Self {
        let mut config = ClusterConfig::new(directory.path().join("data"));
        config.api_address.set_port(0);
        config.node_name = "test-node".to_owned();
        let cluster = Cluster::start(config).await.unwrap();
        let client = client_of(cluster.kubeconfig()).await;
        Self { client, cluster: Some(cluster), directory }
    }

    pub(super) fn cluster(&self) -> &Cluster {
        self.cluster.as_ref().unwrap()
    }

    /// Stops everything and keeps the directory.
    pub(super) async fn stop(mut self) -> TempDir {
        self.cluster.take().unwrap().stop().await;
        self.directory
    }

    pub(super) fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.client.clone())
    }

    /// Creates a pod `name` of one container `main` that runs the program at `path`; `container` and `spec` replace
    /// fields of the container and of the pod.
    pub(super) async fn create_pod(&self, name: &str, path: &str, container: Value, spec: Value) -> Pod {
        self.pods().create(&PostParams::default(), &pod(name, path, container, spec)).await.unwrap()
    }

    /// Waits until the pod is as the condition says, and gives it back.
    pub(super) async fn wait_for_pod(&self, name: &str, condition: impl Fn(&Pod) -> bool) -> Pod {
        let pods = self.pods();
        eventually(|| async { pods.get(name).await.unwrap() }, condition).await
    }
}

/// A client made from a kubeconfig, as kubectl makes one.
pub(super) async fn client_of(kubeconfig: &std::path::Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// A pod of one container; see [`TestCluster::create_pod`].
pub(super) fn pod(name: &str, path: &str, container: Value, spec: Value) -> Pod {
    let main = overlay(json!({"name": "main", "image": format!("file://{path}")}), container);
    let spec = overlay(json!({"restartPolicy": "Never", "containers": [main]}), spec);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec});
    serde_json::from_value(pod).unwrap()
}

/// The fields of `base`, with those of `over` in place of its own.
fn overlay(mut base: Value, over: Value) -> Value {
    let Value::Object(over) = over else { panic!("not an object: {over}") };
    for (name, value) in over {
        base[name] = value;
    }
    base
}

/// Looks often until what is looked at is as the condition says; the last look is in the panic's message.
pub(super) async fn eventually<T, F>(look: impl Fn() -> F, condition: impl Fn(&T) -> bool) -> T
where
    T: Debug,
    F: Future<Output = T>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = look().await;
        if condition(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "not so after {PATIENCE:?}: {seen:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The phase of a pod, or "" before it has one.
pub(super) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// The status of the pod's first container as JSON, or null.
pub(super) fn container(pod: &Pod) -> Value {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.and_then(|statuses| statuses.first()).map_or(Value::Null, |status| serde_json::to_value(status).unwrap())
}

pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The answer to a GET on the loopback address, head and body.
pub(super) async fn http_get(port: u16, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
