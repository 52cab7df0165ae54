//! The scheduler on a real API server: pods go in, Bindings, conditions and Events come out.
#![expect(clippy::unwrap_used, reason = "a test ends at the first failure")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use coracle_control_apiserver::{ApiServer, ApiServerConfig, HostLinks, UserInfo};
use coracle_control_scheduler::{Scheduler, SchedulerConfig};
use coracle_control_store::{Store, StoreConfig};
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

/// Far above what anything here takes, so that a slow machine fails no test.
const PATIENCE: Duration = Duration::from_secs(30);

struct Cluster {
    client: Client,
    scheduler: Scheduler,
    /// When the scheduler sent each Binding.
    bindings: Arc<Mutex<Vec<Instant>>>,
    _directory: TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(StoreConfig::new(directory.path())).await.unwrap();
        // No controller is here that makes service accounts and takes the first taint off a node.
        let disabled_admission_plugins = ["ServiceAccount", "TaintNodesByCondition"].map(str::to_owned).into();
        let config = ApiServerConfig { disabled_admission_plugins, ..ApiServerConfig::default() };
        let api = ApiServer::new(store, config, HostLinks::new());
        api.bootstrap().await.unwrap();
        let client = |user| Client::new(api.router_for(user), "default");
        let bindings = Arc::new(Mutex::new(Vec::new()));
        let sent = bindings.clone();
        let noting =
            api.router_for(UserInfo::scheduler()).map_request(move |request: http::Request<kube::client::Body>| {
                if request.uri().path().ends_with("/binding") {
                    sent.lock().unwrap().push(Instant::now());
                }
                request
            });
        let scheduler = Scheduler::start(Client::new(noting, "default"), SchedulerConfig::default());
        Self { client: client(UserInfo::admin()), scheduler, bindings, _directory: directory }
    }

    fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.client.clone())
    }

    fn nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    /// Adds a node of 4 cores, 8 GiB and so many pods.
    async fn add_node(&self, name: &str, pods: u32) {
        let amounts = json!({"cpu": "4", "memory": "8Gi", "pods": pods.to_string()});
        let node = json!({"metadata": {"name": name}, "status": {"capacity": amounts, "allocatable": amounts}});
        self.nodes().create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
    }

    async fn create(&self, name: &str, spec: &Value) {
        let mut pod =
            json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "main", "image": "program:1"}]}});
        pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        self.pods().create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    }

    async fn wait_for(&self, name: &str, wanted: impl Fn(&Pod) -> bool) -> Pod {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let pod = self.pods().get(name).await.unwrap();
            if wanted(&pod) {
                return pod;
            }
            assert!(Instant::now() < deadline, "not so after {PATIENCE:?}: {pod:#?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// `reason: message` of the Events about a pod, once there are so many.
    async fn events(&self, pod: &str, count: usize) -> Vec<String> {
        let events: Api<Event> = Api::default_namespaced(self.client.clone());
        let about = ListParams::default().fields(&format!("involvedObject.name={pod}"));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let listed = events.list(&about).await.unwrap().items;
            if listed.len() >= count {
                let line = |event: &Event| {
                    format!("{}: {}", event.reason.as_deref().unwrap(), event.message.as_deref().unwrap())
                };
                return listed.iter().map(line).collect();
            }
            assert!(Instant::now() < deadline, "{} events about {pod}", listed.len());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

fn scheduled_condition(pod: &Pod) -> Option<(String, String)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|condition| condition.type_ == "PodScheduled")?;
    Some((condition.status.clone(), condition.message.clone().unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_is_bound_and_its_event_says_so() {
    let cluster = Cluster::start().await;
    cluster.add_node("a", 10).await;
    cluster.create("p", &json!({})).await;
    let pod = cluster.wait_for("p", |pod| node_of(pod).is_some()).await;
    assert_eq!(node_of(&pod), Some("a"));
    assert_eq!(scheduled_condition(&pod).map(|(status, _)| status).as_deref(), Some("True"));
    assert_eq!(cluster.events("p", 1).await, ["Scheduled: Successfully assigned default/p to a"]);
    tokio::time::timeout(PATIENCE, cluster.scheduler.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_fits_nowhere_says_why_and_is_bound_when_it_fits() {
    let cluster = Cluster::start().await;
    cluster.add_node("a", 1).await;
    cluster.create("first", &json!({})).await;
    cluster.wait_for("first", |pod| node_of(pod).is_some()).await;
    cluster.create("second", &json!({})).await;
    let pod = cluster
        .wait_for("second", |pod| scheduled_condition(pod).is_some_and(|(_, message)| !message.is_empty()))
        .await;
    let why = "0/1 nodes are available: 1 Too many pods. preemption: 0/1 nodes are available: \
               1 No preemption victims found for incoming pod.";
    assert_eq!(scheduled_condition(&pod), Some(("False".to_owned(), why.to_owned())));
    assert_eq!(cluster.events("second", 1).await, [format!("FailedScheduling: {why}")]);
    cluster.pods().delete("first", &DeleteParams::default().grace_period(0)).await.unwrap();
    cluster.wait_for("second", |pod| node_of(pod) == Some("a")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_waits_for_its_gates_and_for_a_node() {
    let cluster = Cluster::start().await;
    cluster.create("early", &json!({})).await;
    let pod =
        cluster.wait_for("early", |pod| scheduled_condition(pod).is_some_and(|(_, message)| !message.is_empty())).await;
    assert_eq!(scheduled_condition(&pod).unwrap().1, "no nodes available to schedule pods");
    cluster.create("gated", &json!({"schedulingGates": [{"name": "example.com/wait"}]})).await;
    cluster.add_node("a", 10).await;
    cluster.wait_for("early", |pod| node_of(pod).is_some()).await;
    assert_eq!(node_of(&cluster.pods().get("gated").await.unwrap()), None);
    let open = Patch::Merge(json!({"spec": {"schedulingGates": null}}));
    cluster.pods().patch("gated", &PatchParams::default(), &open).await.unwrap();
    cluster.wait_for("gated", |pod| node_of(pod).is_some()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pods_fills_the_nodes_and_no_more() {
    let cluster = Cluster::start().await;
    for name in ["a", "b", "c"] {
        cluster.add_node(name, 50).await;
    }
    let names: Vec<String> = (0..160).map(|number| format!("p{number}")).collect();
    let start = Instant::now();
    let nothing = json!({});
    join_all(names.iter().map(|name| cluster.create(name, &nothing))).await;
    let deadline = Instant::now() + PATIENCE;
    let pods = loop {
        let pods = cluster.pods().list(&ListParams::default()).await.unwrap().items;
        let decided = |pod: &&Pod| {
            node_of(pod).is_some() || scheduled_condition(pod).is_some_and(|(_, message)| !message.is_empty())
        };
        if pods.iter().filter(decided).count() == names.len() {
            break pods;
        }
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    eprintln!("created and decided on {} pods in {:?}", pods.len(), start.elapsed());
    for name in ["a", "b", "c"] {
        assert_eq!(pods.iter().filter(|pod| node_of(pod) == Some(name)).count(), 50, "{name}");
    }
}

/// The figure is printed, not asserted: it is about a debug build on a shared machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_event_to_the_binding_is_short() {
    let cluster = Cluster::start().await;
    cluster.add_node("a", 1000).await;
    cluster.create("warm", &json!({})).await;
    cluster.wait_for("warm", |pod| node_of(pod).is_some()).await;
    let mut events =
        std::pin::pin!(watcher(cluster.pods(), watcher::Config::default().streaming_lists()).applied_objects());
    // The watch has begun when it tells of a pod that was there before.
    while let Some(pod) = futures::StreamExt::next(&mut events).await {
        if pod.unwrap().name_any() == "warm" {
            break;
        }
    }
    let mut delays = Vec::new();
    for number in 0..50 {
        let name = format!("p{number}");
        cluster.create(&name, &json!({})).await;
        let mut seen = None;
        while let Some(pod) = futures::StreamExt::next(&mut events).await {
            let pod = pod.unwrap();
            if pod.name_any() == name && node_of(&pod).is_none() {
                seen = seen.or(Some(Instant::now()));
            } else if pod.name_any() == name {
                break;
            }
        }
        let sent = *cluster.bindings.lock().unwrap().last().unwrap();
        delays.extend(seen.map(|seen| sent.saturating_duration_since(seen)));
    }
    delays.sort_unstable();
    eprintln!(
        "from seeing a pod to sending its binding: p50 {:?}, max {:?}",
        delays[delays.len() / 2],
        delays.last().unwrap()
    );
    assert_eq!(delays.len(), 50);
}
