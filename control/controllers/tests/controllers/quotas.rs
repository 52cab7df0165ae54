//! Quotas are counted when they are made and when objects go.

use k8s_openapi::api::core::v1::{ConfigMap, Pod, ResourceQuota};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::cluster::{Cluster, create, eventually};

fn used(quota: Option<&ResourceQuota>, name: &str) -> Option<String> {
    let used = quota?.status.as_ref()?.used.as_ref()?;
    used.get(name).map(|amount| amount.0.clone())
}

#[tokio::test]
async fn a_quota_is_counted_charged_and_counted_again() {
    let cluster = Cluster::start().await;
    let maps: Api<ConfigMap> = cluster.namespaced("default");
    let quotas: Api<ResourceQuota> = cluster.namespaced("default");
    create(&maps, json!({"metadata": {"name": "before"}})).await;
    let hard = json!({"count/configmaps": "3", "pods": "2", "requests.cpu": "1"});
    create(&quotas, json!({"metadata": {"name": "q"}, "spec": {"hard": hard}})).await;
    // The namespace has the cluster's certificate in a ConfigMap as well.
    eventually(&maps, "kube-root-ca.crt", |map| map.is_some()).await;
    eventually(&quotas, "q", |quota| used(quota, "count/configmaps").as_deref() == Some("2")).await;
    create(&maps, json!({"metadata": {"name": "after"}})).await;
    let quota = quotas.get("q").await.unwrap();
    assert_eq!(used(Some(&quota), "count/configmaps").as_deref(), Some("3"));
    let more = serde_json::from_value(json!({"metadata": {"name": "more"}})).unwrap();
    assert!(maps.create(&kube::api::PostParams::default(), &more).await.is_err());

    let pods: Api<Pod> = cluster.namespaced("default");
    eventually(&cluster.namespaced::<k8s_openapi::api::core::v1::ServiceAccount>("default"), "default", |a| {
        a.is_some()
    })
    .await;
    let container = json!({"name": "c", "image": "i", "resources": {"requests": {"cpu": "400m"}}});
    create::<Pod>(&pods, json!({"metadata": {"name": "p"}, "spec": {"containers": [container]}})).await;
    eventually(&quotas, "q", |quota| used(quota, "requests.cpu").as_deref() == Some("400m")).await;
    let ended = Patch::Merge(json!({"status": {"phase": "Succeeded"}}));
    pods.patch_status("p", &PatchParams::default(), &ended).await.unwrap();
    eventually(&quotas, "q", |quota| used(quota, "pods").as_deref() == Some("0")).await;

    maps.delete("before", &DeleteParams::default()).await.unwrap();
    eventually(&quotas, "q", |quota| used(quota, "count/configmaps").as_deref() == Some("2")).await;
    let wider = Patch::Merge(json!({"spec": {"hard": {"secrets": "1"}}}));
    quotas.patch("q", &PatchParams::default(), &wider).await.unwrap();
    eventually(&quotas, "q", |quota| used(quota, "secrets").as_deref() == Some("0")).await;
    cluster.stop().await;
}
