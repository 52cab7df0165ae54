use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PropagationPolicy};
use serde_json::{Value, json};

use super::cluster::{Cluster, create, eventually, mark_ready};

fn template() -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "program:1"}]}})
}

fn set(replicas: i32) -> Value {
    let spec = json!({"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template()});
    json!({"metadata": {"name": "web"}, "spec": spec})
}

async fn names(pods: &Api<Pod>) -> BTreeSet<String> {
    let list = pods.list(&ListParams::default()).await.unwrap();
    let alive = list.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    alive.filter_map(|pod| pod.metadata.name).collect()
}

async fn wait_for_count(pods: &Api<Pod>, count: usize) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while names(pods).await.len() != count {
        assert!(std::time::Instant::now() < deadline, "there are not {count} pods");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn patch<K>(objects: &Api<K>, name: &str, patch: Value)
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    objects.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

fn counts(set: &ReplicaSet) -> (i32, i32, i32) {
    let status = set.status.clone().unwrap_or_default();
    (status.replicas, status.ready_replicas.unwrap_or(0), status.available_replicas.unwrap_or(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_set_keeps_its_number() {
    let cluster = Cluster::start().await;
    let (sets, pods) = (cluster.namespaced::<ReplicaSet>("default"), cluster.namespaced::<Pod>("default"));
    create(&sets, set(30)).await;
    eventually(&sets, "web", |set| set.is_some_and(|set| counts(set) == (30, 0, 0))).await;
    let made = names(&pods).await;
    assert_eq!(made.len(), 30, "no pod is made twice");
    for name in &made {
        mark_ready(&pods, name).await;
    }
    eventually(&sets, "web", |set| set.is_some_and(|set| counts(set) == (30, 30, 30))).await;
    patch(&sets, "web", json!({"spec": {"replicas": 2}})).await;
    let set = eventually(&sets, "web", |set| set.is_some_and(|set| counts(set) == (2, 2, 2))).await.unwrap();
    assert_eq!(set.status.unwrap().observed_generation, set.metadata.generation);
    assert_eq!(names(&pods).await.len(), 2);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_set_adopts_and_releases_by_labels() {
    let cluster = Cluster::start().await;
    let (sets, pods) = (cluster.namespaced::<ReplicaSet>("default"), cluster.namespaced::<Pod>("default"));
    let orphan = json!({"metadata": {"name": "orphan", "labels": {"app": "web"}}, "spec": template()["spec"]});
    create(&pods, orphan).await;
    let made = create(&sets, set(2)).await;
    let is_owned = |pod: Option<&Pod>| {
        pod.is_some_and(|pod| !pod.metadata.owner_references.iter().flatten().collect::<Vec<_>>().is_empty())
    };
    let orphan = eventually(&pods, "orphan", is_owned).await.unwrap();
    let reference = &orphan.metadata.owner_references.unwrap()[0];
    assert_eq!((Some(&reference.uid), reference.controller), (made.metadata.uid.as_ref(), Some(true)));
    eventually(&sets, "web", |set| set.is_some_and(|set| counts(set).0 == 2)).await;
    patch(&pods, "orphan", json!({"metadata": {"labels": {"app": "other"}}})).await;
    eventually(&pods, "orphan", |pod| !is_owned(pod)).await;
    wait_for_count(&pods, 3).await;
    let orphaning = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    sets.delete("web", &orphaning).await.unwrap();
    eventually(&sets, "web", |set| set.is_none()).await;
    assert_eq!(names(&pods).await.len(), 3);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_told_in_condition_and_event() {
    let cluster = Cluster::start().await;
    let sets = cluster.namespaced::<ReplicaSet>("default");
    let mut refused = set(3);
    refused["spec"]["template"]["spec"]["serviceAccountName"] = json!("nobody");
    create(&sets, refused).await;
    let failed = eventually(&sets, "web", |set| {
        set.is_some_and(|set| set.status.as_ref().and_then(|status| status.conditions.as_ref()).is_some())
    })
    .await
    .unwrap();
    let condition = &failed.status.unwrap().conditions.unwrap()[0];
    assert_eq!((condition.type_.as_str(), condition.reason.as_deref()), ("ReplicaFailure", Some("FailedCreate")));
    assert!(condition.message.as_deref().unwrap().contains("serviceaccount \"nobody\" not found"), "{condition:?}");
    let events = cluster.namespaced::<k8s_openapi::api::core::v1::Event>("default");
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        let list = events.list(&ListParams::default()).await.unwrap();
        let told = list.items.iter().any(|event| {
            event.reason.as_deref() == Some("FailedCreate")
                && event.message.as_deref().is_some_and(|message| message.starts_with("Error creating: pods"))
        });
        if told {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{list:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replication_controller_keeps_its_number() {
    let cluster = Cluster::start().await;
    let controllers = cluster.namespaced::<ReplicationController>("default");
    let pods = cluster.namespaced::<Pod>("default");
    create(&controllers, json!({"metadata": {"name": "old"}, "spec": {"replicas": 3, "template": template()}})).await;
    let counted = |rc: &ReplicationController| rc.status.as_ref().is_some_and(|status| status.replicas == 3);
    eventually(&controllers, "old", |rc| rc.is_some_and(counted)).await;
    let first = names(&pods).await.pop_first().unwrap();
    pods.delete(&first, &DeleteParams::default()).await.unwrap();
    eventually(&pods, &first, |pod| pod.is_none()).await;
    wait_for_count(&pods, 3).await;
    cluster.stop().await;
}
