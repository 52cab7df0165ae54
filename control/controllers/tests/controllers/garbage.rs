use std::time::Duration;

use coracle_control_controllers::ControllersConfig;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret};
use kube::api::{Api, DeleteParams, PropagationPolicy};
use serde_json::{Value, json};

use super::cluster::{Cluster, create, eventually};

fn owned_by(name: &str, owner: &ConfigMap) -> Value {
    let reference = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner.metadata.name, "uid": owner.metadata.uid,
        "blockOwnerDeletion": true,
    });
    json!({"metadata": {"name": name, "ownerReferences": [reference]}})
}

/// An owner, a Secret that it owns, and a ConfigMap that the Secret does not know of but the owner does.
async fn family(cluster: &Cluster) -> (Api<ConfigMap>, Api<Secret>) {
    let (maps, secrets) = (cluster.namespaced::<ConfigMap>("default"), cluster.namespaced::<Secret>("default"));
    let owner = create(&maps, json!({"metadata": {"name": "owner"}})).await;
    create(&secrets, owned_by("child", &owner)).await;
    create(&maps, owned_by("sibling", &owner)).await;
    (maps, secrets)
}

fn deleting(how: PropagationPolicy) -> DeleteParams {
    DeleteParams { propagation_policy: Some(how), ..DeleteParams::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_background_dependents_follow_their_owner() {
    let cluster = Cluster::start().await;
    let (maps, secrets) = family(&cluster).await;
    maps.delete("owner", &deleting(PropagationPolicy::Background)).await.unwrap();
    eventually(&secrets, "child", |child| child.is_none()).await;
    eventually(&maps, "sibling", |sibling| sibling.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_foreground_the_owner_goes_last() {
    let cluster = Cluster::start().await;
    let (maps, secrets) = family(&cluster).await;
    maps.delete("owner", &deleting(PropagationPolicy::Foreground)).await.unwrap();
    eventually(&maps, "owner", |owner| owner.is_none()).await;
    assert!(secrets.get_opt("child").await.unwrap().is_none());
    assert!(maps.get_opt("sibling").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_stay_and_forget_their_owner() {
    let cluster = Cluster::start().await;
    let (maps, secrets) = family(&cluster).await;
    maps.delete("owner", &deleting(PropagationPolicy::Orphan)).await.unwrap();
    eventually(&maps, "owner", |owner| owner.is_none()).await;
    let child = secrets.get("child").await.unwrap();
    assert_eq!(child.metadata.owner_references.unwrap_or_default(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_whose_owner_never_existed_goes() {
    let cluster = Cluster::start().await;
    let secrets = cluster.namespaced::<Secret>("default");
    let reference = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "no-such-uid"});
    create(&secrets, json!({"metadata": {"name": "stray", "ownerReferences": [reference]}})).await;
    eventually(&secrets, "stray", |stray| stray.is_none()).await;
}

fn owned(name: &str, api_version: &str, kind: &str, uid: Option<&String>) -> Value {
    let reference = json!({
        "apiVersion": api_version, "kind": kind, "name": "owner", "uid": uid, "controller": true, "blockOwnerDeletion": true,
    });
    json!({"name": name, "labels": {"app": "shop"}, "ownerReferences": [reference]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_deleted_without_its_pod_goes_and_leaves_it() {
    let cluster = Cluster::start().await;
    let (jobs, pods) = (cluster.namespaced::<Job>("default"), cluster.namespaced::<Pod>("default"));
    let spec = json!({"containers": [{"name": "main", "image": "program:1"}], "restartPolicy": "Never"});
    let job = create(&jobs, json!({"metadata": {"name": "owner"}, "spec": {"template": {"spec": spec}}})).await;
    let metadata = owned("p", "batch/v1", "Job", job.metadata.uid.as_ref());
    create(&pods, json!({"metadata": metadata, "spec": spec})).await;
    jobs.delete("owner", &deleting(PropagationPolicy::Orphan)).await.unwrap();
    eventually(&jobs, "owner", |job| job.is_none()).await;
    let pod = pods.get("p").await.unwrap();
    assert_eq!(pod.metadata.owner_references.unwrap_or_default(), []);
    assert_eq!(pod.metadata.deletion_timestamp, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_takes_its_replica_sets_and_their_pods_along() {
    let cluster = Cluster::start().await;
    let deployments = cluster.namespaced::<Deployment>("default");
    let (sets, pods) = (cluster.namespaced::<ReplicaSet>("default"), cluster.namespaced::<Pod>("default"));
    let pod_spec = json!({"containers": [{"name": "main", "image": "program:1"}]});
    let selected = json!({"app": "shop"});
    let template = json!({"metadata": {"labels": selected}, "spec": pod_spec});
    let spec = json!({"replicas": 0, "selector": {"matchLabels": selected}, "template": template});
    for how in [PropagationPolicy::Background, PropagationPolicy::Foreground] {
        let deployment = create(&deployments, json!({"metadata": {"name": "owner"}, "spec": spec})).await;
        let metadata = owned("owner", "apps/v1", "Deployment", deployment.metadata.uid.as_ref());
        let set = create(&sets, json!({"metadata": metadata, "spec": spec})).await;
        let metadata = owned("p", "apps/v1", "ReplicaSet", set.metadata.uid.as_ref());
        create(&pods, json!({"metadata": metadata, "spec": pod_spec})).await;
        let in_foreground = matches!(how, PropagationPolicy::Foreground);
        // The collector waits for the dependents that it has seen. Whatever comes after them on the same watches and is
        // collected shows that it has.
        let never_was = Some("an-owner-that-never-was".to_owned());
        let metadata = owned("orphan", "apps/v1", "Deployment", never_was.as_ref());
        create(&sets, json!({"metadata": metadata, "spec": spec})).await;
        eventually(&sets, "orphan", |set| set.is_none()).await;
        let metadata = owned("orphan", "apps/v1", "ReplicaSet", never_was.as_ref());
        create(&pods, json!({"metadata": metadata, "spec": pod_spec})).await;
        eventually(&pods, "orphan", |pod| pod.is_none()).await;
        deployments.delete("owner", &deleting(how)).await.unwrap();
        eventually(&deployments, "owner", |deployment| deployment.is_none()).await;
        if in_foreground {
            assert!(pods.get_opt("p").await.unwrap().is_none(), "the owner goes last");
        }
        eventually(&sets, "owner", |set| set.is_none()).await;
        eventually(&pods, "p", |pod| pod.is_none()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_events_go() {
    let brief = |config| ControllersConfig { event_time_to_live: Duration::from_millis(100), ..config };
    let cluster = Cluster::start_with(brief).await;
    let events = cluster.namespaced::<Event>("default");
    let about = json!({"kind": "Pod", "name": "p", "namespace": "default"});
    create(&events, json!({"metadata": {"name": "news"}, "involvedObject": about, "reason": "Test", "message": "m"}))
        .await;
    eventually(&events, "news", |event| event.is_none()).await;
}
