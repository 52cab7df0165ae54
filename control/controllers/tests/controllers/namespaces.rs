use std::time::Instant;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams};
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
