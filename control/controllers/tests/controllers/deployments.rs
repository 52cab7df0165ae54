use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::cluster::{Cluster, create, eventually, keep_ready};

fn deployment(strategy: &Value) -> Value {
    let template = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": "program:1"}]},
    });
    let spec =
        json!({"replicas": 5, "selector": {"matchLabels": {"app": "web"}}, "template": template, "strategy": strategy});
    json!({"metadata": {"name": "web"}, "spec": spec})
}

fn progress(deployment: &Deployment) -> Option<String> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|known| known.type_ == "Progressing")?.reason.clone()
}

fn is_done(deployment: &Deployment) -> bool {
    let status = deployment.status.clone().unwrap_or_default();
    let all = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    status.observed_generation == deployment.metadata.generation
        && [status.replicas, status.updated_replicas, status.available_replicas] == [all; 3]
        && progress(deployment).as_deref() == Some("NewReplicaSetAvailable")
}

async fn patch(deployments: &Api<Deployment>, patch: Value) {
    deployments.patch("web", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}})
}

async fn rolls_out(strategy: Value) {
    let cluster = Cluster::start().await;
    let deployments = cluster.namespaced::<Deployment>("default");
    let sets = cluster.namespaced::<ReplicaSet>("default");
    let hosts = keep_ready(cluster.namespaced::<Pod>("default"));
    create(&deployments, deployment(&strategy)).await;
    eventually(&deployments, "web", |seen| seen.is_some_and(is_done)).await;
    patch(&deployments, image("program:2")).await;
    let seen = eventually(&deployments, "web", |seen| seen.is_some_and(is_done)).await.unwrap();
    let revision = |seen: &Deployment| {
        seen.metadata.annotations.clone().unwrap_or_default()["deployment.kubernetes.io/revision"].clone()
    };
    assert_eq!(revision(&seen), "2");
    patch(&deployments, image("program:1")).await;
    let seen = eventually(&deployments, "web", |seen| seen.is_some_and(is_done)).await.unwrap();
    assert_eq!(revision(&seen), "3");
    let sets = sets.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(sets.len(), 2, "the first set is used again");
    let pods = cluster.namespaced::<Pod>("default").list(&ListParams::default()).await.unwrap().items;
    let alive = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    assert_eq!(alive.count(), 5);
    drop(hosts);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_rolls_forth_and_back() {
    rolls_out(json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "30%", "maxUnavailable": 1}})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_recreates_its_pods() {
    rolls_out(json!({"type": "Recreate"})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_deployment_waits() {
    let cluster = Cluster::start().await;
    let deployments = cluster.namespaced::<Deployment>("default");
    let _hosts = keep_ready(cluster.namespaced::<Pod>("default"));
    create(&deployments, deployment(&json!({}))).await;
    eventually(&deployments, "web", |seen| seen.is_some_and(is_done)).await;
    patch(&deployments, json!({"spec": {"paused": true}})).await;
    let paused = |seen: &Deployment| progress(seen).as_deref() == Some("DeploymentPaused");
    eventually(&deployments, "web", |seen| seen.is_some_and(paused)).await;
    patch(&deployments, image("program:2")).await;
    patch(&deployments, json!({"spec": {"replicas": 7}})).await;
    let scaled = |seen: &Deployment| seen.status.as_ref().is_some_and(|status| status.available_replicas == Some(7));
    let seen = eventually(&deployments, "web", |seen| seen.is_some_and(scaled)).await.unwrap();
    assert_eq!(seen.status.unwrap().updated_replicas, None, "nothing has moved");
    patch(&deployments, json!({"spec": {"paused": false}})).await;
    eventually(&deployments, "web", |seen| seen.is_some_and(is_done)).await;
    cluster.stop().await;
}
