use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, StatefulSet};
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::cluster::{Cluster, create, eventually, keep_ready};

fn template(image: &str) -> Value {
    let spec = json!({"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": image}]});
    json!({"metadata": {"labels": {"app": "db"}}, "spec": spec})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stateful_set_has_names_claims_and_revisions() {
    let cluster = Cluster::start().await;
    let (sets, pods) = (cluster.namespaced::<StatefulSet>("default"), cluster.namespaced::<Pod>("default"));
    let _hosts = keep_ready(pods.clone());
    let claim = json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let spec = json!({
        "replicas": 3, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}}, "template": template("program:1"),
        "volumeClaimTemplates": [claim], "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"},
    });
    create(&sets, json!({"metadata": {"name": "db"}, "spec": spec})).await;
    let is_done = |set: &StatefulSet| {
        let status = set.status.clone().unwrap_or_default();
        status.observed_generation == set.metadata.generation
            && [status.ready_replicas, status.updated_replicas, status.available_replicas] == [Some(3); 3]
            && status.current_revision == status.update_revision
    };
    let first = eventually(&sets, "db", |set| set.is_some_and(is_done)).await.unwrap();
    let pod = pods.get("db-1").await.unwrap();
    let spec = pod.spec.unwrap();
    assert_eq!((spec.hostname.as_deref(), spec.subdomain.as_deref()), (Some("db-1"), Some("db")));
    let mounted = spec.volumes.unwrap().into_iter().find_map(|volume| volume.persistent_volume_claim);
    assert_eq!(mounted.unwrap().claim_name, "data-db-1");
    let claims = cluster.namespaced::<PersistentVolumeClaim>("default");
    let owners = claims.get("data-db-2").await.unwrap().metadata.owner_references.unwrap();
    assert_eq!(owners[0].kind, "StatefulSet");
    sets.patch("db", &PatchParams::default(), &Patch::Merge(json!({"spec": {"template": template("program:2")}})))
        .await
        .unwrap();
    let before = first.status.unwrap().update_revision;
    let updated = |set: &StatefulSet| is_done(set) && set.status.as_ref().unwrap().update_revision != before;
    eventually(&sets, "db", |set| set.is_some_and(updated)).await;
    let image = pods.get("db-0").await.unwrap().spec.unwrap().containers[0].image.clone();
    assert_eq!(image.as_deref(), Some("program:2"));
    let revisions = cluster.namespaced::<ControllerRevision>("default").list(&ListParams::default()).await.unwrap();
    assert_eq!(revisions.items.len(), 2);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_set_has_one_pod_on_every_node() {
    let cluster = Cluster::start().await;
    let (sets, pods) = (cluster.namespaced::<DaemonSet>("default"), cluster.namespaced::<Pod>("default"));
    let nodes = cluster.all::<Node>();
    for name in ["a", "b", "c"] {
        let labels = json!({"disk": if name == "c" { "slow" } else { "fast" }});
        let healthy = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        create(&nodes, json!({"metadata": {"name": name, "labels": labels}, "status": healthy})).await;
    }
    let _hosts = keep_ready(pods.clone());
    let mut template = template("program:1");
    template["spec"]["nodeSelector"] = json!({"disk": "fast"});
    let spec = json!({"selector": {"matchLabels": {"app": "db"}}, "template": template});
    create(&sets, json!({"metadata": {"name": "agent"}, "spec": spec})).await;
    let counted = |set: &DaemonSet, count: i32| {
        let status = set.status.clone().unwrap_or_default();
        (status.desired_number_scheduled, status.number_available) == (count, Some(count))
            && status.updated_number_scheduled == Some(count)
            && status.observed_generation == set.metadata.generation
    };
    eventually(&sets, "agent", |set| set.is_some_and(|set| counted(set, 2))).await;
    nodes
        .patch("c", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"labels": {"disk": "fast"}}})))
        .await
        .unwrap();
    eventually(&sets, "agent", |set| set.is_some_and(|set| counted(set, 3))).await;
    template["spec"]["containers"][0]["image"] = json!("program:2");
    sets.patch("agent", &PatchParams::default(), &Patch::Merge(json!({"spec": {"template": template}}))).await.unwrap();
    eventually(&sets, "agent", |set| set.is_some_and(|set| counted(set, 3))).await;
    cluster.stop().await;
}
