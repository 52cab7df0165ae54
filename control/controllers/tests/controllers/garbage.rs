use std::time::Duration;

use coracle_control_controllers::ControllersConfig;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Secret};
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
