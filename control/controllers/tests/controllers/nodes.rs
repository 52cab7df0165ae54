use std::time::Duration;

use coracle_control_controllers::ControllersConfig;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::cluster::{Cluster, create, eventually};

const GRACE: Duration = Duration::from_millis(300);

fn impatient(config: ControllersConfig) -> ControllersConfig {
    ControllersConfig { node_monitor_grace_period: GRACE, missing_node_quarantine: GRACE, ..config }
}

fn ready(node: &Node) -> &str {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.into_iter().flatten().find(|condition| condition.type_ == "Ready");
    ready.map_or("", |ready| &ready.status)
}

fn taints(node: &Node) -> Vec<String> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).into_iter().flatten();
    taints.map(|taint| format!("{}:{}", taint.key.trim_start_matches("node.kubernetes.io/"), taint.effect)).collect()
}

fn pod_on(name: &str, node: &str) -> serde_json::Value {
    let containers = json!([{"name": "main", "image": "program:1"}]);
    json!({"metadata": {"name": name}, "spec": {"nodeName": node, "containers": containers}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_node_is_marked_and_a_node_that_speaks_again_is_welcome() {
    let cluster = Cluster::start_with(impatient).await;
    let (nodes, pods) = (cluster.all::<Node>(), cluster.namespaced::<Pod>("default"));
    let healthy = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    create(&nodes, json!({"metadata": {"name": "a"}, "status": healthy})).await;
    create(&pods, pod_on("p", "a")).await;
    let running = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    pods.patch_status("p", &PatchParams::default(), &Patch::Strategic(running)).await.unwrap();

    let lost = |node: Option<&Node>| {
        node.is_some_and(|node| {
            ready(node) == "Unknown" && taints(node) == ["unreachable:NoSchedule", "unreachable:NoExecute"]
        })
    };
    eventually(&nodes, "a", lost).await;
    let doubted = |pod: Option<&Pod>| {
        let conditions = pod.and_then(|pod| pod.status.as_ref()).and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "False")
    };
    eventually(&pods, "p", doubted).await;

    nodes.patch_status("a", &PatchParams::default(), &Patch::Strategic(json!({"status": healthy}))).await.unwrap();
    eventually(&nodes, "a", |node| node.is_some_and(|node| ready(node) == "True" && taints(node).is_empty())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_renewed_keeps_its_node_alive() {
    let cluster = Cluster::start_with(impatient).await;
    let (nodes, leases) = (cluster.all::<Node>(), cluster.namespaced::<Lease>("kube-node-lease"));
    create(&nodes, json!({"metadata": {"name": "a"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}))
        .await;
    create(&leases, json!({"metadata": {"name": "a"}, "spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}})).await;
    for renewal in 1..12 {
        tokio::time::sleep(GRACE / 6).await;
        let renewed = json!({"spec": {"renewTime": format!("2026-01-01T00:00:{renewal:02}.000000Z")}});
        leases.patch("a", &PatchParams::default(), &Patch::Merge(renewed)).await.unwrap();
        assert_eq!(ready(&nodes.get("a").await.unwrap()), "True");
    }
    eventually(&nodes, "a", |node| node.is_some_and(|node| ready(node) == "Unknown")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_on_a_node_that_does_not_exist_are_deleted() {
    let cluster = Cluster::start_with(impatient).await;
    let pods = cluster.namespaced::<Pod>("default");
    create(&cluster.all::<Node>(), json!({"metadata": {"name": "here"}})).await;
    create(&pods, pod_on("lost", "nowhere")).await;
    create(&pods, pod_on("kept", "here")).await;
    eventually(&pods, "lost", |pod| pod.is_none()).await;
    assert!(pods.get_opt("kept").await.unwrap().is_some());
}
