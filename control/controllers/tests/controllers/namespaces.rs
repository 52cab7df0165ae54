use std::time::Instant;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{
    ConfigMap, Namespace, PersistentVolume, PersistentVolumeClaim, Pod, Secret, ServiceAccount,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::json;

use super::cluster::{Cluster, create, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_namespace_gets_its_account_and_the_root_certificate_and_keeps_them() {
    let cluster = Cluster::start().await;
    create(&cluster.all::<Namespace>(), json!({"metadata": {"name": "shop"}})).await;
    let (accounts, maps) = (cluster.namespaced::<ServiceAccount>("shop"), cluster.namespaced::<ConfigMap>("shop"));
    let first = eventually(&accounts, "default", |account| account.is_some()).await.unwrap();
    let pem =
        |map: Option<&ConfigMap>| map.and_then(|map| map.data.clone()).and_then(|data| data.get("ca.crt").cloned());
    eventually(&maps, "kube-root-ca.crt", |map| pem(map).as_deref() == Some("PEM")).await;

    accounts.delete("default", &DeleteParams::default()).await.unwrap();
    eventually(&accounts, "default", |account| {
        account.is_some_and(|account| account.metadata.uid != first.metadata.uid)
    })
    .await;
    let forged = Patch::Merge(json!({"data": {"ca.crt": "FORGED", "more": "x"}}));
    maps.patch("kube-root-ca.crt", &PatchParams::default(), &forged).await.unwrap();
    let healed = |map: Option<&ConfigMap>| {
        pem(map).as_deref() == Some("PEM")
            && map.is_some_and(|map| map.data.as_ref().is_some_and(|data| data.len() == 1))
    };
    eventually(&maps, "kube-root-ca.crt", healed).await;
    // The namespaces that are there from the beginning are served as well.
    eventually(&cluster.namespaced::<ServiceAccount>("kube-system"), "default", |account| account.is_some()).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_goes_with_everything_in_it() {
    let cluster = Cluster::start().await;
    let namespaces = cluster.all::<Namespace>();
    create(&namespaces, json!({"metadata": {"name": "shop"}})).await;
    eventually(&cluster.namespaced::<ServiceAccount>("shop"), "default", |account| account.is_some()).await;
    for number in 0..20 {
        create(&cluster.namespaced::<Secret>("shop"), json!({"metadata": {"name": format!("s{number}")}})).await;
        let spec = json!({"containers": [{"name": "main", "image": "program:1"}]});
        create(&cluster.namespaced::<Pod>("shop"), json!({"metadata": {"name": format!("p{number}")}, "spec": spec}))
            .await;
    }
    let start = Instant::now();
    namespaces.delete("shop", &DeleteParams::default()).await.unwrap();
    eventually(&namespaces, "shop", |namespace| namespace.is_none()).await;
    eprintln!("a namespace with 20 secrets and 20 pods went in {:?}", start.elapsed());
    assert!(cluster.namespaced::<Secret>("shop").list(&Default::default()).await.unwrap().items.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_with_a_finalizer_holds_its_namespace_and_says_so() {
    let cluster = Cluster::start().await;
    let namespaces = cluster.all::<Namespace>();
    create(&namespaces, json!({"metadata": {"name": "shop"}})).await;
    let maps = cluster.namespaced::<ConfigMap>("shop");
    create(&maps, json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}})).await;
    namespaces.delete("shop", &DeleteParams::default()).await.unwrap();
    let message = |namespace: &Namespace, kind: &str| {
        let conditions = namespace.status.as_ref().and_then(|status| status.conditions.as_ref())?;
        conditions.iter().find(|condition| condition.type_ == kind).and_then(|condition| condition.message.clone())
    };
    let reported = |namespace: Option<&Namespace>| {
        let finalizers = namespace.and_then(|namespace| message(namespace, "NamespaceFinalizersRemaining"));
        let expected =
            "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances";
        finalizers.as_deref() == Some(expected)
    };
    let namespace = eventually(&namespaces, "shop", reported).await.unwrap();
    let left = "Some resources are remaining: configmaps has 1 resource instances";
    assert_eq!(message(&namespace, "NamespaceContentRemaining").as_deref(), Some(left));
    maps.patch("held", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}})))
        .await
        .unwrap();
    eventually(&namespaces, "shop", |namespace| namespace.is_none()).await;
}

fn claim(name: &str) -> serde_json::Value {
    let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    json!({"metadata": {"name": name}, "spec": spec})
}

/// Defines widgets in two versions of one group, and gadgets in the older of these alone. Returns where the gadgets are.
async fn define_gadgets(cluster: &Cluster) -> Api<DynamicObject> {
    let definitions = cluster.all::<CustomResourceDefinition>();
    for (kind, singular, versions) in
        [("Widget", "widget", vec!["v1", "v1beta1"]), ("Gadget", "gadget", vec!["v1beta1"])]
    {
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let versions: Vec<_> = versions
            .into_iter()
            .map(|version| json!({"name": version, "served": true, "storage": version == "v1beta1", "schema": schema}))
            .collect();
        let (plural, name) = (format!("{singular}s"), format!("{singular}s.example.com"));
        let names = json!({"kind": kind, "singular": singular, "plural": plural});
        let spec = json!({"group": "example.com", "scope": "Namespaced", "names": names, "versions": versions});
        create(&definitions, json!({"metadata": {"name": name}, "spec": spec})).await;
        let established = |definition: Option<&CustomResourceDefinition>| {
            let status = definition.and_then(|definition| definition.status.as_ref());
            let conditions = status.and_then(|status| status.conditions.as_ref());
            conditions.into_iter().flatten().any(|is| is.type_ == "Established" && is.status == "True")
        };
        eventually(&definitions, &name, established).await;
    }
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1beta1", "Gadget"));
    Api::namespaced_with(cluster.client.clone(), "shop", &resource)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_goes_with_kinds_of_every_sort() {
    let cluster = Cluster::start().await;
    let namespaces = cluster.all::<Namespace>();
    create(&namespaces, json!({"metadata": {"name": "shop"}})).await;
    let claims = cluster.namespaced::<PersistentVolumeClaim>("shop");
    create(&claims, claim("data")).await;
    create(&cluster.namespaced::<ConfigMap>("shop"), json!({"metadata": {"name": "map"}})).await;
    let selected = json!({"app": "shop"});
    let pod_spec = json!({"containers": [{"name": "main", "image": "program:1"}]});
    let template = json!({"metadata": {"labels": selected}, "spec": pod_spec});
    let spec = json!({"selector": {"matchLabels": selected}, "template": template});
    let deployments = cluster.namespaced::<Deployment>("shop");
    create(&deployments, json!({"metadata": {"name": "web"}, "spec": spec})).await;
    let gadgets = define_gadgets(&cluster).await;
    let gadget = json!({"apiVersion": "example.com/v1beta1", "kind": "Gadget", "metadata": {"name": "g"}});
    create(&gadgets, gadget).await;

    let start = Instant::now();
    namespaces.delete("shop", &DeleteParams::default()).await.unwrap();
    eventually(&namespaces, "shop", |namespace| namespace.is_none()).await;
    eprintln!("a namespace with a claim, a map, a deployment and a custom object went in {:?}", start.elapsed());
    assert!(claims.get_opt("data").await.unwrap().is_none());
    assert!(deployments.get_opt("web").await.unwrap().is_none());
    assert!(gadgets.get_opt("g").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_and_volumes_stay_while_they_are_used() {
    let cluster = Cluster::start().await;
    let claims = cluster.namespaced::<PersistentVolumeClaim>("default");
    let (volumes, pods) = (cluster.all::<PersistentVolume>(), cluster.namespaced::<Pod>("default"));
    create(&claims, claim("data")).await;
    let volume = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    let containers = json!([{"name": "main", "image": "program:1"}]);
    create(&pods, json!({"metadata": {"name": "p"}, "spec": {"containers": containers, "volumes": volume}})).await;
    let spec = json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/disk"}});
    create(&volumes, json!({"metadata": {"name": "disk"}, "spec": spec})).await;
    let phase = |phase: &str| Patch::Merge(json!({"status": {"phase": phase}}));
    volumes.patch_status("disk", &PatchParams::default(), &phase("Bound")).await.unwrap();

    claims.delete("data", &DeleteParams::default()).await.unwrap();
    volumes.delete("disk", &DeleteParams::default()).await.unwrap();
    // Something else that the controllers do in the meantime shows that they have seen the deletions.
    create(&claims, claim("unused")).await;
    claims.delete("unused", &DeleteParams::default()).await.unwrap();
    eventually(&claims, "unused", |claim| claim.is_none()).await;
    assert!(claims.get_opt("data").await.unwrap().is_some());
    assert!(volumes.get_opt("disk").await.unwrap().is_some());

    pods.delete("p", &DeleteParams::default()).await.unwrap();
    eventually(&claims, "data", |claim| claim.is_none()).await;
    volumes.patch_status("disk", &PatchParams::default(), &phase("Released")).await.unwrap();
    eventually(&volumes, "disk", |volume| volume.is_none()).await;
}
