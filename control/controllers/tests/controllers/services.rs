use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use super::cluster::{Cluster, create, eventually, mark_ready};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_behind_a_service_is_listed_and_goes_with_it() {
    let cluster = Cluster::start().await;
    let (services, pods) = (cluster.namespaced::<Service>("default"), cluster.namespaced::<Pod>("default"));
    let endpoints = cluster.namespaced::<Endpoints>("default");
    let slices = cluster.namespaced::<EndpointSlice>("default");
    let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "web"}]});
    create(&services, json!({"metadata": {"name": "web"}, "spec": spec})).await;
    let ports = json!([{"name": "web", "containerPort": 8080}]);
    let spec = json!({"containers": [{"name": "main", "image": "program:1", "ports": ports}]});
    create(&pods, json!({"metadata": {"name": "a", "labels": {"app": "web"}}, "spec": spec})).await;
    mark_ready(&pods, "a").await;
    let listed = |endpoints: &Endpoints| {
        let subset = endpoints.subsets.as_ref().and_then(|subsets| subsets.first());
        subset.and_then(|subset| Some((subset.addresses.as_ref()?[0].ip.clone(), subset.ports.as_ref()?[0].port)))
    };
    let wanted = Some(("100.64.0.1".to_owned(), 8080));
    eventually(&endpoints, "web", |seen| seen.is_some_and(|seen| listed(seen) == wanted)).await;
    let of_web = ListParams::default().labels("kubernetes.io/service-name=web");
    let seen = slices.list(&of_web).await.unwrap().items;
    let slice = seen.iter().find(|slice| !slice.endpoints.is_empty()).expect("a slice");
    assert_eq!(slice.endpoints[0].addresses, ["100.64.0.1"]);
    assert_eq!(slice.endpoints[0].conditions.as_ref().unwrap().ready, Some(true));
    services.delete("web", &DeleteParams::default()).await.unwrap();
    eventually(&endpoints, "web", |seen| seen.is_none()).await;
    eventually(&slices, slice.metadata.name.as_deref().unwrap(), |seen| seen.is_none()).await;
    cluster.stop().await;
}
